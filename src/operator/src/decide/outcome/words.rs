//! The sentences that say how a run ended, and what state the data is in. Pure.

use dm_api::condition::Reason;
use dm_api::status::RunKind;
use dm_contract::report::{Fidelity, GuardResult};

use crate::decide::ledger;
use crate::decide::outcome::cause::{Cause, StopReason};
use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::transform;
use crate::limits;

pub(super) fn message(kind: RunKind, cause: &Cause, outcome: &Outcome) -> String {
    let what = match cause {
        Cause::Success | Cause::Guard(_) => return success_message(kind, cause, outcome),
        Cause::Deadline(seconds) => {
            let seconds = seconds.map(|seconds| format!(" ({seconds} s)")).unwrap_or_default();
            // It began with the Job, and the program later.
            let ran = duration(outcome);
            let ran =
                ran.strip_prefix(" after ").map(|ran| format!("; its program had run for {ran}"));
            return bounded(format!(
                "The run was stopped because spec.activeDeadlineSeconds{seconds} passed since its \
                 Job started{}; {}.",
                ran.unwrap_or_default(),
                data_after(kind, outcome)
            ));
        }
        Cause::Stopped(StopReason::Superseded) => {
            "The run was canceled because the spec changed".to_owned()
        }
        Cause::Stopped(StopReason::Terminating) => {
            "The run was stopped because the migration or its namespace is being deleted".to_owned()
        }
        Cause::Stopped(StopReason::Suspended) => {
            "The run was stopped because spec.suspend became true".to_owned()
        }
        Cause::Stopped(StopReason::ImageChanged) => {
            "The run was stopped because its image differs from the one that the dry run ran: the \
             tag was moved, or another image was loaded under it"
                .to_owned()
        }
        Cause::JobDeleted => "The run's Job was deleted by hand, so its program was stopped".into(),
        Cause::Disruption(detail) => format!(
            "The pod was evicted or preempted, or its node is drained or shuts down: {}",
            detail.trim_end_matches('.')
        ),
        Cause::PodDeleted => "The run's pod was deleted by hand".to_owned(),
        Cause::OutOfMemory => "The program used more memory than its limit".to_owned(),
        Cause::NotStarted(detail) => format!("The program could not be started: {detail}"),
        Cause::Prepare(detail) => format!("The program's folder could not be prepared: {detail}"),
        Cause::Container(detail) => {
            format!("The program's container could not be started: {detail}")
        }
        Cause::Signal(signal) => format!("The program was ended by signal {signal}"),
        Cause::ExitCode(code) => transform::what(outcome)
            .unwrap_or_else(|| format!("The program ended with exit code {code}")),
        Cause::Interrupted(Some(signal)) => format!(
            "Signal {signal} asked the program to stop, and it ended, perhaps before its work was \
             complete, with exit code 0"
        ),
        Cause::Interrupted(None) => {
            "The program's pod was asked to stop, and the program ended, perhaps before its work \
             was complete, with exit code 0"
                .into()
        }
        Cause::LeftRunning(left) => return left_running(kind, left, outcome),
        Cause::Ledger(verdict) => return bounded(ledger::message(verdict)),
        Cause::GaveWay(verdict) => return bounded(ledger::message_at_first_write(verdict)),
        Cause::Refused(verdict) => {
            format!("No other pod could continue the run: {}", ledger::why(verdict))
        }
        Cause::Gone => "No result of the run is left".to_owned(),
    };
    let why = match cause {
        Cause::ExitCode(_) => transform::stopped_by(outcome),
        _ => None,
    };
    let why = why.map(|why| format!(" Reason: {}.", why.trim_end_matches('.'))).unwrap_or_default();
    bounded(format!("{what}{}; {}.{why}", duration(outcome), data_after(kind, outcome)))
}

/// The program had ended well, and what it had started had not.
fn left_running(kind: RunKind, left: &str, outcome: &Outcome) -> String {
    let perhaps = if kind.writes() {
        "perhaps in the middle of a write"
    } else {
        "so the dry run may not show all that applying would do"
    };
    bounded(format!(
        "The program ended with exit code 0{}, but {left} and ended with its container, {perhaps}; \
         {}.",
        duration(outcome),
        data_after(kind, outcome)
    ))
}

fn success_message(kind: RunKind, cause: &Cause, outcome: &Outcome) -> String {
    let after = duration(outcome);
    bounded(match (cause, outcome.reason) {
        (Cause::Guard(problem), _) => {
            let problem = problem.trim_end_matches('.');
            format!("The guard failed{after}: {problem}; {}.", data_after(kind, outcome))
        }
        (_, Reason::GuardFailed) => {
            let but = if outcome.guard.is_some() { "let writes through" } else { "left no result" };
            format!(
                "The program ended with exit code 0{after}, but its guard {but}; {}.",
                data_after(kind, outcome)
            )
        }
        (_, Reason::DryRunIncomplete) => format!(
            "The program ended with exit code 0{after}, but the guard rejected calls: {}. The \
             dry run does not show all that applying would do; {}.",
            refusals(outcome),
            data_after(kind, outcome)
        ),
        _ => {
            format!("The program ended with exit code 0{after}; {}.", data_after(kind, outcome))
        }
    })
}

fn refusals(outcome: &Outcome) -> String {
    let refused: Vec<String> = outcome
        .guard
        .iter()
        .flat_map(|guard| &guard.remarks)
        .filter(|remark| remark.fidelity == Fidelity::Refused)
        .map(|remark| format!("{} ({}, {}×)", remark.operation, remark.why, remark.count))
        .collect();
    refused.join("; ")
}

pub(super) fn duration(outcome: &Outcome) -> String {
    let (Some(start), Some(end)) = (outcome.execution_time, outcome.finalization_time) else {
        return String::new();
    };
    // As far apart as the two times in status, which have seconds.
    let seconds = end.as_second() - start.as_second();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => " after less than 1s".into(),
        (0, 0, s) => format!(" after {s}s"),
        (0, m, s) => format!(" after {m}m{s}s"),
        (h, m, s) => format!(" after {h}h{m}m{s}s"),
    }
}

fn data_after(kind: RunKind, outcome: &Outcome) -> String {
    let is_exact = kind == RunKind::Apply && outcome.started && outcome.wrote_nothing;
    if is_exact && outcome.guard.as_ref().is_some_and(|guard| items_written(guard) == 0) {
        return "no item was written".into();
    }
    state_of_data(kind, outcome.started, outcome.guard.as_ref())
}

/// What state the data is in: the half of every message that matters at night.
pub fn state_of_data(kind: RunKind, started: bool, guard: Option<&GuardResult>) -> String {
    match (kind, guard) {
        (RunKind::DryRun, Some(guard)) if guard.write_calls_upstream > 0 => {
            format!("{} write calls reached the database", guard.write_calls_upstream)
        }
        (RunKind::DryRun | RunKind::RestorePreview, _) => "nothing was written".into(),
        (RunKind::Apply | RunKind::Restore, _) if !started => {
            "the program had not started, and nothing was written".into()
        }
        (RunKind::Apply | RunKind::Restore, None) => {
            "how many items it had changed is not known, because the guard left no result".into()
        }
        (RunKind::Apply | RunKind::Restore, Some(guard)) => {
            let written = items_written(guard);
            // No write is sent before its entry is in the journal.
            let all = if guard.journal.is_some() { ", all of them journaled" } else { "" };
            match (written, &guard.problem) {
                // A guard that was restarted has forgotten what it counted before.
                (0, Some(_)) => "the guard counted no written item".into(),
                (1, Some(_)) => format!("at least 1 item was written{all}"),
                (counted, Some(_)) => format!("at least {counted} items were written{all}"),
                (0, None) => "no item was written".into(),
                (1, None) if all.is_empty() => "1 item was written".into(),
                (1, None) => "1 item was written and journaled".into(),
                (many, None) => format!("{many} items were written{all}"),
            }
        }
    }
}

pub(super) fn items_written(guard: &GuardResult) -> u64 {
    guard.tables.iter().map(|table| table.created + table.updated + table.deleted).sum()
}

/// Cuts a message to the length that status allows.
pub fn bounded(text: String) -> String {
    if text.chars().count() <= limits::MESSAGE_CHARS_MAX {
        return text;
    }
    let mut cut: String = text.chars().take(limits::MESSAGE_CHARS_MAX - 1).collect();
    cut.push('…');
    cut
}
