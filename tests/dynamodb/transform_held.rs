//! A transform that is held: by a pause, and by a guard that stops in the meantime.

use std::time::Duration;

use dm_contract::plan::Mode;
use dm_contract::report::TransformEnd;
use dm_contract::transform::TRANSFORM_PATH;
use serde_json::json;

use crate::bed::{ACCESS_KEY, database, guard};
use crate::transform::{open_plan, table_of};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_when_the_guard_of_a_paused_run_stops() {
    let table = table_of((0..3_000).map(|i| json!({"id": format!("c{i}"), "n": 1}))).await;
    let (guard, endpoint) = guard(&open_plan(Mode::Apply)).await;
    let transform = json!({"table": table, "set": {"m": "n + 1"}});
    let declared = json!({"version": 1, "onItemError": "Stop", "transform": transform});
    let order = json!({"version": 1, "files": {"transform.json": declared.to_string()}});
    let (status, _) =
        endpoint.control("POST", TRANSFORM_PATH, Some(ACCESS_KEY), &order.to_string()).await;
    assert_eq!(status, 200);
    let engine = guard.engine();
    // Requests that were sent, and items that were answered for.
    let done = || {
        let result = engine.result();
        (result.write_calls_upstream, result.tables.first().map_or(0, |table| table.updated))
    };
    until(|| done().0 > 0).await;
    engine.pause();
    // Each with many items.
    until(|| engine.control().held >= 4).await;
    // What was under way when the pause began ends as it would.
    let mut known = done();
    while tokio::time::timeout(Duration::from_secs(2), until(|| done() != known)).await.is_ok() {
        known = done();
    }
    let before = database().items(&table).await;
    let result = guard.stop().await;
    let ended = result.transform.unwrap();
    assert_eq!(ended.end, TransformEnd::Interrupted, "{ended:?}");
    assert_eq!(ended.changed, result.tables[0].updated, "what was done is on record");
    assert!(ended.changed < 3_000, "it was paused in the middle");
    assert!(result.outages.is_empty(), "the database was there: {:?}", result.outages);
    assert_eq!(database().items(&table).await, before);
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
