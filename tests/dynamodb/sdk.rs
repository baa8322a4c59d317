//! AWS's SDK for Rust as the guard's client.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config};
use dm_contract::plan::{Mode, Policy};
use serde_json::json;

use crate::bed::{self, ACCESS_KEY, REGION, database, fresh_name};

fn client(url: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(url)
        .credentials_provider(Credentials::new(ACCESS_KEY, "s", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn the_sdk_reads_its_own_writes_in_a_dry_run() {
    let table = fresh_name("sdk");
    let create = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    });
    database().ok("CreateTable", &create).await;
    let (guard, through) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let client = client(&through.url);
    for n in 0..30 {
        client
            .put_item()
            .table_name(&table)
            .item("id", AttributeValue::S(n.to_string()))
            .condition_expression("attribute_not_exists(id)")
            .send()
            .await
            .unwrap();
    }
    let failed = client
        .put_item()
        .table_name(&table)
        .item("id", AttributeValue::S("7".into()))
        .condition_expression("attribute_not_exists(id)")
        .send()
        .await
        .unwrap_err();
    assert!(failed.into_service_error().is_conditional_check_failed_exception());
    let pages: Vec<_> = client
        .scan()
        .table_name(&table)
        .limit(7)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .unwrap();
    assert_eq!(pages.len(), 30);
    assert_eq!(guard.stop().await.write_calls_upstream, 0);
    assert!(database().items(&table).await.is_empty());
}
