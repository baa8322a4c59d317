//! A transform in parts, as its pods carry it out: each with its own engine and its own end in one
//! archive. Together they do what one does, and are restored as one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dm_contract::error_chain::chain;
use dm_contract::part::Part;
use dm_contract::plan::{Mode, Plan};
use dm_contract::report::{GuardResult, TransformEnd, TransformResult, merged};
use dm_contract::verdict::{RunOutcome, Verdict};
use dm_engine::archive::locks::{self, LockState, LockTimes};
use dm_engine::archive::{Archive, RunName, ledger};
use dm_engine::journal::JournalReader;
use dm_engine::restore::Restore;
use dm_engine::restore::RestoreOptions;
use dm_engine::{Call, Engine, EngineOptions, Operation, Start};
use dm_guard::uploader::Uploader;
use dm_runner::{Checkpoints, Settings, Share};
use dm_transform::OnItemError;
use futures::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::bed::{self, credentials, database, engine, options, restore_options};
use crate::shorthand::expand;
use crate::transform::{counts, open_plan, settings, table_of, transform};

/// Items of the table.
const ITEMS: u32 = 900;

/// An archive in a folder, and the plan of a migration's runs.
struct Scene {
    plan: Plan,
    archive: Archive,
    _folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let named = bed::archive(&format!("file://{}", folder.path().display()));
        let archive = Archive::open(&named, bed::REGION).await.unwrap();
        let plan = Plan { archive: Some(named), ..open_plan(Mode::Apply) };
        Self { plan, archive, _folder: folder }
    }

    fn name(&self) -> RunName {
        RunName::new(&self.plan.archive.as_ref().unwrap().migration, self.plan.run.number).unwrap()
    }

    /// Runs the plan's run in this many parts at the same time, each as its pod does.
    async fn run(
        &mut self,
        number: u32,
        mode: Mode,
        parts: Option<u32>,
        source: &Value,
    ) -> GuardResult {
        self.plan.run.number = number;
        self.plan.mode = mode;
        self.plan.parts = parts;
        // A person raised spec.retry.
        self.plan.archive.as_mut().unwrap().overrule = number - 1;
        let all: Vec<Option<Part>> = match parts {
            Some(of) => Part::all(of).map(Some).collect(),
            None => vec![None],
        };
        let results = join_all(all.into_iter().map(|part| pod(&self.plan, part, source))).await;
        if parts.is_none() { results.into_iter().next().unwrap() } else { merged(results).unwrap() }
    }

    async fn restored(&self, number: u32) -> dm_engine::restore::RestoreReport {
        let mut plan = self.plan.clone();
        plan.run.number = number;
        let of = self.plan.run.number;
        let options = RestoreOptions::new(credentials(), self.archive.clone(), of);
        Restore::open(&plan, options).unwrap().run().await.unwrap()
    }
}

/// One pod of a run from its start to its end.
async fn pod(plan: &Plan, part: Option<Part>, source: &Value) -> GuardResult {
    let logs = tempfile::tempdir().unwrap();
    let options = options(Archive::of_plan(plan).await.unwrap());
    let engine = Arc::new(Engine::open(plan, EngineOptions { part, ..options }).unwrap());
    let done = transformed(plan, part, &engine, source).await;
    say_end(logs.path(), &done);
    assert!(engine.close().await);
    let result = GuardResult { transform: Some(done), ..engine.result() };
    let archive = engine.archive().unwrap();
    let uploader = Uploader::of(plan, archive, Some(logs.path().to_owned())).unwrap().in_part(part);
    uploader.all(&engine, result, |_| ()).await
}

async fn transformed(
    plan: &Plan,
    part: Option<Part>,
    engine: &Arc<Engine>,
    source: &Value,
) -> TransformResult {
    let checkpoints = Checkpoints::of(plan, engine.archive().unwrap());
    let settings = Settings {
        checkpoints: checkpoints.map(|checkpoints| checkpoints.in_part(part)),
        part: part.map(|part| Share::of(plan, part, engine.archive())),
        batches: true,
        ..settings(OnItemError::Continue)
    };
    let (_asked, stop) = watch::channel(false);
    dm_runner::run(engine, transform(source), settings, stop).await
}

/// What the entry program leaves.
fn say_end(logs: &Path, done: &TransformResult) {
    let ended = json!({"version": 1, "startedAt": "2026-12-01T02:00:00.000Z",
        "finishedAt": "2026-12-01T02:00:03.000Z", "exitCode": done.end.exit_code()});
    std::fs::write(logs.join("program.json"), ended.to_string()).unwrap();
    std::fs::write(logs.join("program.log"), "done\n").unwrap();
}

async fn cars() -> String {
    table_of((0..ITEMS).map(|i| {
        let mut car = json!({"id": format!("c{i}"), "n": i, "color": "red"});
        if i % 3 == 0 {
            car["old"] = json!(i);
        }
        car
    }))
    .await
}

fn price(table: &str) -> Value {
    json!({"table": table, "filter": "n < 450", "set": {"price": "n * 10"}, "remove": ["old"]})
}

/// What a result has of items; how it came about differs with the number of segments.
fn effects(result: &GuardResult) -> (String, [u64; 5], u64, u64) {
    let cars = &result.tables[0];
    let transform = result.transform.as_ref().unwrap();
    assert_eq!(transform.end, TransformEnd::Succeeded, "{transform:?}");
    (result.effects_digest.clone(), counts(transform), cars.updated, result.items_read)
}

#[tokio::test(flavor = "multi_thread")]
async fn four_parts_do_what_one_does_and_are_restored_as_one() {
    let table = cars().await;
    let before = database().items(&table).await;
    let source = price(&table);
    let mut alone = Scene::new().await;
    let tried = alone.run(1, Mode::DryRun, None, &source).await;
    let mut scene = Scene::new().await;
    let in_parts = scene.run(1, Mode::DryRun, Some(4), &source).await;
    assert_eq!(effects(&in_parts), effects(&tried));
    assert_eq!(in_parts.left_out, 0);
    let kept = in_parts.archived.unwrap();
    assert!(kept.difference.unwrap().ends_with("/part-*/difference.ndjson.zst"));
    assert_eq!(database().items(&table).await, before);

    let applied = alone.run(2, Mode::Apply, None, &source).await;
    let after = database().items(&table).await;
    let restored = alone.restored(3).await;
    assert_eq!((restored.counts.restored, restored.conflicts), (u64::from(ITEMS) / 2, 0));
    assert_eq!(database().items(&table).await, before);

    let spread = scene.run(2, Mode::Apply, Some(4), &source).await;
    assert_eq!(database().items(&table).await, after);
    assert_eq!(effects(&spread), effects(&applied));
    assert_eq!(spread.journal.as_ref().unwrap().entries, u64::from(ITEMS) / 2);
    let kept = spread.archived.as_ref().unwrap();
    assert_eq!((kept.completed, &kept.problem), (Some(RunOutcome::Succeeded), &None));
    in_the_archive(&scene).await;

    // A part that changed nothing yet would be missed here.
    let restored = scene.restored(3).await;
    assert_eq!((restored.counts.restored, restored.conflicts), (u64::from(ITEMS) / 2, 0));
    assert_eq!(database().items(&table).await, before);
}

/// The run is completed, its locks are free, and each part has its own journal.
async fn in_the_archive(scene: &Scene) {
    let run = scene.name();
    let entries = ledger::entries(&scene.archive, None).await.unwrap();
    let end = entries[0].completed.as_ref().unwrap();
    assert_eq!((entries.len(), end.outcome), (1, RunOutcome::Succeeded));
    assert_eq!(end.summary.as_ref().unwrap().tables[0].updated, u64::from(ITEMS) / 2);
    let asked = dm_guard::ledger::ask(&scene.plan, Ok(credentials())).await.verdict;
    assert!(matches!(asked, Verdict::Adopt(_)), "{asked:?}");
    let readers = JournalReader::of_run(&scene.archive, &run).await.unwrap();
    assert_eq!(readers.len(), 4);
    for reader in &readers {
        assert!(reader.verify().await.unwrap().entries > 50, "each part has its share");
    }
    for listed in locks::all(&scene.archive).await.unwrap() {
        assert_eq!(listed.state, LockState::Free, "{listed:?}");
    }
    for part in Part::all(4).map(|part| run.in_part(part)) {
        for path in [part.report(), part.log(), part.checkpoint(), part.completed(), part.closed()]
        {
            assert!(scene.archive.exists(&path).await.unwrap(), "{path}");
        }
    }
    assert!(!scene.archive.exists(&run.segment(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_journal_is_gone_is_named() {
    let table = table_of((0..200).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let mut scene = Scene::new().await;
    let source = json!({"table": table, "set": {"price": "n * 10"}});
    scene.run(1, Mode::Apply, Some(3), &source).await;
    let lost = scene.name().in_part(Part { index: 2, of: 3 });
    let journal = scene.archive.list(&lost.journal()).await.unwrap();
    assert!(!journal.is_empty());
    for object in &journal {
        scene.archive.delete(&object.path).await.unwrap();
    }
    let named = || async {
        let error = JournalReader::of_run(&scene.archive, &scene.name()).await.unwrap_err();
        chain(&error)
    };
    let found = named().await;
    assert!(found.contains("JournalGone") && found.contains("/1/part-002 is gone"), "{found}");
    // Nor is it taken for one that wrote nothing when its notes are gone too.
    for path in [lost.closed(), lost.extent(), lost.completed(), lost.tables()] {
        scene.archive.delete(&path).await.unwrap();
    }
    let found = named().await;
    assert!(found.contains("part-002"), "{found}");
    let plan = Plan { parts: None, ..scene.plan.clone() };
    let plan = Plan { run: dm_contract::plan::RunId { number: 2, ..plan.run.clone() }, ..plan };
    let options = restore_options(scene.archive.clone());
    let error = Restore::open(&plan, options).unwrap().run().await;
    assert!(chain(&error.unwrap_err()).contains("part-002"));
    let items = database().items(&table).await;
    assert!(items.iter().all(|item| item["price"]["N"].is_string()), "nothing was restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_failed_in_any_part_are_visited_by_the_parts_of_the_next_run() {
    let name =
        |i: u32| if i.is_multiple_of(10) { "subaru".to_owned() } else { format!("ford {i}") };
    let table = table_of((0..200).map(|i| json!({"id": format!("c{i}"), "name": name(i)}))).await;
    let source = json!({"table": table, "set": {"model": "split(name, ' ', 2)[1]"}});
    let mut scene = Scene::new().await;
    let first = scene.run(1, Mode::Apply, Some(4), &source).await;
    let done = first.transform.unwrap();
    assert_eq!((done.end, counts(&done)), (TransformEnd::PartiallyFailed, [200, 0, 0, 180, 20]));
    assert_eq!(done.failures.len(), 20);
    // The operator's recorder notes the end of a run that failed.
    let failed = ledger::Completed::now(RunOutcome::Failed);
    ledger::complete(&scene.archive, &scene.name(), &failed).await.unwrap();
    let migration = scene.plan.archive.as_ref().unwrap().migration.clone();
    for (number, parts) in [(2, Some(3)), (3, None)] {
        let again = scene.run(number, Mode::Apply, parts, &source).await.transform.unwrap();
        assert_eq!(counts(&again), [20, 0, 0, 0, 20], "{parts:?}: only those are read");
        assert_eq!(again.retried_run, Some(format!("{migration}/{}", number - 1)));
        ledger::record(
            &scene.archive,
            &scene.name(),
            &ledger::Begun::now(&scene.plan, ledger::Kind::Apply),
            &failed,
        )
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_migration_waits_as_long_as_one_part_lives() {
    let table = table_of([json!({"id": "a"}), json!({"id": "b"})]).await;
    let mut scene = Scene::new().await;
    scene.plan.parts = Some(2);
    let lock_times = LockTimes {
        lease: Duration::from_secs(3),
        patience: Duration::from_secs(3),
        hold: Duration::from_secs(1),
    };
    let open = async |plan: &Plan, part| {
        let options = options(Some(scene.archive.clone()));
        let options = EngineOptions { part, lock_times, ..options };
        Arc::new(Engine::open(plan, options).unwrap())
    };
    let write = async |engine: &Arc<Engine>, id: &str| {
        let put = expand(&json!({"TableName": table, "Item": {"id": id, "by": "x"}}));
        let Value::Object(body) = put else { unreachable!() };
        engine.handle(Call::new(Operation::PutItem, body)).await
    };
    let parts: Vec<Option<Part>> = Part::all(2).map(Some).collect();
    let first = open(&scene.plan, parts[0]).await;
    let second = open(&scene.plan, parts[1]).await;
    assert_eq!(write(&first, "a").await.status, 200);
    assert_eq!(write(&second, "b").await.status, 200);
    drop(first);
    let mut other = open_plan(Mode::Apply);
    other.archive = Some(bed::archive("memory://"));
    other.run.uid = "other".into();
    let contender = open(&other, None).await;
    for _ in 0..3 {
        let answer = write(&contender, "c").await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("is locked by run") && text.contains("/1 of n/m"), "{text}");
        tokio::time::sleep(lock_times.lease).await;
    }
    assert_eq!(write(&second, "a").await.status, 200, "the living part keeps the table");
    drop(second);
    tokio::time::sleep(lock_times.lease).await;
    assert_eq!(write(&contender, "c").await.status, 200);
    assert!(contender.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_without_its_part_writes_nothing() {
    let table = table_of([json!({"id": "a", "n": 1})]).await;
    let mut scene = Scene::new().await;
    scene.plan.parts = Some(2);
    let engine = engine(&scene.plan, Start::First).await;
    let source = json!({"table": table, "set": {"m": "n"}});
    let done = transformed(&scene.plan, None, &engine, &source).await;
    assert_eq!(done.end, TransformEnd::Failed);
    assert!(done.message.unwrap().contains("does not know which of them"), "the plan has parts");
    for folder in ["ledger", "locks"] {
        assert!(scene.archive.list(folder).await.unwrap().is_empty(), "{folder}");
    }
}
