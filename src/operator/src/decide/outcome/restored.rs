//! How a restore or its preview ended: the program is ours, may have had several pods one after the
//! other, and whatever it has restored stays restored. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::restored::RestoreResult;
use jiff::Timestamp;

use crate::decide::outcome::cause::{Cause, StopReason};
use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::words::{bounded, duration};
use crate::read::view::{self, RunObjects};

/// Completes what is known whatever the cause.
pub fn complete(record: &RunRecord, objects: RunObjects<'_>, cause: &Cause, outcome: &mut Outcome) {
    outcome.restore = result_of_all(objects);
    let time = |text: &String| text.parse::<Timestamp>().ok();
    let results: Vec<RestoreResult> =
        objects.pods.iter().filter_map(|pod| view::restore_result(pod)).collect();
    // Of one whose first pod left no word, the kubelet's time is the earlier one.
    if let (Some(result), 1) = (results.first(), objects.pods.len()) {
        outcome.execution_time = time(&result.started_at).or(outcome.execution_time);
    }
    if let Some(result) = results.last() {
        outcome.finalization_time = time(&result.finished_at).or(outcome.finalization_time);
    }
    let differs = results.last().and_then(|result| result.differs.as_ref()).map(|d| d.reason);
    outcome.reason = match (record.kind, cause) {
        (RunKind::RestorePreview, Cause::Success) => Reason::RestorePreviewSucceeded,
        (_, Cause::Success) => Reason::Restored,
        (_, Cause::ExitCode(_)) if differs.is_some() => {
            differs.map_or(Reason::RestoreFailed, crate::decide::ledger::of_mismatch)
        }
        (_, Cause::ExitCode(_) | Cause::Guard(_)) => Reason::RestoreFailed,
        (_, other) => other.reason(),
    };
    let has_written = outcome.restore.as_ref().is_none_or(|result| restored_items(result) > 0);
    let said = results.last().and_then(|result| result.journal_problem);
    if outcome.result == RunResult::Failed
        && said.is_some()
        && !has_written
        && results.len() == objects.pods.len()
    {
        // It noted and wrote nothing: the run stands as it did.
        outcome.reason = Reason::ArchiveRequired;
    }
    let finished = outcome.restore.as_ref().is_some_and(|result| result.finished);
    if outcome.result == RunResult::Succeeded && !finished {
        outcome.result = RunResult::Failed;
        outcome.reason = Reason::RestoreFailed;
    }
    outcome.message = message(record, cause, outcome);
    outcome.what_now = what_now(record, outcome);
}

/// What all pods of a restore have done together: one that continues where another was interrupted
/// finds done what is done, and counts it as unchanged. The last one has looked at everything.
fn result_of_all(objects: RunObjects<'_>) -> Option<RestoreResult> {
    let mut results =
        objects.pods.iter().rev().filter_map(|pod| view::restore_result(pod)).collect::<Vec<_>>();
    if results.is_empty() {
        return None;
    }
    let mut all = results.remove(0);
    for earlier in results {
        all.counts.restored += earlier.counts.restored;
        all.counts.deleted += earlier.counts.deleted;
        all.counts.recreated += earlier.counts.recreated;
        all.counts.unverified += earlier.counts.unverified;
        all.counts.unconfirmed += earlier.counts.unconfirmed;
        all.read_units += earlier.read_units;
        all.write_units += earlier.write_units;
        let done = earlier.counts.written();
        all.counts.unchanged = all.counts.unchanged.saturating_sub(done);
    }
    Some(all)
}

/// Items that were restored, in whatever way.
fn restored_items(result: &RestoreResult) -> u64 {
    result.counts.written()
}

fn message(record: &RunRecord, cause: &Cause, outcome: &Outcome) -> String {
    let problem = outcome.restore.as_ref().and_then(|result| result.problem.clone());
    let what = match cause {
        Cause::Success if outcome.result == RunResult::Succeeded => {
            "The restore succeeded".to_owned()
        }
        Cause::Success => "The restore ended without a result".into(),
        Cause::Deadline(_) => "The restore was stopped at its deadline".into(),
        Cause::Stopped(StopReason::Superseded) => {
            "The restore was canceled because the spec changed".into()
        }
        Cause::Stopped(StopReason::Terminating) => {
            "The restore was stopped because the migration or its namespace is being deleted".into()
        }
        Cause::Stopped(StopReason::Suspended) => {
            "The restore was stopped because spec.suspend became true".into()
        }
        Cause::Stopped(StopReason::ImageChanged) => "The restore was stopped".into(),
        Cause::JobDeleted => "The restore's Job was deleted by hand, so it was stopped".into(),
        Cause::Disruption(detail) => format!(
            "The restore's pod was evicted or preempted, or its node is drained or shuts down: \
             {detail}"
        ),
        Cause::PodDeleted => "A pod of the restore was deleted by hand".into(),
        Cause::OutOfMemory => "The restore used more memory than its limit".into(),
        Cause::NotStarted(detail) | Cause::Prepare(detail) | Cause::Container(detail) => {
            format!("The restore's container could not be started: {detail}")
        }
        Cause::Signal(signal) => format!("The restore was ended by signal {signal}"),
        Cause::ExitCode(code) => match problem {
            Some(problem) => format!("The restore failed: {}", problem.trim_end_matches('.')),
            None => format!("The restore ended with exit code {code}"),
        },
        Cause::LeftRunning(_) => "The restore left processes running".into(),
        Cause::Interrupted(_) => "The restore was asked to stop".into(),
        Cause::Guard(problem) => format!("The restore failed: {problem}"),
        Cause::Ledger(verdict) | Cause::GaveWay(verdict) | Cause::Refused(verdict) => {
            crate::decide::ledger::message(verdict)
        }
        Cause::Gone => "No result of the restore is left".into(),
    };
    bounded(format!("{what}{}; {}.", duration(outcome), state_of_data(record, outcome)))
}

/// What state the data is in.
fn state_of_data(record: &RunRecord, outcome: &Outcome) -> String {
    let run = record.restores.unwrap_or_default();
    match (record.kind, &outcome.restore) {
        (RunKind::RestorePreview, _) => "nothing was written".into(),
        _ if !outcome.started => "it had not started, and nothing was written".into(),
        (_, None) => {
            format!("how much of run {run} it had restored is not known; the rest is unchanged")
        }
        (_, Some(result)) => match restored_items(result) {
            1 => format!("1 item of run {run} was restored"),
            count => format!("{count} items of run {run} were restored"),
        },
    }
}

fn what_now(record: &RunRecord, outcome: &Outcome) -> String {
    if outcome.result == RunResult::Succeeded {
        return String::new();
    }
    if outcome.result == RunResult::Canceled {
        return "Nothing.".into();
    }
    let retry = record.next_retry();
    match outcome.reason {
        Reason::OtherDatabase => {
            return format!(
                "Name the target of the run's database in spec.target. If it is the same data \
                 under another name, set spec.accept to [OtherDatabase]. Or set spec.retry to \
                 {retry} to check again."
            );
        }
        Reason::TableReplaced => {
            return format!(
                "Look at the table. To restore the run's items in it nevertheless, set spec.accept \
                 to [TableReplaced]. Or set spec.retry to {retry} to check again."
            );
        }
        _ => {}
    }
    let hint = match outcome.reason {
        Reason::ArchiveRequired => {
            return format!(
                "Copy the journal's objects into the archive again, if there is a copy, then set \
                 spec.retry to {}; or set spec.state to Applied to leave the data as they are.",
                record.next_retry()
            );
        }
        Reason::OutOfMemory => "Raise spec.resources.guard.limits.memory of the target",
        Reason::ContainerStartFailed => "Correct the pod's settings",
        Reason::Evicted | Reason::PodDeleted | Reason::JobDeleted | Reason::OutcomeUnknown => {
            "The restore itself has no error"
        }
        _ => &format!(
            "Check whether the database and the archive can be reached, and read the log (kubectl \
             logs job/{})",
            record.job
        ),
    };
    match record.kind {
        RunKind::RestorePreview => {
            format!("{hint}. To preview it again, set spec.retry to {retry}.")
        }
        _ => format!(
            "{hint}. What was restored stays restored; set spec.retry to {retry} to resume the \
             restore."
        ),
    }
}

#[cfg(test)]
mod tests;
