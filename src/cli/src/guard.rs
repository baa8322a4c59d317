//! `datamigration guard`: serves any client until it is asked to stop.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use dm_contract::error_chain::chain;
use dm_contract::plan::{ACCESS_KEY_ENV, Mode, Plan, program_environment};
use dm_engine::archive::ledger;
use dm_guard::Options;
use dm_guard::clients::{AccessKey, Clients, fresh_access_key};
use dm_guard::token::ControlToken;
use dm_report::file::End;

use crate::about::Ran;
use crate::database;
use crate::ending::{self, Ending};
use crate::journaled::{self, Journaled, Outcome};
use crate::output::{self, Prepared, SecondPass};
use crate::patience::Patience;
use crate::print::say;
use crate::report_files;
use crate::session::{self, SessionError};
use crate::signals::Forwarded;

/// Flags of `datamigration guard`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// What happens to writes
    #[arg(long, value_enum, default_value_t = GuardMode::DryRun)]
    pub mode: GuardMode,
    /// Address for clients; port 0 selects a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// File with a token of at least 16 characters. Requests that present it may change limits,
    /// pause and resume. Without a file the guard cannot be controlled
    #[arg(long, value_name = "FILE")]
    pub control_token_file: Option<PathBuf>,
    /// Address for control requests; port 0 selects a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub control_listen: SocketAddr,
    /// Access key that clients must sign with, at least 16 letters and digits [default: a random
    /// one, which is printed]. Other users of the machine can see arguments: prefer the variable
    #[arg(
        long, value_name = "KEY", env = ACCESS_KEY_ENV, hide_env_values = true,
        value_parser = access_key
    )]
    pub access_key_id: Option<String>,
    /// File to write the environment of clients to, as `export` lines, readable by its owner only
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Serve every client, whatever its access key. For a machine without other users
    #[arg(long, conflicts_with_all = ["access_key_id"])]
    pub any_client: bool,
    #[command(flatten)]
    database: database::Flags,
    #[command(flatten)]
    journal: journaled::Flags,
    /// File for the report as JSON. A dry run also writes each changed item next to it: for
    /// tried.json, to tried.ndjson.zst
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// What is printed of the report.
    #[command(flatten)]
    pub output: output::Flags,
}

/// What happens to writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GuardMode {
    /// They go to an overlay; the database sees reads only
    DryRun,
    /// They go to the database, as in an apply
    Apply,
    /// As apply; tables may also be created, changed and deleted
    Pass,
}

const EXAMPLES: &str = "\
Examples:
  # Dry run of a DynamoDB client against a local database
  datamigration guard --upstream http://127.0.0.1:8001 --env-file guard.env
  . ./guard.env && python3 main.py

  # Only two tables, and the result as a file
  datamigration guard --mode apply --tables 'cars,maker*' --report applied.json

  # Slow it down and pause it while it runs
  openssl rand -hex 32 > token
  datamigration guard --mode apply --control-token-file token --control-listen 127.0.0.1:8002
  curl -X PUT -H \"Authorization: Bearer $(cat token)\" -d '{\"writesPerSecond\":50}' \\
    http://127.0.0.1:8002/limits
  curl -X POST -H \"Authorization: Bearer $(cat token)\" http://127.0.0.1:8002/pause";

/// Serves until SIGINT, SIGTERM or SIGHUP, then reports what was done.
pub async fn guard(flags: Flags) -> Result<u8, SessionError> {
    // Before the first request is served, so that no signal is missed.
    let mut signals = Forwarded::of_server().map_err(SessionError::Signals)?;
    let output = flags.output.prepare(SecondPass::Never)?;
    let mut plan = plan(&flags).await?;
    let verb = journaled::Verb { migration: "guard", apply: "--mode apply" };
    let journaled = journaled::begin(&flags.journal, verb, &mut plan).await?;
    let served = Box::pin(serve(&flags, &plan, &output, journaled.as_ref(), &mut signals)).await;
    if let (Err(error), Some(journaled)) = (&served, &journaled) {
        journaled.not_started(format!("{}.", chain(error))).await;
    }
    served
}

/// Serves until it is stopped, and reports what was done.
async fn serve(
    flags: &Flags,
    plan: &Plan,
    output: &Prepared<'_>,
    journaled: Option<&Journaled>,
    signals: &mut Forwarded,
) -> Result<u8, SessionError> {
    dm_guard::open_files::raise();
    let report = report_files::prepare(flags.report.as_deref(), plan.mode)?;
    let token = flags.control_token_file.as_deref().map(ControlToken::of_file).transpose()?;
    let controlled = token.is_some();
    let access_key = match flags.access_key_id.clone() {
        Some(key) => key,
        None => fresh_access_key().map_err(SessionError::AccessKey)?,
    };
    let clients =
        if flags.any_client { Clients::Any } else { Clients::With(AccessKey::new(&access_key)) };
    let options = Options {
        part: None,
        listen: flags.listen,
        control_listen: flags.control_listen,
        control_token: token,
        state_dir: None,
        clients,
    };
    let guard = session::start_guard_with(plan, &options).await?;
    let (begun, started_at) = (Instant::now(), ledger::now());
    say(&format!(
        "{}, behind http://{}; Ctrl-C stops it",
        database::intent(plan.mode, &plan.upstream),
        guard.program_address
    ));
    if controlled {
        say(&format!("control API at http://{}", guard.control_address));
    }
    let address = format!("http://{}", guard.program_address);
    let environment = program_environment(&address, &plan.upstream.region, &access_key);
    if let Some(file) = &flags.env_file {
        write_environment(file, &environment)
            .map_err(|error| SessionError::EnvFile(file.clone(), error))?;
        say(&format!("environment for clients written to {}", file.display()));
    }
    if flags.any_client {
        say("anyone who can reach this address uses your credentials");
    } else if flags.env_file.is_none() && flags.access_key_id.is_none() {
        say(&format!("clients sign with AWS_ACCESS_KEY_ID={access_key} and any secret key"));
    }
    signals.asked_to_end().await;
    let engine = Arc::clone(guard.engine());
    let took = begun.elapsed();
    let finished_at = ledger::now();
    let mut patience = Patience::new(signals, journaled.map(Journaled::name));
    let result = patience.wait(guard.stop()).await.unwrap_or_else(|_| ending::cut_off(&engine));
    let ran = Ran {
        database: database::Kind::OfChain,
        started_at: &started_at,
        finished_at: &finished_at,
        took,
        end: End::Stopped,
        second_end: None,
        second_not_run: None,
        expects_requests: true,
    };
    let ending = Ending { plan, journaled, engine: &engine, report, output };
    let ended = ending::Ended { result, ran, outcome: Outcome::Unseen };
    let finished = Box::pin(ending.finish(ended, &mut patience)).await?;
    Ok(finished.code(0))
}

/// Writes variables for a shell to read.
fn write_environment(file: &Path, environment: &[(&'static str, String)]) -> io::Result<()> {
    // An existing file may be readable by others, and rewriting keeps its mode.
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    environment.iter().try_for_each(|(name, value)| writeln!(file, "export {name}='{value}'"))
}

/// An access key that cannot be guessed.
fn access_key(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain && text.len() >= dm_contract::limits::ACCESS_KEY_CHARS_MIN {
        return Ok(text.to_owned());
    }
    Err(format!(
        "at least {} letters and digits are needed",
        dm_contract::limits::ACCESS_KEY_CHARS_MIN
    ))
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
