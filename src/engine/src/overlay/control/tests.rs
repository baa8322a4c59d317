//! What several calls together change in a table.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::call::Call;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::upstream::ReadOnly;

async fn call(overlay: &Overlay, operation: Operation, body: Value) {
    let Value::Object(body) = body else { unreachable!() };
    overlay.handle(Call::new(operation, body)).await.unwrap();
}

/// An overlay with a table, and an update of the table.
async fn made() -> Overlay {
    let overlay = Overlay::new(ReadOnly::nothing("us-east-1"), Arc::default());
    let table = json!({
        "TableName": "cars",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    call(&overlay, Operation::CreateTable, table).await;
    overlay
}

fn index(key: &str) -> Value {
    json!({
        "TableName": "cars",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": "by-x", "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }}],
    })
}

fn no_index() -> Value {
    json!({
        "TableName": "cars",
        "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-x"}}],
    })
}

fn settings(overlay: &Overlay) -> Vec<String> {
    overlay.effects()[0].settings.clone()
}

#[tokio::test]
async fn settings_that_end_as_they_began_are_not_reported() {
    let overlay = made().await;
    let protected = |on: bool| json!({"TableName": "cars", "DeletionProtectionEnabled": on});
    let to_live = |on: bool| {
        json!({
            "TableName": "cars",
            "TimeToLiveSpecification": {"Enabled": on, "AttributeName": "expires"},
        })
    };
    let recovery = |on: bool| {
        json!({
            "TableName": "cars",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": on},
        })
    };
    call(&overlay, Operation::UpdateTable, index("brand")).await;
    call(&overlay, Operation::UpdateTable, protected(true)).await;
    call(&overlay, Operation::UpdateTimeToLive, to_live(true)).await;
    call(&overlay, Operation::UpdateContinuousBackups, recovery(true)).await;
    assert_eq!(
        settings(&overlay),
        [
            "deletion protection on",
            "index by-x added",
            "point-in-time recovery 35 days",
            "time to live on expires",
        ]
    );
    call(&overlay, Operation::UpdateTable, no_index()).await;
    call(&overlay, Operation::UpdateTable, protected(false)).await;
    call(&overlay, Operation::UpdateTimeToLive, to_live(false)).await;
    call(&overlay, Operation::UpdateContinuousBackups, recovery(false)).await;
    assert_eq!(settings(&overlay), [""; 0]);
    call(&overlay, Operation::UpdateTable, index("color")).await;
    assert_eq!(settings(&overlay), ["index by-x added"]);
}

#[tokio::test]
async fn tags_that_end_as_they_began_are_not_reported() {
    let overlay = made().await;
    let described = json!({"TableName": "cars"});
    let Value::Object(body) = described else { unreachable!() };
    let described = overlay.handle(Call::new(Operation::DescribeTable, body)).await.unwrap();
    let described: Value = serde_json::from_slice(&described).unwrap();
    let arn = &described["Table"]["TableArn"];
    let tag = json!({"ResourceArn": arn, "Tags": [{"Key": "team", "Value": "shop"}]});
    call(&overlay, Operation::TagResource, tag).await;
    assert_eq!(settings(&overlay), ["tags 1"]);
    let untag = json!({"ResourceArn": arn, "TagKeys": ["team"]});
    call(&overlay, Operation::UntagResource, untag).await;
    assert_eq!(settings(&overlay), [""; 0]);
}
