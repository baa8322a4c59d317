//! What a run's pod does, part by part: the ledger is asked, a guard serves, what it leaves is in
//! the archive, another object adopts the result, and the run is restored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dm_contract::plan::OnConflict;
use dm_contract::plan::{Mode, Plan, Policy, RestorePlan};
use dm_contract::report::{Archived, GuardResult};
use dm_contract::restored::Conflict;
use dm_contract::verdict::{RunOutcome, Verdict};
use dm_engine::archive::Archive;
use dm_engine::restore::RestoreReport;
use dm_guard::token::ControlToken;
use dm_guard::uploader::Uploader;
use dm_guard::{ledger, restore};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::{self, Endpoint, database, fresh_name};
use crate::processes::free_address;
use crate::shorthand::expand;

struct Pod {
    table: String,
    archive: TempDir,
    logs: TempDir,
    plan: Plan,
}

impl Pod {
    async fn new(mode: Mode) -> Self {
        let table = fresh_name("pod");
        database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
        for id in ["a", "b", "c"] {
            let item = json!({"TableName": table, "Item": {"id": id, "color": "red"}});
            database().ok("PutItem", &expand(&item)).await;
        }
        let (archive, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut plan = bed::plan(mode, Policy { show_values: true, ..Policy::default() });
        plan.archive = Some(bed::archive(&format!("file://{}", archive.path().display())));
        Self { table, archive, logs, plan }
    }

    async fn opened(&self) -> Archive {
        Archive::open(self.plan.archive.as_ref().unwrap(), bed::REGION).await.unwrap()
    }

    /// The guard from start to stop, with what the entry program leaves beside it.
    async fn run(&self, exit_code: Option<i32>) -> GuardResult {
        let (guard, endpoint) = bed::guard(&self.plan).await;
        for id in ["a", "b", "c"] {
            endpoint.ok("UpdateItem", &self.price(id)).await;
        }
        let left = |name: &str, text: String| std::fs::write(self.logs.path().join(name), text);
        left("program.log", "three cars priced\n".into()).unwrap();
        if let Some(exit_code) = exit_code {
            let ended = json!({"version": 1, "startedAt": "2026-12-01T02:00:00.000Z",
                "finishedAt": "2026-12-01T02:00:03.000Z", "exitCode": exit_code});
            left("program.json", ended.to_string()).unwrap();
        }
        let engine = Arc::clone(guard.engine());
        let result = guard.stop().await;
        let logs = Some(self.logs.path().to_owned());
        let uploader = Uploader::of(&self.plan, engine.archive().unwrap(), logs).unwrap();
        let said = parking_lot::Mutex::new(0);
        let result = uploader.all(&engine, result, |_| *said.lock() += 1).await;
        assert!(*said.lock() >= 2, "the result is told before the uploads");
        result
    }

    fn price(&self, id: &str) -> Value {
        expand(&json!({"TableName": self.table, "Key": {"id": id},
            "UpdateExpression": "SET price = :p", "ExpressionAttributeValues": {":p": 1}}))
    }

    async fn ask(&self, uid: &str, number: u32) -> Verdict {
        let mut plan = self.plan.clone();
        plan.run.uid = uid.into();
        plan.run.number = number;
        ledger::ask(&plan, Ok(bed::credentials())).await.verdict
    }

    async fn read(&self, path: &str) -> Vec<u8> {
        self.opened().await.get(path).await.unwrap().unwrap().to_vec()
    }
}

fn unpacked(packed: &[u8]) -> String {
    String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_kept_adopted_restored_and_may_then_run_anew() {
    let pod = Pod::new(Mode::Apply).await;
    assert_eq!(pod.ask("u", 1).await, Verdict::Go);
    let before = database().items(&pod.table).await;
    let result = pod.run(Some(0)).await;
    let kept = result.archived.clone().unwrap();
    assert_eq!((kept.completed, kept.problem), (Some(RunOutcome::Succeeded), None));
    assert_eq!(unpacked(&pod.read(&kept.log.unwrap()).await), "three cars priced\n");
    let report: GuardResult =
        serde_json::from_slice(&pod.read(&kept.report.unwrap()).await).unwrap();
    assert_eq!(report.journal, result.journal);
    assert_eq!(kept.difference, None);

    // Another object of the same name, with its own number choice.
    for (uid, number) in [("re-created", 1), ("u", 2), ("u", 1)] {
        let Verdict::Adopt(adopted) = pod.ask(uid, number).await else { panic!("it runs twice") };
        assert_eq!((adopted.run, adopted.uid.as_str()), (1, "u"));
        assert_eq!(adopted.execution_time.as_deref(), Some("2026-12-01T02:00:00.000Z"));
        assert_eq!(adopted.finalization_time.as_deref(), Some("2026-12-01T02:00:03.000Z"));
        assert_eq!(adopted.summary.unwrap().tables[0].updated, 3);
    }

    // Somebody changes a price; the rest is restored.
    let body = expand(&json!({"TableName": pod.table, "Key": {"id": "b"},
        "UpdateExpression": "SET price = :p", "ExpressionAttributeValues": {":p": 9}}));
    database().ok("UpdateItem", &body).await;
    let mut plan = pod.plan.clone();
    plan.run.number = 2;
    plan.restore = Some(RestorePlan { run: 1, on_conflict: OnConflict::Skip });
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let never = std::future::pending::<()>();
    plan.mode = Mode::DryRun;
    assert_eq!(ledger::ask(&plan, Ok(bed::credentials())).await.verdict, Verdict::Go);
    let preview = restore::restore(&plan, bed::credentials(), any, None, never).await;
    assert_eq!((preview.finished, preview.counts.restored, preview.conflicts), (true, 2, 1));
    assert!(preview.archived.unwrap().conflicts.unwrap().contains("dry-run-u/"));

    plan.mode = Mode::Apply;
    assert_eq!(ledger::ask(&plan, Ok(bed::credentials())).await.verdict, Verdict::Go);
    let stopped = std::future::ready(());
    let interrupted = restore::restore(&plan, bed::credentials(), any, None, stopped).await;
    assert!(!interrupted.finished && interrupted.problem.unwrap().contains("interrupted"));
    assert_eq!(
        ledger::ask(&plan, Ok(bed::credentials())).await.verdict,
        Verdict::Go,
        "it goes on under its number"
    );

    let never = std::future::pending::<()>();
    let restored = restore::restore(&plan, bed::credentials(), any, None, never).await;
    assert_eq!(restored.problem, None);
    assert_eq!((restored.finished, restored.conflicts), (true, 1));
    assert_eq!(restored.groups[0].conflict, Conflict::AttributeChanged("price".into()));
    assert_eq!(restored.groups[0].keys, [json!({"id": {"S": "b"}})]);
    let kept = restored.archived.unwrap();
    assert_eq!(kept.completed, Some(RunOutcome::Succeeded));
    let report: RestoreReport =
        serde_json::from_slice(&pod.read(&kept.report.unwrap()).await).unwrap();
    assert_eq!(report.listed.len(), 1);
    let conflicts = String::from_utf8(pod.read(&kept.conflicts.unwrap()).await).unwrap();
    assert_eq!(conflicts.lines().count(), 1);
    let now = database().items(&pod.table).await;
    assert_eq!((&now[0], &now[2]), (&before[0], &before[2]));
    assert_eq!(now[1]["price"], json!({"N": "9"}));

    let Verdict::Adopt(adopted) = ledger::ask(&plan, Ok(bed::credentials())).await.verdict else {
        panic!("twice")
    };
    assert_eq!((adopted.run, adopted.conflicts), (2, Some(1)));
    assert_eq!(pod.ask("u", 2).await, Verdict::Renumber { highest: 2 });
    assert_eq!(pod.ask("u", 3).await, Verdict::Go);
    assert!(pod.archive.path().join("locks").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_is_noted_only_as_far_as_it_is_known() {
    let failed = Pod::new(Mode::Apply).await;
    let kept = failed.run(Some(3)).await.archived.unwrap();
    assert_eq!(kept.completed, Some(RunOutcome::Failed));
    assert_eq!(failed.ask("u", 2).await, Verdict::Go);
    assert_eq!(failed.ask("u", 1).await, Verdict::Renumber { highest: 1 });

    let silent = Pod::new(Mode::Apply).await;
    let kept = silent.run(None).await.archived.unwrap();
    assert_eq!(kept.completed, None);
    assert!(kept.log.is_some() && kept.report.is_some());
    let Verdict::Unknown(unknown) = silent.ask("u", 2).await else { panic!("it guesses") };
    assert_eq!((unknown.run, unknown.uid.as_str()), (1, "u"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_difference_is_kept_in_parts_that_can_each_be_read_alone() {
    let pod = Pod::new(Mode::DryRun).await;
    let (guard, endpoint) = bed::guard(&pod.plan).await;
    for id in 0..12 {
        let item = json!({"id": id.to_string(), "text": "x".repeat(300_000)});
        endpoint.ok("PutItem", &expand(&json!({"TableName": pod.table, "Item": item}))).await;
    }
    let engine = Arc::clone(guard.engine());
    let result = guard.stop().await;
    for attempt in ["", "attempt-2/"] {
        let uploader =
            Uploader::of(&pod.plan, engine.archive().unwrap(), None).unwrap().in_parts_of(100);
        let mut kept = Archived::default();
        uploader.upload(&engine, &result, &mut kept).await;
        assert_eq!(kept.problem, None);
        let parts = kept.difference_parts.unwrap();
        assert!((2..=12).contains(&parts), "{parts}");
        let first = kept.difference.unwrap();
        let folder = first.strip_suffix("difference.ndjson.zst").unwrap().to_owned();
        assert!(folder.ends_with(&format!("/{attempt}")), "{folder}");
        let further = (2..=parts).map(|part| format!("{folder}difference-{part}.ndjson.zst"));
        let mut lines = Vec::new();
        for path in std::iter::once(first).chain(further) {
            let part = unpacked(&pod.read(&path).await);
            assert!(!part.is_empty(), "{path} holds nothing");
            lines.extend(part.lines().map(str::to_owned));
        }
        let mut keys: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"]["id"]["S"].clone())
            .collect();
        keys.sort_by_key(Value::to_string);
        keys.dedup();
        assert_eq!((lines.len(), keys.len()), (12, 12));
        // What stands in the way of another attempt is of another content, as its digests are.
        for part in 1..=parts {
            let name = if part == 1 { String::new() } else { format!("-{part}") };
            let path = format!("{folder}difference{name}.ndjson.zst");
            let other = Bytes::from_static(b"another attempt's");
            pod.opened().await.replace(&path, other).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_keeps_its_difference_and_is_not_in_the_ledger() {
    let pod = Pod::new(Mode::DryRun).await;
    let before = database().items(&pod.table).await;
    let kept = pod.run(Some(0)).await.archived.unwrap();
    assert_eq!((kept.completed, kept.problem), (None, None));
    let difference = kept.difference.unwrap();
    assert!(difference.contains("/000001/dry-run-u/"), "{difference}");
    assert_eq!(unpacked(&pod.read(&difference).await).lines().count(), 3);
    assert!(kept.log.is_some() && kept.report.is_some());
    assert_eq!(database().items(&pod.table).await, before);
    assert!(
        dm_engine::archive::ledger::entries(&pod.opened().await, None).await.unwrap().is_empty()
    );
    assert_eq!(pod.ask("u", 2).await, Verdict::Go);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_as_its_control_says() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let pod = Pod::new(Mode::Apply).await;
    let before = database().items(&pod.table).await;
    pod.run(Some(0)).await;
    let mut plan = pod.plan.clone();
    plan.run.number = 2;
    plan.restore = Some(RestorePlan { run: 1, on_conflict: OnConflict::Skip });
    plan.limits.writes_per_second = Some(1);
    let address = free_address();
    let control = Endpoint::new(format!("http://{address}"));
    let asked = async |method: &str, path: &str, body: &str| {
        let (status, answer) = control.control(method, path, Some(TOKEN), body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    };
    let steered = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(control.control("POST", "/pause", None, "").await.0, 401);
        assert_eq!(asked("POST", "/pause", "").await["paused"], true);
        // What was under way continues to its end.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = database().items(&pod.table).await;
        assert!(now != before, "it was paused in the middle");
        let quick = asked("PUT", "/limits", r#"{"writesPerSecond":500}"#).await;
        assert_eq!(quick["limits"]["writesPerSecond"], 500);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(database().items(&pod.table).await, now, "nothing is written in a pause");
        assert_eq!(asked("GET", "/progress", "").await["finished"], false);
        assert_eq!(asked("POST", "/resume", "").await["paused"], false);
        Instant::now()
    };
    let token = Some(ControlToken::new(TOKEN).unwrap());
    let never = std::future::pending::<()>();
    let work = restore::restore(&plan, bed::credentials(), address, token, never);
    let (restored, resumed) = tokio::join!(work, steered);
    assert!(restored.finished && resumed.elapsed() < Duration::from_secs(2), "{restored:?}");
    assert_eq!(database().items(&pod.table).await, before);
}
