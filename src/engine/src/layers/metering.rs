//! Counts what calls at the database read and use: items per table, units. Asks for the consumed
//! capacity where the program did not, and takes it out of the answer again.

use std::collections::BTreeMap;

use bytes::Bytes;
use dm_dynamodb::value::parse_body;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::answer_members::Members;
use crate::fault::Fault;
use crate::layers::tally::Tally;
use crate::operation::{Class, Operation};
use crate::tables::{plain_name, table_of};

/// Asks for consumed capacity in a request.
const RETURN_CAPACITY: &str = "ReturnConsumedCapacity";

/// The member of an answer that tells it.
const CAPACITY: &str = "ConsumedCapacity";

/// A request that asks for its consumed capacity.
#[derive(Debug)]
pub struct Metered {
    operation: Operation,
    body: Value,
    added: bool,
}

impl Metered {
    /// Of a data operation's parameters.
    pub fn new(operation: Operation, mut body: Value) -> Self {
        let added = body.as_object_mut().is_some_and(ask_for_capacity);
        Self { operation, body, added }
    }

    /// What is to be sent.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// Counts an answer, and gives back what the program is to see of it.
    pub fn finish(&self, answer: &Bytes, members: &Members<'_>, tally: &Tally) -> Bytes {
        self.count_units(members, tally);
        self.count_items(members, tally);
        if self.added { members.without(CAPACITY) } else { answer.clone() }
    }

    fn count_items(&self, answer: &Members<'_>, tally: &Tally) {
        let table = table_of(&self.body);
        match self.operation {
            Operation::GetItem => tally.items_read(table, answer.has("Item").into()),
            Operation::Query | Operation::Scan => {
                tally.items_read(table, answer.get("ScannedCount").unwrap_or(0));
            }
            Operation::SearchVectors => {
                tally.items_read(table, answer.count("Items").unwrap_or(0));
            }
            Operation::BatchGetItem => {
                let responses: Option<BTreeMap<String, Vec<IgnoredAny>>> = answer.get("Responses");
                for (table, items) in responses.unwrap_or_default() {
                    tally.items_read(plain_name(&table), items.len() as u64);
                }
            }
            Operation::TransactGetItems => self.count_transact_get(answer, tally),
            _ => {}
        }
    }

    fn count_transact_get(&self, answer: &Members<'_>, tally: &Tally) {
        #[derive(Deserialize)]
        struct Response {
            #[serde(rename = "Item")]
            item: Option<IgnoredAny>,
        }
        let responses: Vec<Response> = answer.get("Responses").unwrap_or_default();
        let actions = self.body.get("TransactItems").and_then(Value::as_array);
        for (action, response) in actions.into_iter().flatten().zip(responses) {
            let found = response.item.is_some().into();
            tally.items_read(table_of(action.get("Get").unwrap_or(&Value::Null)), found);
        }
    }

    fn count_units(&self, answer: &Members<'_>, tally: &Tally) {
        let units = answer.get(CAPACITY).map_or(0.0, |capacity| consumed_units(&capacity));
        if self.operation.class() == Class::DataRead || is_select(self.operation, &self.body) {
            tally.read_units(units);
        } else {
            tally.write_units(units);
        }
    }
}

/// The members of the database's answer, with large items folded.
pub fn members(answer: &[u8]) -> Result<Map<String, Value>, Fault> {
    parse_body(answer, usize::MAX).map_err(|_| not_an_object())
}

/// The database's answer cannot be one.
pub fn not_an_object() -> Fault {
    Fault::Unavailable("its answer is not a JSON object".into())
}

/// Units of a ConsumedCapacity: one table's, or a list of them.
pub fn consumed_units(capacity: &Value) -> f64 {
    match capacity {
        Value::Array(tables) => tables.iter().map(consumed_units).sum(),
        one => one.get("CapacityUnits").and_then(Value::as_f64).unwrap_or(0.0),
    }
}

/// Whether PartiQL reads; batches and transactions of statements do not mix reads and writes.
fn is_select(operation: Operation, request: &Value) -> bool {
    let statement = match operation {
        Operation::ExecuteStatement => request.get("Statement"),
        Operation::BatchExecuteStatement => request.pointer("/Statements/0/Statement"),
        Operation::ExecuteTransaction => request.pointer("/TransactStatements/0/Statement"),
        _ => None,
    };
    let words = statement.and_then(Value::as_str).and_then(|text| text.split_whitespace().next());
    words.is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

/// Makes the request ask for consumed capacity; whether it did not by itself.
fn ask_for_capacity(body: &mut Map<String, Value>) -> bool {
    let asks = match body.get(RETURN_CAPACITY) {
        None | Some(Value::Null) => false,
        Some(Value::String(level)) => level != "NONE",
        // Of a wrong type: the database says so.
        Some(_) => true,
    };
    if !asks {
        body.insert(RETURN_CAPACITY.to_owned(), "TOTAL".into());
    }
    !asks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn capacity_is_asked_for_only_where_the_program_did_not() {
        for (before, added, after) in [
            (json!({}), true, "TOTAL"),
            (json!({RETURN_CAPACITY: "NONE"}), true, "TOTAL"),
            (json!({RETURN_CAPACITY: "INDEXES"}), false, "INDEXES"),
        ] {
            let Value::Object(mut body) = before else { unreachable!() };
            assert_eq!(ask_for_capacity(&mut body), added);
            assert_eq!(body[RETURN_CAPACITY], after);
        }
    }

    #[test]
    fn units_are_summed_over_tables() {
        for (capacity, expected) in [
            (json!({"TableName": "a", "CapacityUnits": 2.5}), 2.5),
            (json!([{"CapacityUnits": 1}, {"CapacityUnits": 0.5}]), 1.5),
            (json!(null), 0.0),
        ] {
            assert!((consumed_units(&capacity) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn a_statement_reads_when_it_selects() {
        let execute =
            |text: &str| is_select(Operation::ExecuteStatement, &json!({"Statement": text}));
        assert!(execute(" select * from x"));
        assert!(!execute("UPDATE x"));
        let batch = json!({"Statements": [{"Statement": "SELECT 1"}]});
        assert!(is_select(Operation::BatchExecuteStatement, &batch));
    }
}
