//! What the journal costs in read units, measured against the rule of docs/reference/archive.md:
//! for each write of an item that the program did not just read, one per 4 KB of the item as it
//! was, at least one; half of that in `Cheap`; none where the program has just read it.

use std::sync::Arc;

use dm_contract::plan::{JournalMode, Mode, Policy};
use dm_engine::archive::Archive;
use dm_engine::{Call, Engine, Operation};
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, database, fresh_name};

/// Writes of each measurement.
const WRITES: u32 = 20;

/// What a read of an item costs a unit for.
const UNIT_BYTES: usize = 4 * 1024;

/// Read units a write, for items of this many bytes of text, and whether the program reads them
/// first.
async fn measured(mode: JournalMode, bytes: usize, reads_first: bool) -> f64 {
    let table = fresh_name("units");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    for i in 0..WRITES {
        let item = json!({"id": {"S": format!("i{i:02}")}, "text": {"S": "x".repeat(bytes)}});
        database().ok("PutItem", &json!({"TableName": table, "Item": item})).await;
    }
    let mut plan = bed::plan(Mode::Apply, Policy { journal: mode, ..Policy::default() });
    plan.archive = Some(bed::archive("memory://"));
    let archive = Some(Archive::over(Arc::new(InMemory::new())));
    let engine = Engine::open(&plan, bed::options(archive));
    let engine = Arc::new(engine.unwrap());
    let call = async |operation: &str, body: Value| {
        let Value::Object(body) = body else { unreachable!() };
        let operation = Operation::named(operation).unwrap();
        let answer = engine.handle(Call::new(operation, body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    if reads_first {
        call("Scan", json!({"TableName": table})).await;
    }
    for i in 0..WRITES {
        let update = json!({"TableName": table, "Key": {"id": {"S": format!("i{i:02}")}},
            "UpdateExpression": "SET price = :p", "ExpressionAttributeValues": {":p": {"N": "1"}}});
        call("UpdateItem", update).await;
    }
    assert!(engine.close().await);
    let journal = engine.result().journal.unwrap();
    database().ok("DeleteTable", &json!({"TableName": table})).await;
    journal.read_units / f64::from(WRITES)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_costs_the_read_units_that_the_rule_says() {
    println!("bytes of text   Strict   Cheap   Strict, just read");
    for bytes in [100, 3_000, 5_000, 9_000] {
        let strict = measured(JournalMode::Strict, bytes, false).await;
        let cheap = measured(JournalMode::Cheap, bytes, false).await;
        let known = measured(JournalMode::Strict, bytes, true).await;
        println!("{bytes:>13}   {strict:>6.2}   {cheap:>5.2}   {known:>17.2}");
        let rule = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap();
        assert!((strict - f64::from(rule)).abs() < 0.01, "{bytes}: {strict} and not {rule}");
        assert!((cheap - f64::from(rule) / 2.0).abs() < 0.01, "{bytes}: {cheap}, half of {rule}");
        // The first page's images may not be on their way yet when the first writes come.
        assert!(known <= strict / 2.0, "{bytes}: {known} although it was read");
    }
}
