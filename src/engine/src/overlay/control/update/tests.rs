//! What UpdateTable is given and makes of it.

use dm_dynamodb::request::Request;
use dm_dynamodb::request::control::Control;

use super::*;
use crate::operation::Operation;

fn table() -> Value {
    json!({
        "TableName": "orders",
        "TableArn": "arn:aws:dynamodb:eu-west-1:1:table/orders",
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "city", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-city",
            "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        }],
    })
}

fn updated(request: &Value) -> std::result::Result<Update, String> {
    let at = Circumstances {
        arn_prefix: String::new(),
        now_s: 100.0,
        label: "label".into(),
        id: String::new(),
    };
    let mut request = request.clone();
    request["TableName"] = "orders".into();
    let asked = match Request::decode(Operation::UpdateTable, request.as_object().unwrap()) {
        Ok(Request::Control(Control::UpdateTable(asked))) => Ok(asked),
        Err(error) => Err(error),
        other => panic!("{other:?}"),
    };
    let schema = TableSchema::from_json(&table()).unwrap();
    asked
        .and_then(|asked| update(&asked, &table(), &schema, &at))
        .map_err(|error| format!("{}: {}", error.code.name(), error.message))
}

fn check(request: &Value, expected: &str) {
    let message = updated(request).unwrap_err();
    assert!(message.contains(expected), "expected {expected:?}, found {message:?}");
}

#[test]
fn settings_are_told_by_what_is_set() {
    let update = updated(&json!({
        "TableName": "orders",
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": true,
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
    }))
    .unwrap();
    let settings: Vec<_> =
        update.settings.iter().map(|(what, to)| format!("{what} {to}")).collect();
    assert_eq!(settings, ["billing PAY_PER_REQUEST", "deletion protection on", "stream KEYS_ONLY"]);
    let units = &update.members["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"];
    assert_eq!(units["ReadCapacityUnits"], 0, "indexes are billed as their table");
}

#[test]
fn an_index_is_added_with_its_definitions_and_takes_them_away() {
    let create = json!({
        "IndexName": "by-day",
        "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    });
    let day = json!([{"AttributeName": "day", "AttributeType": "S"}]);
    let updates = json!([{"Create": create}]);
    let request = json!({"AttributeDefinitions": day, "GlobalSecondaryIndexUpdates": updates});
    let update = updated(&request).unwrap();
    assert_eq!(update.added.as_deref(), Some("by-day"));
    assert_eq!(update.members["AttributeDefinitions"].as_array().unwrap().len(), 3);
    assert_eq!(update.members["GlobalSecondaryIndexes"].as_array().unwrap().len(), 2);
    check(&json!({"GlobalSecondaryIndexUpdates": updates}), "are not defined");
    let unused = json!({"AttributeName": "unused", "AttributeType": "S"});
    let definitions = json!([day[0], unused]);
    let request =
        json!({"AttributeDefinitions": definitions, "GlobalSecondaryIndexUpdates": updates});
    let update = updated(&request).unwrap();
    assert_eq!(update.members["AttributeDefinitions"].as_array().unwrap().len(), 3);
    let both = json!([{"Create": create}, {"Delete": {"IndexName": "by-city"}}]);
    check(
        &json!({"AttributeDefinitions": day, "GlobalSecondaryIndexUpdates": both}),
        "LimitExceededException",
    );

    let delete = json!([{"Delete": {"IndexName": "by-city"}}]);
    let update = updated(&json!({"GlobalSecondaryIndexUpdates": delete})).unwrap();
    assert_eq!(update.removed.as_deref(), Some("by-city"));
    assert_eq!(update.members["AttributeDefinitions"].as_array().unwrap().len(), 1);
    assert!(update.members["GlobalSecondaryIndexes"].is_null());
    let other = json!([{"Delete": {"IndexName": "other"}}]);
    check(&json!({"GlobalSecondaryIndexUpdates": other}), "ResourceNotFoundException");
}

#[test]
fn what_changes_nothing_is_rejected() {
    let five = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 5});
    check(&json!({"ProvisionedThroughput": five}), "will not change");
    check(&json!({"StreamSpecification": {"StreamEnabled": false}}), "no stream to disable");
    let six = json!({"ReadCapacityUnits": 6, "WriteCapacityUnits": 5});
    assert!(updated(&json!({"ProvisionedThroughput": six})).is_ok());
}

#[test]
fn an_index_brings_the_definitions_of_its_own_key() {
    let create = |name: &str| {
        json!([{"Create": {
            "IndexName": name,
            "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        }}])
    };
    let city = |kind: &str| json!([{"AttributeName": "city", "AttributeType": kind}]);
    let request = |definitions: Value, name: &str| {
        json!({"AttributeDefinitions": definitions,
            "GlobalSecondaryIndexUpdates": create(name)})
    };
    check(
        &request(json!([]), "second"),
        "ValidationException: One or more parameter values were invalid: Some index key attributes \
         are not defined in AttributeDefinitions. Keys: [city], AttributeDefinitions: []",
    );
    check(&request(city("N"), "second"), "Attributes cannot be redefined");
    check(&request(city("S"), "by-city"), "Index already exists: by-city");
    assert!(updated(&request(city("S"), "second")).is_ok());
}
