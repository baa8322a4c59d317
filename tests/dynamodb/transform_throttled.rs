//! A transform whose database throttles: what it writes, journals and counts.

use std::sync::Arc;

use dm_contract::plan::{Mode, RateLimits};
use dm_contract::report::{TransformEnd, TransformResult};
use dm_engine::{Engine, Start};
use dm_transform::OnItemError;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::bed::{archive, database, engine};
use crate::faults::{Trouble, troubled_proxy};
use crate::transform::{counts, open_plan, settings, table_of, transform};

const ITEMS: u64 = 400;

/// Runs a transform of a journaled table behind a proxy; its result, and the engine.
async fn through(trouble: fn(u64) -> Trouble) -> (TransformResult, Arc<Engine>, Vec<Value>) {
    let table = table_of((0..ITEMS).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut plan = open_plan(Mode::Apply);
    plan.archive = Some(archive(&format!("file://{}", folder.path().display())));
    plan.upstream.endpoint = Some(troubled_proxy(&database().url, trouble).await);
    let engine = engine(&plan, Start::First).await;
    let (_asked, stop) = watch::channel(false);
    let source = transform(&json!({"table": table, "set": {"m": "n + 1"}}));
    let result = dm_runner::run(&engine, source, settings(OnItemError::Stop), stop).await;
    assert!(engine.close().await);
    (result, engine, database().items(&table).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_write_is_repeated_with_the_entry_that_it_has() {
    let (_, plain, items) = through(|_| Trouble::None).await;
    let throttles = |number| if number % 20 == 19 { Trouble::Throttled } else { Trouble::None };
    let (result, engine, others) = through(throttles).await;
    assert_eq!(result.end, TransformEnd::Succeeded, "{result:?}");
    assert_eq!(counts(&result), [ITEMS, 0, 0, ITEMS, 0]);
    assert_eq!(items, others);
    let (journal, plain) = (engine.result().journal.unwrap(), plain.result().journal.unwrap());
    assert_eq!(journal.entries, plain.entries);
    let control = engine.control();
    assert!(control.throttled >= ITEMS / 20, "{control:?}");
    // Each lane adapts; the rate of all writes is not lowered.
    let RateLimits { writes_per_second, .. } = control.lowered.unwrap_or_default();
    assert_eq!(writes_per_second, None);
}
