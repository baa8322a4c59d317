//! What is sent does what was asked, to the image that was read and to no other.

use super::*;
use dm_core::error::ErrorCode;
use dm_core::partiql::Statement;
use serde_json::json;

fn table() -> Arc<TableSchema> {
    let description = json!({
        "TableName": "t",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    });
    Arc::new(TableSchema::from_json(&description).unwrap())
}

fn item(json: &Value) -> Item {
    item_from_json(json).unwrap()
}

fn prepared(operation: Operation, body: &Value) -> Prepared {
    Prepared::read(operation, table(), body.as_object().unwrap()).unwrap()
}

/// What the request that is sent makes of an image, if its condition lets it.
fn sent(prepared: &Prepared, read: Option<&Item>, now: Option<&Item>) -> Result<Option<Item>> {
    let made = prepared.evaluate(read).unwrap();
    let sent = prepared.request(read, &made);
    let again = Prepared::read(sent.operation, table(), &sent.body).unwrap();
    again.evaluate(now).map(|made| made.after)
}

fn check(operation: Operation, body: &Value) {
    let prepared = prepared(operation, body);
    let image = item(&json!({"id": {"S": "a"}, "n": {"N": "1"}, "x": {"S": "y"}}));
    let made = prepared.evaluate(Some(&image)).unwrap();
    assert_eq!(sent(&prepared, Some(&image), Some(&image)), Ok(made.after), "{body}");
    let other = item(&json!({"id": {"S": "a"}, "n": {"N": "2"}, "x": {"S": "y"}}));
    assert!(sent(&prepared, Some(&image), Some(&other)).is_err(), "{body}");
    assert!(sent(&prepared, Some(&image), None).is_err(), "{body}");
    let made = prepared.evaluate(Some(&image)).unwrap();
    let bound = prepared.bound_request(Some(&image), &made);
    assert!(bound.bound && bound.tells_old, "{body}");
    let again = Prepared::read(bound.operation, table(), &bound.body).unwrap();
    assert_eq!(again.evaluate(Some(&image)).map(|made| made.after), Ok(made.after), "{body}");
    for other in [json!({"n": {"N": "2"}}), json!({"x": {"S": "z"}}), json!({"x": null})] {
        let mut now = json!({"id": {"S": "a"}, "n": {"N": "1"}, "x": {"S": "y"}});
        for (name, value) in other.as_object().unwrap() {
            match value {
                Value::Null => drop(now.as_object_mut().unwrap().remove(name)),
                value => now[name] = value.clone(),
            }
        }
        assert!(again.evaluate(Some(&item(&now))).is_err(), "{body} {now}");
    }
}

#[test]
fn what_is_sent_does_the_same_and_only_to_the_image_that_was_read() {
    let key = json!({"id": {"S": "a"}});
    check(
        Operation::UpdateItem,
        &json!({"TableName": "t", "Key": key, "UpdateExpression": "ADD #n :m",
            "ConditionExpression": "x = :m0", "ExpressionAttributeNames": {"#n": "n"},
            "ExpressionAttributeValues": {":m": {"N": "1"}, ":m0": {"S": "y"}}}),
    );
    check(Operation::PutItem, &json!({"TableName": "t", "Item": {"id": {"S": "a"}}}));
    check(Operation::DeleteItem, &json!({"TableName": "t", "Key": key}));
    check(
        Operation::UpdateItem,
        &json!({"TableName": "t", "Key": key, "AttributeUpdates": {
            "n": {"Action": "ADD", "Value": {"N": "5"}}, "x": {"Action": "DELETE"},
        }, "Expected": {"z": {"Exists": false}}}),
    );
    check(
        Operation::DeleteItem,
        &json!({"TableName": "t", "Key": key, "Expected": {"n": {"Value": {"N": "1"}}}}),
    );
}

#[test]
fn an_attribute_that_older_parameters_want_missing_stays_missing() {
    let body = json!({"TableName": "t", "Item": {"id": {"S": "a"}},
        "Expected": {"z": {"Exists": false}}});
    let prepared = prepared(Operation::PutItem, &body);
    let image = item(&json!({"id": {"S": "a"}}));
    let now = item(&json!({"id": {"S": "a"}, "z": {"N": "1"}}));
    assert!(sent(&prepared, Some(&image), Some(&now)).is_err());
}

#[test]
fn statements_become_conditional_writes() {
    let body = Map::new();
    let prepared = |text: &str| {
        let statement = Statement::parse(text, &[]).unwrap();
        Prepared::of_statement(statement.on_item(&table()).unwrap(), table(), &body).unwrap()
    };
    let image = item(&json!({"id": {"S": "a"}, "n": {"N": "1"}}));
    let update = prepared("UPDATE t SET n = n + 1 WHERE id = 'a'");
    let after = item(&json!({"id": {"S": "a"}, "n": {"N": "2"}}));
    assert_eq!(sent(&update, Some(&image), Some(&image)), Ok(Some(after)));
    assert!(update.evaluate(None).is_err());
    let insert = prepared("INSERT INTO t VALUE {'id': 'a'}");
    let error = insert.evaluate(Some(&image)).unwrap_err();
    assert_eq!(error.code, ErrorCode::DuplicateItem);
    assert!(sent(&insert, None, Some(&image)).is_err());
    let check = prepared("EXISTS(SELECT * FROM t WHERE id = 'a' AND n = 1)");
    let made = check.evaluate(Some(&image)).unwrap();
    assert_eq!(made.after.as_ref(), Some(&image));
    let request = check.request(Some(&image), &made).body;
    let compared = request["ExpressionAttributeValues"].as_object().unwrap();
    assert_eq!(compared.values().collect::<Vec<_>>(), [&json!({"N": "1"})]);
    let delete = prepared("DELETE FROM t WHERE id = 'a' AND n = 1");
    assert_eq!(sent(&delete, Some(&image), Some(&image)), Ok(None));
    assert!(delete.evaluate(None).is_ok());
}

#[test]
fn an_impossible_request_is_met_by_no_item() {
    let key = json!({"id": {"S": "a"}});
    let body = json!({"TableName": "t", "Key": key, "ConditionExpression": "n > :n",
        "ExpressionAttributeValues": {":n": {"N": "0"}}});
    let body = prepared(Operation::DeleteItem, &body).impossible_request();
    let again = prepared(Operation::DeleteItem, &Value::Object(body));
    assert!(again.evaluate(None).is_err());
    assert!(again.evaluate(Some(&item(&json!({"id": {"S": "a"}, "n": {"N": "1"}})))).is_err());
}
