//! The ways in which a program writes, each with what it leaves, and where it may leave it.

use dm_engine::{Answer, Operation};
use serde_json::{Map, Value, json};

use crate::shorthand::expand;

/// One way to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Put,
    /// A PutItem that leaves the attributes of its item and adds one: its condition holds twice.
    PutMore,
    Create,
    Add,
    Append,
    Delete,
    Batch,
    Statement,
    Statements,
    Transaction,
    TransactionWithToken,
    StatementsTogether,
}

pub const PATHS: [Path; 12] = [
    Path::Put,
    Path::PutMore,
    Path::Create,
    Path::Add,
    Path::Append,
    Path::Delete,
    Path::Batch,
    Path::Statement,
    Path::Statements,
    Path::Transaction,
    Path::TransactionWithToken,
    Path::StatementsTogether,
];

/// The items of one cell.
pub struct Items {
    pub table: String,
    pub cell: usize,
}

/// What an answer says of an item's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Done,
    NotDone,
    Unknown,
}

impl Items {
    pub fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.cell)
    }

    /// How the items are before the program.
    pub fn seeds(&self) -> [(&'static str, Option<Value>); 3] {
        let seed = |name| Some(json!({"id": self.id(name), "n": 0, "l": [1], "color": "red"}));
        [("a", seed("a")), ("b", seed("b")), ("new", None)]
    }

    /// How the program leaves those that it changes.
    pub fn left(&self, path: Path) -> Vec<(&'static str, Option<Value>)> {
        let item = |name, changed: Value| {
            let mut item = json!({"id": self.id(name), "n": 0, "l": [1], "color": "red"});
            for (name, value) in changed.as_object().unwrap() {
                item[name] = value.clone();
            }
            Some(item)
        };
        let counted = |name| (name, item(name, json!({"n": 1})));
        let new = ("new", Some(json!({"id": self.id("new"), "n": 7})));
        match path {
            Path::Put => vec![("a", Some(json!({"id": self.id("a"), "n": 5})))],
            Path::PutMore => vec![("a", item("a", json!({"more": true})))],
            Path::Create => vec![new],
            Path::Add | Path::Statement => vec![counted("a")],
            Path::Append => vec![("a", item("a", json!({"l": [1, 2]})))],
            Path::Delete => vec![("a", None)],
            Path::Batch => vec![("a", Some(json!({"id": self.id("a"), "n": 5}))), ("b", None)],
            Path::Statements => vec![counted("a"), counted("b")],
            Path::Transaction | Path::TransactionWithToken => {
                vec![counted("a"), ("b", None), new]
            }
            Path::StatementsTogether => vec![counted("a"), counted("b"), new],
        }
    }

    pub fn request(&self, path: Path) -> (Operation, Map<String, Value>) {
        let table = &self.table;
        let (a, b, new) = (self.id("a"), self.id("b"), self.id("new"));
        let counting = |id: &str| format!("UPDATE \"{table}\" SET n = n + 1 WHERE id = '{id}'");
        let add = json!({"TableName": table, "Key": {"id": a}, "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": 1}});
        let put = |item: &Value| json!({"TableName": table, "Item": item});
        let fresh = json!({"id": new, "n": 7});
        let transaction = json!({"TransactItems": [{"Update": add}, {"Put": put(&fresh)},
            {"Delete": {"TableName": table, "Key": {"id": b}}}]});
        let with = |mut body: Value, member: &str, value: &str| {
            body[member] = value.into();
            body
        };
        // The database remembers tokens of all tables, and of runs of this test before.
        let token = format!("{}-{}", self.table, self.cell);
        let (operation, body) = match path {
            Path::Put => ("PutItem", put(&json!({"id": a, "n": 5}))),
            Path::PutMore => {
                let item = json!({"id": a, "n": 0, "l": [1], "color": "red", "more": true});
                ("PutItem", with(put(&item), "ReturnValues", "ALL_OLD"))
            }
            Path::Create => ("PutItem", put(&fresh)),
            Path::Add => ("UpdateItem", with(add, "ReturnValues", "ALL_NEW")),
            Path::Append => (
                "UpdateItem",
                json!({"TableName": table, "Key": {"id": a}, "UpdateExpression":
                    "SET l = list_append(l, :l)", "ExpressionAttributeValues": {":l": [2]}}),
            ),
            Path::Delete => (
                "DeleteItem",
                json!({"TableName": table, "Key": {"id": a}, "ReturnValues": "ALL_OLD"}),
            ),
            Path::Batch => (
                "BatchWriteItem",
                json!({"RequestItems": {table: [{"PutRequest": {"Item": {"id": a, "n": 5}}},
                    {"DeleteRequest": {"Key": {"id": b}}}]}}),
            ),
            Path::Statement => ("ExecuteStatement", json!({"Statement": counting(&a)})),
            Path::Statements => (
                "BatchExecuteStatement",
                json!({"Statements": [{"Statement": counting(&a)}, {"Statement": counting(&b)}]}),
            ),
            Path::Transaction => ("TransactWriteItems", transaction),
            Path::TransactionWithToken => {
                ("TransactWriteItems", with(transaction, "ClientRequestToken", &token))
            }
            Path::StatementsTogether => {
                let insert = format!("INSERT INTO \"{table}\" VALUE {{'id': '{new}', 'n': 7}}");
                let listed = [counting(&a), counting(&b), insert];
                let listed: Vec<Value> =
                    listed.iter().map(|text| json!({"Statement": text})).collect();
                let body = json!({"TransactStatements": listed});
                ("ExecuteTransaction", with(body, "ClientRequestToken", &token))
            }
        };
        let Value::Object(body) = expand(&body) else { unreachable!() };
        (Operation::named(operation).unwrap(), body)
    }

    /// What an answer says of the write of each item.
    pub fn said(&self, path: Path, answer: &Answer) -> Vec<(&'static str, Said)> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let whole = said_by(answer.status, body["__type"].as_str().unwrap_or_default());
        let mut all: Vec<(&'static str, Said)> =
            self.left(path).iter().map(|(name, _)| (*name, whole)).collect();
        if whole == Said::Done {
            for (at, (name, said)) in all.iter_mut().enumerate() {
                let error = &body["Responses"][at]["Error"]["Code"];
                if let Some(code) = error.as_str() {
                    let unknown = code == "InternalServerError";
                    *said = if unknown { Said::Unknown } else { Said::NotDone };
                }
                let left = body["UnprocessedItems"][&self.table].to_string();
                if left.contains(&format!("\"{}\"", self.id(name))) {
                    *said = Said::NotDone;
                }
            }
        }
        all
    }
}

fn said_by(status: u16, error: &str) -> Said {
    match status {
        200 => Said::Done,
        400..500 if !error.ends_with("TransactionInProgressException") => Said::NotDone,
        _ => Said::Unknown,
    }
}

/// Whether a transaction's token makes its retries harmless.
pub fn has_token(path: Path) -> bool {
    matches!(path, Path::TransactionWithToken | Path::StatementsTogether)
}

/// Whether it is sent as one transaction.
pub fn is_together(path: Path) -> bool {
    has_token(path) || path == Path::Transaction
}
