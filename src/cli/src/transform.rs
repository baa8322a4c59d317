//! A transform in this process, from its start to its summary: an engine without a guard's server.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use dm_contract::error_chain::chain;
use dm_contract::plan::Plan;
use dm_contract::report::{GuardResult, TransformEnd, TransformResult};
use dm_engine::archive::{Archive, ledger};
use dm_engine::{Engine, EngineOptions, OpenError};
use dm_report::file::End;
use dm_runner::{Checkpoints, SECOND_PASS_LATER_S, Settings};
use dm_transform::{OnItemError, Transform};
use rustix::process::Signal;
use tokio::sync::watch;

use crate::about;
use crate::database;
use crate::embedded;
use crate::ending::{self, Ending};
use crate::journaled::{Journaled, Outcome};
use crate::layout::counted;
use crate::outages;
use crate::output;
use crate::patience::Patience;
use crate::report_files;
use crate::session::SessionError;
use crate::signals::Forwarded;

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
    pub output: &'a output::Prepared<'a>,
    /// The run in the archive, whose end is noted there.
    pub journaled: Option<&'a Journaled>,
    /// Which credentials the engine has.
    pub database: database::Kind,
}

/// Runs it, and returns the exit code.
pub async fn run(session: TransformSession<'_>) -> Result<u8, SessionError> {
    // Its writers have a connection each, and it starts no program.
    dm_guard::open_files::raise();
    let prepared = prepare(&session).await;
    if let (Err(error), Some(journaled)) = (&prepared, session.journaled) {
        journaled.not_started(format!("The transform was not started: {}.", chain(error))).await;
    }
    let Ready { report, engine, mut stop } = prepared?;
    let (begun, started_at) = (Instant::now(), ledger::now());
    let now_s = jiff::Timestamp::now().as_second();
    let done = pass(&session, &engine, &mut stop, now_s).await;
    let took = begun.elapsed();
    let finished_at = ledger::now();
    let second_end = if done.end == TransformEnd::Succeeded && session.plan.second_pass {
        engine.begin_second_pass().map_err(SessionError::SecondPass)?;
        let again = pass(&session, &engine, &mut stop, now_s + SECOND_PASS_LATER_S).await;
        Some(End::Exited(again.end.exit_code().into()))
    } else {
        None
    };
    let run = session.journaled.map(Journaled::name);
    let mut patience = Patience::new(&mut stop.signals, run);
    let result = patience.wait(result(&engine)).await;
    let mut result = result.unwrap_or_else(|_| ending::cut_off(&engine));
    result.transform = Some(done.clone());
    let code = exit_code(done.end, stop.signal);
    let (started_at, finished_at) = (started_at.as_str(), finished_at.as_str());
    let end = End::Exited(code.into());
    let ran = about::Ran {
        started_at,
        finished_at,
        took,
        end,
        second_end,
        second_not_run: None,
        database: session.database,
        expects_requests: true,
    };
    let outcome = outcome(&done, &result);
    let (plan, journaled) = (session.plan, session.journaled);
    let ending = Ending { plan, journaled, engine: &engine, report, output: session.output };
    let ended = ending::Ended { result, ran, outcome };
    let finished = Box::pin(ending.finish(ended, &mut patience)).await?;
    Ok(finished.code(code))
}

/// The exit code; of a transform that a signal interrupted, that of a program which it ended.
fn exit_code(end: TransformEnd, signal: Option<Signal>) -> u8 {
    let interrupted = signal.filter(|_| end == TransformEnd::Interrupted);
    let of_signal = interrupted.and_then(|signal| u8::try_from(128 + signal.as_raw()).ok());
    of_signal.unwrap_or(end.exit_code())
}

/// What can fail before anything is read.
struct Ready {
    report: Option<report_files::Prepared>,
    engine: Arc<Engine>,
    stop: Stop,
}

/// Who asks the run to stop.
struct Stop {
    signals: Forwarded,
    /// The first one that did.
    signal: Option<Signal>,
    asked: watch::Sender<bool>,
}

async fn prepare(session: &TransformSession<'_>) -> Result<Ready, SessionError> {
    let report = report_files::prepare(session.report, session.plan.mode)?;
    let credentials = match session.database {
        database::Kind::OfChain => database::credentials(&session.plan.upstream).await?,
        database::Kind::Embedded => embedded::Served::credentials(),
    };
    let archive = Archive::of_plan(session.plan).await.map_err(OpenError::Archive);
    let options =
        archive.map(|archive| EngineOptions { archive, ..EngineOptions::new(credentials) });
    let engine = options.and_then(|options| Engine::open(session.plan, options));
    let engine = Arc::new(engine.map_err(dm_guard::StartError::Engine)?);
    engine.take_presence().await.map_err(dm_guard::StartError::Engine)?;
    let signals = Forwarded::new().map_err(SessionError::Signals)?;
    Ok(Ready {
        report,
        engine,
        stop: Stop { signals, signal: None, asked: watch::Sender::new(false) },
    })
}

async fn pass(
    session: &TransformSession<'_>,
    engine: &Arc<Engine>,
    stop: &mut Stop,
    now_s: i64,
) -> TransformResult {
    let plan = session.plan;
    let settings = Settings {
        on_item_error: session.on_item_error,
        show_keys: plan.policy.show_values,
        now_s,
        checkpoints: engine.archive().and_then(|archive| Checkpoints::of(plan, archive)),
        part: None,
        batches: true,
    };
    let (transform, asked) = (session.transform.clone(), stop.asked.subscribe());
    let mut running = Box::pin(dm_runner::run(engine, transform, settings, asked));
    let mut telling = pin!(outages::tell(engine));
    loop {
        tokio::select! {
            done = &mut running => return done,
            never = &mut telling => match never {},
            signal = stop.signals.asked_to_end() => {
                stop.signal.get_or_insert(signal);
                stop.asked.send_replace(true);
            }
        }
    }
}

async fn result(engine: &Engine) -> GuardResult {
    if engine.close().await { engine.result() } else { ending::cut_off(engine) }
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
            let failed = counted(done.failed, "item");
            Outcome::Failed(format!("{failed} failed; {} changed.", done.changed))
        }
        TransformEnd::Failed => Outcome::Failed(format!("The transform failed: {why}.")),
        TransformEnd::Interrupted => Outcome::Failed("The transform was interrupted.".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_transform_ends_with_the_code_of_its_signal() {
        for (end, signal, expected) in [
            (TransformEnd::Interrupted, Some(Signal::INT), 130),
            (TransformEnd::Interrupted, Some(Signal::TERM), 143),
            (TransformEnd::Interrupted, Some(Signal::HUP), 129),
            (TransformEnd::Interrupted, None, 143),
            (TransformEnd::Succeeded, Some(Signal::INT), 0),
            (TransformEnd::Failed, Some(Signal::INT), 1),
        ] {
            assert_eq!(exit_code(end, signal), expected, "{end:?} {signal:?}");
        }
    }
}
