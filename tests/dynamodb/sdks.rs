//! AWS's SDKs as clients: one program for each has the same conversation
//! (`tests/sdks/expected.txt`) with the database itself, through a guard that applies, and through
//! a dry run. None of them knows which it is.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use dm_contract::plan::{Mode, Policy, program_environment};
use serde_json::json;

use crate::bed::{self, ACCESS_KEY, REGION, database, fresh_name};

/// What each client says.
const EXPECTED: &str = include_str!("../sdks/expected.txt");

/// A machine that also compiles starts a Java program slowly.
const CONVERSATION_MAX: Duration = Duration::from_secs(120);

fn starter(client: &str) -> PathBuf {
    let folder = std::env::var_os("SDK_CLIENTS").unwrap_or_else(|| {
        panic!("SDK_CLIENTS is not set: `cargo xtask test dynamodb` builds the clients")
    });
    PathBuf::from(folder).join(client)
}

/// A table with twelve items, half of them red.
async fn seeded(client: &str) -> String {
    let table = fresh_name(client);
    let create = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "p", "KeyType": "HASH"},
            {"AttributeName": "s", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "p", "AttributeType": "S"},
            {"AttributeName": "s", "AttributeType": "N"},
            {"AttributeName": "colour", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-colour",
            "KeySchema": [
                {"AttributeName": "colour", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }],
    });
    database().ok("CreateTable", &create).await;
    for n in 1..=12 {
        let colour = if n % 2 == 0 { "red" } else { "blue" };
        let item = json!({
            "p": {"S": "seed"}, "s": {"N": n.to_string()}, "colour": {"S": colour},
        });
        database().ok("PutItem", &json!({"TableName": table, "Item": item})).await;
    }
    table
}

/// Runs a client against an endpoint, with nothing in its environment but what a run's pod gives
/// it.
async fn converses(client: &str, url: &str, table: &str) {
    let mut command = tokio::process::Command::new(starter(client));
    command.arg(table).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.envs(program_environment(url, REGION, ACCESS_KEY));
    let output = tokio::time::timeout(CONVERSATION_MAX, command.output())
        .await
        .unwrap_or_else(|_| panic!("{client} at {url} has not ended in time"))
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, EXPECTED, "{client} at {url}: {errors}");
    assert!(output.status.success(), "{client} at {url}: {errors}");
}

async fn check(client: &str) {
    let direct = seeded(client).await;
    converses(client, &database().url, &direct).await;
    let left = database().items(&direct).await;

    let applied = seeded(client).await;
    let (guard, through) = bed::guard(&bed::plan(Mode::Apply, Policy::default())).await;
    converses(client, &through.url, &applied).await;
    assert_eq!(database().items(&applied).await, left, "{client}: what applying leaves");
    assert!(guard.stop().await.write_calls_upstream > 0);

    let tried = seeded(client).await;
    let before = database().items(&tried).await;
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    converses(client, &through.url, &tried).await;
    assert_eq!(through.items(&tried).await, left, "{client}: what the dry run shows");
    assert_eq!(database().items(&tried).await, before, "{client}: what the dry run leaves");
    let result = guard.stop().await;
    assert_eq!(result.write_calls_upstream, 0);
    assert_eq!(result.remarks, [], "{client}: every answer was exact");
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_cannot_tell_the_guard_from_the_database() {
    check("boto3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aioboto3_cannot_tell_the_guard_from_the_database() {
    check("aioboto3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_javascript_cannot_tell_the_guard_from_the_database() {
    check("js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_go_cannot_tell_the_guard_from_the_database() {
    check("go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_java_cannot_tell_the_guard_from_the_database() {
    check("java").await;
}
