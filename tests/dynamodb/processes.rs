//! The guard's program as its own process: killed in the middle of a run, nothing has changed
//! that is not in its journal, and all of it can be restored; stopped for longer than its lock
//! lasts, it writes nothing when it wakes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dm_contract::plan::{ACCESS_KEY_ENV, Mode, PLAN_ENV, Plan, Policy};
use dm_contract::verdict::Verdict;
use dm_engine::archive::locks::LockTimes;
use dm_engine::archive::{Archive, RunName};
use dm_engine::restore::Restore;
use dm_engine::restore::RestoreOptions;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::bed::{self, ACCESS_KEY, Endpoint, REGION, database, fresh_name};
use crate::kill::{Told, untold};
use crate::shorthand::expand;

/// Items of the table, each of which the program changes.
const ITEMS: usize = 60;

/// Clients of the program.
const AT_ONCE: usize = 8;

/// How long a guard may take to serve, on a machine with other work.
const START_MAX: Duration = Duration::from_secs(60);

/// A guard in a process.
pub struct Process {
    child: Child,
    pub endpoint: Endpoint,
}

impl Process {
    async fn start(plan: &Plan, folder: &Path) -> Self {
        Self::start_with(plan, folder, &keys()).await
    }

    /// With credentials in these variables.
    pub async fn start_with(plan: &Plan, folder: &Path, variables: &[(&str, String)]) -> Self {
        let (listen, control) = (free_address(), free_address());
        let child = Command::new(env!("CARGO_BIN_EXE_guard-under-test"))
            .arg(format!("--listen={listen}"))
            .arg(format!("--control-listen={control}"))
            .arg(format!("--termination-log={}", folder.join("last-words").display()))
            .env(PLAN_ENV, json!(plan).to_string())
            .env("AWS_REGION", REGION)
            .env(ACCESS_KEY_ENV, ACCESS_KEY)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let serves = async {
            while tokio::net::TcpStream::connect(listen).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START_MAX, serves).await.expect("a guard that serves");
        Self { child, endpoint: Endpoint::new(format!("http://{listen}")) }
    }

    /// The most memory that it ever had.
    pub fn peak_mib(&self) -> u64 {
        let process = self.child.id().expect("it was not waited for");
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    fn signal(&self, signal: &str) {
        let process = self.child.id().expect("it was not waited for").to_string();
        let sent = std::process::Command::new("kill").args([signal, &process]).status().unwrap();
        assert!(sent.success());
    }
}

/// Variables with the credentials of the tests' tables.
pub fn keys() -> [(&'static str, String); 2] {
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()), ("AWS_SECRET_ACCESS_KEY", "secret".into())]
}

/// An address that nobody listens on now.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn plan(archive: &Path) -> Plan {
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.archive = Some(bed::archive(&format!("file://{}", archive.display())));
    plan
}

async fn table() -> (String, Vec<Value>) {
    let table = fresh_name("process");
    database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
    for i in 0..ITEMS {
        let item = json!({"TableName": table, "Item": {"id": format!("i{i:02}"), "color": "red"}});
        database().ok("PutItem", &expand(&item)).await;
    }
    let items = database().items(&table).await;
    (table, items)
}

/// Changes items over and over, from several clients, until the guard is gone; it is killed after
/// this many answers. Returns how many there were.
async fn killed_after(answers: usize, mut guard: Process, table: &str) -> usize {
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..AT_ONCE)
        .map(|client| {
            let (endpoint, answered) = (guard.endpoint.clone(), Arc::clone(&answered));
            let table = table.to_owned();
            tokio::spawn(async move {
                for write in 0.. {
                    let id = format!("i{:02}", (client + write * AT_ONCE) % ITEMS);
                    let update = expand(&json!({"TableName": table, "Key": {"id": id},
                        "UpdateExpression": "SET price = :p REMOVE color",
                        "ExpressionAttributeValues": {":p": write}}));
                    let Some((status, answer)) = endpoint.try_call("UpdateItem", &update).await
                    else {
                        return;
                    };
                    assert_eq!(status, 200, "{answer}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while answered.load(Ordering::SeqCst) < answers {
        tokio::task::yield_now().await;
    }
    // SIGKILL: nothing of it gets to run any more.
    guard.child.kill().await.unwrap();
    for client in clients {
        client.await.unwrap();
    }
    answered.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_killed_has_journaled_all_that_changed_and_it_is_restored() {
    for answers in [1, 7, 40, 150] {
        let folder = tempfile::tempdir().unwrap();
        let (table, before) = table().await;
        let mut plan = plan(folder.path());
        let guard = Process::start(&plan, folder.path()).await;
        let answered = killed_after(answers, guard, &table).await;
        let now = database().items(&table).await;
        assert_ne!(now, before);
        let archive = Archive::open(plan.archive.as_ref().unwrap(), REGION).await.unwrap();
        let run = RunName::new(&plan.archive.as_ref().unwrap().migration, 1).unwrap();
        let lost = untold(&archive, &run, (&before, &now), Told::Values).await;
        let changed = now.iter().filter(|item| !before.contains(item)).count();
        println!("killed after {answered} answers: {changed} items changed, {lost} unjournaled");
        assert_eq!(lost, 0, "changed without an entry");

        // Who comes now, as another object, learns that nobody knows how it ended.
        let other = Plan {
            run: dm_contract::plan::RunId { uid: "o".into(), ..plan.run.clone() },
            ..plan.clone()
        };
        let verdict = dm_guard::ledger::ask(&other, Ok(bed::credentials())).await.verdict;
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");

        plan.run.number = 2;
        // It is known to be dead: its lock need not be waited for.
        let patience = Duration::from_millis(50);
        let lock_times = LockTimes { patience, ..LockTimes::default() };
        let options = RestoreOptions { lock_times, ..bed::restore_options(archive) };
        let report = Restore::open(&plan, options).unwrap().run().await.unwrap();
        assert_eq!(report.conflicts, 0);
        assert_eq!(database().items(&table).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_slept_beyond_its_lock_writes_nothing_when_it_wakes() {
    let folder = tempfile::tempdir().unwrap();
    let (table, _) = table().await;
    let put = |id: &str| expand(&json!({"TableName": table, "Item": {"id": id, "by": id}}));
    let sleeper = Process::start(&plan(folder.path()), folder.path()).await;
    sleeper.endpoint.ok("PutItem", &put("first")).await;
    sleeper.signal("-STOP");
    // It is on its way while the process stands still.
    let late = tokio::spawn({
        let (endpoint, put) = (sleeper.endpoint.clone(), put("late"));
        async move { endpoint.try_call("PutItem", &put).await }
    });

    let other_folder = tempfile::tempdir().unwrap();
    let mut other = plan(folder.path());
    other.run.uid = "other".into();
    let second = Process::start(&other, other_folder.path()).await;
    // The lock is taken over when its heartbeat has stood still for a lease.
    second.endpoint.ok("PutItem", &put("second")).await;

    sleeper.signal("-CONT");
    if let Some((status, answer)) = late.await.unwrap() {
        assert_ne!(status, 200, "{answer}");
        assert!(answer.to_string().contains("lock"), "{answer}");
    }
    let (status, answer) = sleeper.endpoint.call("PutItem", &put("later")).await;
    assert_eq!(status, 400, "{answer}");
    second.endpoint.ok("PutItem", &put("third")).await;
    let items = database().items(&table).await;
    let there = |id: &str| items.iter().any(|item| item["id"]["S"] == id);
    assert_eq!(["first", "second", "third"].map(there), [true; 3]);
    assert_eq!(["late", "later"].map(there), [false; 2], "it wrote without its lock");
}
