//! Entries ahead of their writes: a program that reads a table and then changes its items waits for
//! few puts, whoever else writes in between; and the modes of the journal, each with what it costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dm_contract::plan::{JournalMode, Mode, Plan, Policy};
use dm_contract::report::{GuardResult, JournalResult};
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::{JournalReader, JournalSummary};
use dm_engine::restore::{Restore, RestoreReport};
use dm_engine::{Call, Engine, Operation};
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, database, fresh_name};
use crate::faults::{FaultyStore, Fuse};
use crate::shorthand::expand;

/// What a put takes: long beside a write.
const PUT_TAKES: Duration = Duration::from_millis(40);

const ITEMS: usize = 200;

struct Bed {
    table: String,
    store: Arc<InMemory>,
    plan: Plan,
    engine: Arc<Engine>,
    seeds: Vec<Value>,
}

impl Bed {
    async fn new(mode: JournalMode) -> Self {
        let (table, database) = (fresh_name("ahead"), database());
        database.ok("CreateTable", &crate::suite::table("hash", &table)).await;
        for i in 0..ITEMS {
            let item = json!({"id": format!("i{i:03}"), "n": i, "color": "red", "old": [1, true]});
            database.ok("PutItem", &expand(&json!({"TableName": table, "Item": item}))).await;
        }
        let policy = Policy { journal: mode, ..Policy::default() };
        let mut plan = bed::plan(Mode::Apply, policy);
        plan.archive = Some(bed::archive("memory://"));
        let store = Arc::new(InMemory::new());
        let slow = FaultyStore::new(Arc::clone(&store), Fuse::new(None), PUT_TAKES);
        let archive = Some(Archive::over(Arc::new(slow)));
        let engine = Engine::open(&plan, bed::options(archive));
        let seeds = database.items(&table).await;
        Self { table, store, plan, engine: Arc::new(engine.unwrap()), seeds }
    }

    async fn call(&self, operation: &str, mut body: Value) -> Value {
        if !["BatchWriteItem", "TransactWriteItems"].contains(&operation) {
            body["TableName"] = self.table.as_str().into();
        }
        let Value::Object(body) = body else { unreachable!() };
        let operation = Operation::named(operation).unwrap();
        let answer = self.engine.handle(Call::new(operation, body)).await;
        assert_eq!(answer.status, 200, "{operation:?}: {answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The items as a program reads them, page by page.
    async fn scan(&self) -> Vec<Value> {
        let (mut items, mut start) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({"Limit": 50});
            if !start.is_null() {
                body["ExclusiveStartKey"] = start;
            }
            let mut page = self.call("Scan", body).await;
            items.extend(page["Items"].as_array().unwrap().iter().cloned());
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                return items;
            }
        }
    }

    /// Gives an item a price.
    async fn price(&self, item: &Value, price: usize) {
        let body = json!({"Key": {"id": item["id"]}, "UpdateExpression": "SET price = :p",
            "ExpressionAttributeValues": {":p": {"N": price.to_string()}}});
        self.call("UpdateItem", body).await;
    }

    async fn close(&self) -> (GuardResult, JournalResult) {
        assert!(self.engine.close().await);
        let result = self.engine.result();
        let journal = result.journal.clone().unwrap();
        (result, journal)
    }

    fn archive(&self) -> Archive {
        Archive::over(Arc::clone(&self.store) as Arc<_>)
    }

    async fn summary(&self) -> JournalSummary {
        let run = RunName::new(&self.plan.archive.as_ref().unwrap().migration, 1).unwrap();
        JournalReader::open(&self.archive(), &run).await.unwrap().verify().await.unwrap()
    }

    async fn restore(&self) -> RestoreReport {
        let mut plan = self.plan.clone();
        plan.run.number = 2;
        let restore = Restore::open(&plan, bed::restore_options(self.archive())).unwrap();
        restore.run().await.unwrap()
    }

    /// After a run: all is settled, and the restored table is what it was.
    async fn check(&self, written: usize) {
        let summary = self.summary().await;
        assert_eq!(summary.written, written as u64);
        assert_eq!(summary.entries, summary.written + summary.refused);
        let report = self.restore().await;
        assert_eq!((report.counts.items, report.conflicts), (written as u64, 0));
        assert_eq!(database().items(&self.table).await, self.seeds);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_the_same_for_all_items_waits_for_few_puts_and_reads_nothing() {
    let bed = Bed::new(JournalMode::Strict).await;
    let begun = Instant::now();
    for item in bed.scan().await {
        bed.price(&item, 7).await;
    }
    let took = begun.elapsed();
    let (_, journal) = bed.close().await;
    println!("{ITEMS} writes one after the other in {took:?}: {journal:?}");
    assert!(journal.ahead > 150, "{journal:?}");
    assert!(journal.read_units < 20.0, "{journal:?}");
    // Nearly all went without waiting for a put: they share few.
    assert!(journal.segments < 100, "{journal:?}");
    bed.check(ITEMS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_ahead_of_other_writes_of_its_item_is_not_used_behind_them() {
    let bed = Bed::new(JournalMode::Strict).await;
    let items = bed.scan().await;
    let (first, rest) = items.split_at(100);
    for item in first {
        bed.price(item, 7).await;
    }
    // Entries ahead of these are there already. The items change, and are again what was read.
    let table = &bed.table;
    for item in &rest[..10] {
        for change in ["SET price = n", "REMOVE price"] {
            let update = json!({"TableName": table, "Key": {"id": item["id"]},
                "UpdateExpression": change});
            bed.call("TransactWriteItems", json!({"TransactItems": [{"Update": update}]})).await;
        }
        bed.price(item, 7).await;
    }
    bed.close().await;
    let report = bed.restore().await;
    assert_eq!((report.counts.restored, report.conflicts), (110, 0));
    assert_eq!(database().items(&bed.table).await, bed.seeds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_nothing_binds_has_entries_also_where_it_leaves_items_as_they_were_read() {
    let bed = Bed::new(JournalMode::Cheap).await;
    let table = &bed.table;
    let same = json!({"PutRequest": {"Item": bed.seeds[0]}});
    let absent = json!({"DeleteRequest": {"Key": {"id": {"S": "nowhere"}}}});
    bed.call("BatchWriteItem", json!({"RequestItems": {table: [same, absent]}})).await;
    bed.close().await;
    let summary = bed.summary().await;
    assert_eq!((summary.entries, summary.unverified, summary.written), (2, 2, 2));
    let gone = json!({"TableName": table, "Key": {"id": bed.seeds[0]["id"]}});
    database().ok("DeleteItem", &gone).await;
    let report = bed.restore().await;
    assert_eq!((report.counts.unchanged, report.conflicts), (2, 0), "the run had changed nothing");
    assert_eq!(database().items(&bed.table).await, bed.seeds[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_who_change_items_after_they_were_read_lose_nothing() {
    let bed = Bed::new(JournalMode::Strict).await;
    let items = bed.scan().await;
    let (odd, even): (Vec<_>, Vec<_>) = items.iter().enumerate().partition(|(at, _)| at % 2 == 1);
    for (_, item) in &odd {
        let body = json!({"TableName": bed.table, "Key": {"id": item["id"]},
            "UpdateExpression": "SET color = :c, price = :p REMOVE n",
            "ExpressionAttributeValues": {":c": {"S": "blue"}, ":p": {"N": "1"}}});
        database().ok("UpdateItem", &body).await;
    }
    let between = database().items(&bed.table).await;
    for item in &items {
        bed.price(item, 7).await;
    }
    let (_, journal) = bed.close().await;
    let written = database().items(&bed.table).await;
    assert!(written.iter().all(|item| item["price"] == json!({"N": "7"})));
    assert_eq!(written.iter().filter(|item| item.get("n").is_none()).count(), odd.len());
    println!("{} of {} were read again: {journal:?}", odd.len(), odd.len() + even.len());
    let report = bed.restore().await;
    assert_eq!((report.counts.restored, report.conflicts), (ITEMS as u64, 0));
    assert_eq!(database().items(&bed.table).await, between);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nobody_can_foresee_waits_and_costs_little_more() {
    let bed = Bed::new(JournalMode::Strict).await;
    for (at, item) in bed.scan().await.iter().take(60).enumerate() {
        bed.price(item, at).await;
    }
    let (_, journal) = bed.close().await;
    assert_eq!(journal.ahead, 0, "{journal:?}");
    assert!(journal.entries < 80, "{journal:?}");
    // What was read is not read again, all the same.
    assert!(journal.read_units < 10.0, "{journal:?}");
    bed.check(60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ahead_needs_the_image_only_and_what_was_written_follows() {
    let bed = Bed::new(JournalMode::Ahead).await;
    let begun = Instant::now();
    for (at, item) in bed.scan().await.iter().enumerate() {
        bed.price(item, at).await;
    }
    let took = begun.elapsed();
    let (_, journal) = bed.close().await;
    println!("{ITEMS} writes one after the other in {took:?}: {journal:?}");
    assert!(journal.ahead > 150, "{journal:?}");
    bed.check(ITEMS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_little_of_what_he_reads_has_few_entries_and_who_only_reads_has_none() {
    let bed = Bed::new(JournalMode::Strict).await;
    for (at, item) in bed.scan().await.iter().enumerate() {
        if at % 10 == 0 {
            bed.price(item, 7).await;
        }
    }
    let (_, journal) = bed.close().await;
    assert!(journal.entries <= 4 * 20, "{journal:?}");
    bed.check(20).await;

    let bed = Bed::new(JournalMode::Ahead).await;
    bed.scan().await;
    assert!(bed.engine.close().await);
    assert_eq!(bed.engine.result().journal.unwrap().segments, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_items_put_and_items_deleted_are_foreseen_too() {
    for operation in ["PutItem", "DeleteItem"] {
        let bed = Bed::new(JournalMode::Strict).await;
        for mut item in bed.scan().await {
            let body = if operation == "PutItem" {
                item["color"] = json!({"S": "blue"});
                json!({"Item": item})
            } else {
                json!({"Key": {"id": item["id"]}})
            };
            bed.call(operation, body).await;
        }
        let (_, journal) = bed.close().await;
        assert!(journal.ahead > 150, "{operation}: {journal:?}");
        bed.check(ITEMS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cheap_sends_batches_as_batches_and_says_that_nobody_checked() {
    let mut units = Vec::new();
    for mode in [JournalMode::Strict, JournalMode::Cheap] {
        let bed = Bed::new(mode).await;
        let requests: Vec<Value> = (0..25)
            .map(|i| match i % 5 {
                0 => json!({"DeleteRequest": {"Key": {"id": {"S": format!("i{i:03}")}}}}),
                _ => json!({"PutRequest": {"Item": {"id": {"S": format!("i{i:03}")}}}}),
            })
            .collect();
        bed.call("BatchWriteItem", json!({"RequestItems": {&bed.table: requests}})).await;
        let single = json!({"Key": {"id": {"S": "i199"}}, "UpdateExpression": "SET a = :a",
            "ConditionExpression": "color = :c",
            "ExpressionAttributeValues": {":a": {"S": "x"}, ":c": {"S": "red"}}});
        bed.call("UpdateItem", single).await;
        let (result, journal) = bed.close().await;
        let (calls, unverified) = if mode == JournalMode::Cheap { (2, 25) } else { (26, 0) };
        assert_eq!(result.write_calls_upstream, calls, "{mode:?}");
        assert_eq!(bed.summary().await.unverified, unverified, "{mode:?}");
        units.push(journal.read_units);
        let report = bed.restore().await;
        assert_eq!((report.conflicts, report.counts.unverified), (0, unverified), "{mode:?}");
        assert_eq!(database().items(&bed.table).await, bed.seeds, "{mode:?}");
    }
    assert!((units[0] - 2.0 * units[1]).abs() < 0.1, "{units:?}");
}
