//! A program behind a guard in this process, from start to summary. Its output is its own: nothing
//! is written to standard output here, and to standard error only before and after it runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use dm_core::plan::Plan;
use dm_entry::args::Program;
use dm_entry::program::{self, Start, StartError};
use dm_guard::clients::{AccessKey, Clients, fresh_access_key};
use dm_guard::token::TokenError;
use dm_guard::{Guard, Options};
use tokio::process::Command;

use crate::database::{self, DatabaseError};
use crate::environment;
use crate::journalled::JournalledError;
use crate::print::say;
use crate::report::{self, ReportError};
use crate::signals::{self, Forwarded};
use crate::summary::{self, End, Told};

/// Something here failed, not the program: what `docker run` and others give then.
pub const EXIT_OURS: u8 = 125;

/// Port 0 on loopback: a free one that nobody else reaches.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Why a program did not run behind a guard, or its result was not kept.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The guard.
    #[error("starting the guard")]
    Guard(#[from] dm_guard::StartError),
    /// The token of its control.
    #[error("preparing the guard's control")]
    Token(#[from] TokenError),
    /// The system's randomness.
    #[error("making an access key for the program")]
    AccessKey(#[source] io::Error),
    /// The file for clients.
    #[error("writing the environment of clients to {0}")]
    EnvFile(PathBuf, #[source] io::Error),
    /// The guard.
    #[error("beginning the second pass")]
    SecondPass(#[source] dm_engine::SecondPassError),
    /// Signals.
    #[error("listening for signals")]
    Signals(#[source] io::Error),
    /// The folder of this process.
    #[error("finding the present folder")]
    Folder(#[source] io::Error),
    /// What is to be run is not there.
    #[error(transparent)]
    Start(StartError),
    /// Nothing here runs the script.
    #[error(
        "nothing here runs {file}: looked for {wanted} in PATH; install one of them, or start the \
         program by `datamigration exec -- PROGRAM …`"
    )]
    NoInterpreter {
        /// The script.
        file: PathBuf,
        /// Interpreters that would.
        wanted: String,
    },
    /// The system.
    #[error("waiting for the program")]
    Wait(#[source] io::Error),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The archive.
    #[error("keeping the run in the archive")]
    Journalled(#[from] JournalledError),
}

impl SessionError {
    /// The code to end with: 127 and 126 as a shell's where the program could not be started.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start(error) => error.exit_code(),
            Self::NoInterpreter { .. } => 127,
            Self::Database(_)
            | Self::Guard(_)
            | Self::Token(_)
            | Self::AccessKey(_)
            | Self::EnvFile(..)
            | Self::SecondPass(_)
            | Self::Signals(_)
            | Self::Folder(_)
            | Self::Wait(_)
            | Self::Report(_)
            | Self::Journalled(_) => EXIT_OURS,
        }
    }
}

impl From<StartError> for SessionError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoInterpreter { file, wanted, .. } => Self::NoInterpreter { file, wanted },
            error => Self::Start(error),
        }
    }
}

/// What is run, and where its result goes.
#[derive(Debug)]
pub struct Session<'a> {
    /// What the guard does.
    pub plan: &'a Plan,
    /// What is started.
    pub program: &'a Program,
    /// The folder it starts in.
    pub dir: &'a Path,
    /// Variables of its own.
    pub env: BTreeMap<OsString, OsString>,
    /// File for the result.
    pub report: Option<&'a Path>,
}

/// Runs it; its exit code.
pub async fn run(session: Session<'_>) -> Result<u8, SessionError> {
    // What can fail comes before the program runs.
    let start =
        program::resolve(session.dir, session.program, std::env::var_os("PATH").as_deref())?;
    let report = report::prepare(session.report, session.plan.mode)?;
    let access_key = fresh_access_key().map_err(SessionError::AccessKey)?;
    let guard = start_guard(session.plan, &access_key).await?;
    let mut forwarded = Forwarded::new().map_err(SessionError::Signals)?;

    let begun = Instant::now();
    let at = Served { address: guard.program_address, access_key: &access_key };
    let ended = execute(&session, &start, at, Pass::First, &mut forwarded).await;
    let took = begun.elapsed();
    let first_succeeded = ended.as_ref().is_ok_and(ExitStatus::success);
    let second = if first_succeeded && session.plan.second_pass {
        guard.engine().begin_second_pass().map_err(SessionError::SecondPass)?;
        Some(execute(&session, &start, at, Pass::Second, &mut forwarded).await)
    } else {
        None
    };
    let engine = Arc::clone(guard.engine());
    let result = guard.stop().await;
    let status = ended?;
    let report = report::write(report, &result, &engine)?;
    let (end, code) = end(status);
    let second = second.transpose()?.map(|status| self::end(status).0);
    let told = Told { plan: session.plan, end, second, took, report: report.as_ref() };
    say(&format!("\n{}", summary::text(&result, &told).trim_end()));
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// How it ended, and the exit code that says so.
fn end(status: ExitStatus) -> (End, i32) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (End::Exited(code), code),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            (End::Signalled(signal), 128 + signal)
        }
    }
}

/// Which run of the program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    First,
    /// Over what the first wrote. Its standard output is not wanted: it would be there twice.
    Second,
}

/// Where a guard serves, and whom.
#[derive(Clone, Copy, Debug)]
struct Served<'a> {
    address: SocketAddr,
    access_key: &'a str,
}

/// A guard in this process for the program with this access key, after its credentials were found.
async fn start_guard(plan: &Plan, access_key: &str) -> Result<Guard, SessionError> {
    let options = Options {
        listen: ANY_PORT,
        control_listen: ANY_PORT,
        control_token: None,
        state_dir: None,
        clients: Clients::With(AccessKey::new(access_key)),
    };
    start_guard_with(plan, &options).await
}

/// The same with options.
pub async fn start_guard_with(plan: &Plan, options: &Options) -> Result<Guard, SessionError> {
    let credentials = database::credentials(&plan.upstream).await?;
    Ok(Guard::start(plan, credentials, options).await?)
}

async fn execute(
    session: &Session<'_>,
    start: &Start,
    served: Served<'_>,
    pass: Pass,
    forwarded: &mut Forwarded,
) -> Result<ExitStatus, SessionError> {
    let endpoint = format!("http://{}", served.address);
    let region = &session.plan.upstream.region;
    let environment =
        environment::of_program(std::env::vars_os(), &endpoint, region, served.access_key);
    let mut command = Command::new(&start.file);
    if pass == Pass::Second {
        command.stdout(Stdio::null());
    }
    let mut child = command
        .args(&start.args)
        .current_dir(session.dir)
        .env_clear()
        .envs(environment)
        .envs(&session.env)
        .spawn()
        .map_err(|source| SessionError::Start(StartError::refused(&start.file, source)))?;
    loop {
        let id = child.id();
        tokio::select! {
            status = child.wait() => return status.map_err(SessionError::Wait),
            signal = forwarded.next() => {
                if let Some(id) = id {
                    signals::pass_on(signal, id);
                }
            }
        }
    }
}
