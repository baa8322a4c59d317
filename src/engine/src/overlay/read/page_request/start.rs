//! The key at which a page starts, and what AWS says of keys that do not fit. The errors are those
//! that public suites recorded at AWS; which of them a wrong key gets depends on the operation, and
//! on which of its parts is wrong.

use std::collections::BTreeSet;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::KeyCondition;
use dm_dynamodb::schema::{ItemKey, KeyAttribute};
use dm_dynamodb::value::{Item, item_from_json};
use serde_json::Value;

use super::Range;
use crate::overlay::state::table::{Place, View};

type Result<T> = std::result::Result<T, ServiceError>;

#[derive(Debug)]
pub struct Start {
    pub json: Value,
    pub place: Place,
    /// Its sort key's bytes in the view.
    pub sort_key: Vec<u8>,
    /// Its key in the table.
    pub key: ItemKey,
    /// Its key in the view.
    pub view_key: ItemKey,
}

impl Start {
    /// Reads a start key.
    pub fn of(json: &Value, view: View<'_>, range: &Range) -> Result<Self> {
        let item = item_from_json(json)?;
        if view.index.is_some() || matches!(range, Range::Query(..)) {
            check_view_key(&item, view)?;
        }
        let key = table_key(&item, view)?;
        let view_key = ItemKey::of(view.keys(), &item).ok_or_else(|| invalid(""))?;
        if let Range::Query(condition, _) = range {
            check_is_in(condition, &item)?;
        }
        Ok(Self {
            json: json.clone(),
            place: Place::new(&view_key, &key),
            sort_key: view_key.sort_bytes().to_vec(),
            key,
            view_key,
        })
    }
}

fn invalid(why: &str) -> ServiceError {
    ServiceError::validation(format!("The provided starting key is invalid{why}"))
}

fn within(error: &ServiceError) -> ServiceError {
    invalid(&format!(": {}", error.message))
}

/// Checks the names of the key, and the types of what belongs to the view.
fn check_view_key(item: &Item, view: View<'_>) -> Result<()> {
    let all = view.keys().attributes().chain(view.table.schema.keys.attributes());
    let names: BTreeSet<&str> = all.map(|key| key.name.as_str()).collect();
    let is_there = |key: &KeyAttribute| item.contains_key(&key.name);
    if item.len() != names.len() || !view.keys().attributes().all(is_there) {
        return Err(invalid(""));
    }
    let fits = |key: &KeyAttribute| {
        item.get(&key.name).is_some_and(|value| value.kind() == key.kind.attribute_type())
    };
    if view.keys().attributes().all(fits) {
        return view.table.schema.check_no_empty_keys(item).map_err(|error| within(&error));
    }
    Err(ServiceError::validation("The provided key element does not match the schema"))
}

/// The key in the table, of an item that has nothing else but the keys of the view's index.
fn table_key(item: &Item, view: View<'_>) -> Result<ItemKey> {
    let schema = &view.table.schema;
    let is_own = |name: &str| schema.keys.contains(name) || !view.keys().contains(name);
    let own: Item = item
        .iter()
        .filter(|(name, _)| is_own(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    ItemKey::from_key(schema, &own).map_err(|error| within(&error))
}

fn check_is_in(condition: &KeyCondition, start: &Item) -> Result<()> {
    if condition.matches(start) {
        return Ok(());
    }
    Err(ServiceError::validation(match (condition.sort().next(), condition.is_in_range(start)) {
        (None, _) => {
            "The provided starting key is outside query boundaries based on provided conditions"
        }
        (Some(_), true) => "The query can return at most one row and cannot be restarted",
        (Some(_), false) => "The provided starting key does not match the range key predicate",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::operation::Operation;
    use crate::overlay::read::page_request::PageRequest;
    use crate::overlay::state::table::Table;
    use dm_dynamodb::request::Request;
    use dm_dynamodb::schema::TableSchema;
    use serde_json::json;
    use std::sync::Arc;

    /// A table with the key `p`, `s` and the indexes `global` by `g`, `h` and `local` by `p`, `l`.
    fn table() -> Arc<Table> {
        let keys = |partition: &str, sort: &str| {
            json!([
                {"AttributeName": partition, "KeyType": "HASH"},
                {"AttributeName": sort, "KeyType": "RANGE"},
            ])
        };
        let index = |name: &str, keys: Value| {
            let projection = json!({"ProjectionType": "ALL"});
            json!([{"IndexName": name, "KeySchema": keys, "Projection": projection}])
        };
        let types = [("p", "S"), ("s", "N"), ("g", "S"), ("h", "N"), ("l", "S")];
        let types = types.map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}));
        let schema = TableSchema::from_json(&json!({
            "TableName": "t", "AttributeDefinitions": types, "KeySchema": keys("p", "s"),
            "GlobalSecondaryIndexes": index("global", keys("g", "h")),
            "LocalSecondaryIndexes": index("local", keys("p", "l")),
        }));
        Arc::new(Table::kept(schema.unwrap(), 1, 0))
    }

    fn error(operation: Operation, mut body: Value, start: &Value) -> Option<String> {
        body["TableName"] = "t".into();
        body["ExclusiveStartKey"] = start.clone();
        let request = Request::decode(operation, body.as_object().unwrap()).unwrap();
        let Request::Page(page) = request else { panic!("{request:?}") };
        match PageRequest::of(operation, page, table()) {
            Ok(_) => None,
            Err(Fault::Service(error)) => Some(error.message),
            Err(fault) => panic!("{fault}"),
        }
    }

    const INVALID: &str = "The provided starting key is invalid";
    const SCHEMA: &str = "The provided key element does not match the schema";
    const BOTH: &str =
        "The provided starting key is invalid: The provided key element does not match the schema";
    const EMPTY: &str = "The provided starting key is invalid: One or more parameter values are \
                         not valid.";

    fn check(operation: Operation, body: &Value, cases: &[(Value, &str)]) {
        for (start, expected) in cases {
            let found = error(operation, body.clone(), start).unwrap_or_default();
            let same = found.contains(expected) && found.is_empty() == expected.is_empty();
            let exact = *expected != INVALID || found.ends_with(INVALID);
            assert!(same && exact, "{operation:?} {body} {start}: {found:?}");
        }
    }

    #[test]
    fn a_scan_of_a_table_starts_at_a_key_of_the_table() {
        check(
            Operation::Scan,
            &json!({}),
            &[
                (json!({"p": {"S": "a"}, "s": {"N": "1"}}), ""),
                (json!({}), BOTH),
                (json!({"p": {"S": "a"}}), BOTH),
                (json!({"p": {"S": "a"}, "s": {"S": "1"}}), BOTH),
                (json!({"p": {"NULL": true}, "s": {"N": "1"}}), BOTH),
                (json!({"p": {"S": "a"}, "s": {"N": "1"}, "z": {"S": "a"}}), BOTH),
                (json!({"p": {"S": ""}, "s": {"N": "1"}}), EMPTY),
            ],
        );
    }

    #[test]
    fn a_scan_of_an_index_starts_at_a_key_of_both() {
        let whole = |g: Value, h: Value, p: Value| json!({"g": g, "h": h, "p": p, "s": {"N": "1"}});
        let (text, number) = (json!({"S": "a"}), json!({"N": "1"}));
        check(
            Operation::Scan,
            &json!({"IndexName": "global"}),
            &[
                (whole(text.clone(), number.clone(), text.clone()), ""),
                (json!({}), INVALID),
                (json!({"g": text, "h": number}), INVALID),
                (json!({"p": text, "s": number}), INVALID),
                (whole(number.clone(), number.clone(), text.clone()), SCHEMA),
                (whole(text.clone(), number.clone(), number.clone()), BOTH),
                (whole(json!({"S": ""}), number.clone(), text.clone()), EMPTY),
                (json!({"g": text, "h": number, "x": text, "y": number}), BOTH),
            ],
        );
        check(
            Operation::Scan,
            &json!({"IndexName": "local"}),
            &[
                (json!({"p": text, "s": number, "l": text}), ""),
                (json!({"p": text, "s": number}), INVALID),
                (json!({"p": text, "s": number, "l": number}), SCHEMA),
                (json!({"p": text, "s": text, "l": text}), BOTH),
            ],
        );
    }

    #[test]
    fn a_query_starts_in_its_partition_and_range() {
        let query = |key: &str, more: Value| {
            let mut body = json!({
                "KeyConditionExpression": key,
                "ExpressionAttributeValues": {":p": {"S": "a"}, ":s": {"N": "5"}},
            });
            if key.len() < 8 {
                body["ExpressionAttributeValues"] = json!({":p": {"S": "a"}});
            }
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let key = |p: &str, s: &str| json!({"p": {"S": p}, "s": {"N": s}});
        let outside = "outside query boundaries";
        check(
            Operation::Query,
            &query("p = :p", json!({})),
            &[
                (key("a", "1"), ""),
                (key("b", "1"), outside),
                (json!({}), INVALID),
                (json!({"p": {"S": "a"}}), INVALID),
                (json!({"p": {"S": "a"}, "s": {"S": "1"}}), SCHEMA),
                (json!({"p": {"S": "a"}, "s": {"N": "1"}, "z": {"S": "a"}}), INVALID),
            ],
        );
        check(
            Operation::Query,
            &query("p = :p AND s < :s", json!({})),
            &[
                (key("a", "1"), ""),
                (key("a", "5"), "does not match the range key predicate"),
                (key("b", "5"), "does not match the range key predicate"),
                (key("b", "1"), "can return at most one row and cannot be restarted"),
            ],
        );
        let global =
            |g: &str, p: Value| json!({"g": {"S": g}, "h": {"N": "1"}, "p": p, "s": {"N": "1"}});
        check(
            Operation::Query,
            &query("g = :p", json!({"IndexName": "global"})),
            &[
                (global("a", json!({"S": "any"})), ""),
                (global("b", json!({"S": "any"})), outside),
                (global("a", json!({"N": "1"})), BOTH),
            ],
        );
    }
}
