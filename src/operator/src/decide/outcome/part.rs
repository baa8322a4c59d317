//! How a run ended that is not split, or one part of a run that is. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::report::{Fidelity, GuardResult};
use dm_contract::verdict::Verdict;

use crate::decide::ledger;
use crate::decide::outcome::cause::{Cause, StopReason};
use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::words::message;
use crate::decide::outcome::{
    advice, facts, find_cause, gave_way, outage, recorded, restored, transform,
};
use crate::read::view::{self, RunObjects};

/// What ended the run, or a part of it, and what is known of that.
pub fn end(record: &RunRecord, objects: RunObjects<'_>) -> (Cause, Outcome) {
    let mut outcome = facts::of(record, objects);
    let recorded = recorded::of(record, objects);
    let cause = match &recorded {
        Some(adopted) => {
            recorded::complete(adopted, &mut outcome);
            Cause::Success
        }
        None if recorded::is_noted(record, objects) => {
            recorded::noted(&mut outcome);
            Cause::Success
        }
        None => find_cause::of(objects, objects.pods.last().copied()),
    };
    outcome.reason = cause.reason();
    outcome.result = result(record.kind, &cause, &outcome);
    if let Cause::Signal(signal) = cause {
        outcome.signal = Some(signal);
    }
    (cause, outcome)
}

/// Adds the reason, the sentences and the advice.
pub fn complete(record: &RunRecord, cause: &Cause, mut outcome: Outcome) -> Outcome {
    gave_way::complete(cause, &mut outcome);
    complete_dry_run(record.kind, &mut outcome);
    transform::complete(cause, &mut outcome);
    outcome.message = message(record.kind, cause, &outcome);
    outage::complete(cause, &mut outcome);
    outcome.what_now = advice::what_now(record, &outcome);
    outcome
}

/// Whether the database is known to have seen no write: the program did not start, by the kubelet
/// or the guard, or the guard of its only pod sent none.
pub fn wrote_nothing(objects: RunObjects<'_>, outcome: &Outcome) -> bool {
    let counted = outcome.guard.as_ref().filter(|_| objects.pods.len() == 1);
    // Of one that did not start because of an earlier one, that one counts.
    let stands_for = matches!(outcome.verdict, Some(Verdict::Adopt(_) | Verdict::Unknown(_)));
    if stands_for {
        return false;
    }
    // A lock that stopped the run leaves the guard's counts as they are; a restart does not.
    let is_exact = |guard: &GuardResult| {
        let restarted = objects.pods.iter().any(|pod| view::guard_was_restarted(pod));
        guard.problem.is_none() || (guard.locked.is_some() && !restarted)
    };
    !outcome.started
        || counted.is_some_and(|guard| guard.write_calls_upstream == 0 && is_exact(guard))
}

/// The end of a run whose objects are all gone.
pub fn unknown(record: &RunRecord) -> Outcome {
    let mut outcome = facts::of(record, RunObjects { job: None, pods: &[] });
    outcome.started = true;
    outcome.result = RunResult::Unknown;
    outcome.reason = Reason::OutcomeUnknown;
    if record.kind.restores() {
        let none = RunObjects { job: None, pods: &[] };
        restored::complete(record, none, &Cause::Gone, &mut outcome);
        return outcome;
    }
    outcome.message = message(record.kind, &Cause::Gone, &outcome);
    outcome.what_now = advice::what_now(record, &outcome);
    outcome
}

/// Returns the result of a cause.
pub fn result(kind: RunKind, cause: &Cause, outcome: &Outcome) -> RunResult {
    match cause {
        Cause::Success => RunResult::Succeeded,
        // It says nothing of what is wanted now, and has left nothing behind.
        Cause::Stopped(reason)
            if *reason != StopReason::ImageChanged && (!outcome.started || !kind.writes()) =>
        {
            RunResult::Canceled
        }
        Cause::Gone => RunResult::Unknown,
        Cause::Ledger(verdict) => ledger::result(verdict),
        Cause::GaveWay(verdict) if matches!(**verdict, Verdict::Unknown(_)) => RunResult::Unknown,
        _ => RunResult::Failed,
    }
}

/// A dry run whose guard refused calls has not shown what applying would do, whatever the
/// program made of the errors.
fn complete_dry_run(kind: RunKind, outcome: &mut Outcome) {
    if kind != RunKind::DryRun || outcome.result != RunResult::Succeeded {
        return;
    }
    outcome.reason = Reason::DryRunSucceeded;
    if outcome.guard.as_ref().is_some_and(has_refused) {
        outcome.result = RunResult::Failed;
        outcome.reason = Reason::DryRunIncomplete;
    } else if outcome.guard.as_ref().is_none_or(|guard| guard.write_calls_upstream > 0) {
        outcome.result = RunResult::Failed;
        outcome.reason = Reason::GuardFailed;
    }
}

/// Whether the guard refused a call. Not all remarks and operations may have had room.
fn has_refused(guard: &GuardResult) -> bool {
    let mut operations = guard.dry_run.iter().flat_map(|dry_run| &dry_run.operations);
    guard.remarks.iter().any(|remark| remark.fidelity == Fidelity::Refused)
        || operations.any(|operation| operation.refused > 0)
}
