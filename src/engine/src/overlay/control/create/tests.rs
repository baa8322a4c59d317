//! What CreateTable is given and makes of it.

use dm_dynamodb::request::Request;
use dm_dynamodb::request::control::Control;
use dm_dynamodb::schema::TableSchema;

use super::*;
use crate::operation::Operation;

fn at() -> Circumstances {
    Circumstances {
        arn_prefix: "arn:aws:dynamodb:eu-west-1:1:table/".into(),
        now_s: 100.0,
        label: "2026-12-01T00:00:00.000".into(),
        id: "0".into(),
    }
}

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

#[test]
fn a_new_table_is_described_so_that_its_schema_can_be_read() {
    let mut request = request();
    request["Tags"] = json!([{"Key": "team", "Value": "shop"}]);
    request["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"});
    let asked = match Request::decode(Operation::CreateTable, request.as_object().unwrap()) {
        Ok(Request::Control(Control::CreateTable(asked))) => asked,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked.tags["team"], "shop");
    let described = Value::Object(create(&asked, &at()));
    for member in ["KeySchema", "AttributeDefinitions"] {
        let sorted = |elements: &Value| {
            let mut elements: Vec<String> =
                elements.as_array().unwrap().iter().map(Value::to_string).collect();
            elements.sort_unstable();
            elements
        };
        assert_eq!(sorted(&described[member]), sorted(&request[member]));
    }
    for member in ["LocalSecondaryIndexes", "GlobalSecondaryIndexes"] {
        for shown in ["IndexName", "KeySchema", "Projection"] {
            assert_eq!(described[member][0][shown], request[member][0][shown]);
        }
    }
    let schema = TableSchema::from_json(&described).unwrap();
    assert_eq!(schema.arn.as_deref(), Some("arn:aws:dynamodb:eu-west-1:1:table/orders"));
    let indexes: Vec<_> = schema.indexes.iter().map(|index| index.name.as_str()).collect();
    assert_eq!(indexes, ["by-id-city", "by-city"]);
    assert_eq!(described["GlobalSecondaryIndexes"][0]["IndexStatus"], "ACTIVE");
    assert_eq!(described["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");
    assert!(described["LatestStreamArn"].as_str().unwrap().ends_with("2026-12-01T00:00:00.000"));
}
