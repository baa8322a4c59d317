//! A transform in parts as its pods carry it out: a guard and an entry program for each, as
//! processes that know their part by the index of an Indexed Job. One is killed and replaced, one
//! is started again in its pod, one is started for a part that is completed, and some have no part.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dm_contract::part::{INDEX_ENV, Part};
use dm_contract::plan::{ACCESS_KEY_ENV, Mode, PLAN_ENV, Plan, Policy, RateLimits};
use dm_contract::report::{Continued, GuardResult, TransformEnd, merged};
use dm_contract::verdict::RunOutcome;
use dm_engine::archive::ledger;
use dm_engine::archive::locks::{self, LockState};
use dm_engine::archive::{Archive, RunName};
use dm_engine::restore::Restore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::bed::{self, ACCESS_KEY, Endpoint, REGION, database};
use crate::processes::{free_address, keys};
use crate::transform::{counts, table_of};

/// Items of the table.
const ITEMS: u64 = 1_500;

/// Bytes of each, so that a segment has several pages, and a checkpoint after each of them.
const ITEM_BYTES: usize = 24_000;

/// Writes a second of a part that is to be met in the middle: it takes some sixteen seconds, so
/// that there are checkpoints, and writes after them.
const SLOW: u32 = 30;

/// How long anything here may take, on a machine with other work.
const LONGEST: Duration = Duration::from_secs(180);

/// A table, an archive and the plan of a run.
struct Scene {
    table: String,
    before: Vec<Value>,
    folder: TempDir,
    plan: Plan,
}

impl Scene {
    async fn new(parts: Option<u32>) -> Self {
        let text = "x".repeat(ITEM_BYTES);
        let item = |i| json!({"id": format!("i{i}"), "n": i, "text": text});
        let table = table_of((0..ITEMS).map(item)).await;
        let before = database().items(&table).await;
        let folder = tempfile::tempdir().unwrap();
        let mut plan = bed::plan(Mode::Apply, Policy::default());
        plan.archive = Some(bed::archive(&format!("file://{}", folder.path().display())));
        (plan.parts, plan.now_s) = (parts, Some(7));
        Self { table, before, folder, plan }
    }

    /// What the transform changes: each item counts how often it was.
    fn transform(&self) -> String {
        let transform = json!({
            "table": self.table,
            "filter": "attribute_not_exists(done)",
            "set": {"changes": "if_not_exists(changes, 0) + 1", "done": "true"},
        });
        json!({"version": 1, "transform": transform, "onItemError": "Stop"}).to_string()
    }

    /// The objects of the archive with their content.
    fn archived(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        found
    }

    async fn opened(&self) -> Archive {
        Archive::open(self.plan.archive.as_ref().unwrap(), REGION).await.unwrap()
    }

    async fn changed_once(&self) {
        let items = database().items(&self.table).await;
        let times: Vec<&Value> = items.iter().map(|item| &item["changes"]["N"]).collect();
        assert_eq!(times.len() as u64, ITEMS);
        assert!(times.iter().all(|times| **times == "1"), "each item is changed once");
    }

    async fn completed(&self) {
        let entries = ledger::entries(&self.opened().await, None).await.unwrap();
        let end = entries[0].completed.as_ref().unwrap();
        assert_eq!((entries.len(), end.outcome), (1, RunOutcome::Succeeded));
        let tables = &end.summary.as_ref().unwrap().tables;
        assert_eq!((tables[0].updated, tables[0].items_read), (ITEMS, ITEMS));
        for listed in locks::all(&self.opened().await).await.unwrap() {
            assert_eq!(listed.state, LockState::Free, "{listed:?}");
        }
    }

    async fn restored(&self) {
        let mut plan = Plan { parts: None, ..self.plan.clone() };
        plan.run.number = 2;
        let options = bed::restore_options(self.opened().await);
        let restore = Restore::open(&plan, options).unwrap();
        let report = restore.run().await.unwrap();
        assert_eq!((report.counts.restored, report.conflicts), (ITEMS, 0));
        assert_eq!(database().items(&self.table).await, self.before);
    }
}

/// The folders and addresses of a pod.
struct Pod {
    folder: TempDir,
    plan: Plan,
    index: Option<String>,
    listen: SocketAddr,
    control: SocketAddr,
}

/// The processes of a pod.
struct Running {
    guard: Child,
    entry: Child,
}

impl Pod {
    fn new(scene: &Scene, index: Option<&str>, writes_per_second: Option<u32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "log", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("work/transform.json"), scene.transform()).unwrap();
        let limits = RateLimits { writes_per_second, ..RateLimits::default() };
        let plan = Plan { limits, ..scene.plan.clone() };
        let index = index.map(str::to_owned);
        Self { folder, plan, index, listen: free_address(), control: free_address() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.stdout(Stdio::null()).kill_on_drop(true).env_remove(INDEX_ENV);
        if let Some(index) = &self.index {
            command.env(INDEX_ENV, index);
        }
        command
    }

    fn guard_command(&self) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_guard-under-test"));
        command
            .env(PLAN_ENV, json!(self.plan).to_string())
            .env("AWS_REGION", REGION)
            .env(ACCESS_KEY_ENV, ACCESS_KEY)
            .envs(keys())
            .arg(format!("--termination-log={}", self.path("last-words").display()))
            .arg(format!("--control-listen={}", self.control));
        command
    }

    fn guard(&self) -> Child {
        self.guard_command()
            .arg(format!("--listen={}", self.listen))
            .arg(format!("--state-dir={}", self.path("state").display()))
            .arg(format!("--log-dir={}", self.path("log").display()))
            .spawn()
            .unwrap()
    }

    /// Starts the guard and, as the kubelet does, the program when it serves.
    async fn start(&self) -> Running {
        let guard = self.guard();
        let serves = async {
            while tokio::net::TcpStream::connect(self.listen).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONGEST, serves).await.expect("a guard that serves");
        let (work, entry) = (self.path("work"), env!("CARGO_BIN_EXE_entry-under-test"));
        let entry = self
            .command(entry)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .args(["run", "--dir"])
            .arg(&work)
            .arg("--termination-log")
            .arg(self.path("program"))
            .arg("--log-dir")
            .arg(self.path("log"))
            .args(["--", entry, "transform", "--guard", &self.listen.to_string(), "--dir"])
            .arg(&work)
            .spawn()
            .unwrap();
        Running { guard, entry }
    }

    /// Waits for the program's end, then stops the guard. Returns both ends and the result.
    async fn ended(&self, mut running: Running) -> (ExitStatus, ExitStatus, GuardResult) {
        let program = waited(&mut running.entry).await;
        signal(&running.guard, "-TERM");
        let guard = waited(&mut running.guard).await;
        (program, guard, self.result())
    }

    /// The same of a part that succeeds.
    async fn succeeded(&self, running: Running) -> GuardResult {
        let (program, guard, result) = self.ended(running).await;
        assert!(program.success() && guard.success(), "{program} {guard}: {result:?}");
        assert_eq!(result.problem, None);
        assert_eq!(result.transform.as_ref().unwrap().end, TransformEnd::Succeeded);
        assert_eq!(result.archived.as_ref().unwrap().completed, Some(RunOutcome::Succeeded));
        result
    }

    fn result(&self) -> GuardResult {
        serde_json::from_slice(&std::fs::read(self.path("last-words")).unwrap()).unwrap()
    }

    /// Waits until the guard has written this many items. `checkpoint` is one that is to count some
    /// of them, and not all.
    async fn has_written(&self, items: u64, checkpoint: Option<&Path>) {
        let control = Endpoint::new(format!("http://{}", self.control));
        let reached = async {
            loop {
                let progress = control.control("GET", "/progress", None, "").await.1;
                let written = progress["tables"][0]["updated"].as_u64().unwrap_or_default();
                let is_kept = checkpoint.is_none_or(|checkpoint| {
                    let kept = std::fs::read(checkpoint).unwrap_or_default();
                    let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
                    let counted = kept["counts"]["changed"].as_u64().unwrap_or_default();
                    counted > 0 && counted < written
                });
                if written >= items && is_kept {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LONGEST, reached).await.expect("a transform in the middle");
    }
}

fn signal(process: &Child, signal: &str) {
    let process = process.id().expect("it was not waited for").to_string();
    assert!(
        std::process::Command::new("kill").args([signal, &process]).status().unwrap().success()
    );
}

async fn waited(process: &mut Child) -> ExitStatus {
    tokio::time::timeout(LONGEST, process.wait()).await.expect("an end").unwrap()
}

/// Items read, skipped, unchanged, changed and failed; those updated; and entries of the journal.
fn counted(result: &GuardResult) -> ([u64; 5], u64, u64) {
    let updated = result.tables.iter().map(|table| table.updated).sum();
    let entries = result.journal.as_ref().unwrap().entries;
    (counts(result.transform.as_ref().unwrap()), updated, entries)
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_parts_that_are_killed_replaced_and_repeated_do_each_part_once() {
    let scene = Scene::new(Some(3)).await;
    for (index, expected) in [
        (None, "JOB_COMPLETION_INDEX is not set"),
        (Some("3"), "JOB_COMPLETION_INDEX is `3`; it must be a number below 3"),
    ] {
        let pod = Pod::new(&scene, index, None);
        assert_eq!(waited(&mut pod.guard()).await.code(), Some(1));
        let problem = pod.result().problem.unwrap();
        assert!(problem.contains(expected), "{problem}");
        assert!(scene.archived().is_empty(), "nothing is written");
    }

    let migration = &scene.plan.archive.as_ref().unwrap().migration;
    let run = RunName::new(migration, 1).unwrap().in_part(Part { index: 1, of: 3 });
    let of_lost = scene.folder.path().join(run.checkpoint());
    let first = Pod::new(&scene, Some("0"), None);
    let lost = Pod::new(&scene, Some("1"), Some(SLOW));
    let again = Pod::new(&scene, Some("2"), Some(SLOW));
    let (running, mut dies, mut restarts) =
        tokio::join!(first.start(), lost.start(), again.start());

    // The guard of part 2 is killed, and the kubelet starts it again in its pod.
    again.has_written(300, None).await;
    restarts.guard.kill().await.unwrap();
    restarts.guard = again.guard();
    // The node of part 1 is lost.
    lost.has_written(500, Some(&of_lost)).await;
    dies.guard.kill().await.unwrap();
    dies.entry.kill().await.unwrap();

    let of_first = first.succeeded(running).await;
    assert_eq!(of_first.continued, Some(Continued::default()));
    let of_again = again.succeeded(restarts).await;
    assert_eq!(of_again.continued, Some(Continued { guards: 1, at_least: true }));

    // A pod that is started once more for a part that is completed.
    let before = scene.archived();
    let repeated = Pod::new(&scene, Some("0"), None);
    let of_repeated = repeated.succeeded(repeated.start().await).await;
    assert_eq!(of_repeated, of_first);
    assert!(scene.archived() == before, "nothing is written");

    let replaced = Pod::new(&scene, Some("1"), None);
    let of_replaced = replaced.succeeded(replaced.start().await).await;
    assert_eq!(of_replaced.continued, Some(Continued { guards: 1, at_least: true }));
    let own = counted(&of_replaced);
    assert_eq!((own.0[0], own.0[3]), (own.1, own.1), "all items of the part are changed");

    scene.changed_once().await;
    scene.completed().await;
    let whole = merged(vec![of_first.clone(), of_again.clone(), of_replaced]).unwrap();
    let (items, updated, entries) = counted(&whole);
    assert_eq!((items, updated), ([ITEMS, 0, 0, ITEMS, 0], ITEMS));
    assert_eq!(whole.items_read, ITEMS);
    assert!(entries >= ITEMS, "{entries} entries");
    let attributes: Vec<(&str, u64)> =
        whole.tables[0].attributes.iter().map(|each| (each.name.as_str(), each.added)).collect();
    assert_eq!(attributes, [("changes", ITEMS), ("done", ITEMS)]);

    // The same after the whole run is completed, when the ledger knows it as applied.
    let before = scene.archived();
    let late = Pod::new(&scene, Some("2"), None);
    assert!(waited(&mut late.guard_command().arg("ledger").spawn().unwrap()).await.success());
    assert_eq!(late.succeeded(late.start().await).await, of_again);
    assert!(scene.archived() == before, "nothing is written");

    scene.restored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_restarted_in_its_pod_completes_the_run_with_the_counts_of_both() {
    let scene = Scene::new(None).await;
    let pod = Pod::new(&scene, None, Some(SLOW * 3));
    let mut running = pod.start().await;
    pod.has_written(1_000, None).await;
    running.guard.kill().await.unwrap();
    running.guard = pod.guard();
    // Its program has ended when it is started again once more: nobody orders the transform.
    assert!(waited(&mut running.entry).await.success());
    running.guard.kill().await.unwrap();
    let mut third = pod.guard();
    while tokio::net::TcpStream::connect(pod.listen).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal(&third, "-TERM");
    assert!(waited(&mut third).await.success());
    let result = pod.result();
    assert_eq!((&result.problem, result.items_read), (&None, ITEMS), "{result:?}");
    assert_eq!(counted(&result), ([ITEMS, 0, 0, ITEMS, 0], ITEMS, counted(&result).2));
    assert_eq!(result.continued, Some(Continued { guards: 2, at_least: true }));
    scene.changed_once().await;
    scene.completed().await;
    scene.restored().await;
}
