//! What is wrong with calls about tables in themselves.

use serde_json::json;

use super::*;
use crate::request::Request;

fn decoded(operation: Operation, request: &Value) -> Result<Control> {
    match Request::decode(operation, request.as_object().unwrap())? {
        Request::Control(control) => Ok(control),
        other => panic!("{other:?}"),
    }
}

fn finds(operation: Operation, request: &Value, expected: &str) {
    let message = decoded(operation, request).unwrap_err().message;
    assert!(message.contains(expected), "expected {expected:?}, found {message:?}");
}

#[test]
fn the_operations_that_are_decoded_are_known() {
    for operation in Operation::ALL {
        let is_left = matches!(Control::decode(*operation, &Map::new()), Ok(None));
        assert_eq!(!is_left, Control::decodes(*operation), "{operation:?}");
    }
}

/// A CreateTable that is right, to be made wrong.
fn create() -> Value {
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

fn check(change: impl FnOnce(&mut Value), expected: &str) {
    let mut request = create();
    change(&mut request);
    finds(Operation::CreateTable, &request, expected);
}

#[test]
fn names_and_keys_are_checked() {
    check(|r| r["KeySchema"] = json!([]), "length greater than or equal to 1");
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
fn a_member_that_is_not_known_is_named_and_the_others_are_not_compared() {
    let check = |operation, change: fn(&mut Value), expected: (&str, &'static str)| {
        let mut request = if operation == Operation::CreateTable {
            create()
        } else {
            json!({"TableName": "orders"})
        };
        change(&mut request);
        let (member, of) = (expected.0.to_owned(), expected.1);
        assert_eq!(decoded(operation, &request), Ok(Control::Unknown { member, of }));
    };
    let create = |change, expected| check(Operation::CreateTable, change, expected);
    create(|r| r["ResourcePolicy"] = "{}".into(), ("ResourcePolicy", "CreateTable"));
    let vectors = |r: &mut Value| {
        r["VectorIndexes"] = json!([]);
        r["GlobalSecondaryIndexes"] = Value::Null;
    };
    create(vectors, ("VectorIndexes", "CreateTable"));
    create(
        |r| r["SSESpecification"] = json!({"Enabled": true, "KMSMasterKeyId": "alias/x"}),
        ("KMSMasterKeyId", "SSESpecification"),
    );
    create(
        |r| r["GlobalSecondaryIndexes"][0]["WarmThroughput"] = json!({}),
        ("WarmThroughput", "GlobalSecondaryIndex"),
    );
    let update = |r: &mut Value| r["ReplicaUpdates"] = json!([]);
    check(Operation::UpdateTable, update, ("ReplicaUpdates", "UpdateTable"));
}

#[test]
fn an_update_is_compared_with_itself_before_its_table_is_looked_for() {
    let check = |mut request: Value, expected: &str| {
        request["TableName"] = "none".into();
        finds(Operation::UpdateTable, &request, expected);
    };
    check(json!({}), "At least one of");
    check(json!({"GlobalSecondaryIndexUpdates": []}), "At least one of");
    check(json!({"GlobalSecondaryIndexUpdates": [{}]}), "must not be null");
    let delete = json!({"Delete": {"IndexName": "abc"}});
    check(json!({"GlobalSecondaryIndexUpdates": [delete, delete]}), "Index: abc");
    let both = json!({"Delete": {"IndexName": "abc"}, "Update": {"IndexName": "abc"}});
    check(json!({"GlobalSecondaryIndexUpdates": [both]}), "Only one global secondary index update");
    let high = json!({"ReadCapacityUnits": 1_000_000_000_001_u64, "WriteCapacityUnits": 1});
    check(json!({"ProvisionedThroughput": high}), "for ReadCapacityUnits is out of bounds");
    let none = json!({"ReadCapacityUnits": 0, "WriteCapacityUnits": 1});
    check(json!({"ProvisionedThroughput": none}), "greater than or equal to 1");
    let stream = json!({"StreamEnabled": true, "StreamViewType": "ALL"});
    check(
        json!({"StreamSpecification": stream}),
        "at 'streamSpecification.streamViewType' failed to satisfy constraint: Member must satisfy \
         enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]",
    );
}

#[test]
fn units_belong_to_provisioned_tables_and_to_them_alone() {
    let check = |result: Result<Units>, expected: &str| {
        let error = result.unwrap_err();
        assert!(error.message.contains(expected), "{}", error.message);
    };
    let five = Some(Units { read: 5, write: 5 });
    assert_eq!(table_units(BillingMode::OnDemand, None), Ok(Units::NONE));
    check(table_units(BillingMode::OnDemand, five), "PAY_PER_REQUEST");
    check(table_units(BillingMode::Provisioned, None), "must both be specified");
    check(index_units(BillingMode::Provisioned, "by-g", None), "index: by-g");
    check(index_units(BillingMode::OnDemand, "by-g", five), "index: by-g");
}

#[test]
fn a_highest_rate_belongs_to_a_table_billed_by_requests() {
    let check = |rate: i64, billing, expected: Option<&str>| {
        let error = Highest { read: Some(rate), write: None }.check(billing).err();
        let message = error.map(|error| error.message).unwrap_or_default();
        assert_eq!(message.is_empty(), expected.is_none(), "{message}");
        assert!(message.contains(expected.unwrap_or_default()), "{message}");
    };
    check(5, BillingMode::OnDemand, None);
    check(-1, BillingMode::OnDemand, None);
    check(0, BillingMode::OnDemand, Some("MaxReadRequestUnits of OnDemandThroughput has"));
    check(5, BillingMode::Provisioned, Some("only when BillingMode is PAY_PER_REQUEST"));
}

#[test]
fn a_stream_has_a_view_exactly_when_it_is_on() {
    let check = |enabled, view: Option<&str>, expected| {
        let stream = Stream { enabled, view: view.map(str::to_owned) };
        match (stream.view(), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.message.contains(expected)),
            other => panic!("{other:?}"),
        }
    };
    check(true, Some("KEYS_ONLY"), Ok(Some("KEYS_ONLY")));
    check(false, None, Ok(None));
    check(true, None, Err("is required"));
    check(false, Some("KEYS_ONLY"), Err("is not allowed"));
}

#[test]
fn settings_are_decoded_or_rejected() {
    let long = "\u{e9}".repeat(200);
    let to_live = |name: &str| {
        json!({"TableName": "orders",
            "TimeToLiveSpecification": {"Enabled": "yes", "AttributeName": name}})
    };
    let (table, attribute) = ("orders".to_owned(), "expires".to_owned());
    let expected = UpdateTimeToLive { table, enabled: true, attribute };
    assert_eq!(
        decoded(Operation::UpdateTimeToLive, &to_live("expires")),
        Ok(Control::UpdateTimeToLive(expected))
    );
    finds(Operation::UpdateTimeToLive, &to_live(&long), "between 1 and 255 bytes long");
    let backups = |enabled, days| {
        let asked = json!({"PointInTimeRecoveryEnabled": enabled, "RecoveryPeriodInDays": days});
        json!({"TableName": "orders", "PointInTimeRecoverySpecification": asked})
    };
    let operation = Operation::UpdateContinuousBackups;
    let expected = UpdateBackups { table: "orders".into(), enabled: true, days: Some(7) };
    assert_eq!(decoded(operation, &backups(true, 7)), Ok(Control::UpdateBackups(expected)));
    finds(operation, &backups(false, 7), "only when PointInTimeRecoveryEnabled is true");
    finds(operation, &backups(true, 36), "less than or equal to 35");
    finds(operation, &json!({"TableName": "orders"}), "Member must not be null");
}

#[test]
fn tags_have_limits() {
    let arn = "arn:aws:dynamodb:eu-west-1:1:table/orders";
    let tag = |key: &str, value: &str| {
        let tags = json!([{"Key": key, "Value": value}]);
        decoded(Operation::TagResource, &json!({"ResourceArn": arn, "Tags": tags}))
    };
    assert!(tag("team", "shop").is_ok());
    for (key, value) in [("", "x"), ("aws:x", "y"), (&"k".repeat(129), ""), ("k", &"v".repeat(257))]
    {
        assert!(tag(key, value).is_err(), "{key} {value}");
    }
    finds(Operation::TagResource, &json!({"ResourceArn": arn}), "Value null at 'tags'");
    finds(Operation::UntagResource, &json!({"ResourceArn": arn}), "Value null at 'tagKeys'");
    let many: Tags = (0..51).map(|i| (i.to_string(), String::new())).collect();
    assert!(check_tag_count(&many).is_err());
}
