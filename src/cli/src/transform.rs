//! A transform in this process, from its start to its summary: an engine without a guard's server.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dm_contract::error_chain::chain;
use dm_contract::plan::Plan;
use dm_contract::report::{GuardResult, TransformEnd, TransformResult};
use dm_engine::archive::ledger;
use dm_engine::{Engine, Start};
use dm_report::file::{End, RunReport};
use dm_runner::{Checkpoints, Settings};
use dm_transform::{OnItemError, Transform};
use tokio::sync::watch;

use crate::about::{self, about};
use crate::database;
use crate::embedded;
use crate::journalled::{Journalled, Outcome, Ran};
use crate::output;
use crate::report_files;
use crate::session::{self, EXIT_OURS, SessionError, Shown};
use crate::signals::{self, Forwarded};

/// What is run, and where its result goes.
#[derive(Debug)]
pub struct TransformSession<'a> {
    /// What the engine does.
    pub plan: &'a Plan,
    /// What becomes of each item.
    pub transform: Transform,
    /// What a failed item means.
    pub on_item_error: OnItemError,
    /// File for the result.
    pub report: Option<&'a Path>,
    /// What is printed of it.
    pub output: &'a output::Flags,
    /// The run in the archive, whose end is noted there.
    pub journalled: Option<&'a Journalled>,
    /// Which credentials the engine has.
    pub database: session::Database,
}

/// Runs it, and returns the exit code.
pub async fn run(session: TransformSession<'_>) -> Result<u8, SessionError> {
    let output = session.output.prepare()?;
    let prepared = prepare(&session).await;
    if let (Err(error), Some(journalled)) = (&prepared, session.journalled) {
        let why = format!("The transform was not started: {}.", chain(error));
        journalled.end(&Outcome::Failed(why), None).await?;
    }
    let Ready { report, engine, stop } = prepared?;
    let (begun, started_at) = (Instant::now(), ledger::now());
    let done = pass(&session, &engine, stop.clone()).await;
    let took = begun.elapsed();
    let finished_at = ledger::now();
    let second_end = if done.end == TransformEnd::Succeeded && session.plan.second_pass {
        engine.begin_second_pass().map_err(SessionError::SecondPass)?;
        Some(End::Exited(pass(&session, &engine, stop).await.end.exit_code().into()))
    } else {
        None
    };
    let result = result(&engine, done.clone()).await;
    if let Some(journalled) = session.journalled {
        let (started_at, finished_at) = (started_at.clone(), finished_at.clone());
        let ran = Ran { started_at, finished_at, result: &result };
        journalled.end(&outcome(&done, &result), Some(ran)).await?;
        journalled.keep_report(session.plan, &engine, &result).await;
    }
    let code = done.end.exit_code();
    let (started_at, finished_at) = (started_at.as_str(), finished_at.as_str());
    let ran =
        about::Ran { started_at, finished_at, took, end: End::Exited(code.into()), second_end };
    let of_run =
        RunReport { result, about: Some(about(session.plan, &ran)), timeline: engine.timeline() };
    let restore = session.journalled.map(|journalled| journalled.restore_command(session.plan));
    let shown = Shown { report: &of_run, engine: &engine, restore: restore.as_deref() };
    let failed_check = shown.finish(report, &output)?;
    Ok(match (code, &of_run.result.problem) {
        (0, Some(_)) => EXIT_OURS,
        (0, None) => failed_check.unwrap_or(0),
        (code, _) => code,
    })
}

/// What can fail before anything is read.
struct Ready {
    report: Option<report_files::Prepared>,
    engine: Arc<Engine>,
    stop: watch::Receiver<bool>,
}

async fn prepare(session: &TransformSession<'_>) -> Result<Ready, SessionError> {
    let report = report_files::prepare(session.report, session.plan.mode)?;
    let credentials = match session.database {
        session::Database::OfChain => database::credentials(&session.plan.upstream).await?,
        session::Database::Embedded => embedded::Served::credentials(),
    };
    let engine = Engine::open(session.plan, credentials, Start::First).await;
    let engine = Arc::new(engine.map_err(dm_guard::StartError::Engine)?);
    let mut arriving = Forwarded::new().map_err(SessionError::Signals)?;
    let (asked, stop) = watch::channel(false);
    tokio::spawn(async move {
        while !signals::stops(arriving.next().await.signal) {}
        asked.send_replace(true);
        // The sender stays, so that the run sees the request and not its end.
        asked.closed().await;
    });
    Ok(Ready { report, engine, stop })
}

async fn pass(
    session: &TransformSession<'_>,
    engine: &Arc<Engine>,
    stop: watch::Receiver<bool>,
) -> TransformResult {
    let plan = session.plan;
    let settings = Settings {
        on_item_error: session.on_item_error,
        show_keys: plan.policy.show_values,
        now_s: jiff::Timestamp::now().as_second(),
        checkpoints: engine.archive().and_then(|archive| Checkpoints::of(plan, archive)),
    };
    dm_runner::run(engine, session.transform.clone(), settings, stop).await
}

async fn result(engine: &Engine, done: TransformResult) -> GuardResult {
    let closed = engine.close().await;
    let mut result = engine.result();
    if !closed && result.problem.is_none() {
        result.problem = Some(dm_guard::JOURNAL_NOT_CLOSED.to_owned());
    }
    result.transform = Some(done);
    result
}

/// How the run ended, for the ledger.
fn outcome(done: &TransformResult, result: &GuardResult) -> Outcome {
    if result.problem.is_some() && done.end == TransformEnd::Succeeded {
        return Outcome::Unknown;
    }
    let why = done.message.clone().unwrap_or_default();
    match done.end {
        TransformEnd::Succeeded => Outcome::Succeeded,
        TransformEnd::PartiallyFailed => {
            let (failed, changed) = (done.failed, done.changed);
            Outcome::Failed(format!("{failed} items failed; {changed} were changed."))
        }
        TransformEnd::Failed => Outcome::Failed(format!("The transform failed: {why}.")),
        TransformEnd::Interrupted => Outcome::Failed("The transform was interrupted.".into()),
    }
}
