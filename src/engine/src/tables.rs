//! Which tables a body names, and how many items of them it writes, whether or not the body is
//! right. Checks nothing, and reads nothing else: what a request asks for is decoded in
//! `dm-dynamodb`.

use std::collections::BTreeSet;

use dm_dynamodb::item_write::ChangeKind;
use dm_dynamodb::request::one_action;
use serde_json::{Map, Value};

use crate::operation::Operation;

/// Parameters that name a table, by name or ARN, in any operation of the service model.
const TABLE_PARAMETERS: [&str; 6] = [
    "TableName",
    "TableArn",
    "TargetTableName",
    "SourceTableName",
    "SourceTableArn",
    "GlobalTableName",
];

/// Parameters whose ARN lies below a table's (`…:table/NAME/backup/…`). `StreamArn` is not among
/// them: it is a stream of Kinesis (API reference, DisableKinesisStreamingDestination).
const RESOURCE_PARAMETERS: [&str; 5] =
    ["ResourceArn", "BackupArn", "ExportArn", "ImportArn", "BulkOperationArn"];

/// The tables a call names, as it names them, each once. Parameters that the operation does not
/// know are looked at too: one name too many is at worst a denial.
pub fn tables_named(body: &Map<String, Value>) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let mut add = |name| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for (member, value) in body {
        match (member.as_str(), value) {
            (parameter, Value::String(name))
                if TABLE_PARAMETERS.contains(&parameter)
                    || RESOURCE_PARAMETERS.contains(&parameter) =>
            {
                add(name);
            }
            ("RequestItems", Value::Object(items)) => items.keys().for_each(|name| add(name)),
            ("TransactItems", Value::Array(actions)) => {
                for action in actions.iter().filter_map(Value::as_object) {
                    for parameters in action.values() {
                        if let Some(name) = parameters.get("TableName").and_then(Value::as_str) {
                            add(name);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    names
}

/// The tables that a call changes, by their plain names. What a table is restored from is only
/// read.
pub fn tables_changed(operation: Operation, body: &Map<String, Value>) -> BTreeSet<String> {
    let named = match operation {
        Operation::RestoreTableFromBackup | Operation::RestoreTableToPointInTime => {
            body.get("TargetTableName").and_then(Value::as_str).into_iter().collect()
        }
        _ => tables_named(body),
    };
    named.into_iter().map(|table| plain_name(table).to_owned()).collect()
}

/// The writes and checks that a body asks for, each with its table. Statements are not among them.
pub fn writes_named(operation: Operation, body: &Map<String, Value>) -> Vec<(&str, ChangeKind)> {
    let one = |kind| vec![(table_in(body), kind)];
    match operation {
        Operation::PutItem => one(ChangeKind::Put),
        Operation::UpdateItem => one(ChangeKind::Update),
        Operation::DeleteItem => one(ChangeKind::Delete),
        Operation::BatchWriteItem => {
            let tables = body.get("RequestItems").and_then(Value::as_object);
            let tables = tables.into_iter().flatten();
            let writes = tables.flat_map(|(name, requests)| {
                let kind = |request: &Value| match request.get("PutRequest") {
                    None | Some(Value::Null) => ChangeKind::Delete,
                    Some(_) => ChangeKind::Put,
                };
                let requests = requests.as_array().into_iter().flatten();
                requests.map(move |request| (name.as_str(), kind(request)))
            });
            writes.collect()
        }
        Operation::TransactWriteItems => elements(body, "TransactItems")
            .filter_map(|action| one_action(action.as_object()?).ok())
            .map(|(kind, parameters)| (table_in(parameters), kind))
            .collect(),
        _ => Vec::new(),
    }
}

/// How many items a body writes or checks.
pub fn items_written(operation: Operation, body: &Map<String, Value>) -> usize {
    match operation {
        Operation::TransactWriteItems => elements(body, "TransactItems").count(),
        Operation::BatchExecuteStatement => elements(body, "Statements").count(),
        Operation::ExecuteTransaction => elements(body, "TransactStatements").count(),
        Operation::ExecuteStatement => 1,
        other => writes_named(other, body).len(),
    }
}

fn table_in(parameters: &Map<String, Value>) -> &str {
    parameters.get("TableName").and_then(Value::as_str).unwrap_or_default()
}

fn elements<'a>(body: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    body.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A table named by its ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableArn<'a> {
    pub arn: &'a str,
    /// The table's name in it.
    pub name: &'a str,
    /// Whether nothing stands below the table (no index, backup, stream).
    pub is_table: bool,
}

impl<'a> TableArn<'a> {
    /// Reads `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME[/…]`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn");
        let service = parts.nth(1)?;
        let resource = parts.nth(2)?;
        let below = resource.strip_prefix("table/")?;
        let (name, is_table) = match below.split_once('/') {
            Some((name, _)) => (name, false),
            None => (below, true),
        };
        (is_arn && service == "dynamodb").then_some(Self { arn: text, name, is_table })
    }
}

/// The table's name in a name or an ARN.
pub fn plain_name(text: &str) -> &str {
    TableArn::parse(text).map_or(text, |arn| arn.name)
}

/// The plain name in a request's TableName; empty if it has none.
pub fn table_of(request: &Value) -> &str {
    request.get("TableName").and_then(Value::as_str).map_or("", plain_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(body: &Value, expected: &[&str]) {
        assert_eq!(tables_named(body.as_object().unwrap()), expected);
    }

    #[test]
    fn tables_are_found_wherever_an_operation_names_them() {
        check(&json!({"TableName": "cars", "Item": {}}), &["cars"]);
        check(&json!({"RequestItems": {"a": [], "b": []}}), &["a", "b"]);
        check(
            &json!({"TransactItems": [
                {"Put": {"TableName": "a"}},
                {"ConditionCheck": {"TableName": "b"}},
                {"Delete": {"TableName": "a"}},
                {"Put": {"TableName": "c"}, "Delete": {"TableName": "d"}},
            ]}),
            &["a", "b", "c", "d"],
        );
        check(&json!({"Limit": 3}), &[]);
        let stream = "arn:aws:kinesis:eu-west-1:1:stream/s";
        check(&json!({"TableName": "cars", "StreamArn": stream}), &["cars"]);
    }

    #[test]
    fn writes_are_counted_with_their_tables() {
        let check = |operation, body: Value, expected: &[(&str, ChangeKind)]| {
            let body = body.as_object().unwrap();
            assert_eq!(writes_named(operation, body), expected);
            assert_eq!(items_written(operation, body), expected.len());
        };
        let (put, delete) =
            (json!({"PutRequest": {}}), json!({"DeleteRequest": {}, "PutRequest": null}));
        check(
            Operation::BatchWriteItem,
            json!({"RequestItems": {"a": [put, delete], "b": [put]}}),
            &[("a", ChangeKind::Put), ("a", ChangeKind::Delete), ("b", ChangeKind::Put)],
        );
        check(
            Operation::TransactWriteItems,
            json!({"TransactItems": [
                {"Update": {"TableName": "a"}},
                {"ConditionCheck": {"TableName": "b"}},
            ]}),
            &[("a", ChangeKind::Update), ("b", ChangeKind::Check)],
        );
        check(Operation::DeleteItem, json!({"TableName": "a"}), &[("a", ChangeKind::Delete)]);
        let statements = json!({"Statements": [{}, {}]});
        let statements = statements.as_object().unwrap();
        assert_eq!(items_written(Operation::BatchExecuteStatement, statements), 2);
    }

    #[test]
    fn an_arn_is_split_into_its_table() {
        let arn = TableArn::parse("arn:aws-cn:dynamodb:cn-north-1:123:table/cars").unwrap();
        assert_eq!((arn.name, arn.is_table), ("cars", true));
        let arn = TableArn::parse("arn:aws:dynamodb:eu-west-1:1:table/cars/index/x").unwrap();
        assert_eq!((arn.name, arn.is_table), ("cars", false));
        for other in ["cars", "arn:aws:s3:::x", "arn:aws:dynamodb:r:1:backup/x", "", "arn:::::"] {
            assert_eq!(TableArn::parse(other), None, "{other}");
        }
        assert_eq!(plain_name("arn:aws:dynamodb:r:1:table/t"), "t");
        assert_eq!(plain_name("t"), "t");
    }
}
