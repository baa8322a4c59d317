//! What a person is to do after a run that did not end well. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::verdict::Verdict;

use super::Outcome;
use crate::decide::ledger;

/// What to do now; nothing after a success.
pub fn what_now(record: &RunRecord, outcome: &Outcome) -> String {
    let retry = record.retry + 1;
    if let Some(Verdict::Unknown(run)) = &outcome.verdict {
        return ledger::what_now(run, retry);
    }
    if let Some(Verdict::Differs(differs)) = &outcome.verdict {
        return ledger::what_now_differs(differs, retry);
    }
    let gave_way = outcome.result == RunResult::Failed && outcome.wrote_nothing;
    if outcome.reason == Reason::LockedByAnother && gave_way {
        return format!(
            "Set spec.retry to {retry} to read the ledger again: what the other run applied is then adopted."
        );
    }
    match outcome.reason {
        Reason::Applied | Reason::Adopted | Reason::DryRunSucceeded => return String::new(),
        _ if outcome.result == RunResult::Canceled => return "Nothing.".into(),
        _ => {}
    }
    let hint = hint(record, outcome.reason);
    match record.kind {
        RunKind::DryRun | RunKind::RestorePreview => format!(
            "{hint}. A changed program is tried again by itself; to repeat the same one, set \
             spec.retry to {retry}."
        ),
        RunKind::Apply | RunKind::Restore if changed_nothing(outcome) => {
            format!("{hint}. Then set spec.retry to {retry}.")
        }
        RunKind::Apply if outcome.verdict == Some(Verdict::Go) => format!(
            "{hint}. Look at the data: it may be half done. Then set spec.retry to {retry}, or set \
             spec.state to Restored to undo what it changed."
        ),
        RunKind::Apply | RunKind::Restore => format!(
            "{hint}. Look at the data before you run the program again: it may be half done. Then \
             set spec.retry to {retry}."
        ),
    }
}

/// What to mend, by the reason.
fn hint(record: &RunRecord, reason: Reason) -> String {
    let hint = match reason {
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
            "Start a dry run with the current image: set spec.dryRun to true, look at the result, then set it to \
             false. An image that is named by its digest cannot change"
        }
        Reason::ProgramNotStarted => "Correct the command, the file or the image",
        Reason::DryRunIncomplete => {
            "Change the program so that it does not need these calls, or allow them if the target's policy \
             denied them"
        }
        Reason::TransformFailed | Reason::PartiallyFailed => {
            "Correct the transform or the items that its report lists (transform.failures), or exclude them \
             with filter"
        }
        Reason::ContainerStartFailed => "Correct the image, the command or the pod's settings",
        Reason::Evicted => {
            "The log was deleted with the pod. If the message names ephemeral storage, disk or memory, raise the \
             limit in spec.podTemplate.resources, or write fewer files"
        }
        Reason::PodDeleted | Reason::JobDeleted | Reason::OutcomeUnknown => {
            "The log was deleted with the pod; only status is left"
        }
        _ if record.parts() > 1 => {
            return format!(
                "Find the cause in the last lines and in the logs (kubectl logs --prefix -c program \
                 -l batch.kubernetes.io/job-name={})",
                record.job
            );
        }
        _ => {
            return format!(
                "Find the cause in the last lines and in the log (kubectl logs job/{} -c program)",
                record.job
            );
        }
    };
    hint.to_owned()
}

/// Whether the data cannot be half done.
fn changed_nothing(outcome: &Outcome) -> bool {
    let counted = outcome.guard.as_ref().is_some_and(|guard| super::items_written(guard) > 0);
    !outcome.started || (outcome.wrote_nothing && !counted)
}
