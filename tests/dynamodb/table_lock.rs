//! Two runs and one table: who comes second learns of the first, takes over when it is dead, and a
//! first one that comes back writes nothing any more.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::{Mode, Plan, Policy};
use dm_engine::archive::locks::{LockTimes, unlock};
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::JournalReader;
use dm_engine::{Answer, Call, Engine, EngineOptions, Operation};
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, database, fresh_name};
use crate::faults::{FaultyStore, Fuse};
use crate::shorthand::expand;

struct Bed {
    table: String,
    store: Arc<InMemory>,
}

impl Bed {
    async fn new() -> Self {
        let table = fresh_name("locked");
        database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
        Self { table, store: Arc::new(InMemory::new()) }
    }

    /// A its own run migration, and the plan that it has.
    fn run(store: FaultyStore, times: LockTimes) -> (Arc<Engine>, Plan) {
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        plan.archive = Some(bed::archive("memory://"));
        let archive = Some(Archive::over(Arc::new(store)));
        let options = EngineOptions { lock_times: times, ..bed::options(archive) };
        (Arc::new(Engine::open(&plan, options).unwrap()), plan)
    }

    fn store(&self) -> FaultyStore {
        FaultyStore::new(Arc::clone(&self.store), Fuse::new(None), Duration::ZERO)
    }

    fn archive(&self) -> Archive {
        Archive::over(Arc::clone(&self.store) as Arc<_>)
    }

    async fn put(&self, engine: &Arc<Engine>, id: &str) -> Answer {
        let item = expand(&json!({"TableName": self.table, "Item": {"id": id}}));
        let Value::Object(body) = item else { unreachable!() };
        engine.handle(Call::new(Operation::PutItem, body)).await
    }

    async fn ids(&self) -> Vec<String> {
        let items = database().items(&self.table).await;
        items.iter().map(|item| item["id"]["S"].as_str().unwrap().to_owned()).collect()
    }

    async fn entries(&self, plan: &Plan) -> u64 {
        let run = RunName::new(&plan.archive.as_ref().unwrap().migration, 1).unwrap();
        let reader = JournalReader::open(&self.archive(), &run).await.unwrap();
        reader.verify().await.unwrap().entries
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_is_told_who_has_the_table_and_gets_it_when_the_first_is_done() {
    let bed = Bed::new().await;
    let times = LockTimes {
        lease: Duration::from_secs(4),
        patience: Duration::from_secs(20),
        hold: Duration::from_secs(2),
    };
    let (first, plan) = Bed::run(bed.store(), times);
    let (second, _) = Bed::run(bed.store(), times);
    assert_eq!(bed.put(&first, "a").await.status, 200);
    let answer = bed.put(&second, "b").await;
    let migration = &plan.archive.as_ref().unwrap().migration;
    assert!(
        text(&answer).contains(&format!("locked by run {migration}/1 of n/m since")),
        "{answer:?}"
    );
    assert!(text(&answer).contains("AccessDenied"), "{answer:?}");
    let result = second.result();
    assert!(result.problem.unwrap().contains(migration));
    assert_eq!(&result.locked.unwrap().by, &format!("{migration}/1"));
    let read = json!({"TableName": bed.table, "Key": expand(&json!({"Key": {"id": "a"}}))["Key"]});
    let Value::Object(body) = read else { unreachable!() };
    let read = Call::new(Operation::GetItem, body);
    assert_eq!(second.handle(read).await.status, 200, "reads pass");

    assert!(first.close().await);
    assert_eq!(bed.put(&second, "b").await.status, 200);
    assert_eq!(bed.ids().await, ["a", "b"]);
    assert_eq!(second.result().locked, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_runs_table_is_taken_over_and_the_late_one_writes_nothing() {
    let bed = Bed::new().await;
    let lease = Duration::from_secs(2);
    let times = LockTimes { lease, patience: lease, hold: Duration::from_secs(30) };
    let stuck = bed.store();
    let (first, of_first) = Bed::run(stuck.clone(), times);
    assert_eq!(bed.put(&first, "a").await.status, 200);
    // It is as if it slept: its heartbeat goes nowhere.
    stuck.hold("000001.json");
    let (second, of_second) = Bed::run(bed.store(), times);
    let begun = std::time::Instant::now();
    assert_eq!(bed.put(&second, "b").await.status, 200);
    assert!(begun.elapsed() >= lease, "{:?}", begun.elapsed());

    for id in ["late", "later"] {
        let answer = bed.put(&first, id).await;
        assert!(text(&answer).contains("rejects all further writes"), "{answer:?}");
    }
    assert!(first.result().problem.unwrap().contains("is lost"));
    assert_eq!(bed.put(&second, "c").await.status, 200);
    assert_eq!(bed.ids().await, ["a", "b", "c"]);
    assert_eq!((bed.entries(&of_first).await, bed.entries(&of_second).await), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_a_table_from_a_living_run() {
    let bed = Bed::new().await;
    let lease = Duration::from_secs(2);
    let times = LockTimes { lease, patience: lease, hold: Duration::from_secs(30) };
    let (first, _) = Bed::run(bed.store(), times);
    assert_eq!(bed.put(&first, "a").await.status, 200);
    let had = unlock(&bed.archive(), &bed.table, "ada", "it hangs").await.unwrap();
    assert!(had.is_some());
    let (second, _) = Bed::run(bed.store(), times);
    assert_eq!(bed.put(&second, "b").await.status, 200);
    let answer = bed.put(&first, "late").await;
    assert!(text(&answer).contains("ada has released it: it hangs"), "{answer:?}");
    assert_eq!(bed.ids().await, ["a", "b"]);
}
