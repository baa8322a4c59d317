//! Which settings of a table differ from those that it began with. Pure.
//!
//! A program may change a setting and change it back, or delete an index and create it again. The
//! report names what would be different afterwards.

use dm_dynamodb::request::control::BillingMode;
use serde_json::{Value, json};

use crate::overlay::control::throughput::{billing_of, units_of};

/// Whether a setting of UpdateTable, by its name in the report, differs between two descriptions of
/// a table. Settings of other calls are not in a description, and differ.
pub fn differs(setting: &str, before: &Value, now: &Value) -> bool {
    let [before, now] = [before, now].map(|description| value_of(setting, description));
    before.is_none() || before != now
}

/// The value of a setting in a description; `None` if it is not one of UpdateTable.
fn value_of(setting: &str, table: &Value) -> Option<Value> {
    Some(match setting {
        "billing" => billing(table),
        "class" => {
            table.pointer("/TableClassSummary/TableClass").cloned().unwrap_or("STANDARD".into())
        }
        "deletion protection" => {
            table["DeletionProtectionEnabled"].as_bool().unwrap_or_default().into()
        }
        "highest rates" => highest(table),
        "stream" => table["StreamSpecification"].clone(),
        setting => {
            let name = setting.strip_prefix("index ")?;
            let (name, is_highest) = match name.strip_suffix(" highest rates") {
                Some(name) => (name, true),
                None => (name, false),
            };
            let indexes = table["GlobalSecondaryIndexes"].as_array();
            let found = indexes.into_iter().flatten().find(|index| index["IndexName"] == name);
            match found {
                None => Value::Null,
                Some(index) if is_highest => highest(index),
                Some(index) => {
                    let units = units_of(index);
                    json!([index["KeySchema"], index["Projection"], units.read, units.write])
                }
            }
        }
    })
}

fn billing(table: &Value) -> Value {
    let units = units_of(table);
    match billing_of(table) {
        BillingMode::OnDemand => Value::Null,
        BillingMode::Provisioned => json!([units.read, units.write]),
    }
}

/// Highest rates of a table or index: -1 is none.
fn highest(described: &Value) -> Value {
    let rates = &described["OnDemandThroughput"];
    let rate = |member: &str| rates[member].as_i64().unwrap_or(-1);
    json!([rate("MaxReadRequestUnits"), rate("MaxWriteRequestUnits")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(setting: &str, before: &Value, now: &Value, expected: bool) {
        assert_eq!(differs(setting, before, now), expected, "{setting} {before} {now}");
    }

    #[test]
    fn a_setting_differs_by_its_value_and_not_by_what_describes_it() {
        let none = json!({});
        let protected = |on: bool| json!({"DeletionProtectionEnabled": on});
        check("deletion protection", &none, &protected(false), false);
        check("deletion protection", &none, &protected(true), true);
        let class = json!({"TableClassSummary": {"TableClass": "STANDARD"}});
        check("class", &none, &class, false);
        let stream = json!({"StreamSpecification": {"StreamEnabled": true}});
        check("stream", &none, &stream, true);
        let rates = json!({"OnDemandThroughput": {"MaxReadRequestUnits": -1}});
        check("highest rates", &none, &rates, false);
        let on_demand = |at: i64| {
            json!({"BillingModeSummary": {
                "BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": at,
            }})
        };
        check("billing", &on_demand(1), &on_demand(2), false);
        check("billing", &on_demand(1), &none, true);
        check("time to live", &none, &none, true);
    }

    #[test]
    fn an_index_that_is_created_again_differs_by_its_definition() {
        let table = |attribute: &str, status: &str| {
            json!({"GlobalSecondaryIndexes": [{
                "IndexName": "x", "IndexStatus": status,
                "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
            }]})
        };
        let (none, had) = (json!({}), table("a", "ACTIVE"));
        check("index x", &none, &none, false);
        check("index x", &had, &table("a", "CREATING"), false);
        check("index x", &had, &table("b", "ACTIVE"), true);
        check("index x", &had, &none, true);
        check("index x highest rates", &none, &none, false);
        check("index y", &had, &none, false);
    }
}
