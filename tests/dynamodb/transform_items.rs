//! Items that trip a migration: what is missing, null, empty or at a limit, and writers in between.

use std::time::Duration;

use dm_contract::plan::Mode;
use dm_contract::report::{TransformEnd, TransformResult};
use dm_transform::OnItemError;
use serde_json::{Value, json};

use crate::bed::{database, fresh_name};
use crate::shorthand::expand;
use crate::transform::{applied, counts, open_plan, run, table_of};

/// The reasons of failed items by their ids.
fn reasons(result: &TransformResult) -> Vec<(&str, &str)> {
    result
        .failures
        .iter()
        .map(|failed| {
            (failed.key.as_ref().unwrap()["id"]["S"].as_str().unwrap(), failed.reason.as_str())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_null_and_empty_values_are_told_apart() {
    let table = table_of([
        json!({"id": "absent"}),
        json!({"id": "null", "v": null}),
        json!({"id": "empty", "v": ""}),
        json!({"id": "text", "v": "x"}),
        json!({"id": "number", "v": 1}),
    ])
    .await;
    let source = json!({"table": table, "default": {"v": "'new'"}});
    assert_eq!(counts(&applied(&source).await), [5, 0, 4, 1, 0], "only absent has no v");
    let source = json!({"table": table, "filter": "v = null OR v = ''", "set": {"v": "'none'"}});
    assert_eq!(counts(&applied(&source).await), [5, 3, 0, 2, 0]);
    let source = json!({"table": table, "set": {"w": "upper(v)"}});
    let result = applied(&source).await;
    assert_eq!(result.end, TransformEnd::PartiallyFailed);
    assert_eq!(reasons(&result), [("number", "set.w: upper needs a string, not a number (v)")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_compared_by_value_and_the_filter_may_name_the_key() {
    let table = table_of([]).await;
    for (id, text) in [("a", "1"), ("b", "1.0"), ("c", "1e0"), ("d", "2")] {
        let item = json!({"id": {"S": id}, "n": {"N": text}, "m": {"M": {"n": {"N": text}}}});
        database().ok("PutItem", &json!({"TableName": table, "Item": item})).await;
    }
    let before = database().items(&table).await;
    let source = json!({"table": table, "filter": "n = 1.00", "set": {"n": "0.5 + 0.5"}});
    assert_eq!(counts(&applied(&source).await), [4, 1, 3, 0, 0], "1.0 is 1");
    let source = json!({"table": table, "set": {"m.n": "round_to(n, 1)"}});
    assert_eq!(counts(&applied(&source).await), [4, 0, 4, 0, 0], "inside a map as well");
    assert_eq!(database().items(&table).await, before, "nothing was written");
    let source = json!({"table": table, "filter": "id BETWEEN 'b' AND 'c'", "remove": ["m"]});
    assert_eq!(counts(&applied(&source).await), [4, 2, 0, 2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_would_not_fit_fails_and_the_others_change() {
    // 400 KB are 409,600 bytes: names and values. id, f and their names have 9 bytes beside the
    // filler.
    let full = json!({"id": "full", "f": "x".repeat(409_591)});
    let almost = json!({"id": "room", "f": "x".repeat(409_580)});
    let table = table_of([full, almost, json!({"id": "tiny", "f": "x"})]).await;
    let source = json!({"table": table, "set": {"done": "true"}});
    let (tried, _) = run(&open_plan(Mode::DryRun), &source, OnItemError::Continue).await;
    let result = applied(&source).await;
    assert_eq!(tried.failures, result.failures, "the dry run says the same");
    assert_eq!(counts(&result), [3, 0, 0, 2, 1]);
    let reason = "transform: Item size has exceeded the maximum allowed size";
    assert_eq!(reasons(&result), [("full", reason)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_the_wrong_type_for_an_index_fails_its_item() {
    let table = fresh_name("transform-index");
    let database = database();
    database.ok("CreateTable", &crate::suite::table("indexed", &table)).await;
    for (pos, group) in [(1, json!("x")), (2, json!(7)), (3, json!(""))] {
        let item = expand(&json!({"Item": {"id": "a", "pos": pos, "team": group}}));
        database.ok("PutItem", &json!({"TableName": table, "Item": item["Item"]})).await;
    }
    let source = json!({"table": table, "set": {"g": "team"}});
    let (result, report) = run(&open_plan(Mode::Apply), &source, OnItemError::Continue).await;
    assert_eq!(report.errors, [], "the items' failures say it");
    assert_eq!(counts(&result), [3, 0, 0, 1, 2]);
    for failed in &result.failures {
        assert!(failed.reason.starts_with("transform: One or more parameter values"), "{failed:?}");
        assert!(failed.reason.contains("by-g"), "the index is named: {failed:?}");
    }
    let sparse = json!({"table": table, "filter": "attribute_exists(g)", "remove": ["g"]});
    assert_eq!(counts(&applied(&sparse).await), [3, 2, 0, 1, 0], "an item leaves the index");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_expire_during_the_run_are_not_created_again() {
    let table = table_of((0..200).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let expiring = {
        let table = table.clone();
        tokio::spawn(async move {
            for i in (0..200).rev().step_by(2) {
                let key = json!({"TableName": table, "Key": {"id": {"S": format!("c{i}")}}});
                database().ok("DeleteItem", &key).await;
            }
        })
    };
    let mut plan = open_plan(Mode::Apply);
    plan.limits.writes_per_second = Some(100);
    let source = json!({"table": table, "set": {"twice": "n * 2"}});
    let (result, _) = run(&plan, &source, OnItemError::Stop).await;
    expiring.await.unwrap();
    // One that was written may have expired later.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((result.end, result.failed), (TransformEnd::Succeeded, 0), "{:?}", counts(&result));
    assert!(result.skipped > 0, "some expired between scan and write: {:?}", counts(&result));
    let items: Vec<Value> = database().items(&table).await;
    assert_eq!(items.len(), 100);
    assert!(items.iter().all(|item| item["twice"]["N"].is_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_lists_are_changed_and_moved_whole() {
    // Long enough that a request holds the list as text, and not as JSON values.
    let list = |first: u32| (0..500).map(move |i| json!({"a": if i == 0 { first } else { i }}));
    let items = ["a", "b"].map(|id| json!({"id": id, "l": list(0).collect::<Vec<_>>()}));
    for (action, id) in [("set", "a"), ("rekey", "new")] {
        let table = table_of(items.clone()).await;
        let source = match action {
            "set" => json!({"table": table, "filter": "id = 'a'", "set": {"l[0].a": "7"}}),
            _ => json!({"table": table, "filter": "id = 'a'", "set": {"l[0].a": "7"},
                "rekey": {"id": "'new'"}}),
        };
        let (tried, _) = run(&open_plan(Mode::DryRun), &source, OnItemError::Stop).await;
        assert_eq!(counts(&tried), [2, 1, 0, 1, 0], "{action}: {tried:?}");
        let done = applied(&source).await;
        assert_eq!(counts(&done), [2, 1, 0, 1, 0], "{action}: {done:?}");
        let changed = json!({"id": id, "l": list(7).collect::<Vec<_>>()});
        let mut expected: Vec<Value> =
            [&changed, &items[1]].map(|item| expand(&json!({"Item": item}))["Item"].clone()).into();
        let mut found = database().items(&table).await;
        for all in [&mut expected, &mut found] {
            all.sort_by_key(|item| item["id"].to_string());
        }
        assert_eq!(found, expected, "{action}");
    }
}
