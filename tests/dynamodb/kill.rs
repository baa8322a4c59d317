//! The kill campaign: the guard dies at every request it sends to the database and at every object
//! it puts into the archive, before it and after it: the table's lock, the ledger's entries,
//! segments, the lock's release. Then nothing may have changed that is not in the journal; a
//! restore gives back the table as it was; and a run that continues ends as if nothing had
//! happened, or is known to be over.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dm_contract::part::Part;
use dm_contract::plan::OnConflict;
use dm_contract::plan::{Mode, Plan, Policy};
use dm_contract::verdict::Verdict;
use dm_dynamodb::journal::{MergedEntry, Outcomes, Record};
use dm_dynamodb::value::{Item, item_from_json};
use dm_engine::archive::ledger::{self, Begun, Completed, Kind, Question, RunOutcome};
use dm_engine::archive::locks::LockTimes;
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::{JournalReader, ReadError};
use dm_engine::restore::{Restore, RestoreError, RestoreOptions, RestoreReport};
use dm_engine::{Call, Engine, EngineOptions, Operation, Start};
use futures::StreamExt as _;
use object_store::memory::InMemory;
use serde_json::{Value, json};
use tokio::runtime;

use crate::bed::{self, canonical, database, fresh_name};
use crate::faults::{Death, FaultyStore, Fuse, proxy};
use crate::pages::Pages;
use crate::shorthand::expand;

/// Runs under way at once.
const AT_ONCE: usize = 6;

/// Puts that a run may have fewer than another of the same program.
const PUTS_FEWER_MAX: u64 = 2;

/// Where the guard dies.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub request: Option<(u64, Death)>,
    pub put: Option<(u64, Death)>,
}

/// What the journal has to tell of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The image before, and the value that was written.
    Values,
    /// The image before, and the attribute's name.
    Names,
}

/// The times of who comes after a dead guard, and does not wait as long as is needed elsewhere.
fn impatient() -> LockTimes {
    LockTimes { patience: Duration::from_millis(50), ..LockTimes::default() }
}

/// Every kind of write; each step does the same when it is done again.
fn program(table: &str) -> Vec<(&'static str, Value)> {
    let text = json!([
        ["UpdateItem", {"TableName": "$T", "Key": {"id": "a"}, "UpdateExpression": "SET price = :p",
            "ExpressionAttributeValues": {":p": 1}}],
        ["PutItem", {"TableName": "$T", "Item": {"id": "b", "color": "blue"}}],
        ["DeleteItem", {"TableName": "$T", "Key": {"id": "c"}}],
        ["PutItem", {"TableName": "$T", "Item": {"id": "n1", "color": "new"}}],
        ["BatchWriteItem", {"RequestItems": {"$T": [
            {"PutRequest": {"Item": {"id": "d", "moved": true}}},
            {"DeleteRequest": {"Key": {"id": "e"}}},
            {"PutRequest": {"Item": {"id": "n2"}}},
        ]}}],
        ["TransactWriteItems", {"TransactItems": [
            {"Update": {"TableName": "$T", "Key": {"id": "a"},
                "UpdateExpression": "SET sold = :s REMOVE color",
                "ExpressionAttributeValues": {":s": true}}},
            {"Put": {"TableName": "$T", "Item": {"id": "n3", "of": "f"}}},
            {"Delete": {"TableName": "$T", "Key": {"id": "f"}}},
        ]}],
        ["UpdateItem", {"TableName": "$T", "Key": {"id": "n4"}, "UpdateExpression": "SET born = :b",
            "ExpressionAttributeValues": {":b": "here"}}],
        ["UpdateItem", {"TableName": "$T", "Key": {"id": "a"},
            "UpdateExpression": "ADD stock :one SET counted = :t",
            "ConditionExpression": "attribute_not_exists(counted)",
            "ExpressionAttributeValues": {":one": 1, ":t": true}}],
        ["ExecuteStatement", {"Statement": "UPDATE \"$T\" SET color = 'green' WHERE id = 'b'"}],
        ["PutItem", {"TableName": "$T", "Item": {"id": "c", "again": 1}}],
        ["UpdateItem", {"TableName": "$T", "Key": {"id": "a"}, "UpdateExpression": "SET price = :p",
            "ExpressionAttributeValues": {":p": 2}}],
    ]);
    let text = text.to_string().replace("$T", table);
    let steps: Vec<(String, Value)> = serde_json::from_str(&text).unwrap();
    steps
        .into_iter()
        .map(|(operation, body)| (Operation::named(&operation).unwrap().name(), expand(&body)))
        .collect()
}

fn seeds() -> Vec<Value> {
    ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .enumerate()
        .map(|(stock,
            id)| json!({"id": id, "color": "red", "stock": stock, "tags": {"$SS": ["x", "y"]}}))
        .collect()
}

/// One table, its archive, and the plan over them.
pub struct Scene {
    pub table: String,
    pub snapshot: Vec<Value>,
    store: Arc<InMemory>,
    pub plan: Plan,
    /// Where each guard's scans have short pages.
    pub pages: Option<Pages>,
}

impl Scene {
    pub async fn new() -> Self {
        let (table, database) = (fresh_name("kill"), database());
        database.ok("CreateTable", &crate::suite::table("hash", &table)).await;
        for seed in seeds() {
            database.ok("PutItem", &expand(&json!({"TableName": table, "Item": seed}))).await;
        }
        let snapshot = database.items(&table).await;
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        plan.archive = Some(bed::archive("memory://"));
        Self { table, snapshot, store: Arc::new(InMemory::new()), plan, pages: None }
    }

    fn run(&self) -> RunName {
        RunName::new(&self.plan.archive.as_ref().unwrap().migration, 1).unwrap()
    }

    async fn apply(&self, point: Point, start: Start) -> (bool, u64, u64) {
        let whole = async |engine: Arc<Engine>| {
            for (operation, body) in program(&self.table) {
                let Value::Object(body) = body else { unreachable!() };
                let operation = Operation::named(operation).unwrap();
                let answer = engine.handle(Call::new(operation, body)).await;
                let condition = String::from_utf8_lossy(&answer.body).contains("ConditionalCheck");
                assert!(answer.status == 200 || condition, "{operation:?}: {answer:?}");
            }
        };
        self.run_until(point, start, whole).await
    }

    /// Runs a program until its end or the guard's; how many requests and puts there were.
    pub async fn run_until(
        &self,
        point: Point,
        start: Start,
        program: impl AsyncFnOnce(Arc<Engine>),
    ) -> (bool, u64, u64) {
        self.run_part_until(None, point, start, program).await
    }

    /// The same of one part of the run. The guard has a runtime of its own, which ends with it as a
    /// process would: no task and no connection of a dead guard is left.
    pub async fn run_part_until(
        &self,
        part: Option<Part>,
        point: Point,
        start: Start,
        program: impl AsyncFnOnce(Arc<Engine>),
    ) -> (bool, u64, u64) {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let mut life = pin!(self.live(part, point, start, program));
        let ended = poll_fn(|context| {
            let _within = runtime.enter();
            life.as_mut().poll(context)
        });
        let ended = ended.await;
        runtime.shutdown_background();
        ended
    }

    async fn live(
        &self,
        part: Option<Part>,
        point: Point,
        start: Start,
        program: impl AsyncFnOnce(Arc<Engine>),
    ) -> (bool, u64, u64) {
        let (requests, puts) = (Fuse::new(point.request), Fuse::new(point.put));
        let mut plan = self.plan.clone();
        let database = match &self.pages {
            Some(pages) => pages.proxy().await,
            None => database().url.clone(),
        };
        plan.upstream.endpoint = Some(proxy(&database, Arc::clone(&requests)).await);
        let store = FaultyStore::new(Arc::clone(&self.store), Arc::clone(&puts), Duration::ZERO);
        let archive = Some(Archive::over(Arc::new(store)));
        let lock_times = match start {
            // No heartbeat comes between the puts that are counted.
            Start::First => LockTimes { lease: Duration::from_secs(600), ..LockTimes::default() },
            Start::Again => impatient(),
        };
        let options = EngineOptions { start, part, lock_times, ..bed::options(archive) };
        let engine = Arc::new(Engine::open(&plan, options).unwrap());
        let whole = async {
            program(Arc::clone(&engine)).await;
            engine.close().await;
            let begun = Begun::now(&plan, Kind::Apply);
            let completed = Completed::now(RunOutcome::Succeeded);
            let archive = engine.archive().unwrap();
            let run = part.map_or_else(|| self.run(), |part| self.run().in_part(part));
            ledger::record(archive, &run, &begun, &completed).await.unwrap();
        };
        let ended = tokio::select! {
            () = whole => true,
            () = requests.died() => false,
            () = puts.died() => false,
        };
        if !ended {
            // Until its runtime has ended, its tasks reach nothing.
            requests.die();
            puts.die();
        }
        (ended, requests.calls(), puts.calls())
    }

    async fn restore(&self, number: u32) -> RestoreReport {
        self.restore_as(number, OnConflict::Skip).await
    }

    pub async fn restore_as(&self, number: u32, on_conflict: OnConflict) -> RestoreReport {
        let mut plan = self.plan.clone();
        plan.run.number = number;
        let archive = Archive::over(Arc::clone(&self.store) as Arc<_>);
        let (options, lock_times) = (bed::restore_options(archive), impatient());
        let options = RestoreOptions { on_conflict, lock_times, ..options };
        match Restore::open(&plan, options).unwrap().run().await {
            // It died before its entry in the ledger was there, so it wrote nothing.
            Err(RestoreError::Journal(ReadError::NoRun { .. })) => RestoreReport::default(),
            report => report.unwrap(),
        }
    }

    /// What the ledger says before the run begins again.
    pub async fn verdict(&self) -> Verdict {
        let archive = Archive::over(Arc::clone(&self.store) as Arc<_>);
        let entries = ledger::entries(&archive, None).await.unwrap();
        Question { run: &self.run(), plan: &self.plan }.answer(&entries, None)
    }

    /// Changes of the table of which the journal does not tell.
    async fn unjournaled(&self) -> usize {
        self.untold(Told::Values).await
    }

    /// Items of the table of whose change the journal does not tell as much.
    pub async fn untold(&self, told: Told) -> usize {
        let archive = Archive::over(Arc::clone(&self.store) as Arc<_>);
        let now = database().items(&self.table).await;
        untold(&archive, &self.run(), (&self.snapshot, &now), told).await
    }

    pub async fn drop_table(&self) {
        database().ok("DeleteTable", &json!({"TableName": self.table})).await;
    }
}

/// Items that are another before and now, and of whose change a run's journal does not tell as
/// much.
pub async fn untold(
    archive: &Archive,
    run: &RunName,
    (before, now): (&[Value], &[Value]),
    told: Told,
) -> usize {
    let reader = JournalReader::open(archive, run).await.unwrap();
    let mut merged: BTreeMap<String, MergedEntry> = BTreeMap::new();
    let (mut outcomes, mut entries) = (Outcomes::default(), Vec::new());
    for segment in 1..=reader.segments() {
        for record in reader.segment(segment).await.unwrap().records {
            match record {
                Record::Settled(settled) => outcomes.add(&settled),
                Record::UnderWay(_) | Record::Control(_) => {}
                Record::Entry(entry) => entries.push(entry),
            }
        }
    }
    for entry in entries {
        let outcome = outcomes.of(entry.sequence);
        let id = id(&entry.key);
        match merged.get_mut(&id) {
            Some(known) => known.add(&entry, outcome),
            None => merged.extend(MergedEntry::begin(entry, outcome).map(|begun| (id, begun))),
        }
    }
    let of = |items: &[Value]| -> BTreeMap<String, Item> {
        let items = items.iter().map(|item| item_from_json(item).unwrap());
        items.map(|item| (id(&item), item)).collect()
    };
    let (before, now) = (of(before), of(now));
    let ids: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    ids.into_iter()
        .filter(|id| before.get(*id) != now.get(*id))
        .filter(|id| {
            let is_told = merged.get(*id).is_some_and(|entry| {
                let none = Item::new();
                let (old, new) = (before.get(*id).unwrap_or(&none), now.get(*id).unwrap_or(&none));
                let life = entry.life(now.get(*id));
                life.before.as_ref() == before.get(*id)
                    && old
                        .keys()
                        .chain(new.keys())
                        .filter(|name| old.get(name) != new.get(name))
                        .all(|name| {
                            let touched = life.attributes.get(name);
                            touched.is_some_and(|touched| {
                                told == Told::Names
                                    || life.left(now.get(*id))
                                    || touched.left(new.get(name))
                            })
                        })
            });
            !is_told
        })
        .count()
}

fn id(item: &Item) -> String {
    canonical(&item["id"].to_json())
}

/// What one point came to, as failures in words.
async fn check(point: Point, finished: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |good: bool, what: &str| {
        if !good {
            wrong.push(format!("{point:?}: {what}"));
        }
    };
    let restored = Scene::new().await;
    let (ended, _, puts) = restored.apply(point, Start::First).await;
    // What became of two writes goes into one segment or into two, as time has it: a run that has
    // not come to its last puts is shorter than the one that was counted.
    let shorter = point.put.is_some_and(|(at, _)| puts < at && at <= puts + PUTS_FEWER_MAX);
    expect(!ended || shorter, "the guard did not die");
    expect(restored.unjournaled().await == 0, "something changed without an entry");
    let report = restored.restore(2).await;
    expect(report.conflicts == 0, "the restore found conflicts");
    let table = database().items(&restored.table).await;
    expect(table == restored.snapshot, "the restored table is another");
    let again = restored.restore(3).await;
    expect(again.counts.written() == 0, "a second restore did something");
    restored.drop_table().await;

    let resumed = Scene::new().await;
    resumed.apply(point, Start::First).await;
    match resumed.verdict().await {
        Verdict::Go => {
            let none = Point { request: None, put: None };
            let (ended, ..) = resumed.apply(none, Start::Again).await;
            expect(ended, "the second guard died");
            expect(matches!(resumed.verdict().await, Verdict::Adopt(_)), "it may run twice");
        }
        // It died after its last word: to run it again would be once too often.
        Verdict::Adopt(_) => {}
        other => expect(false, &format!("the ledger says {other:?}")),
    }
    expect(resumed.unjournaled().await == 0, "something changed without an entry, after resuming");
    let table = database().items(&resumed.table).await;
    expect(table == finished, "the resumed run ended otherwise");
    resumed.restore(2).await;
    let table = database().items(&resumed.table).await;
    expect(table == resumed.snapshot, "the restored table is another, after resuming");
    resumed.drop_table().await;
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_dies_at_every_point_and_nothing_is_lost() {
    let mut whole = Scene::new().await;
    let none = Point { request: None, put: None };
    let (ended, requests, puts) = whole.apply(none, Start::First).await;
    assert!(ended);
    let finished = database().items(&whole.table).await;
    assert_ne!(finished, whole.snapshot);
    assert_eq!(whole.unjournaled().await, 0);
    // What looks for changes without an entry does find them.
    let store = std::mem::replace(&mut whole.store, Arc::new(InMemory::new()));
    assert_eq!(whole.unjournaled().await, 10);
    whole.store = store;
    whole.restore(2).await;
    assert_eq!(database().items(&whole.table).await, whole.snapshot);
    whole.drop_table().await;

    let deaths = [Death::Before, Death::After];
    let of_requests = (1..=requests)
        .flat_map(|at| deaths.map(|death| Point { request: Some((at, death)), put: None }));
    // The last puts come when the guard is stopped: what became of the last writes, the counts, the
    // lock's release, and how the run ended.
    let of_puts = (1..=puts)
        .flat_map(|at| deaths.map(|death| Point { request: None, put: Some((at, death)) }));
    let points: Vec<Point> = of_requests.chain(of_puts).collect();
    let checks = points.iter().map(|point| check(*point, &finished));
    let wrong: Vec<String> =
        futures::stream::iter(checks).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.concat();
    println!(
        "{requests} requests, {puts} puts: {} kill points, {} runs of the guard",
        points.len(),
        points.len() * 3 + 1
    );
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), points.len(), wrong.join("\n"));
}
