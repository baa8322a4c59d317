//! What the journal costs in time: the same updates sent to the database, through an engine without
//! a journal and with one, over a store whose puts take 20 ms; then their restore. Not a test but a
//! measurement, run by name: `cargo test … journal_speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dm_contract::plan::{Mode, Policy};
use dm_engine::archive::Archive;
use dm_engine::restore::Restore;
use dm_engine::{Call, Engine, Operation};
use futures::StreamExt as _;
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, database, fresh_name};
use crate::faults::{FaultyStore, Fuse};
use crate::shorthand::expand;

/// What one put into the archive takes.
const PUT_TAKES: Duration = Duration::from_millis(20);

enum Way {
    Direct(Endpoint),
    Through(Arc<Engine>),
}

/// Updates items, this many at once; updates a second.
async fn updates(way: &Way, table: &str, items: usize, at_once: usize, price: usize) -> f64 {
    let begun = Instant::now();
    let work = (0..items).map(|i| async move {
        let body = expand(&json!({"TableName": table, "Key": {"id": format!("i{i}")},
            "UpdateExpression": "SET price = :p", "ExpressionAttributeValues": {":p": price}}));
        let status = match way {
            Way::Direct(database) => database.call("UpdateItem", &body).await.0,
            Way::Through(engine) => {
                let Value::Object(body) = body else { unreachable!() };
                let operation = Operation::UpdateItem;
                engine.handle(Call::new(operation, body)).await.status
            }
        };
        assert_eq!(status, 200);
    });
    futures::stream::iter(work).buffer_unordered(at_once).collect::<Vec<()>>().await;
    let count = u32::try_from(items).unwrap();
    f64::from(count) / begun.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn updates_direct_without_and_with_a_journal() {
    let table = fresh_name("speed");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let store = Arc::new(InMemory::new());
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    let unjournaled = Engine::open(&plan, bed::options(None)).unwrap();
    plan.archive = Some(bed::archive("memory://"));
    let slow = FaultyStore::new(Arc::clone(&store), Fuse::new(None), PUT_TAKES);
    let archive = Some(Archive::over(Arc::new(slow)));
    let journaled = Engine::open(&plan, bed::options(archive)).unwrap();
    let journaled = Arc::new(journaled);
    let ways = [
        ("direct", Way::Direct(database())),
        ("engine without journal", Way::Through(Arc::new(unjournaled))),
        ("engine with journal", Way::Through(Arc::clone(&journaled))),
    ];
    updates(&ways[0].1, &table, 3000, 32, 0).await;
    for (at_once, items) in [(1, 300), (32, 3000)] {
        for (at, (name, way)) in ways.iter().enumerate() {
            let rate = updates(way, &table, items, at_once, 10 * at_once + at).await;
            println!("{at_once:>2} at once, {name}: {rate:.0} updates a second");
        }
    }
    assert!(journaled.close().await);
    let journal = journaled.result().journal.unwrap();
    println!("{journal:?}");
    plan.run.number = 2;
    let archive = Archive::over(store);
    let begun = Instant::now();
    let restore = Restore::open(&plan, bed::restore_options(archive)).unwrap();
    let report = restore.run().await.unwrap();
    println!(
        "restored {} of {} keys in {:?}",
        report.counts.restored,
        report.counts.items,
        begun.elapsed()
    );
}
