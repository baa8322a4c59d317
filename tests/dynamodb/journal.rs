//! The journal through a guard: group commit, an archive that is away, retries, transactions under
//! a token, others who write at the same time, and runs that the ledger does not let write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dm_contract::plan::{Mode, Plan, Policy};
use dm_contract::report::Behind;
use dm_engine::archive::ledger::{self, Completed, RunOutcome};
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::{JournalReader, JournalSummary};
use dm_engine::{Answer, Call, Engine, EngineOptions, Invocation, Operation};
use futures::future::join_all;
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, database, fresh_name};
use crate::faults::{Death, FaultyStore, Fuse};
use crate::shorthand::expand;

struct Bed {
    table: String,
    store: Arc<InMemory>,
    plan: Plan,
}

impl Bed {
    async fn new() -> Self {
        let table = fresh_name("journal");
        database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        plan.archive = Some(bed::archive("memory://"));
        Self { table, store: Arc::new(InMemory::new()), plan }
    }

    fn engine(&self) -> Arc<Engine> {
        self.engine_with(Fuse::new(None), Duration::ZERO)
    }

    fn engine_with(&self, fuse: Arc<Fuse>, put_takes: Duration) -> Arc<Engine> {
        let store = FaultyStore::new(Arc::clone(&self.store), fuse, put_takes);
        let archive = Some(Archive::over(Arc::new(store)));
        Arc::new(Engine::open(&self.plan, bed::options(archive)).unwrap())
    }

    fn archive(&self) -> Archive {
        Archive::over(Arc::clone(&self.store) as Arc<_>)
    }

    fn run(&self) -> RunName {
        RunName::new(&self.plan.archive.as_ref().unwrap().migration, self.plan.run.number).unwrap()
    }

    async fn summary(&self) -> JournalSummary {
        let reader = JournalReader::open(&self.archive(), &self.run()).await.unwrap();
        reader.verify().await.unwrap()
    }

    fn call(&self, operation: &str, body: Value) -> Call {
        let text = body.to_string().replace("$T", &self.table);
        let mut body: Value = expand(&serde_json::from_str(&text).unwrap());
        if body.get("TransactItems").is_none() && body.get("RequestItems").is_none() {
            body["TableName"] = self.table.as_str().into();
        }
        let Value::Object(body) = body else { unreachable!() };
        Call::new(Operation::named(operation).unwrap(), body)
    }
}

fn add(id: &str) -> Value {
    json!({"Key": {"id": id}, "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": 1}, "ReturnValues": "ALL_NEW"})
}

/// An item as the database tells it.
fn item(short: Value) -> Value {
    expand(&json!({"Item": short}))["Item"].take()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_wait_for_few_puts() {
    let bed = Bed::new().await;
    // Long enough for a database that has just started to answer most reads in the meantime.
    let put_takes = Duration::from_secs(1);
    let engine = bed.engine_with(Fuse::new(None), put_takes);
    let begun = Instant::now();
    let writes = (0..200).map(|i| {
        let call = bed.call("PutItem", json!({"Item": {"id": format!("i{i}"), "n": i}}));
        engine.handle(call)
    });
    for answer in join_all(writes).await {
        assert_eq!(answer.status, 200);
    }
    assert!(engine.close().await);
    let journal = engine.result().journal.unwrap();
    println!(
        "200 writes in {:?} with puts of {put_takes:?}: {} segments, {} bytes, {} read units",
        begun.elapsed(),
        journal.segments,
        journal.bytes,
        journal.read_units
    );
    assert_eq!(journal.entries, 200);
    assert!(journal.segments < 60, "{} segments", journal.segments);
    let summary = bed.summary().await;
    assert_eq!((summary.entries, summary.written, summary.refused), (200, 200, 0));
    assert!(journal.read_units > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_sent_again_is_carried_out_and_journaled_once() {
    let bed = Bed::new().await;
    let engine = bed.engine();
    let invocation = Some(Invocation { id: "i".into(), digest: [7; 32] });
    for _ in 0..3 {
        let call = bed.call("UpdateItem", add("a")).with_invocation(invocation.clone());
        let answer = engine.handle(call).await;
        assert_eq!(body(&answer)["Attributes"]["n"], json!({"N": "1"}));
    }
    let transaction = json!({"ClientRequestToken": "token", "TransactItems": [
        {"Update": {"TableName": "$T", "Key": {"id": "a"}, "UpdateExpression": "ADD n :ten",
            "ExpressionAttributeValues": {":ten": 10}}},
        {"Put": {"TableName": "$T", "Item": {"id": "b"}}},
    ]});
    for _ in 0..2 {
        let answer = engine.handle(bed.call("TransactWriteItems", transaction.clone())).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let mut other = transaction;
    other["TransactItems"][1]["Put"]["Item"]["id"] = "c".into();
    let answer = engine.handle(bed.call("TransactWriteItems", other)).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("IdempotentParameterMismatch"));
    engine.close().await;
    let items = database().items(&bed.table).await;
    assert_eq!(items, [item(json!({"id": "a", "n": 11})), item(json!({"id": "b"}))]);
    assert_eq!(bed.summary().await.entries, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_who_write_the_same_items_are_neither_lost_nor_overwritten() {
    let bed = Bed::new().await;
    let engine = bed.engine();
    let others = database();
    let ours = (0..60).map(|i| engine.handle(bed.call("UpdateItem", add(&format!("k{}", i % 3)))));
    let request = |i: usize| {
        let mut body = expand(&add(&format!("k{}", i % 3)));
        body["TableName"] = bed.table.as_str().into();
        body
    };
    let requests: Vec<Value> = (0..60).map(request).collect();
    let theirs = requests.iter().map(|body| others.call("UpdateItem", body));
    let (ours, theirs) = tokio::join!(join_all(ours), join_all(theirs));
    let done = ours.iter().filter(|answer| answer.status == 200).count()
        + theirs.iter().filter(|(status, _)| *status == 200).count();
    engine.close().await;
    let sum: u64 = database()
        .items(&bed.table)
        .await
        .iter()
        .map(|item| item["n"]["N"].as_str().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, done as u64, "every ADD that was answered counts once");
    let summary = bed.summary().await;
    let answered = ours.iter().filter(|answer| answer.status == 200).count() as u64;
    assert_eq!(summary.written, answered);
    assert_eq!(summary.entries, summary.written + summary.refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_archive_is_away_nothing_is_written() {
    let bed = Bed::new().await;
    // The locks of migration and table, the ledger's note and entry, and one segment pass; the next
    // finds the archive dead.
    let engine = bed.engine_with(Fuse::new(Some((6, Death::Before))), Duration::ZERO);
    let put = |id: &str| bed.call("PutItem", json!({"Item": {"id": id}}));
    assert_eq!(engine.handle(put("a")).await.status, 200);
    let (first, second) = tokio::join!(engine.handle(put("b")), engine.handle(put("c")));
    for answer in [first, second] {
        assert_eq!(answer.status, 400);
        assert!(answer.retry_after_s.is_some(), "the program is told to come back");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("could not journal"), "{text}");
    }
    assert_eq!(database().items(&bed.table).await, [item(json!({"id": "a"}))]);
    let read = engine.handle(bed.call("GetItem", json!({"Key": {"id": "a"}}))).await;
    assert_eq!(read.status, 200, "reads go on");
    let outages = engine.result().outages;
    let [outage] = outages.as_slice() else { panic!("one of the archive: {outages:?}") };
    assert_eq!((outage.of, outage.calls, outage.lasts), (Behind::Archive, 2, true), "{outage:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_another_has_begun_or_that_is_over_does_not_write() {
    let mut bed = Bed::new().await;
    let put = |bed: &Bed, id: &str| bed.call("PutItem", json!({"Item": {"id": id}}));
    let engine = bed.engine();
    assert_eq!(engine.handle(put(&bed, "a")).await.status, 200);
    engine.close().await;

    let uid = std::mem::replace(&mut bed.plan.run.uid, "re-created".into());
    let engine = bed.engine();
    let answer = engine.handle(put(&bed, "b")).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("never completed"), "{text}");
    engine.close().await;

    bed.plan.run.uid = uid;
    let completed = Completed::now(RunOutcome::Succeeded);
    ledger::complete(&bed.archive(), &bed.run(), &completed).await.unwrap();
    let answer = bed.engine().handle(put(&bed, "c")).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("was completed before"), "{text}");
    assert_eq!(database().items(&bed.table).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_guards_of_one_run_notice_each_other() {
    let bed = Bed::new().await;
    // Both believe to be the one guard of the pod, so that the table's lock does not part them.
    let of_one_pod = || {
        let options = bed::options(Some(bed.archive()));
        let options = EngineOptions { holder: Some("pod".into()), ..options };
        Arc::new(Engine::open(&bed.plan, options).unwrap())
    };
    let (first, second) = (of_one_pod(), of_one_pod());
    let put = |id: &str| bed.call("PutItem", json!({"Item": {"id": id}}));
    assert_eq!(first.handle(put("a")).await.status, 200);
    assert_eq!(second.handle(put("b")).await.status, 200);
    // The first finds that the segment it would put next is there.
    let answer = first.handle(put("c")).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("another guard"), "{answer:?}");
    assert_eq!(database().items(&bed.table).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_change_nothing_need_no_entry() {
    let bed = Bed::new().await;
    let engine = bed.engine();
    let put = || bed.call("PutItem", json!({"Item": {"id": "a", "n": 1}}));
    for _ in 0..3 {
        assert_eq!(engine.handle(put()).await.status, 200);
    }
    let delete = bed.call("DeleteItem", json!({"Key": {"id": "missing"}}));
    assert_eq!(engine.handle(delete).await.status, 200);
    engine.close().await;
    assert_eq!(bed.summary().await.entries, 1);
}
