//! Items that a transform could not change: a run that is resumed, and the run after it, visit them
//! again.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::{Mode, Plan};
use dm_contract::report::{TransformEnd, TransformResult};
use dm_engine::Start;
use dm_engine::archive::ledger::{self, Begun, Completed, Kind, RunOutcome};
use dm_engine::archive::{Archive, RunName};
use dm_runner::{Checkpoints, Settings};
use dm_transform::OnItemError;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::bed::{archive, database, engine};
use crate::transform::{counts, open_plan, settings, table_of, transform};

/// An archive in a folder, and the plan of its migration's applies.
struct Scene {
    plan: Plan,
    archive: Archive,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = open_plan(Mode::Apply);
        let named = archive(&format!("file://{}", folder.path().display()));
        let archive = Archive::open(&named, "us-east-1").await.unwrap();
        plan.archive = Some(named);
        Self { plan, archive, _folder: folder }
    }

    /// Begins a run in the ledger, as its caller does before the engine is opened.
    async fn begun(&mut self, number: u32, kind: Kind) {
        self.plan.run.number = number;
        // A person raised spec.retry.
        self.plan.archive.as_mut().unwrap().overrule = number - 1;
        let begun = Begun::now(&self.plan, kind);
        ledger::begin(&self.archive, &self.name(), &begun).await.unwrap();
    }

    fn name(&self) -> RunName {
        RunName::new(&self.plan.archive.as_ref().unwrap().migration, self.plan.run.number).unwrap()
    }

    async fn ended(&self, outcome: RunOutcome) {
        let completed = Completed::now(outcome);
        ledger::complete(&self.archive, &self.name(), &completed).await.unwrap();
    }

    /// Runs the plan's run, until the database has seen this many writes if a number is given.
    async fn pass(&self, source: &Value, start: Start, until: Option<u64>) -> TransformResult {
        let engine = engine(&self.plan, start).await;
        let (asked, stop) = watch::channel(false);
        let settings = Settings {
            checkpoints: Checkpoints::of(&self.plan, engine.archive().unwrap()),
            ..settings(OnItemError::Continue)
        };
        if let Some(writes) = until {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                while engine.result().write_calls_upstream < writes {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                asked.send_replace(true);
                asked.closed().await;
            });
        }
        let result = dm_runner::run(&engine, transform(source), settings, stop).await;
        assert!(engine.close().await);
        result
    }

    async fn applied(&mut self, number: u32, source: &Value) -> TransformResult {
        self.begun(number, Kind::Apply).await;
        let result = self.pass(source, Start::First, None).await;
        let succeeded = result.end == TransformEnd::Succeeded;
        self.ended(if succeeded { RunOutcome::Succeeded } else { RunOutcome::Failed }).await;
        result
    }
}

async fn rename(table: &str, id: &str, name: &str) {
    let item = json!({"id": {"S": id}, "name": {"S": name}});
    database().ok("PutItem", &json!({"TableName": table, "Item": item})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_after_a_partially_failed_one_visits_only_what_failed() {
    let name =
        |i: u32| if i.is_multiple_of(10) { "subaru".to_owned() } else { format!("ford {i}") };
    let table = table_of((0..40).map(|i| json!({"id": format!("c{i}"), "name": name(i)}))).await;
    let source = json!({"table": table, "set": {"model": "split(name, ' ', 2)[1]"}});
    let mut scene = Scene::new().await;
    let first = scene.applied(1, &source).await;
    assert_eq!((first.end, counts(&first)), (TransformEnd::PartiallyFailed, [40, 0, 0, 36, 4]));
    assert_eq!(first.retried_run, None);

    rename(&table, "c0", "subaru dl").await;
    let key = json!({"TableName": table, "Key": {"id": {"S": "c10"}}});
    database().ok("DeleteItem", &key).await;
    let second = scene.applied(2, &source).await;
    let migration = scene.plan.archive.as_ref().unwrap().migration.clone();
    assert_eq!((second.end, counts(&second)), (TransformEnd::PartiallyFailed, [3, 0, 0, 1, 2]));
    assert_eq!(second.retried_run, Some(format!("{migration}/1")));

    rename(&table, "c20", "subaru gl").await;
    rename(&table, "c30", "subaru gt").await;
    let third = scene.applied(3, &source).await;
    assert_eq!((third.end, counts(&third)), (TransformEnd::Succeeded, [2, 0, 0, 2, 0]));
    let items = database().items(&table).await;
    assert_eq!(items.len(), 39);
    assert!(items.iter().all(|item| item["model"]["S"].is_string()), "{items:?}");

    let fourth = scene.applied(4, &source).await;
    assert_eq!((fourth.retried_run.as_deref(), counts(&fourth)), (None, [39, 0, 39, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_scanned_where_more_than_failed_items_may_have_to_change() {
    let table = table_of((0..10).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let source = json!({"table": table, "set": {"m": "10 / n"}});
    let mut scene = Scene::new().await;
    let first = scene.applied(1, &source).await;
    assert_eq!((first.end, first.failed), (TransformEnd::PartiallyFailed, 1));

    let mut changed = source.clone();
    changed["set"]["m"] = json!("20 / n");
    let other = scene.applied(2, &changed).await;
    assert_eq!((other.retried_run.as_deref(), other.read), (None, 10), "another transform");

    scene.begun(3, Kind::Restore(2)).await;
    scene.ended(RunOutcome::Succeeded).await;
    let after = scene.applied(4, &changed).await;
    assert_eq!((after.retried_run.as_deref(), after.read), (None, 10), "a restore came between");

    let again = scene.applied(5, &changed).await;
    assert_eq!((again.retried_run.is_some(), again.read), (true, 1), "now nothing came between");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_resumed_remembers_what_had_failed() {
    // Five pages for each segment: at least the first of each is done when the run is stopped.
    let filler = "x".repeat(100_000);
    let car =
        |i: u32| json!({"id": format!("c{i}"), "f": filler, "n": u32::from(!i.is_multiple_of(5))});
    let table = table_of((0..400).map(car)).await;
    let source = json!({"table": table, "set": {"m": "1 / n"}});
    let mut scene = Scene::new().await;
    scene.plan.limits.writes_per_second = Some(80);
    scene.begun(1, Kind::Apply).await;
    let first = scene.pass(&source, Start::First, Some(200)).await;
    assert_eq!(first.end, TransformEnd::Interrupted, "{:?}", counts(&first));
    assert!(first.failed > 0 && first.failed < 80, "{:?}", counts(&first));
    let second = scene.pass(&source, Start::Again, None).await;
    assert_eq!(second.end, TransformEnd::PartiallyFailed);
    // It counts for both. An item whose page was not done is visited by its key and by the scan,
    // and counted once.
    assert_eq!(counts(&second), [400, 0, 0, 320, 80], "before it was stopped {:?}", counts(&first));
    let mut keys: Vec<String> =
        second.failures.iter().map(|failed| failed.key.as_ref().unwrap().to_string()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 80, "each failed item is listed");
}
