//! Runs with a journal that change tables themselves: they take the table's lock and a place in the
//! ledger, and a restore names what it leaves.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::identity::Mismatch;
use dm_contract::plan::{Mode, Plan, Policy};
use dm_contract::restored::Conflict;
use dm_engine::archive::ledger;
use dm_engine::archive::locks::LockTimes;
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::JournalReader;
use dm_engine::restore::{Restore, RestoreError, RestoreReport};
use dm_engine::{Answer, Call, Engine, EngineOptions, Operation};
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, database, fresh_name};
use crate::shorthand::expand;

struct Run {
    engine: Arc<Engine>,
    plan: Plan,
    archive: Archive,
}

impl Run {
    fn new(archive: &Archive) -> Self {
        let policy = Policy { control_plane: true, ..Policy::default() };
        let mut plan = bed::plan(Mode::Apply, policy);
        plan.archive = Some(bed::archive("memory://"));
        let lease = Duration::from_secs(4);
        let lock_times = LockTimes { lease, patience: lease * 5, hold: Duration::from_secs(1) };
        let options = EngineOptions { lock_times, ..bed::options(Some(archive.clone())) };
        let engine = Arc::new(Engine::open(&plan, options).unwrap());
        Self { engine, plan, archive: archive.clone() }
    }

    async fn does(&self, operation: &str, body: &Value) -> Answer {
        let Value::Object(body) = body.clone() else { unreachable!() };
        let operation = Operation::named(operation).unwrap();
        self.engine.handle(Call::new(operation, body)).await
    }

    async fn ok(&self, operation: &str, body: &Value) {
        let answer = self.does(operation, body).await;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
    }

    fn name(&self) -> RunName {
        RunName::new(&self.plan.archive.as_ref().unwrap().migration, 1).unwrap()
    }

    async fn restored(&self, mode: Mode) -> RestoreReport {
        self.restored_accepting(mode, &[]).await.unwrap()
    }

    async fn restored_accepting(
        &self,
        mode: Mode,
        accept: &[Mismatch],
    ) -> Result<RestoreReport, RestoreError> {
        let mut plan = Plan { mode, accept: accept.to_vec(), ..self.plan.clone() };
        plan.run.number = 2;
        Restore::open(&plan, bed::restore_options(self.archive.clone())).unwrap().run().await
    }
}

fn put(table: &str, id: &str) -> Value {
    expand(&json!({"TableName": table, "Item": {"id": id}}))
}

fn archive() -> Archive {
    Archive::over(Arc::new(InMemory::new()))
}

fn told(report: &RestoreReport) -> Vec<String> {
    report.not_restored.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_another_run_has_is_not_deleted_under_it() {
    let archive = archive();
    let table = fresh_name("taken");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let (first, second) = (Run::new(&archive), Run::new(&archive));
    first.ok("PutItem", &put(&table, "a")).await;
    let answer = second.does("DeleteTable", &json!({"TableName": table})).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains(&format!("locked by run {}", first.name())), "{text}");
    assert_eq!(database().items(&table).await.len(), 1);
    assert!(first.engine.close().await);
    second.ok("DeleteTable", &json!({"TableName": table})).await;
    assert!(second.engine.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_client_went_away_is_noted_all_the_same() {
    let (archive, table) = (archive(), fresh_name("gone"));
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let run = Run::new(&archive);
    run.ok("PutItem", &put(&table, "a")).await;
    let name = json!({"TableName": table});
    let mut deletion = Box::pin(run.does("DeleteTable", &name));
    assert!(futures::poll!(deletion.as_mut()).is_pending());
    drop(deletion);
    let mut left = 400;
    while database().call("DescribeTable", &name).await.0 == 200 {
        left -= 1;
        assert!(left > 0, "it goes on to its end");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    // Another program's table of that name has other keys.
    let other = json!({
        "TableName": table, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    });
    database().ok("CreateTable", &other).await;
    let item = expand(&json!({"TableName": table, "Item": {"pk": "b"}}));
    // It notes what it did just after the table is gone.
    while run.does("PutItem", &item).await.status != 200 {
        left -= 1;
        assert!(left > 0, "it takes the old keys for those of the table");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(run.engine.close().await);
    let reader = JournalReader::of_run(&archive, &run.name()).await.unwrap().remove(0);
    assert_eq!(reader.verify().await.unwrap().control, 1);
    assert_eq!(database().items(&table).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_run_created_stays_and_is_named() {
    let (archive, table) = (archive(), fresh_name("created"));
    let run = Run::new(&archive);
    run.ok("CreateTable", &crate::suite::table("hash", &table)).await;
    let begun = ledger::begun(&archive, &run.name()).await.unwrap();
    assert!(begun.is_some(), "the run is on record before the table is there");
    // The database refuses this one.
    assert_eq!(run.does("CreateTable", &crate::suite::table("hash", &table)).await.status, 400);
    run.ok("PutItem", &put(&table, "a")).await;
    assert!(run.engine.close().await);
    let reader = JournalReader::of_run(&archive, &run.name()).await.unwrap().remove(0);
    assert_eq!(reader.verify().await.unwrap().control, 2);

    let expected = [format!("CreateTable {table}")];
    let preview = run.restored(Mode::DryRun).await;
    assert_eq!((preview.counts.deleted, preview.conflicts), (1, 0));
    assert_eq!(told(&preview), expected);
    let report = run.restored(Mode::Apply).await;
    assert_eq!((report.counts.deleted, report.conflicts, told(&report)), (1, 0, expected.to_vec()));
    assert!(database().items(&table).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_run_deleted_is_a_loss_only_where_it_was_there_before() {
    let (archive, kept, old) = (archive(), fresh_name("kept"), fresh_name("old"));
    for table in [&kept, &old] {
        database().ok("CreateTable", &crate::suite::table("hash", table)).await;
        database().ok("PutItem", &put(table, "a")).await;
    }
    let temporary = fresh_name("temporary");
    let run = Run::new(&archive);
    let delete = |table: &str, id: &str| expand(&json!({"TableName": table, "Key": {"id": id}}));
    run.ok("CreateTable", &crate::suite::table("hash", &temporary)).await;
    run.ok("PutItem", &put(&temporary, "x")).await;
    run.ok("DeleteItem", &delete(&kept, "a")).await;
    run.ok("DeleteItem", &delete(&old, "a")).await;
    for table in [&temporary, &old] {
        run.ok("DeleteTable", &json!({"TableName": table})).await;
    }
    assert!(run.engine.close().await);
    for mode in [Mode::DryRun, Mode::Apply] {
        let error = run.restored_accepting(mode, &[]).await.unwrap_err().to_string();
        let expected = format!("nothing was written: the run deleted table {old}, which a restore");
        assert!(error.contains(&expected), "{error}");
    }
    assert_eq!(database().items(&kept).await.len(), 0);
    let accepted = [Mismatch::TableReplaced];
    let report = run.restored_accepting(Mode::Apply, &accepted).await.unwrap();
    assert_eq!((report.counts.recreated, report.conflicts), (1, 1), "{report:?}");
    assert_eq!(
        (&report.listed[0].table, &report.listed[0].conflict),
        (&old, &Conflict::ItemDeleted)
    );
    assert_eq!(
        told(&report),
        [
            format!("CreateTable {temporary}"),
            format!("DeleteTable {temporary}"),
            format!("DeleteTable {old}")
        ]
    );
    assert_eq!(database().items(&kept).await.len(), 1);
}

/// A program that copies a table to a new one and deletes it, and one that loads a table anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_a_copy_of_a_deleted_table_is_kept_whatever_is_accepted() {
    let accepted = [Mismatch::TableReplaced];
    for is_renamed in [true, false] {
        let (archive, old) = (archive(), fresh_name("old"));
        database().ok("CreateTable", &crate::suite::table("hash", &old)).await;
        database().ok("PutItem", &put(&old, "a")).await;
        let new = if is_renamed { fresh_name("new") } else { old.clone() };
        let (create, delete) = (crate::suite::table("hash", &new), json!({"TableName": old}));
        let run = Run::new(&archive);
        if is_renamed {
            run.ok("CreateTable", &create).await;
            run.ok("PutItem", &put(&new, "a")).await;
            run.ok("DeleteTable", &delete).await;
        } else {
            run.ok("DeleteTable", &delete).await;
            run.ok("CreateTable", &create).await;
            run.ok("PutItem", &put(&new, "a")).await;
        }
        assert!(run.engine.close().await);
        assert!(run.restored_accepting(Mode::Apply, &[]).await.is_err());
        for mode in [Mode::DryRun, Mode::Apply] {
            let report = run.restored_accepting(mode, &accepted).await.unwrap();
            assert_eq!((report.counts.deleted, report.conflicts), (0, 1), "{report:?}");
            assert_eq!(report.listed[0].conflict, Conflict::OnlyCopy);
        }
        assert_eq!(database().items(&new).await.len(), 1);
    }
}
