//! Values, keys, sizes, expressions, and how many writes one request may have.

use serde_json::{Map, Value, json};

use super::{Case, ITEM_MAX, NAME_MAX, condition, puts, statement, string, updates};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({"S": "x"}), |inner, level| match level % 2 {
        0 => json!({"L": [inner]}),
        _ => json!({"M": {"k": inner}}),
    })
}

pub fn values() -> Vec<Case> {
    let mut cases = Vec::new();
    for set in [
        json!({"SS": []}),
        json!({"SS": ["", "b"]}),
        json!({"SS": ["a", "a"]}),
        json!({"NS": ["1", "1.0"]}),
        json!({"BS": ["", "AA=="]}),
        json!({"BS": ["AA==", "AA=="]}),
        json!({"NULL": false}),
    ] {
        cases.extend(puts(&set.to_string(), json!({"s": set})));
        cases.extend(puts(&format!("{set} in a list"), json!({"l": {"L": [set]}})));
        let parameters = json!([set]);
        cases.extend(statement(
            &set.to_string(),
            "UPDATE \"$T\" SET s = ? WHERE id = 'a'",
            parameters,
        ));
    }
    for number in [
        "1".repeat(38),
        "1".repeat(39),
        format!("1{}", "0".repeat(125)),
        format!("1{}", "0".repeat(126)),
        "1e-130".into(),
        "1e-131".into(),
        "-9.9999999999999999999999999999999999999e125".into(),
        String::new(),
        " 1".into(),
        "1 ".into(),
        "+1".into(),
        "5.".into(),
        "0x1".into(),
        "NaN".into(),
        "1_000".into(),
    ] {
        for value in [json!({"N": number}), json!({"NS": [number]}), json!({"L": [{"N": number}]})]
        {
            cases.push((
                format!("number {value}"),
                "PutItem",
                json!({"TableName": "$T", "Item": {"id": {"S": "a"}, "n": value}}),
            ));
        }
    }
    for levels in [31, 32] {
        let (what, value) = (format!("{levels} levels"), nested(levels));
        cases.extend(puts(&what, json!({"n": value})));
        cases.extend(updates(&what, "SET n = :v", Value::Null, json!({":v": value})));
        let text = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let insert = format!("INSERT INTO \"$T\" VALUE {{'id': 'q', 'n': {text}}}");
        cases.extend(statement(&what, &insert, Value::Null));
    }
    for bytes in [ITEM_MAX, ITEM_MAX + 1] {
        let what = format!("{bytes} bytes");
        cases.extend(puts(&what, json!({"t": string(bytes - 4)})));
        let name = "n".repeat(NAME_MAX);
        cases.extend(puts(
            &format!("{what} with its name"),
            json!({name: string(bytes - 3 - NAME_MAX)}),
        ));
    }
    cases
}

pub fn keys() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, key) in [
        ("key without text", json!({"S": ""})),
        ("key of 2048 bytes", string(2048)),
        ("key of 2049 bytes", string(2049)),
        ("key of another type", json!({"N": "1"})),
    ] {
        cases.extend(puts(what, json!({"id": key})));
        for (operation, more) in [
            ("UpdateItem", json!({"UpdateExpression": "REMOVE b"})),
            ("DeleteItem", json!({})),
            ("GetItem", json!({})),
        ] {
            let mut request = json!({"TableName": "$T", "Key": {"id": key}});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            cases.push((what.to_owned(), operation, request));
        }
        for text in ["UPDATE \"$T\" REMOVE b WHERE id = ?", "DELETE FROM \"$T\" WHERE id = ?"] {
            let one = json!({"Statement": text, "Parameters": [key]});
            cases.push((what.to_owned(), "ExecuteStatement", one));
        }
    }
    cases
}

pub fn expressions() -> Vec<Case> {
    let none = || Value::Null;
    let mut cases = Vec::new();
    for bytes in [4_096, 4_097] {
        let exists = format!("attribute_not_exists({})", "z".repeat(bytes - 22));
        cases.push(condition(&format!("of {bytes} bytes"), &exists, none(), none()));
        let remove = format!("REMOVE {}", "z".repeat(bytes - 7));
        cases.extend(updates(&format!("of {bytes} bytes"), &remove, none(), none()));
    }
    for operators in [150, 151] {
        let text = vec!["id = :a"; operators].join(" OR ");
        let values = json!({":a": {"S": "a"}});
        cases.push(condition(&format!("of {operators} comparisons"), &text, none(), values));
    }
    for operands in [100, 101] {
        let names: Vec<String> = (0..operands).map(|at| format!(":v{at}")).collect();
        let values: Map<String, Value> =
            names.iter().map(|name| (name.clone(), json!({"S": "a"}))).collect();
        let text = format!("id IN ({})", names.join(", "));
        cases.push(condition(&format!("IN {operands}"), &text, none(), values.into()));
    }
    // What placeholders stand for: each use counts for the expression, each placeholder for the
    // request.
    for (bytes, uses) in [(1_048_570, 1), (1_048_571, 1), (524_280, 2), (524_281, 2)] {
        let text = vec!["b<>:aa"; uses].join(" OR ");
        let text = if uses == 1 { text } else { text.replace(":aa", ":a").replace("OR", "AND") };
        let name = if uses == 1 { ":aa" } else { ":a" };
        let values = json!({name: string(bytes)});
        cases.push(condition(&format!("of {bytes} bytes in {uses} values"), &text, none(), values));
    }
    for bytes in [2 * 1024 * 1024 - 2, 2 * 1024 * 1024 - 1] {
        let values = json!({":a": string(bytes)});
        cases.push(condition(&format!("with {bytes} bytes"), "b <> :a", none(), values));
    }
    for bytes in [ITEM_MAX, ITEM_MAX + 1] {
        let values = json!({":a": {"L": [string(bytes)]}});
        cases.push(condition(&format!("with a list of {bytes}"), "b <> :a", none(), values));
    }
    let empty = |member: &str| {
        json!({"TableName": "$T", "Item": {"id": {"S": "a"}},
            "ConditionExpression": "attribute_exists(b)", member: {}})
    };
    cases.push(("no names".into(), "PutItem", empty("ExpressionAttributeNames")));
    cases.push(("no values".into(), "PutItem", empty("ExpressionAttributeValues")));
    for updates in [
        json!({}),
        json!({"b": {}}),
        json!({"b": {"Action": "ADD"}}),
        json!({"b": {"Action": "ADD", "Value": {"S": "a"}}}),
        json!({"b": {"Action": "DELETE", "Value": {"S": "a"}}}),
        json!({"id": {"Value": {"S": "a"}}}),
    ] {
        let request =
            json!({"TableName": "$T", "Key": {"id": {"S": "a"}}, "AttributeUpdates": updates});
        cases.push((format!("older {updates}"), "UpdateItem", request));
    }
    let nothing = json!({"TableName": "$T", "Key": {"id": {"S": "new"}}});
    cases.push(("empty update".into(), "UpdateItem", nothing));
    cases
}

pub fn together() -> Vec<Case> {
    let item = |at: usize| json!({"id": {"S": format!("i{at}")}});
    let put = |at: usize| json!({"PutRequest": {"Item": item(at)}});
    let delete = |at: usize| json!({"DeleteRequest": {"Key": item(at)}});
    let action = |at: usize| json!({"Put": {"TableName": "$T", "Item": item(at)}});
    let insert =
        |at: usize| json!({"Statement": format!("INSERT INTO \"$T\" VALUE {{'id': 's{at}'}}")});
    let batch = |requests: Vec<Value>| json!({"RequestItems": {"$T": requests}});
    let transaction = |actions: Vec<Value>| json!({"TransactItems": actions});
    let mut cases = Vec::new();
    for count in [0, 25, 26] {
        let requests = (0..count).map(put).collect();
        cases.push((format!("batch of {count}"), "BatchWriteItem", batch(requests)));
        let statements: Vec<Value> = (0..count).map(insert).collect();
        let body = json!({"Statements": statements});
        cases.push((format!("batch of {count}"), "BatchExecuteStatement", body));
    }
    for (what, requests) in [
        ("two puts", vec![put(1), put(1)]),
        ("two deletes", vec![delete(1), delete(1)]),
        ("put and delete", vec![put(1), delete(1)]),
        ("neither", vec![json!({})]),
    ] {
        cases.push((what.into(), "BatchWriteItem", batch(requests)));
    }
    for count in [0, 100, 101] {
        let actions = (0..count).map(action).collect();
        cases.push((format!("transaction of {count}"), "TransactWriteItems", transaction(actions)));
    }
    cases.push(("same item".into(), "TransactWriteItems", transaction(vec![action(1), action(1)])));
    let twice = [insert(1), insert(1)];
    cases.push(("same item".into(), "BatchExecuteStatement", json!({"Statements": twice})));
    cases.push(("same item".into(), "ExecuteTransaction", json!({"TransactStatements": twice})));
    for count in [10, 11] {
        let large = |at: usize| {
            let mut action = action(at);
            action["Put"]["Item"]["t"] = string(398 * 1024);
            action
        };
        let actions = (0..count).map(large).collect();
        cases.push((format!("large {count}"), "TransactWriteItems", transaction(actions)));
    }
    cases
}
