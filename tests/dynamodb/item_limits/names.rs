//! Names of attributes and of placeholders, wherever a request can have one.

use serde_json::{Value, json};

use super::{Case, NAME_MAX, condition, puts, statement, text, updates};

/// A name of an attribute wherever a request can have one.
fn named(what: &str, name: &str) -> Vec<Case> {
    let key = json!({"id": {"S": "a"}});
    let (x, none) = (json!({"S": "x"}), Value::Null);
    let map = json!({"M": {name: x}});
    let mut cases = [
        puts(what, json!({name: x})),
        puts(&format!("{what} in a map"), json!({"m": map})),
        puts(&format!("{what} in a list"), json!({"m": {"L": [{"L": [map]}]}})),
        updates(what, "SET #a = :x", json!({"#a": name}), json!({":x": x})),
        updates(
            &format!("{what} in a map"),
            "SET m.#a = :x",
            json!({"#a": name}),
            json!({":x": x}),
        ),
        updates(&format!("{what} removed"), "REMOVE #a", json!({"#a": name}), none.clone()),
        updates(
            &format!("{what} added to"),
            "ADD #a :x",
            json!({"#a": name}),
            json!({":x": {"N": "1"}}),
        ),
        updates(&format!("{what} in a value"), "SET b = :x", none.clone(), json!({":x": map})),
        statement(
            &format!("{what} in a parameter"),
            "INSERT INTO \"$T\" VALUE {'id': 'q', 'm': ?}",
            json!([map]),
        ),
        statement(
            &format!("{what} in an update's parameter"),
            "UPDATE \"$T\" SET m = ? WHERE id = 'a'",
            json!([map]),
        ),
    ]
    .concat();
    let older =
        |updates: Value| json!({"TableName": "$T", "Key": key, "AttributeUpdates": updates});
    cases.extend([
        (format!("older {what}"), "UpdateItem", older(json!({name: {"Value": x}}))),
        (format!("older {what} deleted"), "UpdateItem", older(json!({name: {"Action": "DELETE"}}))),
        (format!("older {what} in a map"), "UpdateItem", older(json!({"b": {"Value": map}}))),
        (
            format!("expected {what}"),
            "PutItem",
            json!({"TableName": "$T", "Item": key, "Expected": {name: {"Exists": false}}}),
        ),
        condition(what, "attribute_not_exists(#a)", json!({"#a": name}), Value::Null),
        condition(&format!("{what} in a value"), "b <> :x", Value::Null, json!({":x": map})),
        (format!("key {what}"), "DeleteItem", json!({"TableName": "$T", "Key": {name: x}})),
        (
            format!("projection {what}"),
            "GetItem",
            json!({"TableName": "$T", "Key": key, "ProjectionExpression": "#a",
                "ExpressionAttributeNames": {"#a": name}}),
        ),
        (
            format!("filter {what}"),
            "Scan",
            json!({"TableName": "$T", "ScanFilter": {name: {"ComparisonOperator": "NULL"}}}),
        ),
    ]);
    cases
}

pub fn names() -> Vec<Case> {
    let none = Value::Null;
    let mut cases = [
        named("without a name", ""),
        named("a name at the limit", &"n".repeat(NAME_MAX)),
        named("a name beyond the limit", &"n".repeat(NAME_MAX + 1)),
        puts("two bytes a letter", json!({"é".repeat(32_768): {"S": "x"}})),
        statement(
            "insert without a name",
            "INSERT INTO \"$T\" VALUE {'id': 'q', '': 'x'}",
            none.clone(),
        ),
        statement(
            "insert without a name in a map",
            "INSERT INTO \"$T\" VALUE {'id': 'q', 'm': {'': 1}}",
            none.clone(),
        ),
        statement(
            "insert of a name twice",
            "INSERT INTO \"$T\" VALUE {'id': 'q', 'v': 1, 'v': 2}",
            none.clone(),
        ),
        statement(
            "a name twice in a map",
            "UPDATE \"$T\" SET v = {'a': 1, 'a': 2} WHERE id = 'a'",
            none.clone(),
        ),
        statement(
            "update without a name",
            "UPDATE \"$T\" SET \"\" = 'x' WHERE id = 'a'",
            none.clone(),
        ),
        statement(
            "update without a name in a map",
            "UPDATE \"$T\" SET m.\"\" = 1 WHERE id = 'a'",
            none.clone(),
        ),
        statement(
            "removal without a name",
            "UPDATE \"$T\" REMOVE \"\" WHERE id = 'a'",
            none.clone(),
        ),
        statement(
            "condition without a name",
            "DELETE FROM \"$T\" WHERE id = 'a' AND \"\" = 1",
            none.clone(),
        ),
    ]
    .concat();
    for length in [255, 256] {
        let (name, value) = (format!("#{}", text(length - 1)), format!(":{}", text(length - 1)));
        let what = format!("placeholder of {length} bytes");
        cases.extend(updates(&what, &format!("REMOVE {name}"), json!({&name: "b"}), none.clone()));
        let values = json!({&value: {"S": "x"}});
        cases.extend(updates(&what, &format!("SET b = {value}"), none.clone(), values));
    }
    cases
}
