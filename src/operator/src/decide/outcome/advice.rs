//! What a person should do after a run that did not succeed. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::verdict::Verdict;

use crate::decide::ledger;
use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::transform;
use crate::decide::outcome::words::items_written;

/// What to do now; nothing after a success.
pub fn what_now(record: &RunRecord, outcome: &Outcome) -> String {
    let retry = record.next_retry();
    if let Some(Verdict::Unknown(run)) = &outcome.verdict {
        return ledger::what_now(run, retry);
    }
    if let Some(Verdict::Differs(differs)) = &outcome.verdict {
        return ledger::what_now_differs(differs, retry);
    }
    let gave_way = outcome.result == RunResult::Failed && outcome.wrote_nothing;
    if outcome.reason == Reason::LockedByAnother && gave_way {
        return format!(
            "Set spec.retry to {retry} to read the ledger again: what the other run applied is \
             then adopted."
        );
    }
    match outcome.reason {
        Reason::Applied | Reason::Adopted | Reason::DryRunSucceeded => return String::new(),
        _ if outcome.result == RunResult::Canceled => return "Nothing.".into(),
        _ => {}
    }
    let hint = hint(record, outcome);
    match record.kind {
        RunKind::DryRun | RunKind::RestorePreview => format!(
            "{hint}. A changed program gets a new dry run automatically. To repeat the same one, \
             set spec.retry to {retry}."
        ),
        RunKind::Apply | RunKind::Restore if changed_nothing(outcome) => {
            format!("{hint}. Then set spec.retry to {retry} to run the migration.")
        }
        RunKind::Apply if outcome.verdict == Some(Verdict::Go) => format!(
            "{hint}. Look at the data: it may be partly changed. Then set spec.retry to {retry} to \
             run the migration again, or spec.state to Restored to restore what it changed."
        ),
        RunKind::Apply | RunKind::Restore => format!(
            "{hint}. Look at the data: it may be partly changed. Then set spec.retry to {retry} to \
             run the migration again."
        ),
    }
}

/// What to correct, by reason.
fn hint(record: &RunRecord, outcome: &Outcome) -> String {
    if let Some(hint) = wait_for_lock(outcome) {
        return hint;
    }
    let hint = match outcome.reason {
        Reason::ArchiveUnavailable => {
            "Make the target's archive writable again (space, permissions, network)"
        }
        Reason::DatabaseUnreachable => {
            "Find out why the database cannot be reached (endpoint, network, credentials)"
        }
        Reason::LockedByAnother => "Wait until the other run has ended",
        Reason::OutOfMemory => "Raise spec.podTemplate.resources.limits.memory",
        Reason::DeadlineExceeded => "Raise spec.activeDeadlineSeconds",
        Reason::ImageChanged => {
            "Start a dry run with the current image: set spec.dryRun to true, look at the result, \
             then set it to false. An image that is named by its digest cannot change"
        }
        Reason::ProcessesLeftRunning => {
            "Let the program wait for the processes that it starts, and end those that it does not \
             need"
        }
        Reason::ProgramNotStarted => "Correct the command, the file or the image",
        Reason::DryRunIncomplete => {
            "Change the program so that it does not need these calls, or allow them if the \
             target's policy denied them"
        }
        Reason::TransformFailed if transform::stopped_by(outcome).is_some() => {
            "Correct what the message names"
        }
        Reason::TransformFailed | Reason::PartiallyFailed => {
            "Correct the transform or the items that its report lists (transform.failures), or \
             exclude them with filter"
        }
        Reason::ContainerStartFailed => "Correct the image, the command or the pod's settings",
        Reason::Evicted => {
            return format!(
                "{}. If the message names ephemeral storage, disk or memory, raise the limit in \
                 spec.podTemplate.resources, or write fewer files",
                log_without_pod(outcome)
            );
        }
        Reason::PodDeleted | Reason::JobDeleted | Reason::OutcomeUnknown => {
            return log_without_pod(outcome);
        }
        Reason::GuardFailed => {
            return format!(
                "Find the cause in the guard's log ({}). If it ran out of memory, raise \
                 spec.resources.guard of the target",
                logs(record, "guard")
            );
        }
        _ => {
            let logs = logs(record, "program");
            return format!("Find the cause in the last lines and in the log ({logs})");
        }
    };
    hint.to_owned()
}

/// Who must end first, where a lock is why the run failed: a guard that merely waited for one has
/// no problem.
fn wait_for_lock(outcome: &Outcome) -> Option<String> {
    let reasons = [Reason::GuardFailed, Reason::ProgramFailed, Reason::TransformFailed];
    let is_because = reasons.contains(&outcome.reason);
    let guard = outcome.guard.as_ref().filter(|guard| is_because && guard.problem.is_some())?;
    let holder = guard.locked.as_ref()?;
    Some(format!("Wait until that run has ended: {}", ledger::locked(holder)))
}

/// The command that prints what the containers of this name wrote.
fn logs(record: &RunRecord, container: &str) -> String {
    let job = &record.job;
    if record.parts() > 1 {
        return format!(
            "kubectl logs --prefix --tail=-1 -c {container} -l batch.kubernetes.io/job-name={job}"
        );
    }
    format!("kubectl logs job/{job} -c {container}")
}

/// Where the output is of a program whose pod no longer exists.
fn log_without_pod(outcome: &Outcome) -> String {
    outcome.kept(|archived| archived.log.as_ref()).map_or_else(
        || "The log was deleted with the pod; only status is left".to_owned(),
        |log| format!("Read the program's output in the archive: {log}"),
    )
}

/// Whether the data cannot be partly changed.
fn changed_nothing(outcome: &Outcome) -> bool {
    let counted = outcome.guard.as_ref().is_some_and(|guard| items_written(guard) > 0);
    !outcome.started || (outcome.wrote_nothing && !counted)
}
