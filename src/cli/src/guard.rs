//! `datamigration guard`: serves any client until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use dm_core::plan::{Mode, Plan};
use dm_guard::token::ControlToken;
use tokio::signal::unix::{SignalKind, signal};

use crate::database;
use crate::print::say;
use crate::report;
use crate::session::{self, SessionError};
use crate::summary::{self, End, Told};

/// Flags of `datamigration guard`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// What happens to writes
    #[arg(long, value_enum, default_value_t = GuardMode::DryRun)]
    pub mode: GuardMode,
    /// Address for clients; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// File with a token of at least 16 characters. Who shows it may change limits, pause and
    /// resume; without it nobody can
    #[arg(long, value_name = "FILE")]
    pub control_token_file: Option<PathBuf>,
    /// Address for that; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub control_listen: SocketAddr,
    #[command(flatten)]
    database: database::Flags,
    /// File that gets the result as JSON. What a dry run would change, item by item, goes beside it:
    /// that of tried.json to tried.ndjson.zst
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What happens to writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GuardMode {
    /// They go to an overlay; the database sees reads only
    DryRun,
    /// They go to the database, as a migration that is applied
    Apply,
    /// As apply, and tables may be created, changed and deleted too
    Pass,
}

const EXAMPLES: &str = "\
Examples:
  # Try anything that speaks DynamoDB against a local database
  datamigration guard --upstream http://127.0.0.1:8001
  AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python3 main.py

  # Only two tables, and the result as a file
  datamigration guard --mode apply --tables 'cars,maker*' --report applied.json

  # Slow it down and pause it while it runs
  openssl rand -hex 32 > token
  datamigration guard --mode apply --control-token-file token --control-listen 127.0.0.1:8002
  curl -X PUT -H \"Authorization: Bearer $(cat token)\" -d '{\"writesPerSecond\":50}' \\
    http://127.0.0.1:8002/limits
  curl -X POST -H \"Authorization: Bearer $(cat token)\" http://127.0.0.1:8002/pause";

/// Serves until SIGINT or SIGTERM, then tells what was done.
pub async fn guard(flags: Flags) -> Result<u8, SessionError> {
    // Before anything is served, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate()).map_err(SessionError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SessionError::Signals)?;
    let plan = plan(&flags).await?;
    dm_guard::open_files::raise();
    let report = report::prepare(flags.report.as_deref(), plan.mode)?;
    let token = flags.control_token_file.as_deref().map(ControlToken::of_file).transpose()?;
    let controlled = token.is_some();
    let guard = session::start_guard_with(&plan, flags.listen, flags.control_listen, token).await?;
    let begun = Instant::now();
    say(&format!(
        "{}, behind http://{}; Ctrl-C ends it",
        summary::intent(plan.mode, &plan.upstream),
        guard.program_address
    ));
    if controlled {
        say(&format!("controlled at http://{}", guard.control_address));
    }
    if !guard.program_address.ip().is_loopback() {
        say("everybody who reaches this address acts with your credentials");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let engine = Arc::clone(guard.engine());
    let result = guard.stop().await;
    let report = report::write(report, &result, &engine)?;
    let told = Told {
        plan: &plan,
        end: End::Stopped,
        second: None,
        took: begun.elapsed(),
        report: report.as_ref(),
    };
    say(&format!("\n{}", summary::text(&result, &told).trim_end()));
    Ok(0)
}

async fn plan(flags: &Flags) -> Result<Plan, SessionError> {
    let upstream = database::find(&flags.database).await?;
    let mode = match flags.mode {
        GuardMode::DryRun => Mode::DryRun,
        GuardMode::Apply | GuardMode::Pass => Mode::Apply,
    };
    let mut plan = database::plan(&flags.database, upstream, mode, "guard");
    plan.policy.control_plane |= flags.mode == GuardMode::Pass;
    Ok(plan)
}
