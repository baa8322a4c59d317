//! What DynamoDB rejects in items, keys, expressions, batches and transactions, each just within
//! its limit and just beyond. The database answers each request directly, a guard in dry run and a
//! guard with a journal answer it for equal tables: all three accept it or give the same error.

mod bounds;
mod names;

use dm_contract::plan::{Mode, Policy};
use serde_json::{Value, json};

use crate::bed::{self, Endpoint};

/// A request of table `$T`, for the item `{"id": "a"}` where it names one.
type Case = (String, &'static str, Value);

/// Bytes of an attribute's name, and of an item.
const NAME_MAX: usize = 65_535;
const ITEM_MAX: usize = 400 * 1024;

fn text(length: usize) -> String {
    "x".repeat(length)
}

fn string(length: usize) -> Value {
    json!({"S": text(length)})
}

/// One item in every request that puts it.
fn puts(what: &str, attributes: Value) -> Vec<Case> {
    let mut item = attributes;
    if item.get("id").is_none() {
        item["id"] = json!({"S": "a"});
    }
    let put = json!({"TableName": "$T", "Item": item});
    vec![
        (format!("put {what}"), "PutItem", put.clone()),
        (
            format!("batch {what}"),
            "BatchWriteItem",
            json!({"RequestItems": {"$T": [{"PutRequest": {"Item": item}}]}}),
        ),
        (
            format!("transaction {what}"),
            "TransactWriteItems",
            json!({"TransactItems": [{"Put": put}]}),
        ),
    ]
}

/// An update, by itself and in a transaction.
fn updates(what: &str, expression: &str, names: Value, values: Value) -> Vec<Case> {
    let mut update =
        json!({"TableName": "$T", "Key": {"id": {"S": "a"}}, "UpdateExpression": expression});
    add_placeholders(&mut update, names, values);
    vec![
        (format!("update {what}"), "UpdateItem", update.clone()),
        (
            format!("transaction's update {what}"),
            "TransactWriteItems",
            json!({"TransactItems": [{"Update": update}]}),
        ),
    ]
}

fn condition(what: &str, expression: &str, names: Value, values: Value) -> Case {
    let mut put = json!({"TableName": "$T", "Item": {"id": {"S": "a"}},
        "ConditionExpression": expression});
    add_placeholders(&mut put, names, values);
    (format!("condition {what}"), "PutItem", put)
}

fn add_placeholders(request: &mut Value, names: Value, values: Value) {
    for (member, map) in
        [("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)]
    {
        if !map.is_null() {
            request[member] = map;
        }
    }
}

fn statement(what: &str, text: &str, parameters: Value) -> Vec<Case> {
    let mut one = json!({"Statement": text});
    if !parameters.is_null() {
        one["Parameters"] = parameters;
    }
    vec![
        (format!("statement {what}"), "ExecuteStatement", one.clone()),
        (format!("statements {what}"), "BatchExecuteStatement", json!({"Statements": [one]})),
        (
            format!("statements together {what}"),
            "ExecuteTransaction",
            json!({"TransactStatements": [one]}),
        ),
    ]
}

/// An answer as it is compared: of an error its name, and of one about names its words.
fn outcome(status: u16, answer: &Value) -> String {
    let message = answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or_default();
    let about_names = ["attribute name", "Attribute name", "Path component", "Duplicate keys"]
        .iter()
        .any(|words| message.contains(words) && !message.contains("expression attribute"));
    let name = answer["__type"].as_str().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim_end_matches("Exception");
    let of_statements: Vec<&str> = answer["Responses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["Error"]["Code"].as_str())
        .collect();
    let words = if about_names { message } else { "" };
    format!("{status} {name} {} {words}", of_statements.join(" "))
}

async fn answered(endpoint: &Endpoint, table: &str, (_, operation, body): &Case) -> String {
    let seed = json!({"TableName": table, "Item": {
        "id": {"S": "a"}, "b": {"S": "x"}, "m": {"M": {"k": {"S": "v"}}},
    }});
    endpoint.ok("PutItem", &seed).await;
    let (status, answer) = endpoint.sent(operation, body.to_string().replace("$T", table)).await;
    let answer = serde_json::from_str(&answer.replace(table, "$T")).unwrap_or_default();
    let new = json!({"TableName": table, "Key": {"id": {"S": "q"}}});
    endpoint.ok("DeleteItem", &new).await;
    outcome(status, &answer)
}

/// Answers each case directly and through both guards; the differences.
async fn check(cases: Vec<Case>) {
    let database = bed::database();
    // Names of one length: messages give positions in statements.
    let name = bed::fresh_name("limits");
    let tables = ["a", "b", "c"].map(|end| format!("{name}-{end}"));
    for table in &tables {
        database.ok("CreateTable", &crate::suite::table("hash", table)).await;
    }
    let (dry_run, dry) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.archive = Some(bed::archive("memory://"));
    let (apply, journaled) = bed::guard(&plan).await;
    let mut differences = Vec::new();
    for case in &cases {
        let expected = answered(&database, &tables[0], case).await;
        for (how, endpoint, table) in
            [("dry run", &dry, &tables[1]), ("journal", &journaled, &tables[2])]
        {
            let found = answered(endpoint, table, case).await;
            if found != expected {
                differences.push(format!("{} ({how})\n  {expected}\n  {found}", case.0));
            }
        }
    }
    dry_run.stop().await;
    apply.stop().await;
    for table in &tables {
        database.ok("DeleteTable", &json!({"TableName": table})).await;
    }
    assert!(cases.len() > 10, "cases were compared");
    assert!(differences.is_empty(), "{}\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test]
async fn names_of_attributes_are_rejected_as_by_the_database() {
    check(names::names()).await;
}

#[tokio::test]
async fn values_and_sizes_are_rejected_as_by_the_database() {
    check(bounds::values()).await;
}

#[tokio::test]
async fn keys_are_rejected_as_by_the_database() {
    check(bounds::keys()).await;
}

#[tokio::test]
async fn expressions_are_rejected_as_by_the_database() {
    check(bounds::expressions()).await;
}

#[tokio::test]
async fn batches_and_transactions_are_rejected_as_by_the_database() {
    check(bounds::together()).await;
}
