//! An applied run: calls go to the database and are counted on their way. The journal will stand
//! between this layer and the writes it sends; reads do not pass it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::answer_members::Members;
use crate::call::Call;
use crate::fault::Fault;
use crate::operation::{Class, Operation};
use crate::tables::plain_name;
use crate::tally::{Tally, WriteKind};
use crate::upstream::{Full, UpstreamCalls};

/// Asks for consumed capacity in a request.
const RETURN_CAPACITY: &str = "ReturnConsumedCapacity";

/// The member of an answer that tells it.
const CAPACITY: &str = "ConsumedCapacity";

/// The layer of an applied run.
#[derive(Debug)]
pub struct Apply {
    upstream: Full,
    tally: Arc<Tally>,
}

impl Apply {
    /// Over a connection that may write.
    pub fn new(upstream: Full, tally: Arc<Tally>) -> Self {
        Self { upstream, tally }
    }

    /// What was sent so far.
    pub fn calls(&self) -> UpstreamCalls {
        self.upstream.calls()
    }

    /// Sends the call and counts what it did.
    pub async fn handle(&self, call: Call) -> Result<Bytes, Fault> {
        let Call { operation, mut body, .. } = call;
        match operation.class() {
            Class::DataRead | Class::DataWrite => {}
            Class::MetadataRead | Class::ControlPlaneWrite | Class::AlwaysDenied => {
                return self.upstream.send(operation, &Value::Object(body)).await;
            }
        }
        let added = ask_for_capacity(&mut body);
        let body = Value::Object(body);
        let answer = self.upstream.send(operation, &body).await?;
        let Some(members) = Members::of(&answer) else {
            return Err(Fault::Unavailable("its answer is not a JSON object".into()));
        };
        self.count(operation, &body, &members);
        Ok(if added { members.without(CAPACITY) } else { answer.clone() })
    }

    fn count(&self, operation: Operation, request: &Value, answer: &Members<'_>) {
        self.count_units(operation, request, answer);
        match operation {
            Operation::PutItem => self.count_one(request, WriteKind::Put),
            Operation::UpdateItem => self.count_one(request, WriteKind::Update),
            Operation::DeleteItem => self.count_one(request, WriteKind::Delete),
            Operation::BatchWriteItem => self.count_batch(request, answer),
            Operation::TransactWriteItems => self.count_transaction(request),
            Operation::GetItem => self.tally.items_read(table(request), answer.has("Item").into()),
            Operation::Query | Operation::Scan => {
                let items = answer.get("ScannedCount").unwrap_or(0);
                self.tally.items_read(table(request), items);
            }
            Operation::SearchVectors => {
                self.tally.items_read(table(request), answer.count("Items").unwrap_or(0));
            }
            Operation::BatchGetItem => {
                let responses: Option<BTreeMap<String, Vec<IgnoredAny>>> = answer.get("Responses");
                for (table, items) in responses.unwrap_or_default() {
                    self.tally.items_read(plain_name(&table), items.len() as u64);
                }
            }
            Operation::TransactGetItems => self.count_transact_get(request, answer),
            // Which table and kind a statement means is known to the layer that parses it.
            _ => {}
        }
    }

    fn count_one(&self, request: &Value, kind: WriteKind) {
        self.tally.written(table(request), kind, 1);
    }

    fn count_batch(&self, request: &Value, answer: &Members<'_>) {
        let unprocessed: Map<String, Value> = answer.get("UnprocessedItems").unwrap_or_default();
        let asked = request.get("RequestItems").and_then(Value::as_object);
        let count = |requests: Option<&Value>, kind: &str| -> u64 {
            let requests = requests.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            requests.iter().filter(|request| request.get(kind).is_some()).count() as u64
        };
        for (table, requests) in asked.into_iter().flatten() {
            for (kind, name) in
                [(WriteKind::Put, "PutRequest"), (WriteKind::Delete, "DeleteRequest")]
            {
                let left = count(unprocessed.get(table), name);
                let done = count(Some(requests), name).saturating_sub(left);
                if done > 0 {
                    self.tally.written(plain_name(table), kind, done);
                }
            }
        }
    }

    fn count_transaction(&self, request: &Value) {
        let actions = request.get("TransactItems").and_then(Value::as_array);
        for action in actions.into_iter().flatten() {
            for (name, kind) in [
                ("Put", WriteKind::Put),
                ("Update", WriteKind::Update),
                ("Delete", WriteKind::Delete),
            ] {
                if let Some(parameters) = action.get(name) {
                    self.count_one(parameters, kind);
                }
            }
        }
    }

    fn count_transact_get(&self, request: &Value, answer: &Members<'_>) {
        #[derive(Deserialize)]
        struct Response {
            #[serde(rename = "Item")]
            item: Option<IgnoredAny>,
        }
        let responses: Vec<Response> = answer.get("Responses").unwrap_or_default();
        let actions = request.get("TransactItems").and_then(Value::as_array);
        for (action, response) in actions.into_iter().flatten().zip(responses) {
            let found = response.item.is_some().into();
            self.tally.items_read(table(action.get("Get").unwrap_or(&Value::Null)), found);
        }
    }

    fn count_units(&self, operation: Operation, request: &Value, answer: &Members<'_>) {
        let units = consumed_units(answer);
        if operation.class() == Class::DataRead || is_select(operation, request) {
            self.tally.read_units(units);
        } else {
            self.tally.write_units(units);
        }
    }
}

fn table(request: &Value) -> &str {
    request.get("TableName").and_then(Value::as_str).map_or("", plain_name)
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

/// Units an answer says were used, over all its tables.
fn consumed_units(answer: &Members<'_>) -> f64 {
    #[derive(Deserialize)]
    struct Consumed {
        #[serde(rename = "CapacityUnits", default)]
        units: f64,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(Consumed),
        More(Vec<Consumed>),
    }
    match answer.get(CAPACITY) {
        Some(OneOrMore::One(consumed)) => consumed.units,
        Some(OneOrMore::More(consumed)) => consumed.iter().map(|one| one.units).sum(),
        None => 0.0,
    }
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
        for (body, expected) in [
            (r#"{"ConsumedCapacity":{"TableName":"a","CapacityUnits":2.5}}"#, 2.5),
            (r#"{"ConsumedCapacity":[{"CapacityUnits":1},{"CapacityUnits":0.5}]}"#, 1.5),
            ("{}", 0.0),
        ] {
            let units = consumed_units(&Members::of(body.as_bytes()).unwrap());
            assert!((units - expected).abs() < 1e-9);
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
