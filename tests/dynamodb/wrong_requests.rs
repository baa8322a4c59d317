//! Requests that are wrong in themselves: a guard that answers in the database's place answers them
//! as AWS does, which checks a request before it looks for the table.

use dm_contract::plan::{Mode, Policy};
use serde_json::{Value, json};

use crate::bed;

const SERIALIZATION: &str = "SerializationException";
const VALIDATION: &str = "ValidationException";

/// Requests of a table, and what AWS answers whatever the table is.
fn wrong(table: &str) -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let key = json!({"id": {"S": "a"}});
    let none = json!([]);
    vec![
        (
            "PutItem",
            json!({"TableName": table, "Item": 23}),
            SERIALIZATION,
            "Unexpected field type",
        ),
        (
            "PutItem",
            json!({"TableName": table, "Item": {"a": {"S": 1}, "b": {}}}),
            SERIALIZATION,
            "NUMBER_VALUE cannot be converted to String",
        ),
        ("PutItem", json!({"TableName": table}), VALIDATION, "Value null at 'item'"),
        ("PutItem", json!({"Item": {"a": {"S": 1}}}), SERIALIZATION, "NUMBER_VALUE"),
        (
            "UpdateItem",
            json!({"TableName": table, "Key": key, "UpdateExpression": "BAD"}),
            VALIDATION,
            "1 validation error detected: Invalid UpdateExpression: Syntax error",
        ),
        (
            "UpdateItem",
            json!({"TableName": table, "Key": key, "ReturnValues": "ALL",
                "ReturnConsumedCapacity": "ALL"}),
            VALIDATION,
            "2 validation errors detected: ",
        ),
        (
            "DeleteItem",
            json!({"TableName": table, "Key": key, "ConditionExpression": "a = :a"}),
            VALIDATION,
            "attribute value: :a",
        ),
        (
            "DeleteItem",
            json!({"TableName": table, "Key": key, "Expected": {"a": {
                "ComparisonOperator": "IN", "AttributeValueList": [{"L": []}],
            }}}),
            VALIDATION,
            "ComparisonOperator IN is not valid for L AttributeValue type",
        ),
        (
            "BatchWriteItem",
            json!({"RequestItems": {table: [{"PutRequest": {"Item": {"a": {"NS": []}}}}]}}),
            VALIDATION,
            "An number set  may not be empty",
        ),
        (
            "BatchWriteItem",
            json!({"RequestItems": {table: none}}),
            VALIDATION,
            "Map value must satisfy",
        ),
        (
            "TransactWriteItems",
            json!({"TransactItems": [
                {"Put": {"TableName": table, "Item": {"id": {"S": "b"}}}},
                {"Update": {"TableName": table, "Key": key, "UpdateExpression": "SET"}},
            ]}),
            VALIDATION,
            "Invalid UpdateExpression: Syntax error",
        ),
        ("ExecuteStatement", json!({"Statement": 1}), SERIALIZATION, "NUMBER_VALUE"),
        ("ExecuteTransaction", json!({}), VALIDATION, "Value null at 'transactStatements'"),
    ]
}

/// Reads, which a journal lets the database answer.
fn wrong_reads(table: &str) -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let key = json!({"id": {"S": "a"}});
    vec![
        (
            "GetItem",
            json!({"TableName": table, "Key": key, "ProjectionExpression": "a,"}),
            VALIDATION,
            "Invalid ProjectionExpression: Syntax error",
        ),
        ("GetItem", json!({"TableName": table, "Key": 1}), SERIALIZATION, "Unexpected field type"),
        ("GetItem", json!({"Key": {"a": {"S": 1}}}), SERIALIZATION, "NUMBER_VALUE"),
        ("Query", json!({"TableName": table}), VALIDATION, "Either the KeyConditions"),
        ("Scan", json!({"TableName": table, "Limit": 0}), VALIDATION, "Value '0' at 'limit'"),
        (
            "Scan",
            json!({"TableName": table, "Segment": 3}),
            VALIDATION,
            "The TotalSegments parameter is required",
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {table: {"Keys": [key, key]}}}),
            VALIDATION,
            "Provided list of item keys contains duplicates",
        ),
        (
            "TransactGetItems",
            json!({"TransactItems": []}),
            VALIDATION,
            "Value '[]' at 'transactItems'",
        ),
        ("UpdateTable", json!({"TableName": table}), VALIDATION, "At least one of"),
        ("CreateTable", json!({"TableName": "a"}), VALIDATION, "length greater than or equal to 3"),
    ]
}

async fn check(
    endpoint: &bed::Endpoint,
    requests: Vec<(&'static str, Value, &'static str, &'static str)>,
    failures: &mut Vec<String>,
) {
    for (operation, body, name, words) in requests {
        let (status, answer) = endpoint.call(operation, &body).await;
        let found = answer["__type"].as_str().unwrap_or_default();
        let message = answer["message"].as_str().or(answer["Message"].as_str());
        let message = message.unwrap_or_default();
        if status != 400 || !found.ends_with(name) || !message.contains(words) {
            failures.push(format!("{operation} {body}: {status} {found}: {message}"));
        }
    }
}

#[tokio::test]
async fn a_request_that_is_wrong_in_itself_is_refused_before_its_table_is_looked_for() {
    let mut failures = Vec::new();
    let there = bed::fresh_name("wrong");
    let database = bed::database();
    let table = json!({
        "TableName": there, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    });
    database.ok("CreateTable", &table).await;
    for mode in [Mode::DryRun, Mode::Apply] {
        let policy = Policy { control_plane: true, ..Policy::default() };
        let mut plan = bed::plan(mode, policy);
        plan.archive = (mode == Mode::Apply).then(|| bed::archive("memory://"));
        let (guard, endpoint) = bed::guard(&plan).await;
        for table in ["no-such-table", &there] {
            check(&endpoint, wrong(table), &mut failures).await;
        }
        if mode == Mode::DryRun {
            check(&endpoint, wrong_reads("no-such-table"), &mut failures).await;
            let own = json!({"TableName": "own-table", "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]});
            endpoint.ok("CreateTable", &own).await;
            check(&endpoint, wrong_reads("own-table"), &mut failures).await;
        }
        guard.stop().await;
    }
    assert!(database.items(&there).await.is_empty(), "nothing was written");
    database.ok("DeleteTable", &json!({"TableName": there})).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_told_of_right_requests() {
    let key = json!({"id": {"S": "a"}});
    let plan = bed::plan(Mode::DryRun, Policy::default());
    let (guard, endpoint) = bed::guard(&plan).await;
    for (operation, body) in [
        ("PutItem", json!({"TableName": "no-such-table", "Item": key})),
        ("GetItem", json!({"TableName": "no-such-table", "Key": key})),
        ("Scan", json!({"TableName": "no-such-table"})),
        ("BatchGetItem", json!({"RequestItems": {"no-such-table": {"Keys": [key]}}})),
        (
            "TransactGetItems",
            json!({"TransactItems": [{"Get": {"TableName": "no-such-table", "Key": key}}]}),
        ),
    ] {
        let (status, answer) = endpoint.call(operation, &body).await;
        assert_eq!(status, 400);
        let found = answer["__type"].as_str().unwrap_or_default();
        assert!(found.ends_with("ResourceNotFoundException"), "{operation}: {answer}");
    }
    guard.stop().await;
}
