//! Transforms over an engine: what they write, what they leave to others, how they end and go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::{Mode, Plan, Policy};
use dm_contract::report::{GuardResult, TransformEnd, TransformResult};
use dm_contract::transform::TRANSFORM_PATH;
use dm_engine::Start;
use dm_runner::{Checkpoints, Settings};
use dm_transform::{Files, OnItemError, Source, Transform};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::bed::{ACCESS_KEY, archive, database, engine, fresh_name, guard, plan};
use crate::shorthand::expand;

/// A table with these items; in shorthand.
pub(crate) async fn table_of(items: impl IntoIterator<Item = Value>) -> String {
    let table = fresh_name("transform");
    let database = database();
    database.ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let items: Vec<Value> = items.into_iter().collect();
    for some in items.chunks(25) {
        let puts: Vec<Value> = some
            .iter()
            .map(|item| json!({"PutRequest": {"Item": expand(&json!({"Item": item}))["Item"]}}))
            .collect();
        database.ok("BatchWriteItem", &json!({"RequestItems": {&table: puts}})).await;
    }
    table
}

/// A plan that shows values.
pub(crate) fn open_plan(mode: Mode) -> Plan {
    plan(mode, Policy { show_values: true, ..Policy::default() })
}

pub(crate) fn transform(source: &Value) -> Transform {
    let source: Source = serde_json::from_value(source.clone()).unwrap();
    Transform::parse(&source, &Files::default()).unwrap()
}

pub(crate) fn settings(on_item_error: OnItemError) -> Settings {
    Settings {
        on_item_error,
        show_keys: true,
        now_s: 1_800_000_000,
        checkpoints: None,
        part: None,
        batches: true,
    }
}

/// Runs a transform to its end.
pub(crate) async fn run(
    plan: &Plan,
    source: &Value,
    on: OnItemError,
) -> (TransformResult, GuardResult) {
    let engine = engine(plan, Start::First).await;
    let (_asked, stop) = watch::channel(false);
    let done = dm_runner::run(&engine, transform(source), settings(on), stop).await;
    assert!(engine.close().await);
    (done, engine.result())
}

pub(crate) async fn applied(source: &Value) -> TransformResult {
    run(&open_plan(Mode::Apply), source, OnItemError::Continue).await.0
}

/// Read, skipped, unchanged, changed, failed.
pub(crate) fn counts(result: &TransformResult) -> [u64; 5] {
    let TransformResult { read, skipped, unchanged, changed, failed, .. } = result;
    [*read, *skipped, *unchanged, *changed, *failed]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_changes_what_it_selects_and_a_second_run_changes_nothing() {
    let cars = (0..60).map(|i| json!({"id": format!("c{i}"), "n": i, "old": {"x": 1, "y": [i]}}));
    let table = table_of(cars).await;
    let before = database().items(&table).await;
    let source = json!({
        "table": table, "filter": "n >= 10", "set": {"twice": "n * 2"}, "remove": ["old.x"],
        "default": {"kind": "'car'", "n": "0"},
    });
    let (tried, report) = run(&open_plan(Mode::DryRun), &source, OnItemError::Stop).await;
    assert_eq!((tried.end, counts(&tried)), (TransformEnd::Succeeded, [60, 10, 0, 50, 0]));
    assert_eq!(report.write_calls_upstream, 0);
    assert_eq!((report.tables[0].updated, report.tables[0].created), (50, 0));
    assert_eq!(database().items(&table).await, before, "a dry run writes nothing");

    let first = applied(&source).await;
    assert_eq!((first.end, counts(&first)), (TransformEnd::Succeeded, [60, 10, 0, 50, 0]));
    let after = database().items(&table).await;
    for item in &after {
        let n: i64 = item["n"]["N"].as_str().unwrap().parse().unwrap();
        let expected = if n < 10 {
            json!({"id": format!("c{n}"), "n": n, "old": {"x": 1, "y": [n]}})
        } else {
            json!({"id": format!("c{n}"), "n": n, "old": {"y": [n]}, "twice": n * 2, "kind": "car"})
        };
        assert_eq!(*item, expand(&json!({"Item": expected}))["Item"]);
    }
    let second = applied(&source).await;
    assert_eq!(counts(&second), [60, 10, 50, 0, 0]);
    assert_eq!(database().items(&table).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_were_just_scanned_are_not_read_again() {
    let table = table_of((0..200).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let mut applying = open_plan(Mode::Apply);
    applying.archive = Some(archive("memory://"));
    for (plan, source) in [
        (open_plan(Mode::DryRun), json!({"table": table, "set": {"twice": "n * 2"}})),
        (open_plan(Mode::DryRun), json!({"table": table, "delete": true})),
        (applying.clone(), json!({"table": table, "set": {"twice": "n * 2"}})),
        (applying, json!({"table": table, "delete": true})),
    ] {
        let (done, report) = run(&plan, &source, OnItemError::Stop).await;
        assert_eq!(counts(&done), [200, 0, 0, 200, 0], "{done:?}");
        // A page of each segment, and descriptions of the table.
        assert!(report.read_calls_upstream < 20, "{source}: {report:?}");
        let journal = report.journal.map(|journal| (journal.entries, journal.read_units));
        assert!(journal.is_none_or(|journal| journal == (200, 0.0)), "{journal:?}");
    }
    assert!(database().items(&table).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_is_read_again_and_never_overwritten() {
    let table = table_of((0..200).map(|i| json!({"id": format!("c{i}"), "n": 0}))).await;
    let others = {
        let (database, table) = (database(), table.clone());
        tokio::spawn(async move {
            // Frozen as soon as the copy is there: then both must be equal.
            for _ in 0..6 {
                for i in 0..200 {
                    let body = json!({"TableName": table, "Key": {"id": {"S": format!("c{i}")}},
                        "UpdateExpression": "SET n = n + :one",
                        "ConditionExpression": "attribute_not_exists(#copy)",
                        "ExpressionAttributeNames": {"#copy": "copy"},
                        "ExpressionAttributeValues": {":one": {"N": "1"}}});
                    database.call("UpdateItem", &body).await;
                }
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let source =
        json!({"table": table, "filter": "attribute_not_exists(copy)", "set": {"copy": "n"}});
    let result = applied(&source).await;
    others.await.unwrap();
    assert_eq!((result.end, result.changed), (TransformEnd::Succeeded, 200));
    let items = database().items(&table).await;
    let stale: Vec<&Value> = items.iter().filter(|item| item["copy"] != item["n"]).collect();
    assert!(stale.is_empty(), "{stale:?}");
    let moved = items.iter().any(|item| item["n"]["N"] != "0");
    assert!(moved, "the others wrote before and while the transform ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_items_are_listed_and_the_run_stops_or_goes_on() {
    let names = ["ford torino", "subaru", "bmw 2002", "subaru"];
    let items = names.iter().enumerate();
    let table = table_of(items.map(|(i, name)| json!({"id": format!("c{i}"), "name": name}))).await;
    let source = json!({"table": table, "set": {
        "brand": "split(name, ' ', 2)[0]", "model": "split(name, ' ', 2)[1]",
    }});
    let (result, _) = run(&open_plan(Mode::DryRun), &source, OnItemError::Continue).await;
    assert_eq!(result.end, TransformEnd::PartiallyFailed);
    assert_eq!(counts(&result), [4, 0, 0, 2, 2]);
    let failed: Vec<(Option<Value>, &str)> =
        result.failures.iter().map(|f| (f.key.clone(), f.reason.as_str())).collect();
    let reason = "set.model: the element [1] of the value is missing";
    let key = |id: &str| Some(json!({"id": {"S": id}}));
    assert_eq!(failed, [(key("c1"), reason), (key("c3"), reason)]);

    let (result, _) = run(&open_plan(Mode::Apply), &source, OnItemError::Stop).await;
    assert_eq!(result.end, TransformEnd::Failed);
    assert!(result.failed >= 1 && result.message.unwrap().contains("onItemError is Stop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_move_to_keys_that_others_of_them_leave() {
    let seeds = (0..40).map(|i| json!({"id": format!("{i:03}"), "n": i}));
    let swapped = ["a", "b"].map(|id| json!({"id": id, "n": 0}));
    let table = table_of(seeds.chain(swapped)).await;
    // A chain, in which only the last one finds its new key free, and two that exchange theirs.
    let next = "substring(string(1001 + number(id)), 1, 3)";
    let source = |rekey: &str, filter: &str| {
        json!({"table": table, "filter": format!("{filter} AND attribute_not_exists(moved)"),
            "set": {"moved": "n"}, "rekey": {"id": rekey}})
    };
    let chain = source(next, "id < 'a'");
    let exchange = source("replace('ba', id, '')", "id >= 'a'");
    for mode in [Mode::DryRun, Mode::Apply] {
        let (result, _) = run(&open_plan(mode), &chain, OnItemError::Stop).await;
        assert_eq!((result.end, result.changed), (TransformEnd::Succeeded, 40), "{result:?}");
        let (result, _) = run(&open_plan(mode), &exchange, OnItemError::Continue).await;
        assert_eq!((result.end, result.failed), (TransformEnd::PartiallyFailed, 2), "{result:?}");
        assert!(result.failures[0].reason.ends_with("has another item under the new key"));
    }
    let items = database().items(&table).await;
    let moved = |item: &&Value| {
        let n: usize = item["n"]["N"].as_str().unwrap().parse().unwrap();
        item["id"]["S"] == format!("{:03}", n + 1)
    };
    assert_eq!((items.len(), items.iter().filter(moved).count()), (42, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_move_to_another_key_if_it_is_free() {
    let items = (0..30).map(|i| json!({"id": format!("c{i}"), "n": i}));
    let table = table_of(items.chain([json!({"id": "car#c7", "n": "another"})])).await;
    let source = json!({"table": table, "filter": "NOT begins_with(id, 'car#')",
        "rekey": {"id": "concat('car#', id)"}, "set": {"was": "id"}});
    let result = applied(&source).await;
    assert_eq!(result.end, TransformEnd::PartiallyFailed);
    assert_eq!((result.changed, result.failed), (29, 1));
    assert!(result.failures[0].reason.ends_with("has another item under the new key"));
    let items = database().items(&table).await;
    assert_eq!(items.len(), 31);
    let ids: BTreeSet<&str> = items.iter().map(|item| item["id"]["S"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..30).map(|i| format!("car#c{i}")).chain(["c7".into()]).collect();
    assert_eq!(ids, expected.iter().map(String::as_str).collect());
    let again = applied(&source).await;
    assert_eq!((again.changed, again.failed), (0, 1), "nothing is moved twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_copied_to_another_table_once() {
    let from = table_of((0..30).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let to = table_of([]).await;
    let source = json!({"table": from, "filter": "n > 9", "to": {"table": to}, "keepOriginal": true,
        "set": {"copied": "true"}});
    let first = applied(&source).await;
    assert_eq!((first.end, counts(&first)), (TransformEnd::Succeeded, [30, 10, 0, 20, 0]));
    assert_eq!(database().items(&from).await.len(), 30);
    let copies = database().items(&to).await;
    assert_eq!(copies.len(), 20);
    assert!(copies.iter().all(|copy| copy["copied"] == json!({"BOOL": true})));
    let second = applied(&source).await;
    assert_eq!(counts(&second), [30, 10, 20, 0, 0]);

    // An earlier run has copied them: a move then only deletes.
    let mut moving = source.clone();
    moving["keepOriginal"] = json!(false);
    assert_eq!(counts(&applied(&moving).await), [30, 10, 0, 20, 0]);
    assert_eq!(database().items(&from).await.len(), 10);
    assert_eq!(database().items(&to).await, copies);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_deleted_and_a_wrong_table_is_named() {
    let table = table_of((0..30).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let result = applied(&json!({"table": table, "filter": "n < 12", "delete": true})).await;
    assert_eq!(counts(&result), [30, 18, 0, 12, 0]);
    assert_eq!(database().items(&table).await.len(), 18);
    for (source, message) in [
        (
            json!({"table": "no-such-table", "delete": true}),
            "spec.transform.table: there is no table no-such-table".to_owned(),
        ),
        (
            json!({"table": table, "set": {"id": "1"}}),
            format!("spec.transform.set.id: id is part of the key of {table}; use rekey"),
        ),
        (
            json!({"table": table, "index": "x-y", "delete": true}),
            format!("spec.transform.index: {table} has no index x-y; it has "),
        ),
    ] {
        let result = applied(&source).await;
        assert_eq!(result.end, TransformEnd::Failed);
        let found = result.message.unwrap();
        assert!(found.starts_with(&message), "{found}");
    }
    let mut policed = open_plan(Mode::DryRun);
    policed.policy.tables = vec!["others-*".into()];
    let source = json!({"table": table, "delete": true});
    let (result, _) = run(&policed, &source, OnItemError::Stop).await;
    let message = result.message.unwrap();
    assert!(message.contains("AccessDenied"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_stopped_goes_on_from_its_checkpoint() {
    // A page holds ten of them, and each of eight segments some four pages. When two thirds are
    // written, at least the first pages are.
    let filler = "x".repeat(100_000);
    let table = table_of((0..320).map(|i| json!({"id": format!("c{i}"), "f": filler}))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut plan = open_plan(Mode::Apply);
    plan.archive = Some(archive(&format!("file://{}", folder.path().display())));
    plan.limits.writes_per_second = Some(60);
    let source = json!({"table": table, "set": {"done": "now()"}});

    let pass = async |start: Start, stop_after: Option<u64>, now_s: i64| {
        let engine = engine(&plan, start).await;
        let (asked, stop) = watch::channel(false);
        let settings = Settings {
            now_s,
            checkpoints: Checkpoints::of(&plan, engine.archive().unwrap()),
            ..settings(OnItemError::Stop)
        };
        if let Some(changed) = stop_after {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                while engine.result().write_calls_upstream < changed {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                asked.send_replace(true);
                asked.closed().await;
            });
        }
        let result = dm_runner::run(&engine, transform(&source), settings, stop).await;
        assert!(engine.close().await);
        (result, engine.result().items_read)
    };
    let (first, _) = pass(Start::First, Some(210), 7).await;
    assert_eq!(first.end, TransformEnd::Interrupted, "{first:?}");
    assert!(first.changed > 0 && first.changed < 320, "{first:?}");
    let migration = &plan.archive.as_ref().unwrap().migration;
    let checkpoint = folder.path().join(format!("runs/{migration}/000001/checkpoint.json"));
    let kept: Value = serde_json::from_slice(&std::fs::read(checkpoint).unwrap()).unwrap();
    assert!(kept["counts"]["changed"].as_u64().unwrap() > 0, "some pages are done: {kept}");
    let (second, items_read) = pass(Start::Again, None, 8).await;
    assert_eq!(second.end, TransformEnd::Succeeded, "{second:?}");
    assert_eq!(counts(&second), [320, 0, 0, 320, 0], "of both guards");
    assert_eq!(items_read, 320, "the pages that were done are not read again");
    let items = database().items(&table).await;
    assert!(items.iter().all(|item| item["done"] == json!({"N": "7"})), "now() is the run's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_carries_out_what_its_pods_entry_program_orders() {
    let table = table_of((0..9).map(|i| json!({"id": format!("c{i}"), "origin": "USA"}))).await;
    let (guard, endpoint) = guard(&open_plan(Mode::Apply)).await;
    let ask = async |method: &str, key: Option<&str>, body: &Value| {
        endpoint.control(method, TRANSFORM_PATH, key, &body.to_string()).await
    };
    let order = |expression: &str| {
        let transform =
            json!({"table": table, "filter": "origin <> 'US'", "set": {"origin": expression}});
        let declared = json!({"version": 1, "onItemError": "Stop", "transform": transform});
        json!({"version": 1, "files": {
            "transform.json": declared.to_string(), "codes.csv": "origin,code\nUSA,US\n",
        }})
    };
    let right = order("lookup('codes.csv', origin, 'code')");
    assert_eq!(ask("POST", None, &right).await.0, 401, "only its own pod orders");
    assert_eq!(ask("GET", Some(ACCESS_KEY), &Value::Null).await.0, 404, "none was begun");
    let (status, _) =
        ask("POST", Some(ACCESS_KEY), &order("lookup('x.csv', origin, 'code')")).await;
    assert_eq!(status, 400);
    assert_eq!(ask("POST", Some(ACCESS_KEY), &right).await.0, 200);
    let state = loop {
        let (status, state) = ask("GET", Some(ACCESS_KEY), &Value::Null).await;
        assert_eq!(status, 200);
        if state["exitCode"].is_number() {
            break state;
        }
    };
    assert_eq!(state["exitCode"], 0);
    let said = "9 items read, 9 changed, 0 already correct, 0 not selected, 0 failed";
    assert_eq!(state["lines"], json!([said]));
    let result = guard.stop().await;
    assert_eq!(result.transform.unwrap().changed, 9);
    let items = database().items(&table).await;
    assert!(items.iter().all(|item| item["origin"]["S"] == "US"), "{items:?}");
}
