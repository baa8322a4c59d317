//! Counts what calls at the database read and use: items per table, units. Asks for the consumed
//! capacity where the program did not, and takes it out of the answer again.

use std::collections::BTreeMap;

use bytes::Bytes;
use dm_dynamodb::request::{Outline, RETURN_CAPACITY};
use dm_dynamodb::table_name::plain_name;
use dm_dynamodb::value::{parse_body, write_members};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::answer_members::Members;
use crate::call::Call;
use crate::fault::Fault;
use crate::layers::tally::Tally;
use crate::operation::Operation;
use crate::upstream::Access;

/// The member of an answer that tells it.
const CAPACITY: &str = "ConsumedCapacity";

/// A request that asks for its consumed capacity.
#[derive(Debug)]
pub struct Metered<'b> {
    operation: Operation,
    body: &'b Map<String, Value>,
    /// Whether the program does not ask for it.
    added: bool,
    /// The tables of a call's statements, if all of them only read.
    selected: Vec<String>,
}

impl<'b> Metered<'b> {
    /// Of a data operation's parameters.
    pub fn new(operation: Operation, body: &'b Map<String, Value>) -> Self {
        let added = !Outline::of(operation, body).asks_for_capacity();
        Self { operation, body, added, selected: Vec::new() }
    }

    /// Of a data operation's call.
    pub fn of(call: &'b Call) -> Self {
        let selected = if call.only_reads() { tables_of_statements(call) } else { Vec::new() };
        Self { selected, ..Self::new(call.operation, call.body()) }
    }

    /// What the request does.
    pub fn access(&self) -> Access {
        if self.selected.is_empty() { Access::of(self.operation) } else { Access::Reads }
    }

    /// What is to be sent.
    pub fn to_json(&self) -> Bytes {
        let total = Value::from("TOTAL");
        let own = self.body.iter().map(|(name, value)| (name.as_str(), value));
        let own = own.filter(|(name, _)| !(self.added && *name == RETURN_CAPACITY));
        let added = self.added.then_some((RETURN_CAPACITY, &total));
        Bytes::from(write_members(own.chain(added)))
    }

    /// Counts an answer, and returns what the program should see of it.
    pub fn finish(&self, answer: &Bytes, members: &Members<'_>, tally: &Tally) -> Bytes {
        self.count_units(members, tally);
        self.count_items(members, tally);
        if self.added { members.without(CAPACITY) } else { answer.clone() }
    }

    fn count_items(&self, answer: &Members<'_>, tally: &Tally) {
        let outline = Outline::of(self.operation, self.body);
        let table = plain_name(outline.table().unwrap_or_default());
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
            Operation::TransactGetItems => {
                count_responses(outline.tables_of_gets().map(plain_name), answer, tally);
            }
            // Which items a SELECT has looked at, its answer does not say.
            Operation::ExecuteStatement => {
                if let [table] = self.selected.as_slice() {
                    tally.items_read(plain_name(table), answer.count("Items").unwrap_or(0));
                }
            }
            Operation::BatchExecuteStatement | Operation::ExecuteTransaction => {
                count_responses(self.selected.iter().map(|one| plain_name(one)), answer, tally);
            }
            _ => {}
        }
    }

    fn count_units(&self, answer: &Members<'_>, tally: &Tally) {
        let units = answer.consumed_units();
        match self.access() {
            Access::Reads => tally.read_units(units),
            Access::Writes => tally.write_units(units),
        }
    }
}

/// Counts the items of an answer that has one response for each action, or none.
fn count_responses<'a>(tables: impl Iterator<Item = &'a str>, answer: &Members<'_>, tally: &Tally) {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "Item")]
        item: Option<IgnoredAny>,
    }
    let responses: Vec<Response> = answer.get("Responses").unwrap_or_default();
    for (table, response) in tables.zip(responses) {
        tally.items_read(table, response.item.is_some().into());
    }
}

fn tables_of_statements(call: &Call) -> Vec<String> {
    let statements = call.statements().unwrap_or_default().iter();
    let understood = statements.filter_map(|one| one.statement.as_ref().ok());
    understood.map(|statement| statement.table().to_owned()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::rates::Used;
    use serde_json::json;

    #[test]
    fn capacity_is_asked_for_only_where_the_program_did_not() {
        for (before, added, after) in [
            (json!({}), true, "TOTAL"),
            (json!({RETURN_CAPACITY: "NONE"}), true, "TOTAL"),
            (json!({RETURN_CAPACITY: "INDEXES"}), false, "INDEXES"),
        ] {
            let metered = Metered::new(Operation::GetItem, before.as_object().unwrap());
            let sent: Value = serde_json::from_slice(&metered.to_json()).unwrap();
            assert_eq!((metered.added, sent), (added, json!({RETURN_CAPACITY: after})));
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

    fn selects(operation: Operation, body: Value, answer: &Value) -> (Access, Used, u64) {
        let Value::Object(body) = body else { unreachable!() };
        let call = Call::new(operation, body);
        let (metered, tally) = (Metered::of(&call), Tally::default());
        let answer = Bytes::from(answer.to_string());
        metered.finish(&answer, &Members::of(&answer).unwrap(), &tally);
        let of_cars = tally.counts().tables.get("cars").map_or(0, |table| table.items_read);
        (metered.access(), tally.used(), of_cars)
    }

    #[test]
    fn what_a_select_returns_has_been_read() {
        let select = json!({"Statement": "SELECT * FROM cars"});
        let answer = json!({"Items": [{}, {}], "ConsumedCapacity": {"CapacityUnits": 3.0}});
        let read = |items_read, read_units| Used { items_read, read_units, ..Used::default() };
        let expected = (Access::Reads, read(2, 3.0), 2);
        assert_eq!(selects(Operation::ExecuteStatement, select.clone(), &answer), expected);
        let one = json!({"Statement": "SELECT * FROM cars WHERE id = 'a'"});
        let responses = json!({"Responses": [{"TableName": "cars", "Item": {}}, {}]});
        for (operation, member) in [
            (Operation::BatchExecuteStatement, "Statements"),
            (Operation::ExecuteTransaction, "TransactStatements"),
        ] {
            let found = selects(operation, json!({member: [one, one]}), &responses);
            assert_eq!(found, (Access::Reads, read(1, 0.0), 1), "{operation:?}");
        }
        let update =
            json!({"Statement": "UPDATE cars SET b = 1 WHERE id = 'a' RETURNING ALL NEW *"});
        let written = Used { write_units: 3.0, ..Used::default() };
        let expected = (Access::Writes, written, 0);
        assert_eq!(selects(Operation::ExecuteStatement, update, &answer), expected);
    }
}
