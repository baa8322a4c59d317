//! What is sent does what was asked, to the image that was read and to no other.

use super::*;
use dm_dynamodb::error::ErrorCode;
use dm_dynamodb::expression::SUBSTITUTED_BYTES_MAX;
use dm_dynamodb::partiql::Statement;
use dm_dynamodb::request::Request;
use dm_dynamodb::value::{AttributeValue, item_from_json, item_to_json};
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

fn prepared(kind: ChangeKind, body: &Value) -> Prepared {
    let body = body.as_object().unwrap();
    let request = SingleWrite::decode(kind, body).unwrap();
    Prepared::of_request(request, table(), body.clone()).unwrap()
}

fn request(prepared: &Prepared, read: Option<&Item>, scope: Scope) -> Option<Sent> {
    let made = prepared.evaluate(read).unwrap();
    prepared.request(read, &made, scope, SUBSTITUTED_BYTES_MAX)
}

/// A request that is sent, taken as DynamoDB takes it.
fn again(sent: &Sent) -> Prepared {
    let kind = match sent.call.operation {
        Operation::PutItem => ChangeKind::Put,
        Operation::UpdateItem => ChangeKind::Update,
        _ => ChangeKind::Delete,
    };
    prepared(kind, &Value::Object(sent.call.body().clone()))
}

/// What the request that is sent makes of an image, if its condition lets it.
fn sent(prepared: &Prepared, read: Option<&Item>, now: Option<&Item>) -> Result<Option<Item>> {
    let sent = request(prepared, read, Scope::Concerned).unwrap();
    again(&sent).evaluate(now).map(|made| made.after)
}

fn check(kind: ChangeKind, body: &Value) {
    let prepared = prepared(kind, body);
    let image = item(&json!({"id": {"S": "a"}, "n": {"N": "1"}, "x": {"S": "y"}}));
    let made = prepared.evaluate(Some(&image)).unwrap();
    assert_eq!(sent(&prepared, Some(&image), Some(&image)), Ok(made.after), "{body}");
    let other = item(&json!({"id": {"S": "a"}, "n": {"N": "2"}, "x": {"S": "y"}}));
    assert!(sent(&prepared, Some(&image), Some(&other)).is_err(), "{body}");
    assert!(sent(&prepared, Some(&image), None).is_err(), "{body}");
    let made = prepared.evaluate(Some(&image)).unwrap();
    let bound = request(&prepared, Some(&image), Scope::Whole).unwrap();
    assert!(bound.bound && bound.returns_old, "{body}");
    let again = again(&bound);
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
        ChangeKind::Update,
        &json!({"TableName": "t", "Key": key, "UpdateExpression": "ADD #n :m",
            "ConditionExpression": "x = :m0", "ExpressionAttributeNames": {"#n": "n"},
            "ExpressionAttributeValues": {":m": {"N": "1"}, ":m0": {"S": "y"}}}),
    );
    check(ChangeKind::Put, &json!({"TableName": "t", "Item": {"id": {"S": "a"}}}));
    check(ChangeKind::Delete, &json!({"TableName": "t", "Key": key}));
    check(
        ChangeKind::Update,
        &json!({"TableName": "t", "Key": key, "AttributeUpdates": {
            "n": {"Action": "ADD", "Value": {"N": "5"}}, "x": {"Action": "DELETE"},
        }, "Expected": {"z": {"Exists": false}}}),
    );
    check(
        ChangeKind::Delete,
        &json!({"TableName": "t", "Key": key, "Expected": {"n": {"Value": {"N": "1"}}}}),
    );
}

#[test]
fn a_put_replaces_no_attribute_that_others_have_added_and_it_sets_as_well() {
    let body = json!({"TableName": "t", "Item": {"id": {"S": "a"}, "price": {"N": "1"}}});
    let older = json!({"TableName": "t", "Item": body["Item"],
        "Expected": {"n": {"Exists": false}}});
    let image = item(&json!({"id": {"S": "a"}}));
    let now = item(&json!({"id": {"S": "a"}, "price": {"N": "2"}}));
    for body in [body, older] {
        let put = prepared(ChangeKind::Put, &body);
        assert!(sent(&put, Some(&image), Some(&image)).is_ok(), "{body}");
        assert!(sent(&put, Some(&image), Some(&now)).is_err(), "{body}");
    }
    // What it adds beyond an expression's limits is compared in part.
    let body = json!({"TableName": "t", "Item": item_to_json(&wide(300))});
    let sent = request(&prepared(ChangeKind::Put, &body), Some(&image), Scope::Whole).unwrap();
    assert!(sent.complete && sent.bound && sent.returns_old);
    assert!(again(&sent).evaluate(Some(&image)).is_ok());
}

#[test]
fn an_update_that_only_removes_creates_no_item() {
    let key = json!({"id": {"S": "a"}});
    for (body, left) in [
        (json!({"AttributeUpdates": {"x": {"Action": "DELETE"}}}), None),
        (json!({"UpdateExpression": "REMOVE x"}), None),
        (json!({"AttributeUpdates": {}}), Some(item(&key))),
    ] {
        let mut body = body;
        (body["TableName"], body["Key"]) = ("t".into(), key.clone());
        let prepared = prepared(ChangeKind::Update, &body);
        assert_eq!(prepared.evaluate(None).unwrap().after, left, "{body}");
        assert_eq!(sent(&prepared, None, None), Ok(left), "{body}");
        assert!(sent(&prepared, None, Some(&item(&key))).is_err(), "{body}");
    }
}

#[test]
fn an_attribute_that_older_parameters_want_missing_stays_missing() {
    let body = json!({"TableName": "t", "Item": {"id": {"S": "a"}},
        "Expected": {"z": {"Exists": false}}});
    let prepared = prepared(ChangeKind::Put, &body);
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
    let request = request(&check, Some(&image), Scope::Concerned).unwrap().call.into_body();
    let compared = request["ExpressionAttributeValues"].as_object().unwrap();
    assert_eq!(compared.values().collect::<Vec<_>>(), [&json!({"N": "1"})]);
    let delete = prepared("DELETE FROM t WHERE id = 'a' AND n = 1");
    assert_eq!(sent(&delete, Some(&image), Some(&image)), Ok(None));
    assert!(delete.evaluate(None).is_ok());
}

fn wide(attributes: usize) -> Item {
    let names = (0..attributes).map(|i| (format!("a{i}"), AttributeValue::from(1)));
    names.chain([("id".to_owned(), AttributeValue::S("a".into()))]).collect()
}

#[test]
fn a_change_of_a_wide_item_is_bound_to_what_it_depends_on() {
    let body = Map::new();
    let text = "UPDATE t SET zz = zz + 1 WHERE id = 'a' AND z0 = 1";
    let statement = Statement::parse(text, &[]).unwrap().on_item(&table()).unwrap();
    let update = Prepared::of_statement(statement, table(), &body).unwrap();
    let mut image = wide(300);
    image.extend(["z0", "zz"].map(|name| (name.to_owned(), AttributeValue::from(1))));
    let sent = request(&update, Some(&image), Scope::Concerned).unwrap();
    assert!(sent.complete && sent.returns_old && !sent.bound);
    for name in ["z0", "zz"] {
        let mut now = image.clone();
        now.insert(name.to_owned(), 2.into());
        assert!(again(&sent).evaluate(Some(&now)).is_err(), "{name}");
    }
}

#[test]
fn a_condition_that_leaves_no_room_is_replaced_by_what_it_depends_on() {
    let image = item(&json!({"id": {"S": "a"}, "n": {"N": "1"}, "x": {"S": "y"}}));
    // All but one of the operators that there may be.
    let own = format!("{} OR x = :y", vec!["n = :n"; 149].join(" OR "));
    let key = json!({"id": {"S": "a"}});
    let body = json!({"TableName": "t", "Key": key, "UpdateExpression": "SET #n = :two",
        "ConditionExpression": own, "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":n": {"N": "7"}, ":y": {"S": "y"}, ":two": {"N": "2"}}});
    let update = prepared(ChangeKind::Update, &body);
    let sent = request(&update, Some(&image), Scope::Concerned).unwrap();
    assert!(sent.complete && !sent.returns_old);
    let now = item(&json!({"id": {"S": "a"}, "n": {"N": "1"}, "x": {"S": "z"}}));
    assert!(again(&sent).evaluate(Some(&now)).is_err());
    assert!(again(&sent).evaluate(Some(&image)).is_ok());
}

#[test]
fn what_has_no_room_is_sent_as_it_is() {
    let updates: Map<String, Value> = (0..400)
        .map(|i| (format!("a{i}"), json!({"Action": "PUT", "Value": {"N": "2"}})))
        .collect();
    let body = json!({"TableName": "t", "Key": {"id": {"S": "a"}}, "AttributeUpdates": updates});
    let update = prepared(ChangeKind::Update, &body);
    let image = wide(400);
    assert!(request(&update, Some(&image), Scope::Concerned).is_none());
    let sent = update.as_it_is();
    assert!(sent.returns_old && !sent.is_unverified());
    assert_eq!(sent.call.body()["AttributeUpdates"], body["AttributeUpdates"]);
    assert_eq!(sent.call.body().get("ConditionExpression"), None);
}

#[test]
fn actions_of_transactions_ignore_what_they_do_not_have() {
    let body = json!({"TableName": "t", "Item": {"id": {"S": "a"}}, "ReturnValues": "ALL_NEW",
        "Expected": {"id": {"Exists": false}}});
    let transaction = json!({"TransactItems": [{"Put": body}]});
    let operation = Operation::TransactWriteItems;
    let request = Request::decode(operation, transaction.as_object().unwrap()).unwrap();
    let Request::TransactWrite(mut transaction) = request else { panic!("{request:?}") };
    let action = transaction.actions.remove(0);
    let put = Prepared::of_action(action, table(), body.as_object().unwrap()).unwrap();
    assert_eq!(put.body.keys().collect::<Vec<_>>(), ["TableName", "Item"]);
    let image = item(&json!({"id": {"S": "a"}}));
    assert!(put.evaluate(Some(&image)).is_ok());
}
