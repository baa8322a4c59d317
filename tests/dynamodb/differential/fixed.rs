//! Programs that once made a difference, or were near to: of single kinds of requests, in every
//! way.

use serde_json::{Map, Value, json};

use super::generate::{Program, Step};
use super::legs::Leg;
use super::run;
use super::tables::Tables;
use crate::bed::{self, database};
use crate::shorthand::expand;
use dm_contract::plan::JournalMode;

const LEGS: [Leg; 5] = [
    Leg::DryRun,
    Leg::Applied,
    Leg::Journaled(JournalMode::Strict),
    Leg::Journaled(JournalMode::Ahead),
    Leg::Journaled(JournalMode::Cheap),
];

/// Runs steps over these items in every way. The database itself must accept each of them, so that
/// the others are known to accept it too.
async fn check(seeds: Vec<Value>, steps: Vec<(&'static str, Value)>) {
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|(operation, body)| Step { operation, body, ..Step::default() })
        .collect();
    let alone = bed::fresh_name("alone");
    database().ok("CreateTable", &crate::suite::table("hash", &alone)).await;
    for seed in &seeds {
        database().ok("PutItem", &expand(&json!({"TableName": alone, "Item": seed}))).await;
    }
    for step in &steps {
        let text = expand(&step.body).to_string().replace("$T", &alone);
        database().ok(step.operation, &serde_json::from_str(&text).unwrap()).await;
    }
    database().ok("DeleteTable", &json!({"TableName": alone})).await;
    let program = Program { table: "hash", seeds, other_seeds: Vec::new(), steps };
    let mut tables = Tables::default();
    for leg in LEGS {
        if let Some(difference) = run(&program, leg, &mut tables).await {
            panic!("{difference:.2000}");
        }
    }
}

fn wide(attributes: usize, value: &Value) -> Value {
    let names = (0..attributes).map(|at| (format!("a{at:03}"), value.clone()));
    names.chain([("id".to_owned(), "a".into())]).collect::<Map<_, _>>().into()
}

/// A condition as single write, and as an action of a transaction; it holds for `{id: a, n: 1}`.
#[allow(clippy::needless_pass_by_value)] // reads better with json! literals
async fn check_condition(text: &str, names: Value, values: Value) {
    let beside = |mut body: Value| {
        body["TableName"] = "$T".into();
        body["ConditionExpression"] = text.into();
        for (member, given) in
            [("ExpressionAttributeNames", &names), ("ExpressionAttributeValues", &values)]
        {
            if !given.is_null() {
                body[member] = given.clone();
            }
        }
        body
    };
    let key = json!({"id": "a"});
    let remove = beside(json!({"Key": key, "UpdateExpression": "REMOVE nothing"}));
    let put = beside(json!({"Item": {"id": "a", "n": 1, "put": true}}));
    let delete = beside(json!({"Key": key}));
    let again = ("PutItem", json!({"TableName": "$T", "Item": {"id": "a", "n": 1}}));
    check(
        vec![json!({"id": "a", "n": 1})],
        vec![
            ("Scan", json!({"TableName": "$T"})),
            ("UpdateItem", remove.clone()),
            ("PutItem", put.clone()),
            ("DeleteItem", delete.clone()),
            again.clone(),
            ("TransactWriteItems", json!({"TransactItems": [{"Update": remove}]})),
            ("TransactWriteItems", json!({"TransactItems": [{"Put": put}]})),
            ("TransactWriteItems", json!({"TransactItems": [{"Delete": delete}]})),
            again,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_as_libraries_write_them_are_accepted() {
    let values = || json!({":one": 1, ":two": 2});
    for text in [
        "(attribute_exists(id) AND attribute_not_exists(w))",
        "((n = :one AND attribute_exists(id)) AND (attribute_not_exists(w) OR n = :two))",
        "(n = :two OR n = :one)",
        "( n = :one OR n = :two )",
        "(n = :one) OR (n = :two)",
        "(n = :one) AND (NOT (n = :two))",
        "(NOT n = :two)",
        "NOT (n = :two)",
        "n BETWEEN :one AND :two",
        "n = :two OR NOT (n = :two)",
    ] {
        let all = values();
        let used = all.as_object().unwrap().iter().filter(|(key, _)| text.contains(key.as_str()));
        let used: Map<_, _> = used.map(|(key, value)| (key.clone(), value.clone())).collect();
        let used = if used.is_empty() { Value::Null } else { used.into() };
        check_condition(text, Value::Null, used).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_at_dynamodbs_limits_are_accepted() {
    // 300 operators, all but one.
    check_condition(&vec!["attribute_exists(id)"; 150].join(" AND "), Value::Null, Value::Null)
        .await;
    check_condition(
        &(vec!["n = :no"; 149].join(" OR ") + " OR n = :n"),
        Value::Null,
        json!({":n": 1, ":no": 2}),
    )
    .await;
    // 4,096 bytes, and a few less.
    for length in [4_096, 4_090, 4_060, 4_000] {
        let text = format!("attribute_not_exists({})", "z".repeat(length - 22));
        assert_eq!(text.len(), length);
        check_condition(&text, Value::Null, Value::Null).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn placeholders_like_those_of_the_journal_are_accepted() {
    let longest = format!("#{}", "m".repeat(254));
    check_condition(
        &format!("#m0 = :m0 AND {longest} = :m1_0"),
        json!({"#m0": "n", longest.as_str(): "n"}),
        json!({":m0": 1, ":m1_0": 1}),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_hundreds_of_attributes_are_written_in_every_way() {
    let key = json!({"id": "a"});
    let older: Map<String, Value> =
        (0..400).map(|at| (format!("a{at:03}"), json!({"Action": "ADD", "Value": 1}))).collect();
    let sets = |count: usize, value: u32| -> String {
        (0..count).map(|at| format!(" SET a{at:03} = {value}")).collect()
    };
    let sum = json!({"TableName": "$T", "Key": key, "UpdateExpression": "SET zz = a399 + :one",
        "ConditionExpression": "a000 > :zero", "ExpressionAttributeValues": {":one": 1, ":zero": 0},
        "ReturnValues": "ALL_NEW"});
    let statement = |text: String| ("ExecuteStatement", json!({"Statement": text}));
    let together = |statements: Vec<String>| {
        let listed: Vec<Value> =
            statements.into_iter().map(|text| json!({"Statement": text})).collect();
        ("ExecuteTransaction", json!({"TransactStatements": listed}))
    };
    let mut put = wide(400, &json!(7));
    put["more"] = "x".into();
    check(
        vec![wide(400, &json!(1)), json!({"id": "b", "n": 1})],
        vec![
            ("Scan", json!({"TableName": "$T"})),
            ("UpdateItem", sum),
            (
                "UpdateItem",
                json!({"TableName": "$T", "Key": key, "AttributeUpdates": older,
                "Expected": {"zz": {"Value": 2}}, "ReturnValues": "UPDATED_NEW"}),
            ),
            ("PutItem", json!({"TableName": "$T", "Item": put, "ReturnValues": "ALL_OLD"})),
            statement(format!("UPDATE \"$T\"{} WHERE id = 'a' AND a399 = 7", sets(380, 2))),
            statement("UPDATE \"$T\" SET zz = a399 + 1 WHERE id = 'a' RETURNING ALL NEW *".into()),
            together(vec![
                format!("UPDATE \"$T\"{} WHERE id = 'a'", sets(380, 3)),
                "UPDATE \"$T\" SET n = n + 1 WHERE id = 'b'".into(),
            ]),
            together(vec!["UPDATE \"$T\" SET zz = a399 + 2 WHERE id = 'a' AND a000 = 3".into()]),
            (
                "TransactWriteItems",
                json!({"TransactItems": [
                {"Put": {"TableName": "$T", "Item": wide(400, &json!(9))}}]}),
            ),
            ("DeleteItem", json!({"TableName": "$T", "Key": key, "ReturnValues": "ALL_OLD"})),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_near_their_size_are_carried_out_and_restored() {
    let large = |id: usize, letter: &str| {
        json!({
            "id": format!("i{id}"), "text": letter.repeat(390 * 1024)
        })
    };
    let put = |id: usize| json!({"Put": {"TableName": "$T", "Item": large(id, "y")}});
    let puts: Vec<Value> = (0..10).map(put).collect();
    check(
        (0..10).map(|id| large(id, "x")).collect(),
        vec![("TransactWriteItems", json!({"TransactItems": puts}))],
    )
    .await;
}
