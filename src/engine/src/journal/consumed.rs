//! The consumed capacity of a batch that was sent as single requests: their sums by table and
//! index, as DynamoDB returns them for the batch.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

/// Sums of capacity units, by table.
#[derive(Debug, Default)]
pub(in crate::journal) struct Consumed(BTreeMap<String, Map<String, Value>>);

impl Consumed {
    /// Adds the `ConsumedCapacity` of an answer for one item.
    pub fn add(&mut self, answered: Option<Value>) {
        let Some(Value::Object(units)) = answered else { return };
        let table = units.get("TableName").and_then(Value::as_str).unwrap_or_default().to_owned();
        add(self.0.entry(table).or_default(), units);
    }

    /// Returns the `ConsumedCapacity` of the batch.
    pub fn into_json(self) -> Value {
        self.0.into_values().map(Value::Object).collect()
    }
}

/// Adds numbers to numbers, and those of a table and of each index inside of objects.
fn add(sums: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, more) in more {
        match (sums.get_mut(&name), more) {
            (Some(Value::Object(sums)), Value::Object(more)) => add(sums, more),
            (Some(Value::Number(sum)), Value::Number(more)) => {
                let both = sum.as_f64().unwrap_or_default() + more.as_f64().unwrap_or_default();
                if let Some(both) = Number::from_f64(both) {
                    *sum = both;
                }
            }
            (Some(_), _) => {}
            (None, more) => {
                sums.insert(name, more);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn units_are_summed_for_each_table_and_index() {
        let mut consumed = Consumed::default();
        let answered = |table: &str, units: f64| {
            json!({
                "TableName": table, "CapacityUnits": units, "Table": {"CapacityUnits": 1.0},
                "GlobalSecondaryIndexes": {"by-year": {"CapacityUnits": units - 1.0}},
            })
        };
        let all =
            [Some(answered("a", 2.0)), None, Some(answered("b", 1.5)), Some(answered("a", 3.0))];
        for one in all {
            consumed.add(one);
        }
        assert_eq!(
            consumed.into_json(),
            json!([
                {
                    "TableName": "a", "CapacityUnits": 5.0, "Table": {"CapacityUnits": 2.0},
                    "GlobalSecondaryIndexes": {"by-year": {"CapacityUnits": 3.0}},
                },
                {
                    "TableName": "b", "CapacityUnits": 1.5, "Table": {"CapacityUnits": 1.0},
                    "GlobalSecondaryIndexes": {"by-year": {"CapacityUnits": 0.5}},
                },
            ])
        );
    }
}
