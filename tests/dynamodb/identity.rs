//! What a recorded run stands for, with a real database: another region, a table that was created
//! again, two clusters with one archive at the same time.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::identity::{DatabaseId, Mismatch, TriedOn};
use dm_contract::plan::{Mode, Plan, Policy};
use dm_contract::verdict::{RunOutcome, Verdict};
use dm_engine::archive::ledger::{self, Begun, Completed, Kind, LedgerEntry};
use dm_engine::archive::locks::LockTimes;
use dm_engine::archive::{Archive, RunName};
use dm_engine::restore::{Restore, RestoreError, RestoreReport};
use dm_engine::{Answer, Call, Engine, EngineOptions, Operation, Start};
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, database, fresh_name};
use crate::shorthand::expand;

const OTHER_REGION: &str = "us-east-1";

struct Scene {
    store: Arc<InMemory>,
    plan: Plan,
}

impl Scene {
    fn new() -> Self {
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        plan.archive = Some(bed::archive("memory://"));
        Self { store: Arc::new(InMemory::new()), plan }
    }

    fn archive(&self) -> Archive {
        Archive::over(Arc::clone(&self.store) as Arc<_>)
    }

    /// The plan of another object's run.
    fn plan_of(&self, uid: &str, number: u32) -> Plan {
        let mut plan = self.plan.clone();
        plan.run.uid = uid.into();
        plan.run.number = number;
        plan
    }

    fn engine(&self, plan: &Plan) -> Arc<Engine> {
        let lock_times = LockTimes { hold: Duration::from_secs(1), ..LockTimes::default() };
        let options = EngineOptions { lock_times, ..bed::options(Some(self.archive())) };
        Arc::new(Engine::open(plan, options).unwrap())
    }

    /// A run that prices an item of each table, from its begin to its end.
    async fn applied(&self, plan: &Plan, tables: &[&str]) {
        let engine = self.engine(plan);
        for table in tables {
            assert_eq!(price(&engine, table).await.status, 200);
        }
        end(&engine, plan).await;
    }

    async fn entries(&self) -> Vec<LedgerEntry> {
        let migration = &self.plan.archive.as_ref().unwrap().migration;
        ledger::entries(&self.archive(), Some(migration)).await.unwrap()
    }

    async fn verdict(&self, plan: &Plan) -> Verdict {
        let entries = self.entries().await;
        let run = name(plan);
        let question = ledger::Question { run: &run, plan };
        let reader =
            dm_engine::upstream::ReadOnly::new(&plan.upstream, bed::credentials()).unwrap();
        let tables = question.tables(&entries);
        let now = dm_engine::identity::look(&reader, &plan.upstream, &tables).await.unwrap();
        question.answer(&entries, Some(&now))
    }

    async fn restore(&self, plan: &Plan) -> Result<RestoreReport, RestoreError> {
        Restore::open(plan, bed::restore_options(self.archive())).unwrap().run().await
    }
}

fn name(plan: &Plan) -> RunName {
    RunName::new(&plan.archive.as_ref().unwrap().migration, plan.run.number).unwrap()
}

async fn end(engine: &Arc<Engine>, plan: &Plan) {
    engine.close().await;
    let (begun, ended) = (Begun::now(plan, Kind::Apply), Completed::now(RunOutcome::Succeeded));
    ledger::record(engine.archive().unwrap(), &name(plan), &begun, &ended).await.unwrap();
}

async fn call(engine: &Arc<Engine>, operation: Operation, body: Value) -> Answer {
    let Value::Object(body) = expand(&body) else { unreachable!() };
    engine.handle(Call::new(operation, body)).await
}

async fn price(engine: &Arc<Engine>, table: &str) -> Answer {
    let body = json!({"TableName": table, "Key": {"id": "a"}, "UpdateExpression": "SET price = :p",
        "ExpressionAttributeValues": {":p": 1}});
    call(engine, Operation::UpdateItem, body).await
}

async fn create(table: &str) {
    database().ok("CreateTable", &crate::suite::table("hash", table)).await;
    let item = json!({"TableName": table, "Item": {"id": "a", "color": "red"}});
    database().ok("PutItem", &expand(&item)).await;
}

async fn create_again(table: &str) {
    database().ok("DeleteTable", &json!({"TableName": table})).await;
    create(table).await;
}

fn difference(verdict: &Verdict) -> Option<Mismatch> {
    match verdict {
        Verdict::Differs(differs) => Some(differs.difference.reason),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_has_the_database_the_program_and_each_table_with_its_id() {
    let (scene, first, second) = (Scene::new(), fresh_name("first"), fresh_name("second"));
    create(&first).await;
    create(&second).await;
    let program =
        dm_contract::identity::ProgramId { digest: "sha256:p".into(), ..Default::default() };
    let plan = Plan { program: Some(program.clone()), ..scene.plan.clone() };
    let engine = scene.engine(&plan);
    assert_eq!(price(&engine, &first).await.status, 200);
    let begun = scene.entries().await.remove(0).begun;
    assert_eq!(begun.tables.keys().collect::<Vec<_>>(), [&first]);
    assert_eq!(begun.program, Some(program.clone()));
    assert_eq!(price(&engine, &second).await.status, 200);
    // A guard that dies now leaves both on record.
    assert_eq!(scene.entries().await[0].tables.len(), 2);
    end(&engine, &plan).await;
    let entry = scene.entries().await.remove(0);
    let ended = entry.completed.unwrap();
    assert_eq!((ended.tables.len(), ended.program), (2, Some(program)));
    assert_eq!(ended.database.unwrap().region, bed::REGION);
    assert_eq!(ended.tables[&second], table_ids(&second).await[&second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_created_again_keeps_no_applied_and_is_not_restored() {
    let (scene, table) = (Scene::new(), fresh_name("again"));
    create(&table).await;
    let tried = TriedOn {
        database: DatabaseId::new(bed::REGION, Some(&database().url)),
        tables: table_ids(&table).await,
    };
    scene.applied(&scene.plan, &[&table]).await;
    let re_created = scene.plan_of("re-created", 2);
    assert!(matches!(scene.verdict(&re_created).await, Verdict::Adopt(_)));

    create_again(&table).await;
    let before = database().items(&table).await;
    let verdict = scene.verdict(&re_created).await;
    assert_eq!(difference(&verdict), Some(Mismatch::TableReplaced), "{verdict:?}");
    for mode in [Mode::Apply, Mode::DryRun] {
        let plan = Plan { mode, ..re_created.clone() };
        let error = scene.restore(&plan).await.unwrap_err();
        let RestoreError::Differs { difference, .. } = &error else { panic!("{error}") };
        assert_eq!(difference.reason, Mismatch::TableReplaced);
    }
    assert_eq!(scene.entries().await.len(), 1, "a restore that stops is not begun");
    assert_eq!(database().items(&table).await, before);

    let accepts = Plan { accept: vec![Mismatch::TableReplaced], ..re_created.clone() };
    assert!(matches!(scene.verdict(&accepts).await, Verdict::Adopt(_)));
    scene.restore(&accepts).await.unwrap();
    assert_eq!(scene.entries().await[1].begun.accepted, [Mismatch::TableReplaced]);

    // A dry run of the table as it was is none of the table as it is.
    let untried = Scene::new();
    let plan = Plan { tried: Some(tried), ..untried.plan.clone() };
    let verdict = untried.verdict(&plan).await;
    assert_eq!(difference(&verdict), Some(Mismatch::TableReplaced), "{verdict:?}");
    let without = Plan { archive: None, ..plan };
    let asked = dm_guard::ledger::ask(&without, Ok(bed::credentials())).await;
    assert_eq!(asked.exit_code(), dm_contract::verdict::EXIT_DIFFERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_only_changes_tables_has_them_on_record() {
    let settings = json!({"TimeToLiveSpecification": {"AttributeName": "t", "Enabled": true}});
    let create = |table: &str| crate::suite::table("hash", table);
    for operation in [Operation::CreateTable, Operation::UpdateTimeToLive] {
        let (mut scene, table) = (Scene::new(), fresh_name("changed"));
        scene.plan.policy.control_plane = true;
        let body = if operation == Operation::CreateTable {
            create(&table)
        } else {
            database().ok("CreateTable", &create(&table)).await;
            let mut body = settings.clone();
            body["TableName"] = table.clone().into();
            body
        };
        let engine = scene.engine(&scene.plan);
        assert_eq!(call(&engine, operation, body).await.status, 200);
        assert_eq!(scene.entries().await[0].tables, table_ids(&table).await, "{operation:?}");
        end(&engine, &scene.plan).await;
        let later = scene.plan_of("later", 2);
        assert!(matches!(scene.verdict(&later).await, Verdict::Adopt(_)));
        create_again(&table).await;
        let verdict = scene.verdict(&later).await;
        assert_eq!(difference(&verdict), Some(Mismatch::TableReplaced), "{operation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_run_itself_deleted_is_not_compared_with_a_later_one() {
    let (mut scene, table) = (Scene::new(), fresh_name("dropped"));
    create(&table).await;
    scene.plan.policy.control_plane = true;
    let engine = scene.engine(&scene.plan);
    assert_eq!(price(&engine, &table).await.status, 200);
    let name = json!({"TableName": table});
    assert_eq!(call(&engine, Operation::DeleteTable, name).await.status, 200);
    end(&engine, &scene.plan).await;
    let later = scene.plan_of("later", 2);
    assert!(matches!(scene.verdict(&later).await, Verdict::Adopt(_)));
    create(&table).await;
    assert!(matches!(scene.verdict(&later).await, Verdict::Adopt(_)));
    // But a restore takes the later one for none of the run's.
    let error = scene.restore(&later).await.unwrap_err().to_string();
    assert!(error.contains(&format!("the run deleted table {table}")), "{error}");
}

async fn table_ids(table: &str) -> dm_contract::identity::TableIds {
    let described = database().ok("DescribeTable", &json!({"TableName": table})).await;
    [(table.to_owned(), dm_dynamodb::schema::table_id(&described["Table"]).unwrap())].into()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_region_is_neither_adopted_nor_written_by_a_restore() {
    let (scene, table) = (Scene::new(), fresh_name("region"));
    create(&table).await;
    scene.applied(&scene.plan, &[&table]).await;
    let mut plan = scene.plan_of("re-created", 2);
    plan.upstream.region = OTHER_REGION.into();
    // DynamoDB Local keeps other tables for each region: one of the same name, with what a restore
    // of the run would change.
    let there = Plan {
        archive: None,
        policy: Policy { control_plane: true, ..Policy::default() },
        ..plan.clone()
    };
    let there = Arc::new(Engine::open(&there, bed::options(None)).unwrap());
    let created = call(&there, Operation::CreateTable, crate::suite::table("hash", &table)).await;
    assert_eq!(created.status, 200, "{created:?}");
    assert_eq!(price(&there, &table).await.status, 200);

    let verdict = scene.verdict(&plan).await;
    assert_eq!(difference(&verdict), Some(Mismatch::OtherDatabase), "{verdict:?}");
    let error = scene.restore(&plan).await.unwrap_err();
    let RestoreError::Differs { difference, .. } = &error else { panic!("{error}") };
    assert_eq!(difference.reason, Mismatch::OtherDatabase);
    let get = json!({"TableName": table, "Key": {"id": "a"}});
    let kept = call(&there, Operation::GetItem, get).await;
    assert!(String::from_utf8_lossy(&kept.body).contains("price"), "{kept:?}");
    assert_eq!(scene.entries().await.len(), 1);
    // The same database by another name is no other one.
    let mut same = scene.plan_of("re-created", 2);
    let local = database().url.replace("127.0.0.1", "localhost");
    same.upstream.endpoint = Some(local);
    assert!(matches!(scene.verdict(&same).await, Verdict::Adopt(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_at_once_with_one_archive_one_gives_way() {
    // The same number, as of two clusters, and two numbers, as where the ledger had been asked
    // before.
    for numbers in [[1, 1], [1, 2], [2, 1]] {
        let (scene, one, other) = (Scene::new(), fresh_name("one"), fresh_name("other"));
        create(&one).await;
        create(&other).await;
        let plans = [scene.plan_of("east", numbers[0]), scene.plan_of("west", numbers[1])];
        let engines = [scene.engine(&plans[0]), scene.engine(&plans[1])];
        // No table in common: their tables' locks do not keep them apart.
        let answers = tokio::join!(price(&engines[0], &one), price(&engines[1], &other));
        let wrote = [answers.0.status == 200, answers.1.status == 200];
        assert_ne!(wrote[0], wrote[1], "{numbers:?}: {answers:?}");
        let (winner, loser) = if wrote[0] { (0, 1) } else { (1, 0) };
        // For good, whatever its program makes of the error.
        let again = price(&engines[loser], if loser == 0 { &one } else { &other }).await;
        let text = String::from_utf8_lossy(&again.body).into_owned();
        assert!(text.contains("nothing was written by this run"), "{text}");
        let result = engines[loser].result();
        assert!(matches!(result.gave_way, Some(Verdict::Locked(_))), "{:?}", result.gave_way);
        assert_eq!(result.write_calls_upstream, 0);
        assert!(result.problem.unwrap().contains("stopped before its first write"));
        end(&engines[winner], &plans[winner]).await;
        engines[loser].close().await;
        assert_eq!(scene.entries().await.len(), 1, "{numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_let_go_before_another_applied_gives_way_at_its_first_write() {
    let (scene, table) = (Scene::new(), fresh_name("late"));
    create(&table).await;
    let late = scene.plan_of("west", 2);
    // Its program starts, and takes its time.
    let engine = scene.engine(&late);
    scene.applied(&scene.plan_of("east", 1), &[&table]).await;
    let answer = price(&engine, &table).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.status == 400 && text.contains("applied the migration"), "{text}");
    let result = engine.result();
    assert!(matches!(result.gave_way, Some(Verdict::Adopt(_))), "{:?}", result.gave_way);
    assert_eq!(result.write_calls_upstream, 0);
    // Its own entry says that it wrote nothing: nobody has to ask how it ended.
    let own = scene.entries().await.remove(1).completed.unwrap();
    assert_eq!(own.outcome, RunOutcome::Failed);
    assert!(own.message.unwrap().contains("stopped before its first write"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lives_is_waited_for_and_its_end_is_unknown_only_afterwards() {
    let (folder, table) = (tempfile::tempdir().unwrap(), fresh_name("lives"));
    create(&table).await;
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.archive = Some(bed::archive(&format!("file://{}", folder.path().display())));
    let engine = bed::engine(&plan, Start::First).await;
    assert_eq!(price(&engine, &table).await.status, 200);
    let mut other = plan.clone();
    (other.run.uid, other.run.number) = ("other".into(), 2);
    let asked = dm_guard::ledger::ask(&other, Ok(bed::credentials())).await.verdict;
    assert!(matches!(asked, Verdict::Locked(_)), "{asked:?}");
    // It goes away without a word.
    engine.close().await;
    let asked = dm_guard::ledger::ask(&other, Ok(bed::credentials())).await.verdict;
    assert!(matches!(asked, Verdict::Unknown(_)), "{asked:?}");
}

/// A run as a laptop begins it: its entry comes first, and it may read for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_laptops_run_or_restore_that_lives_is_waited_for_even_before_its_first_write() {
    for kind in [Kind::Apply, Kind::Restore(1)] {
        let (folder, table) = (tempfile::tempdir().unwrap(), fresh_name("laptop"));
        create(&table).await;
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        let mut named = bed::archive(&format!("file://{}", folder.path().display()));
        named.again = true;
        plan.archive = Some(named);
        plan.run.number = 2;
        let engine = bed::engine(&plan, Start::First).await;
        let begun = Begun::now(&plan, kind.clone());
        ledger::begin(engine.archive().unwrap(), &name(&plan), &begun).await.unwrap();
        engine.take_presence().await.unwrap();
        let mut pod = plan.clone();
        pod.archive.as_mut().unwrap().again = false;
        (pod.run.uid, pod.run.number) = ("pod".into(), 3);
        let asked = dm_guard::ledger::ask(&pod, Ok(bed::credentials())).await.verdict;
        assert!(matches!(asked, Verdict::Locked(_)), "{kind:?}: {asked:?}");
        let late = bed::engine(&pod, Start::First).await;
        assert_eq!(price(&late, &table).await.status, 400);
        let gave_way = late.result().gave_way;
        assert!(matches!(gave_way, Some(Verdict::Locked(_))), "{kind:?}: {gave_way:?}");
        late.close().await;
        engine.close().await;
        pod.run.number = 4;
        let asked = dm_guard::ledger::ask(&pod, Ok(bed::credentials())).await.verdict;
        assert!(matches!(asked, Verdict::Unknown(_)), "{kind:?}: {asked:?}");
    }
}
