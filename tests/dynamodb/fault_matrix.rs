//! The fault matrix: every path that writes, with and without a journal, when the outcome of its
//! first write is not told, and whatever follows. The program sees no more than DynamoDB's own
//! ambiguity: what is said to be done was done once, what is said not to be done was not, and what
//! is unknown was done once or not at all. And a restore gives back the table as it was.
//!
//! `FAULT_CELL=12,13` runs these cells alone, and tells what came of them.

mod paths;
mod proxy;
mod restores;
mod tables;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::{JournalMode, Mode, Plan, Policy};
use dm_engine::archive::Archive;
use dm_engine::archive::locks::LockTimes;
use dm_engine::restore::Restore;
use dm_engine::restore::RestoreOptions;
use dm_engine::{Call, CallTimes, Engine, EngineOptions, Operation, Start};
use futures::StreamExt as _;
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, canonical, database, fresh_name};
use crate::shorthand::expand;
use paths::{Items, PATHS, Path, Said, has_token, is_together};
use proxy::{First, Lost, Proxy, Script, Then};

/// Cells under way at once.
const AT_ONCE: usize = 48;

/// Writes before the first cell: a database that has just been started answers late.
const WARM_UP: usize = 300;

/// How often a program sends its own transaction token again.
const SENDINGS: usize = 3;

/// Less time than a program has, so that late answers are many in a test.
const TIMES: CallTimes = CallTimes {
    attempt: Duration::from_secs(2),
    call: Duration::from_secs(6),
    throttled: Duration::from_millis(300),
};

const LOST: [Lost; 4] = [Lost::Cut, Lost::Late, Lost::Failure, Lost::Away];

#[derive(Clone, Copy, Debug)]
struct Cell {
    path: Path,
    /// `None`: without a journal.
    journal: Option<JournalMode>,
    first: First,
    then: Then,
}

fn firsts() -> impl Iterator<Item = First> {
    let both = LOST.into_iter().flat_map(|lost| [true, false].map(|done| (done, lost)));
    both.map(|(carried_out, lost)| First { carried_out, lost })
}

fn thens(path: Path, journal: Option<JournalMode>) -> Vec<Then> {
    if journal.is_none() {
        // Nothing is sent again.
        return vec![Then::Healthy, Then::Always];
    }
    let mut thens = vec![
        Then::Healthy,
        Then::Again,
        Then::Always,
        Then::Throttled(usize::MAX),
        Then::Condition,
        Then::Denied,
    ];
    if is_together(path) {
        thens.extend([Then::InProgress(2), Then::InProgress(usize::MAX)]);
    }
    thens
}

fn cells() -> Vec<Cell> {
    let journals =
        [None, Some(JournalMode::Strict), Some(JournalMode::Ahead), Some(JournalMode::Cheap)];
    let mut cells = Vec::new();
    for (path, journal) in PATHS.into_iter().flat_map(|path| journals.map(|mode| (path, mode))) {
        for (first, then) in firsts()
            .flat_map(|first| thens(path, journal).into_iter().map(move |then| (first, then)))
        {
            cells.push(Cell { path, journal, first, then });
        }
    }
    cells
}

/// What a cell works with.
struct Bed {
    items: Items,
    plan: Plan,
    store: Arc<InMemory>,
    database: Endpoint,
}

impl Bed {
    async fn new(table: &str, cell: usize, journal: Option<JournalMode>) -> Self {
        let journal_mode = journal.unwrap_or_default();
        let policy = Policy { journal: journal_mode, control_plane: true, ..Policy::default() };
        let mut plan = bed::plan(Mode::Apply, policy);
        plan.archive = journal.is_some().then(|| bed::archive("memory://"));
        let items = Items { table: table.to_owned(), cell };
        let bed = Self { items, plan, store: Arc::new(InMemory::new()), database: database() };
        for seed in bed.items.seeds().into_iter().filter_map(|(_, seed)| seed) {
            let put = json!({"TableName": table, "Item": seed});
            bed.database.ok("PutItem", &expand(&put)).await;
        }
        bed
    }

    fn archive(&self) -> Archive {
        Archive::over(Arc::clone(&self.store) as Arc<_>)
    }

    fn engine(&self, url: &str, start: Start) -> Arc<Engine> {
        let mut plan = self.plan.clone();
        plan.upstream.endpoint = Some(url.to_owned());
        let archive = plan.archive.is_some().then(|| self.archive());
        let (holder, call_times) = (Some("pod".into()), TIMES);
        let options = EngineOptions { start, holder, call_times, ..bed::options(archive) };
        Arc::new(Engine::open(&plan, options).unwrap())
    }

    /// One item as it is, in DynamoDB's JSON.
    async fn item(&self, name: &str) -> Option<Value> {
        let key = json!({"TableName": self.items.table, "Key": {"id": self.items.id(name)},
            "ConsistentRead": true});
        self.database.ok("GetItem", &expand(&key)).await.get("Item").cloned()
    }

    async fn is(&self, name: &str, expected: Option<&Value>) -> bool {
        self.item(name).await.as_ref().map(canonical) == in_full(expected)
    }

    /// What is not as before the program.
    async fn changed(&self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        for (name, seed) in self.items.seeds() {
            if !self.is(name, seed.as_ref()).await {
                changed.push(name);
            }
        }
        changed
    }

    fn restore(&self, number: u32, endpoint: &str) -> Restore {
        let mut plan = self.plan.clone();
        plan.run.number = number;
        plan.upstream.endpoint = Some(endpoint.to_owned());
        let lock_times = LockTimes { patience: Duration::from_millis(50), ..LockTimes::default() };
        let options = bed::restore_options(self.archive());
        let options = RestoreOptions { lock_times, call_times: TIMES, ..options };
        Restore::open(&plan, options).unwrap()
    }
}

/// What came of a cell.
struct Came {
    wrong: Vec<String>,
    /// Whether the program was told.
    told: bool,
}

async fn check(table: &str, number: usize, cell: Cell) -> Came {
    let bed = Bed::new(table, number, cell.journal).await;
    let script = Script::new(1, cell.first, cell.then);
    let proxy = Proxy::start(&bed.database.url, Arc::clone(&script)).await;
    let engine = bed.engine(&proxy.url, Start::First);
    if cell.journal == Some(JournalMode::Ahead) {
        for (name, _) in bed.items.seeds() {
            let key = json!({"TableName": table, "Key": {"id": bed.items.id(name)}});
            let Value::Object(body) = expand(&key) else { unreachable!() };
            engine.handle(Call::new(Operation::GetItem, body)).await;
        }
    }
    let (operation, body) = bed.items.request(cell.path);
    let mut said = Vec::new();
    let attempts = if has_token(cell.path) { SENDINGS } else { 1 };
    for _ in 0..attempts {
        let request = Call::new(operation, body.clone());
        let answer = engine.handle(request).await;
        said = bed.items.said(cell.path, &answer);
        if is_single() {
            println!("{number} {cell:?}: {answer:?}");
        }
        if said.iter().all(|(_, said)| *said == Said::Done) {
            break;
        }
    }
    let mut wrong = oracle(&bed, cell, &said).await;
    if !script.tokens_are_honest() && cell.journal.is_some() {
        wrong.push("two requests under one token".into());
    }
    let told = said.iter().all(|(_, said)| *said != Said::Unknown);
    // After one sending of unknown outcome all is well again, and there is time.
    let well = match cell.then {
        Then::Healthy => true,
        Then::Again => cell.first.lost != Lost::Late,
        _ => false,
    };
    if cell.journal.is_some() && well && !told {
        let unbound = cell.path == Path::Batch && cell.journal == Some(JournalMode::Cheap);
        if !unbound {
            wrong.push("the program was not told".into());
        }
    }
    if cell.journal.is_some() {
        engine.close().await;
        let report = bed.restore(2, &bed.database.url).run().await.unwrap();
        let changed = bed.changed().await;
        if !changed.is_empty() || report.conflicts > 0 {
            let restored = report.counts.written();
            wrong.push(format!("{changed:?} after {restored} restored, {}", report.conflicts));
        }
    }
    let wrong = wrong.iter().map(|why| format!("{number} {cell:?}: {why}")).collect();
    Came { wrong, told }
}

/// An item in short as the text of the whole one.
fn in_full(item: Option<&Value>) -> Option<String> {
    item.map(|item| canonical(&expand(&json!({"Item": item}))["Item"]))
}

/// What contradicts the answers.
async fn oracle(bed: &Bed, cell: Cell, said: &[(&'static str, Said)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut done_of_all = Vec::new();
    for ((name, left), (_, said)) in bed.items.left(cell.path).iter().zip(said) {
        let seeds = bed.items.seeds();
        let seed = seeds.iter().find(|(other, _)| other == name).and_then(|(_, seed)| seed.clone());
        // One look: a write that was given up as late may come between two.
        let now = bed.item(name).await.as_ref().map(canonical);
        let (done, untouched) = (now == in_full(left.as_ref()), now == in_full(seed.as_ref()));
        done_of_all.push(done);
        let fits = match said {
            Said::Done => done,
            Said::NotDone => untouched,
            Said::Unknown => done || untouched,
        };
        if !fits {
            wrong.push(format!("{name} is said to be {said:?}, and is {now:?}"));
        }
    }
    if is_together(cell.path) && done_of_all.iter().any(|done| *done != done_of_all[0]) {
        wrong.push("half of a transaction was carried out".into());
    }
    wrong
}

fn is_single() -> bool {
    std::env::var_os("FAULT_CELL").is_some()
}

pub async fn new_table() -> String {
    let table = fresh_name("faults");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_an_answer_a_write_happens_once_and_is_restored() {
    let table = new_table().await;
    for item in 0..WARM_UP {
        let put = json!({"TableName": table, "Item": {"id": format!("warm-{item}")}});
        database().ok("PutItem", &expand(&put)).await;
    }
    let only = std::env::var("FAULT_CELL").unwrap_or_default();
    let only: Vec<usize> = only.split(',').filter_map(|cell| cell.parse().ok()).collect();
    let cells: Vec<(usize, Cell)> = cells()
        .into_iter()
        .enumerate()
        .filter(|(number, _)| only.is_empty() || only.contains(number))
        .collect();
    let count = cells.len();
    let checks = cells.into_iter().map(|(number, cell)| check(&table, number, cell));
    let came: Vec<Came> = futures::stream::iter(checks).buffer_unordered(AT_ONCE).collect().await;
    let told = came.iter().filter(|came| came.told).count();
    println!("{count} cells; in {told} the program was told what became of its write");
    let wrong: Vec<String> = came.into_iter().flat_map(|came| came.wrong).collect();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
