//! A program behind a guard in this process, from start to summary. Its output is its own: nothing
//! is written to standard output here, and to standard error only before and after it runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use dm_contract::error_chain::chain;
use dm_contract::plan::Plan;
use dm_contract::report::{GuardResult, NO_REQUESTS};
use dm_engine::Engine;
use dm_engine::archive::ledger;
use dm_entry::args::Program;
use dm_entry::leftover::Files;
use dm_entry::program::{self, Start, StartError};
use dm_guard::clients::{AccessKey, Clients, fresh_access_key};
use dm_guard::token::TokenError;
use dm_guard::{Guard, Options};
use dm_report::file::End;
use rustix::process::Signal;
use tokio::process::Command;

use crate::about;
use crate::database::{self, DatabaseError};
use crate::embedded;
use crate::ending::{self, EXIT_OURS, Ending, EndingError};
use crate::environment;
use crate::journaled::{Journaled, JournaledError, Outcome};
use crate::local::ANY_PORT;
use crate::outages;
use crate::output::{self, OutputError};
use crate::patience::Patience;
use crate::report_files::{self, ReportError};
use crate::signals::{self, Arrived, Forwarded};

/// Why a program did not run behind a guard, or its result was not kept.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("starting the guard")]
    Guard(#[from] dm_guard::StartError),
    /// The token of its control.
    #[error("preparing the guard's control")]
    Token(#[from] TokenError),
    #[error("making an access key for the program")]
    AccessKey(#[source] io::Error),
    /// The file for clients.
    #[error("writing the environment of clients to {0}")]
    EnvFile(PathBuf, #[source] io::Error),
    #[error("beginning the second pass")]
    SecondPass(#[source] dm_engine::SecondPassError),
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
        "this machine has no interpreter for {file}: looked for {wanted} in PATH; install one of \
         them, or start the program by `datamigration exec -- PROGRAM …`"
    )]
    NoInterpreter { file: PathBuf, wanted: String },
    #[error("waiting for the program")]
    Wait(#[source] io::Error),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The same after the program's end.
    #[error(transparent)]
    Ending(#[from] EndingError),
    #[error("keeping the run in the archive")]
    Journaled(#[from] JournaledError),
}

impl SessionError {
    /// The code to end with: 127 and 126 as a shell's where the program could not be started.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start(error) => error.exit_code(),
            Self::NoInterpreter { .. } => 127,
            // A wrong command line, as clap has it.
            Self::Database(DatabaseError::Endpoint { .. })
            | Self::Journaled(JournaledError::DryRun(_)) => 2,
            Self::Output(error) if error.is_usage() => 2,
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
            | Self::Output(_)
            | Self::Ending(_)
            | Self::Journaled(_) => EXIT_OURS,
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
    pub program: &'a Program,
    /// The folder it starts in.
    pub dir: &'a Path,
    /// The folder that a second pass starts in, with the files that the first one began with;
    /// without it those of `dir` must not have changed.
    pub again_in: Option<&'a Path>,
    /// Its own variables.
    pub env: BTreeMap<OsString, OsString>,
    /// File for the result.
    pub report: Option<&'a Path>,
    /// What is printed of it.
    pub output: &'a output::Prepared<'a>,
    /// The run in the archive, whose end is noted there.
    pub journaled: Option<&'a Journaled>,
    /// Which credentials the guard has.
    pub database: database::Kind,
    /// Whether a run without a request is a failure.
    pub expects_requests: bool,
}

/// Runs it; its exit code.
pub async fn run(session: Session<'_>) -> Result<u8, SessionError> {
    let prepared = prepare(&session).await;
    if let (Err(error), Some(journaled)) = (&prepared, session.journaled) {
        journaled.not_started(format!("The program was not started: {}.", chain(error))).await;
    }
    let Ready { start, report, access_key, guard, mut forwarded } = prepared?;

    let (begun, started_at) = (Instant::now(), ledger::now());
    let engine = Arc::clone(guard.engine());
    let at = Served { engine: &engine, address: guard.program_address, access_key: &access_key };
    let before = session.plan.second_pass.then(|| Files::look(session.dir));
    let first = Pass::First(&start);
    let ended = execute(&session, at, first, &mut forwarded).await;
    let took = begun.elapsed();
    let finished_at = ledger::now();
    let first_succeeded = ended.as_ref().is_ok_and(|ended| end(*ended).0 == End::Exited(0));
    let left = before.filter(|_| first_succeeded).map(|before| match session.again_in {
        Some(_) => None,
        None => before.left(),
    });
    let second = if left == Some(None) {
        guard.engine().begin_second_pass().map_err(SessionError::SecondPass)?;
        Some(second_pass(&session, at, &mut forwarded).await)
    } else {
        None
    };
    let mut patience = Patience::new(&mut forwarded, session.journaled.map(Journaled::name));
    let is_outlived = first_succeeded && guard.has_clients().await;
    let mut result = patience.wait(guard.stop()).await.unwrap_or_else(|_| ending::cut_off(&engine));
    if is_outlived {
        result.problem.get_or_insert_with(|| OUTLIVED.to_owned());
    }
    if let (Err(error), Some(journaled)) = (&ended, session.journaled) {
        journaled.not_started(format!("The program could not be run: {}.", chain(error))).await;
    }
    let (end, code) = end(ended?);
    let second_end = second.transpose()?.map(|ended| self::end(ended).0);
    let (started_at, finished_at) = (started_at.as_str(), finished_at.as_str());
    let (database, expects_requests) = (session.database, session.expects_requests);
    let second_not_run = left.flatten();
    let ran = about::Ran {
        started_at,
        finished_at,
        took,
        end,
        second_end,
        second_not_run,
        database,
        expects_requests,
    };
    // A program that missed the guard may have written to the database itself.
    let unseen = end == End::Exited(0) && result.requests == 0 && session.expects_requests;
    let outcome = outcome(end, &result, unseen);
    let (plan, journaled) = (session.plan, session.journaled);
    let ending = Ending { plan, journaled, engine: &engine, report, output: session.output };
    let ended = ending::Ended { result, ran, outcome };
    let finished = Box::pin(ending.finish(ended, &mut patience)).await?;
    Ok(match finished.code(u8::try_from(code).unwrap_or(u8::MAX)) {
        _ if unseen => EXIT_OURS,
        code => code,
    })
}

/// What can fail before the program runs.
struct Ready {
    start: Start,
    report: Option<report_files::Prepared>,
    access_key: String,
    guard: Guard,
    forwarded: Forwarded,
}

async fn prepare(session: &Session<'_>) -> Result<Ready, SessionError> {
    let start =
        program::resolve(session.dir, session.program, std::env::var_os("PATH").as_deref())?;
    let report = report_files::prepare(session.report, session.plan.mode)?;
    let access_key = fresh_access_key().map_err(SessionError::AccessKey)?;
    let guard = start_guard(session.plan, session.database, &access_key).await?;
    let forwarded = Forwarded::new().map_err(SessionError::Signals)?;
    Ok(Ready { start, report, access_key, guard, forwarded })
}

/// Problem of a run whose program ended before what it had started.
const OUTLIVED: &str = "The program ended while a process that it had started was connected to the \
     guard. What that process sends later is not carried out, so the run may be incomplete. Let \
     the program wait for what it starts.";

/// How the run ended, for the ledger.
fn outcome(end: End, result: &GuardResult, unseen: bool) -> Outcome {
    match (end, &result.problem) {
        (End::Exited(0), None) if unseen => Outcome::Failed(NO_REQUESTS.to_owned()),
        (End::Exited(0), None) => Outcome::Succeeded,
        (End::Exited(0) | End::Stopped, _) => Outcome::Unknown,
        (End::Exited(code), _) => {
            Outcome::Failed(format!("The program ended with exit code {code}."))
        }
        (End::Signaled(signal), _) => {
            Outcome::Failed(format!("The program was ended by signal {signal}."))
        }
        (End::Interrupted(signal), _) => Outcome::Failed(format!(
            "Interrupted: signal {signal} asked the program to stop, and it ended with exit code 0."
        )),
    }
}

/// How a program ended, and what told it to.
#[derive(Clone, Copy, Debug)]
struct Ended {
    status: ExitStatus,
    told_to_stop: Option<Signal>,
}

/// How it ended, and the exit code that says so.
fn end(ended: Ended) -> (End, i32) {
    match (ended.status.code(), ended.status.signal(), ended.told_to_stop) {
        (Some(0), _, Some(signal)) => (End::Interrupted(signal.as_raw()), 128 + signal.as_raw()),
        (Some(code), _, _) => (End::Exited(code), code),
        (None, signal, _) => {
            let signal = signal.unwrap_or_default();
            (End::Signaled(signal), 128 + signal)
        }
    }
}

/// Which run of the program it is.
#[derive(Clone, Copy, Debug)]
enum Pass<'a> {
    First(&'a Start),
    /// Over what the first wrote, in this folder and with another one for temporary files. Its
    /// standard output is not wanted: it would be there twice.
    Second(&'a Start, &'a Path, &'a Path),
}

/// Runs the program again, with the files that it began with.
async fn second_pass(
    session: &Session<'_>,
    served: Served<'_>,
    forwarded: &mut Forwarded,
) -> Result<Ended, SessionError> {
    let dir = session.again_in.unwrap_or(session.dir);
    let start = program::resolve(dir, session.program, std::env::var_os("PATH").as_deref())?;
    let temporary = tempfile::tempdir().map_err(SessionError::Folder)?;
    execute(session, served, Pass::Second(&start, dir, temporary.path()), forwarded).await
}

/// Where a guard serves, and whom.
#[derive(Clone, Copy, Debug)]
struct Served<'a> {
    engine: &'a Engine,
    address: SocketAddr,
    access_key: &'a str,
}

/// A guard in this process for the program with this access key, after its credentials were found.
async fn start_guard(
    plan: &Plan,
    database: database::Kind,
    access_key: &str,
) -> Result<Guard, SessionError> {
    let options = Options {
        part: None,
        listen: ANY_PORT,
        control_listen: ANY_PORT,
        control_token: None,
        state_dir: None,
        clients: Clients::With(AccessKey::new(access_key)),
    };
    match database {
        database::Kind::OfChain => start_guard_with(plan, &options).await,
        database::Kind::Embedded => {
            let credentials = embedded::Served::credentials();
            Ok(Guard::start_before_embedded(plan, credentials, &options).await?)
        }
    }
}

/// The same with options.
pub async fn start_guard_with(plan: &Plan, options: &Options) -> Result<Guard, SessionError> {
    let credentials = database::credentials(&plan.upstream).await?;
    Ok(Guard::start(plan, credentials, options).await?)
}

async fn execute(
    session: &Session<'_>,
    served: Served<'_>,
    pass: Pass<'_>,
    forwarded: &mut Forwarded,
) -> Result<Ended, SessionError> {
    let endpoint = format!("http://{}", served.address);
    let region = &session.plan.upstream.region;
    let environment =
        environment::of_program(std::env::vars_os(), &endpoint, region, served.access_key);
    let (start, dir) = match pass {
        Pass::First(start) => (start, session.dir),
        Pass::Second(start, dir, _) => (start, dir),
    };
    let mut command = Command::new(&start.file);
    command.args(&start.args).current_dir(dir);
    command.env_clear().envs(environment).envs(&session.env);
    match pass {
        Pass::Second(_, _, temporary) => {
            command.stdout(Stdio::null()).env("TMPDIR", temporary);
        }
        Pass::First(_) if session.output.takes_standard_output() => {
            // Standard output is the report's.
            let errors = io::stderr().as_fd().try_clone_to_owned().map_err(SessionError::Wait)?;
            command.stdout(errors);
        }
        Pass::First(_) => {}
    }
    let mut child = command
        .spawn()
        .map_err(|source| SessionError::Start(StartError::refused(&start.file, source)))?;
    let mut told_to_stop = None;
    let mut telling = pin!(outages::tell(served.engine));
    loop {
        let id = child.id();
        tokio::select! {
            never = &mut telling => match never {},
            status = child.wait() => {
                let status = status.map_err(SessionError::Wait)?;
                return Ok(Ended { status, told_to_stop });
            }
            Arrived { signal, pass_on } = forwarded.next() => {
                if signals::stops(signal) {
                    told_to_stop.get_or_insert(signal);
                }
                if let (Some(id), true) = (id, pass_on) {
                    signals::pass_on(signal, id);
                }
            }
        }
    }
}
