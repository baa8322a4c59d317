//! Calls that change tables, of unknown outcome: what the journal says of them is what the table
//! says. A restore neither stops for a deletion that did not happen, nor takes another's table for
//! the run's own.

use std::sync::Arc;

use dm_contract::plan::JournalMode;
use dm_engine::archive::{RunName, ledger};
use dm_engine::journal::JournalReader;
use dm_engine::restore::RestoreReport;
use dm_engine::{Call, Engine, Operation, Start};
use serde_json::{Value, json};

use super::proxy::{First, Proxy, Script, Then};
use super::{Bed, firsts, new_table};
use crate::bed::{database, fresh_name};
use crate::shorthand::expand;

async fn call(engine: &Arc<Engine>, operation: Operation, body: Value) -> u16 {
    let Value::Object(body) = expand(&body) else { unreachable!() };
    engine.handle(Call::new(operation, body)).await.status
}

/// A run whose first write is `operation` on `table`, whose outcome is lost; then `more` happens,
/// and the run is restored. Which tables are on record, and what came of the restore.
async fn lost(
    bed: &Bed,
    (operation, body): (Operation, Value),
    first: First,
    more: &[(Operation, Value)],
) -> (ledger::LedgerEntry, Result<RestoreReport, String>) {
    let script = Script::new(1, first, Then::Healthy);
    let proxy = Proxy::start(&bed.database.url, Arc::clone(&script)).await;
    let engine = bed.engine(&proxy.url, Start::First);
    assert!(call(&engine, operation, body).await >= 500, "{first:?}");
    for (operation, body) in more {
        assert_eq!(call(&engine, *operation, body.clone()).await, 200, "{operation:?} {first:?}");
    }
    engine.close().await;
    let run = RunName::new(&bed.plan.archive.as_ref().unwrap().migration, 1).unwrap();
    let mut readers = JournalReader::of_run(&bed.archive(), &run).await.unwrap();
    assert!(readers.remove(0).verify().await.unwrap().control > 0);
    let entry = ledger::entries(&bed.archive(), None).await.unwrap().remove(0);
    let restored = bed.restore(2, &proxy.url).run().await;
    (entry, restored.map_err(|error| error.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_unknown_outcome_is_what_its_table_says() {
    let kept = new_table().await;
    for (number, first) in firsts().enumerate() {
        let bed = Bed::new(&kept, number, Some(JournalMode::Strict)).await;
        let table = new_table().await;
        let update = json!({"TableName": kept, "Key": {"id": bed.items.id("a")},
            "UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": 1}});
        let deletion = (Operation::DeleteTable, json!({"TableName": table}));
        let more = [(Operation::UpdateItem, update)];
        let (entry, restored) = lost(&bed, deletion, first, &more).await;
        if first.carried_out {
            assert_eq!(entry.tables[&table], "", "{first:?}");
            let error = restored.unwrap_err();
            assert!(error.contains(&format!("the run deleted table {table}")), "{error}");
        } else {
            assert_ne!(entry.tables[&table], "", "{first:?}");
            let report = restored.unwrap();
            assert_eq!((report.counts.restored, report.conflicts), (1, 0), "{first:?}");
            assert!(report.not_restored[0].in_doubt, "it may still come");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_of_unknown_outcome_is_what_its_table_says() {
    let any = new_table().await;
    for (number, first) in firsts().enumerate() {
        for was_there in [false, true] {
            let table = fresh_name("lost");
            let creation = crate::suite::table("hash", &table);
            // Carried out in vain where the table was there before.
            if was_there || !first.carried_out {
                database().ok("CreateTable", &creation).await;
            }
            let bed = Bed::new(&any, number, Some(JournalMode::Strict)).await;
            let put = json!({"TableName": table, "Item": {"id": "x"}});
            let more =
                [(Operation::PutItem, put), (Operation::DeleteTable, json!({"TableName": table}))];
            let (entry, restored) =
                lost(&bed, (Operation::CreateTable, creation), first, &more).await;
            assert_eq!(entry.tables[&table], "", "{first:?}");
            if first.carried_out && !was_there {
                let report = restored.unwrap();
                assert_eq!((report.counts.items, report.conflicts), (1, 0), "{first:?}");
            } else {
                let error = restored.unwrap_err();
                assert!(error.contains(&format!("the run deleted table {table}")), "{error}");
            }
        }
    }
}
