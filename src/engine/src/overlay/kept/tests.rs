//! Databases that are closed and opened again, and the bytes that they keep.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::call::Call;
use crate::operation::Operation;
use crate::overlay::state::entry::Entry;

fn open(folder: &Path) -> Arc<Overlay> {
    let nothing = ReadOnly::nothing("us-east-1");
    Arc::new(Overlay::kept_in(folder, nothing, Arc::default()).unwrap())
}

async fn call(overlay: &Overlay, operation: Operation, body: Value) -> Value {
    let Value::Object(body) = body else { unreachable!() };
    let answer = overlay.handle(Call::new(operation, body)).await.unwrap();
    serde_json::from_slice(&answer).unwrap_or_default()
}

fn cars() -> Value {
    json!({
        "TableName": "cars",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "Tags": [{"Key": "team", "Value": "shop"}],
    })
}

fn by_brand() -> Value {
    json!({
        "TableName": "cars",
        "AttributeDefinitions": [{"AttributeName": "brand", "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": "by-brand",
            "KeySchema": [{"AttributeName": "brand", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }}],
    })
}

async fn put(overlay: &Overlay, id: &str) {
    let item = json!({"id": {"S": id}, "brand": {"S": "b"}});
    call(overlay, Operation::PutItem, json!({"TableName": "cars", "Item": item})).await;
}

#[tokio::test]
async fn tables_items_indexes_and_settings_are_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let name = json!({"TableName": "cars"});
    let (described, tags) = {
        let overlay = open(folder.path());
        call(&overlay, Operation::CreateTable, cars()).await;
        put(&overlay, "a").await;
        call(&overlay, Operation::UpdateTable, by_brand()).await;
        put(&overlay, "b").await;
        let to_live = json!({
            "TableName": "cars",
            "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "expires"},
        });
        call(&overlay, Operation::UpdateTimeToLive, to_live).await;
        let described = call(&overlay, Operation::DescribeTable, name.clone()).await;
        let arn = json!({"ResourceArn": described["Table"]["TableArn"]});
        (described, call(&overlay, Operation::ListTagsOfResource, arn).await)
    };
    let overlay = open(folder.path());
    assert_eq!(call(&overlay, Operation::DescribeTable, name.clone()).await, described);
    assert_eq!(described["Table"]["ItemCount"], 2);
    let arn = json!({"ResourceArn": described["Table"]["TableArn"]});
    assert_eq!(call(&overlay, Operation::ListTagsOfResource, arn).await, tags);
    let to_live = call(&overlay, Operation::DescribeTimeToLive, name.clone()).await;
    assert_eq!(to_live["TimeToLiveDescription"]["AttributeName"], "expires");
    put(&overlay, "c").await;
    let index = json!({"TableName": "cars", "IndexName": "by-brand"});
    let found = call(&overlay, Operation::Scan, index).await;
    let ids: Vec<_> = found["Items"].as_array().unwrap().iter().map(|i| &i["id"]["S"]).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_deleted_table_stays_deleted_and_its_items_too() {
    let folder = tempfile::tempdir().unwrap();
    {
        let overlay = open(folder.path());
        call(&overlay, Operation::CreateTable, cars()).await;
        put(&overlay, "a").await;
        call(&overlay, Operation::DeleteTable, json!({"TableName": "cars"})).await;
    }
    let overlay = open(folder.path());
    assert_eq!(call(&overlay, Operation::ListTables, json!({})).await["TableNames"], json!([]));
    call(&overlay, Operation::CreateTable, cars()).await;
    let found = call(&overlay, Operation::Scan, json!({"TableName": "cars"})).await;
    assert_eq!(found["Count"], 0);
}

/// Another version of this program reads them, so they stay as they are, or the format's version
/// goes up.
#[test]
fn what_is_kept_has_these_bytes() {
    let item = dm_dynamodb::value::item_from_json(&json!({"id": {"S": "a"}, "n": {"N": "1.5"}}));
    let entry = Entry::default().written_as(Some(item.unwrap()));
    let bytes = entry.encode().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(bytes, "05000000000e00000002026964000161016e0103312e35");
    let made =
        Shape { time_to_live: Some(json!({"TimeToLiveStatus": "DISABLED"})), ..Shape::default() };
    assert_eq!(
        serde_json::to_value(Record { shape: 1, made }).unwrap(),
        json!({
            "shape": 1,
            "made": {
                "members": {}, "settings": {}, "tags": null,
                "timeToLive": {"TimeToLiveStatus": "DISABLED"}, "backups": null,
            },
        })
    );
}

#[tokio::test]
async fn a_database_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("kept");
    drop(open(&folder));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("database.redb"))), (0o700, 0o600));
}
