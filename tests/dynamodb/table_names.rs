//! Names and ARNs of tables that cannot be: every request gets DynamoDB's error, at once and in
//! every mode. The archive of a journal, whose locks are named after tables, must not see them
//! first.

use std::time::{Duration, Instant};

use dm_contract::plan::{Mode, Policy};
use serde_json::{Value, json};

use crate::bed::{self, Endpoint};

/// Below what a lock, or a retry of the archive, would hold a request.
const AT_ONCE: Duration = Duration::from_secs(8);

fn wrong_names() -> Vec<String> {
    let table = "arn:aws:dynamodb:eu-west-1:000000000000:table/";
    ["", "a b", "ä name", "a/b", "../x", "arn:", "arn:aws:s3:::x", "nul\u{0}name"]
        .map(str::to_owned)
        .into_iter()
        .chain(["x".repeat(256), "x".repeat(1_025), "../".repeat(100)])
        .chain([table.to_owned(), format!("{table}abc/index/i"), format!("{table}a b")])
        .chain([format!("{table}{}", "x".repeat(256))])
        .collect()
}

/// Requests of a table of this name.
fn requests(table: &str) -> Vec<(&'static str, Value)> {
    let key = json!({"id": {"S": "a"}});
    let put = json!({"TableName": table, "Item": key});
    let new = json!({"TableName": table, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]});
    vec![
        ("PutItem", put.clone()),
        ("UpdateItem", json!({"TableName": table, "Key": key})),
        ("DeleteItem", json!({"TableName": table, "Key": key})),
        ("GetItem", json!({"TableName": table, "Key": key})),
        ("Scan", json!({"TableName": table})),
        ("BatchWriteItem", json!({"RequestItems": {table: [{"PutRequest": {"Item": key}}]}})),
        ("BatchGetItem", json!({"RequestItems": {table: {"Keys": [key]}}})),
        ("TransactWriteItems", json!({"TransactItems": [{"Put": put}]})),
        ("CreateTable", new),
        ("DescribeTable", json!({"TableName": table})),
        ("UpdateTable", json!({"TableName": table, "BillingMode": "PAY_PER_REQUEST"})),
        ("DeleteTable", json!({"TableName": table})),
        (
            "UpdateTimeToLive",
            json!({"TableName": table,
                "TimeToLiveSpecification": {"AttributeName": "t", "Enabled": true}}),
        ),
    ]
}

async fn check(endpoint: &Endpoint, operation: &str, body: &Value, words: &str) -> Option<String> {
    let begun = Instant::now();
    let (status, answer) = endpoint.call(operation, body).await;
    let name = answer["__type"].as_str().unwrap_or_default();
    let message = answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or_default();
    let right = status == 400 && name.ends_with("#ValidationException") && message.contains(words);
    let took = begun.elapsed();
    (!right || took > AT_ONCE)
        .then(|| format!("{operation} {body:.120}: {status} {name} {message:.200} in {took:?}"))
}

#[tokio::test]
async fn a_name_that_no_table_can_have_is_the_requests_error_in_every_mode() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for mode in [Mode::DryRun, Mode::Apply] {
        let policy = Policy { control_plane: true, ..Policy::default() };
        let mut plan = bed::plan(mode, policy);
        let place = format!("file://{}", folder.path().display());
        plan.archive = (mode == Mode::Apply).then(|| bed::archive(&place));
        let (guard, through) = bed::guard(&plan).await;
        for name in wrong_names() {
            for (operation, body) in requests(&name) {
                // It may not be one of DynamoDB Local's operations, or accept what AWS rejects.
                let reference = check(&bed::database(), operation, &body, "").await;
                assert_eq!(reference, None, "the database rejects it as well");
                wrong.extend(check(&through, operation, &body, "").await);
            }
        }
        // Operations that are not decoded are checked as well.
        let backup = json!({"TableName": "x".repeat(256), "BackupName": "abc"});
        if mode == Mode::Apply {
            wrong.extend(check(&through, "CreateBackup", &backup, "'tableName'").await);
        }
        guard.stop().await;
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn tags_are_those_of_a_tables_arn() {
    let invalid = "Invalid TableArn: Invalid ResourceArn provided as input ";
    let account = "arn:aws:dynamodb:eu-west-1:000000000000:table/";
    let mut wrong = Vec::new();
    for mode in [Mode::DryRun, Mode::Apply] {
        let policy = Policy { control_plane: true, ..Policy::default() };
        let mut plan = bed::plan(mode, policy);
        plan.archive = (mode == Mode::Apply).then(|| bed::archive("memory://"));
        let (guard, through) = bed::guard(&plan).await;
        let mut resources: Vec<Value> =
            ["", "cars", "arn:aws:s3:::x", "a:b:c:d:e:f/g", account].map(Value::from).into();
        resources
            .extend([format!("{account}ab"), format!("{account}cars/index/i")].map(Value::from));
        resources.push(format!("{account}{}", "x".repeat(256)).into());
        for arn in resources {
            let words = format!("{invalid}{}", arn.as_str().unwrap());
            for (operation, body) in [
                ("TagResource", json!({"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]})),
                ("UntagResource", json!({"ResourceArn": arn, "TagKeys": ["a"]})),
                ("ListTagsOfResource", json!({"ResourceArn": arn})),
            ] {
                wrong.extend(check(&through, operation, &body, &words).await);
            }
        }
        guard.stop().await;
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}
