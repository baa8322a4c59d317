//! What CreateTable is given and makes of it.

use super::*;
use dm_dynamodb::schema::TableSchema;

fn at() -> Circumstances {
    Circumstances {
        arn_prefix: "arn:aws:dynamodb:eu-west-1:1:table/".into(),
        now_s: 100.0,
        label: "2026-12-01T00:00:00.000".into(),
        id: "0".into(),
    }
}

/// A request that is right, to be made wrong.
fn request() -> Value {
    json!({
        "TableName": "orders",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "pos", "AttributeType": "N"},
            {"AttributeName": "city", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "pos", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-city",
            "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }],
        "LocalSecondaryIndexes": [{
            "IndexName": "by-id-city",
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "city", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
    })
}

fn made(request: &Value) -> Result<Creation, Fault> {
    let parameters = Parameters::of(request).unwrap();
    create(parameters, request["TableName"].as_str().unwrap_or_default(), &at())
}

fn check(change: impl FnOnce(&mut Value), expected: &str) {
    let mut request = request();
    change(&mut request);
    let message = match made(&request).map(|made| made.description) {
        Err(Fault::Service(error)) => error.message,
        Err(Fault::Refused { message, .. }) => message,
        other => panic!("expected {expected:?}, found {other:?}"),
    };
    assert!(message.contains(expected), "expected {expected:?}, found {message:?}");
}

#[test]
fn a_new_table_is_described_so_that_its_schema_can_be_read() {
    let mut request = request();
    request["Tags"] = json!([{"Key": "team", "Value": "shop"}]);
    request["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"});
    let made = made(&request).unwrap();
    assert_eq!(made.tags["team"], "shop");
    let described = Value::Object(made.description);
    let schema = TableSchema::from_json(&described).unwrap();
    assert_eq!(schema.arn.as_deref(), Some("arn:aws:dynamodb:eu-west-1:1:table/orders"));
    let indexes: Vec<_> = schema.indexes.iter().map(|index| index.name.as_str()).collect();
    assert_eq!(indexes, ["by-id-city", "by-city"]);
    assert_eq!(described["GlobalSecondaryIndexes"][0]["IndexStatus"], "ACTIVE");
    assert_eq!(described["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");
    assert!(described["LatestStreamArn"].as_str().unwrap().ends_with("2026-12-01T00:00:00.000"));
}

#[test]
fn names_and_keys_are_checked() {
    check(|r| r["KeySchema"] = json!([]), "not a HASH key type");
    check(|r| r["KeySchema"][0]["KeyType"] = "RANGE".into(), "first KeySchemaElement");
    check(|r| r["KeySchema"][1]["KeyType"] = "HASH".into(), "not a RANGE key type");
    check(|r| r["KeySchema"][1]["AttributeName"] = "id".into(), "have no definition");
    check(|r| r["KeySchema"][1]["AttributeName"] = "other".into(), "have no definition");
    check(
        |r| r["KeySchema"] = json!([{"AttributeName": "other", "KeyType": "HASH"}]),
        "Keys: [other], AttributeDefinitions: [city, id, pos]",
    );
    check(
        |r| r["AttributeDefinitions"][1]["AttributeName"] = "id".into(),
        "Duplicate AttributeName",
    );
    check(|r| r["AttributeDefinitions"][1]["AttributeType"] = "M".into(), "enum value set");
}

#[test]
fn definitions_that_no_key_uses_are_refused() {
    let unused = json!({"AttributeName": "unused", "AttributeType": "S"});
    check(
        |r| r["AttributeDefinitions"].as_array_mut().unwrap().push(unused.clone()),
        "Some AttributeDefinitions are not used",
    );
    check(
        |r| {
            let request = r.as_object_mut().unwrap();
            request.remove("GlobalSecondaryIndexes");
            request.remove("LocalSecondaryIndexes");
        },
        "does not exactly match",
    );
}

#[test]
fn indexes_are_checked() {
    check(|r| r["GlobalSecondaryIndexes"][0]["IndexName"] = "by-id-city".into(), "Duplicate index");
    check(
        |r| r["LocalSecondaryIndexes"][0]["KeySchema"][0]["AttributeName"] = "city".into(),
        "same name",
    );
    check(
        |r| {
            r["LocalSecondaryIndexes"][0]["KeySchema"] =
                json!([{"AttributeName": "id", "KeyType": "HASH"}]);
        },
        "does not have a range key",
    );
    check(|r| drop(r["KeySchema"].as_array_mut().unwrap().pop()), "does not have a range key");
    check(
        |r| r["GlobalSecondaryIndexes"][0]["Projection"] = json!({"ProjectionType": "INCLUDE"}),
        "NonKeyAttributes is not specified",
    );
    for name in [String::new(), "n".repeat(256)] {
        check(
            |r| {
                r["GlobalSecondaryIndexes"][0]["Projection"] =
                    json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": [name]});
            },
            "between 1 and 255 characters, inclusive",
        );
    }
    check(
        |r| {
            let index = |i: usize| {
                json!({
                    "IndexName": format!("index-{i}"),
                    "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                })
            };
            r["GlobalSecondaryIndexes"] = (0..21).map(index).collect();
        },
        "exceeds the per-table limit of 20",
    );
}

#[test]
fn throughput_fits_the_billing_mode() {
    let five = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 5});
    check(|r| r["ProvisionedThroughput"] = five.clone(), "PAY_PER_REQUEST");
    check(|r| r["BillingMode"] = "PROVISIONED".into(), "must both be specified");
    check(
        |r| {
            r["BillingMode"] = "PROVISIONED".into();
            r["ProvisionedThroughput"] = five.clone();
        },
        "not specified for index: by-city",
    );
}

#[test]
fn what_is_not_simulated_is_refused_by_name() {
    check(|r| r["ResourcePolicy"] = "{}".into(), "does not simulate ResourcePolicy of CreateTable");
    check(
        |r| r["SSESpecification"] = json!({"Enabled": true, "KMSMasterKeyId": "alias/x"}),
        "KMSMasterKeyId",
    );
}
