//! The guard's program with the plan of an applied run, started for one script and stopped after
//! it.

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dm_contract::plan::{
    ArchivePlan, JournalMode, Mode, PLAN_ENV, PLAN_VERSION, Plan, Policy, RateLimits, RunId,
    Upstream,
};
use dm_contract::report::GuardResult;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::Error;

/// The database's and the archive's region.
pub const REGION: &str = "eu-west-1";
/// Key and secret of both.
pub const KEY: &str = "bench";

/// A guard that serves.
pub struct Guard {
    pub endpoint: String,
    child: Child,
    folder: TempDir,
}

/// Starts one, with or without a journal.
pub async fn start(
    database: &str,
    archive: &str,
    mode: Option<JournalMode>,
) -> Result<Guard, Error> {
    static RUN: AtomicU32 = AtomicU32::new(1);
    let migration = format!("bench-{}", RUN.fetch_add(1, Ordering::Relaxed));
    let plan = Plan {
        version: PLAN_VERSION,
        run: RunId { namespace: "n".into(), name: "bench".into(), uid: "u".into(), number: 1 },
        mode: Mode::Apply,
        upstream: Upstream { region: REGION.into(), endpoint: Some(database.to_owned()) },
        policy: Policy { journal: mode.unwrap_or_default(), ..Policy::default() },
        limits: RateLimits::default(),
        limits_max: RateLimits::default(),
        archive: mode.map(|_| ArchivePlan {
            url: "s3://bucket/archive".into(),
            endpoint: Some(archive.to_owned()),
            migration,
            ..ArchivePlan::default()
        }),
        second_pass: false,
        restore: None,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    };
    let folder = tempfile::tempdir()?;
    let (program, control) = (free_address().await?, free_address().await?);
    let child = Command::new(std::env::var("DATAMIGRATION_GUARD")?)
        .args(["--listen", &program, "--control-listen", &control, "--termination-log"])
        .arg(folder.path().join("result.json"))
        .env(PLAN_ENV, serde_json::to_string(&plan)?)
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", KEY)
        .env("DATAMIGRATION_ACCESS_KEY_ID", KEY)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let guard = Guard { endpoint: format!("http://{program}"), child, folder };
    for _ in 0..500 {
        if TcpStream::connect(&program).await.is_ok() {
            return Ok(guard);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the guard does not serve".into())
}

impl Guard {
    /// Stops it; what it did.
    pub async fn stop(mut self) -> Result<GuardResult, Error> {
        let id = self.child.id().ok_or("the guard has ended by itself")?.to_string();
        Command::new("kill").args(["-TERM", &id]).status().await?;
        self.child.wait().await?;
        let result = std::fs::read(self.folder.path().join("result.json"))?;
        Ok(serde_json::from_slice(&result)?)
    }
}

/// An address on loopback that was free a moment ago.
async fn free_address() -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.to_string())
}
