//! What a program learns of a transaction that is canceled: the same with a journal as in a dry
//! run, in DynamoDB's words. Where a local database says something else is listed in
//! tests/README.md.

use dm_contract::plan::{Mode, Policy};
use dm_contract::report::GuardResult;
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, database, fresh_name};
use crate::shorthand::expand;

/// A table, and an applied run with a journal and a dry run over it.
struct Bed {
    table: String,
    ways: Vec<(dm_guard::Guard, Endpoint)>,
}

impl Bed {
    async fn new() -> Self {
        let table = fresh_name("reasons");
        database().ok("CreateTable", &crate::suite::table("indexed", &table)).await;
        let item = json!({"id": "a", "pos": 1, "qty": "seven", "n": 1, "map": {"x": 1}});
        let put = json!({"TableName": table, "Item": item});
        database().ok("PutItem", &expand(&put)).await;
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        plan.archive = Some(bed::archive("memory://"));
        let dry = bed::plan(Mode::DryRun, Policy::default());
        Self { table, ways: vec![bed::guard(&plan).await, bed::guard(&dry).await] }
    }

    /// What is answered to actions, in both ways the same.
    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    async fn told(&self, actions: Value) -> Value {
        let text = json!({"TransactItems": actions}).to_string().replace("$T", &self.table);
        let body = expand(&serde_json::from_str(&text).unwrap());
        let mut told = Vec::new();
        for (_, endpoint) in &self.ways {
            let (status, answer) = endpoint.call("TransactWriteItems", &body).await;
            assert_eq!(status, 400, "{answer}");
            told.push(answer);
        }
        assert_eq!(told[0], told[1], "with a journal, and in a dry run");
        told.swap_remove(0)
    }

    /// That actions are canceled for these reasons, each a code and what its message contains.
    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    async fn check(&self, actions: Value, expected: &[(&str, &str)]) {
        let answer = self.told(actions).await;
        let name = answer["__type"].as_str().unwrap();
        assert!(name.ends_with("#TransactionCanceledException"), "{answer}");
        let reasons = answer["CancellationReasons"].as_array().unwrap();
        assert_eq!(reasons.len(), expected.len(), "{answer}");
        for (reason, (code, text)) in reasons.iter().zip(expected) {
            let message = reason["Message"].as_str().unwrap_or_default();
            assert!(reason["Code"] == *code && message.contains(text), "{code} {text}: {answer}");
        }
    }
}

/// An Update of the one item.
fn update(text: &str, values: &Value) -> Value {
    let mut update =
        json!({"TableName": "$T", "Key": {"id": "a", "pos": 1}, "UpdateExpression": text});
    if !values.is_null() {
        update["ExpressionAttributeValues"] = values.clone();
    }
    json!({"Update": update})
}

#[allow(clippy::needless_pass_by_value)] // reads better with json! literals
fn put(item: Value) -> Value {
    json!({"Put": {"TableName": "$T", "Item": item}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_cannot_be_evaluated_is_a_validation_error() {
    let bed = Bed::new().await;
    let (one, list) = (json!({":v": 1}), json!({":v": [1]}));
    let wrong_type = "An operand in the update expression has an incorrect data type";
    let missing = "The provided expression refers to an attribute that does not exist in the item";
    let path = "The document path provided in the update expression is invalid for update";
    for (text, values, expected) in [
        ("SET grand = qty + :v", &one, wrong_type),
        ("SET grand = nothing + :v", &one, missing),
        ("SET grand = nothing", &Value::Null, missing),
        ("SET tags = list_append(tags, :v)", &list, missing),
        ("SET tags = list_append(qty, :v)", &list, wrong_type),
        ("SET nothing.x = :v", &one, path),
        ("SET qty.x = :v", &one, path),
        ("REMOVE qty[0]", &Value::Null, path),
        ("ADD qty :v", &one, wrong_type),
        ("SET r = qty", &Value::Null, "update the secondary index key to unsupported type"),
    ] {
        let actions = json!([put(json!({"id": "b", "pos": 1})), update(text, values)]);
        bed.check(actions, &[("None", ""), ("ValidationError", expected)]).await;
    }
    let large = json!({":v": "x".repeat(400 * 1024)});
    let size = "Item size to update has exceeded the maximum allowed size";
    bed.check(json!([update("SET payload = :v", &large)]), &[("ValidationError", size)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_that_fails_has_its_own_reason() {
    let bed = Bed::new().await;
    let check = |id: &str| {
        json!({"ConditionCheck": {"TableName": "$T", "Key": {"id": id, "pos": 1},
            "ConditionExpression": "attribute_not_exists(id)"}})
    };
    let mut shown = json!({"TableName": "$T", "Key": {"id": "b", "pos": 1}});
    shown["ConditionExpression"] = "attribute_exists(id)".into();
    shown["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
    let actions = json!([check("c"), {"Delete": shown}, update("ADD qty :v", &json!({":v": 1}))]);
    let failed = ("ConditionalCheckFailed", "The conditional request failed");
    bed.check(actions, &[("None", ""), failed, ("ValidationError", "incorrect data type")]).await;
    bed.check(json!([check("a"), put(json!({"id": "d", "pos": 1}))]), &[failed, ("None", "")])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_cancels_and_an_empty_one_is_refused() {
    let bed = Bed::new().await;
    let of_key = |key: Value| json!([{"Delete": {"TableName": "$T", "Key": key}}]);
    let no_match = "The provided key element does not match the schema";
    let of_item = "Type mismatch for key id expected: S actual: N";
    for (actions, expected) in [
        (of_key(json!({"id": 1, "pos": 1})), no_match),
        (of_key(json!({"id": "a"})), no_match),
        (json!([put(json!({"id": 1, "pos": 1}))]), of_item),
        (json!([put(json!({"id": "a"}))]), "Missing the key pos in the item"),
        (json!([put(json!({"id": "a", "pos": 2, "g": 1}))]), "Type mismatch for Index Key g"),
    ] {
        bed.check(actions, &[("ValidationError", expected)]).await;
    }
    for actions in [
        of_key(json!({"id": "", "pos": 1})),
        json!([put(json!({"id": "", "pos": 1}))]),
        json!([put(json!({"id": "a", "pos": 2, "g": ""}))]),
        json!([put(json!({"id": "a", "pos": 2, "large": "x".repeat(400 * 1024)}))]),
        json!([update("SET n = :", &Value::Null)]),
    ] {
        let answer = bed.told(actions).await;
        assert!(answer["__type"].as_str().unwrap().ends_with("#ValidationException"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_not_understood_never_reaches_the_database() {
    let bed = Bed::new().await;
    let wrong = json!({"Statement": format!("UPDTE \"{}\" SET n = 2 WHERE id = 'a'", bed.table)});
    let select = format!("SELECT n FROM \"{}\" WHERE id = 'a' AND pos = 1", bed.table);
    let reads = json!({"Statement": select});
    for (statements, codes) in [
        (json!([wrong]), vec!["ValidationError"]),
        (json!([reads, wrong]), vec!["", "ValidationError"]),
        (json!([wrong, reads]), vec!["ValidationError", ""]),
    ] {
        let mut told = Vec::new();
        for (guard, endpoint) in &bed.ways {
            let before = guard.result();
            let body = json!({"Statements": statements});
            let (status, answer) = endpoint.call("BatchExecuteStatement", &body).await;
            assert_eq!(status, 200, "{answer}");
            let found: Vec<&str> = answer["Responses"]
                .as_array()
                .unwrap()
                .iter()
                .map(|response| response["Error"]["Code"].as_str().unwrap_or_default())
                .collect();
            assert_eq!(found, codes, "{answer}");
            if codes.len() == 1 {
                let calls = |of: &GuardResult| of.read_calls_upstream + of.write_calls_upstream;
                assert_eq!(calls(&guard.result()), calls(&before), "nothing of it was sent");
            }
            told.push(answer);
        }
        assert_eq!(told[0], told[1], "with a journal, and in a dry run");
    }
}
