//! What cases cannot say of PartiQL: tokens and keys of pages, what the report tells, what the
//! journal holds.

use dm_contract::plan::{Mode, Policy};
use dm_contract::report::Fidelity;
use dm_guard::Guard;
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, database};
use crate::suite::table;

async fn seeded(kind: &str) -> String {
    let name = bed::fresh_name("partiql");
    database().ok("CreateTable", &table(kind, &name)).await;
    for pos in 0..4 {
        let item = json!({"id": {"S": "a"}, "pos": {"N": pos.to_string()}, "n": {"N": "1"}});
        database().ok("PutItem", &json!({"TableName": name, "Item": item})).await;
    }
    name
}

/// A guard of an apply with a journal.
async fn journaled() -> (Guard, Endpoint) {
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.archive = Some(bed::archive("memory://"));
    bed::guard(&plan).await
}

async fn sql(endpoint: &Endpoint, text: &str, more: Value) -> Value {
    let mut request = more;
    request["Statement"] = text.into();
    endpoint.call("ExecuteStatement", &request).await.1
}

#[tokio::test]
async fn a_token_goes_on_only_in_its_own_statement() {
    let name = seeded("range").await;
    let (guard, dry) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let text = format!("SELECT pos FROM \"{name}\" WHERE id = 'a' ORDER BY pos DESC");
    let first = sql(&dry, &text, json!({"Limit": 2})).await;
    assert_eq!(first["LastEvaluatedKey"], json!({"id": {"S": "a"}, "pos": {"N": "2"}}));
    let token = &first["NextToken"];
    // The limit may change, the statement may not.
    let rest = sql(&dry, &text, json!({"Limit": 9, "NextToken": token})).await;
    assert_eq!(rest["Items"], json!([{"pos": {"N": "1"}}, {"pos": {"N": "0"}}]));
    assert_eq!((rest.get("NextToken"), rest.get("LastEvaluatedKey")), (None, None));
    let other = sql(&dry, &text.replace("DESC", "ASC"), json!({"NextToken": token})).await;
    assert_eq!(other["message"], "NextToken does not match request");
    guard.stop().await;
}

#[tokio::test]
async fn statements_are_in_the_report_like_other_writes() {
    let name = seeded("range").await;
    let (guard, dry) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let update = format!("UPDATE \"{name}\" SET price = 5 WHERE id = 'a' AND pos = 1");
    sql(&dry, &update, json!({})).await;
    let delete = format!("DELETE FROM \"{name}\" WHERE id = 'a' AND pos = 2");
    let insert = format!("INSERT INTO \"{name}\" VALUE {{'id': 'b', 'pos': 1}}");
    let both = json!({"TransactStatements": [{"Statement": delete}, {"Statement": insert}]});
    dry.ok("ExecuteTransaction", &both).await;
    let all = sql(&dry, &format!("SELECT * FROM \"{name}\""), json!({})).await;
    assert_eq!(all["Items"].as_array().unwrap().len(), 4);
    let result = guard.stop().await;
    let effect = result.tables.iter().find(|table| table.name == name).unwrap();
    assert_eq!((effect.created, effect.updated, effect.deleted), (1, 1, 1));
    assert_eq!(effect.attributes.len(), 1);
    assert_eq!((effect.items_read, result.write_calls_upstream), (4, 0));
    assert!(result.remarks.is_empty(), "{:?}", result.remarks);
    assert_eq!(database().items(&name).await.len(), 4);
}

#[tokio::test]
async fn a_statement_that_is_not_understood_becomes_a_remark() {
    let (guard, dry) = bed::guard(&bed::plan(Mode::DryRun, Policy::default())).await;
    let answer = sql(&dry, "MERGE INTO cars", json!({})).await;
    assert!(answer["__type"].as_str().unwrap().ends_with("ValidationException"));
    let remarks = guard.stop().await.remarks;
    assert_eq!((remarks[0].fidelity, remarks[0].count), (Fidelity::Approximate, 1));
}

#[tokio::test]
async fn with_a_journal_a_select_that_is_not_understood_is_the_databases_to_answer() {
    let name = seeded("range").await;
    let (guard, journaled) = journaled().await;
    let select = format!("SELECT pos FROM (\"{name}\") WHERE id = 'a' AND n = -(-1)");
    let answer = sql(&journaled, &select, json!({})).await;
    assert_eq!(answer, sql(&database(), &select, json!({})).await);
    assert_eq!(answer["Items"].as_array().map(Vec::len), Some(4), "{answer}");
    let of_one = |pos| format!("SELECT pos FROM (\"{name}\") WHERE id = 'a' AND pos = {pos}");
    let both = json!({"Statements": [{"Statement": of_one(0)}, {"Statement": of_one(1)}]});
    let answer = journaled.ok("BatchExecuteStatement", &both).await;
    assert_eq!(answer, database().ok("BatchExecuteStatement", &both).await);
    assert_eq!(answer["Responses"][1]["Item"], json!({"pos": {"N": "1"}}), "{answer}");
    let update = format!("UPDATE \"{name}\" SET m['x'] = 1 WHERE id = 'a' AND pos = 2");
    // One that may write is answered as wrong, and the report says so.
    for text in [update, format!("-- {name}\nSELECT * FROM (\"{name}\")"), format!("{select};")] {
        let answer = sql(&journaled, &text, json!({})).await;
        let kind = answer["__type"].as_str().unwrap_or_default();
        assert!(kind.ends_with("ValidationException"), "{text}: {answer}");
    }
    let remarks = guard.stop().await.remarks;
    assert_eq!((remarks[0].fidelity, remarks[0].count), (Fidelity::Approximate, 3), "{remarks:?}");
}

#[tokio::test]
async fn a_transaction_of_statements_has_an_entry_for_each_item_that_it_changes() {
    let name = seeded("range").await;
    let (guard, journaled) = journaled().await;
    let statements = |exists: u32| {
        let texts = [
            format!("EXISTS(SELECT * FROM \"{name}\" WHERE id = 'a' AND pos = 0 AND n = {exists})"),
            format!("UPDATE \"{name}\" SET n = n + 1 WHERE id = 'a' AND pos = 1"),
            format!("DELETE FROM \"{name}\" WHERE id = 'a' AND pos = 2"),
            format!("INSERT INTO \"{name}\" VALUE {{'id': 'b', 'pos': 1}}"),
        ];
        let listed: Vec<Value> = texts.iter().map(|text| json!({"Statement": text})).collect();
        json!({"ClientRequestToken": format!("token-{exists}"), "TransactStatements": listed})
    };
    let (status, refused) = journaled.call("ExecuteTransaction", &statements(5)).await;
    assert_eq!(
        (status, &refused["CancellationReasons"][0]["Code"]),
        (400, &json!("ConditionalCheckFailed"))
    );
    for _ in 0..2 {
        let answer = journaled.ok("ExecuteTransaction", &statements(1)).await;
        assert_eq!(answer, json!({"Responses": []}));
    }
    let journal = guard.stop().await.journal.unwrap();
    assert_eq!(journal.entries, 3);
    let items = database().items(&name).await;
    let values: Vec<String> =
        items.iter().map(|item| format!("{}{}", item["pos"]["N"], item["n"]["N"])).collect();
    assert_eq!(values, [r#""0""1""#, r#""3""1""#, r#""1""2""#, r#""1"null"#]);
}
