//! The events that a change of status tells. Pure; their reasons are the conditions'.

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, RunKind, RunRecord, RunResult};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::decide::outcome;
use crate::decide::summary;
use crate::history;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether a person should look at it.
    pub warning: bool,
    /// One word, the same as in conditions.
    pub reason: String,
    pub note: String,
    /// The Job of the run it speaks of. Without it an event of a later run would be taken for a
    /// repetition of the first, and keep its note.
    pub job: Option<String>,
}

/// What happened between two statuses, in the order of a story.
pub fn between(old: &DataMigrationStatus, new: &DataMigrationStatus) -> Vec<Told> {
    let mut told = Vec::new();
    // What stands for a run that nobody ran is in the condition.
    for run in new.runs.iter().rev().filter(|run| !history::is_baseline(run)) {
        let before = old.runs.iter().find(|before| before.number == run.number);
        if before.is_none() {
            told.push(started(run));
        }
        if run.result.is_over() && !before.is_some_and(|before| before.result.is_over()) {
            told.push(ended(run, new));
        }
    }
    let news = ready(new).filter(|after| {
        ready(old).is_none_or(|before| before.reason != after.reason)
            && !told.iter().any(|told| told.reason == after.reason)
            && !is_told_by_runs(&after.reason)
    });
    told.extend(news.map(|after| Told {
        warning: new.conditions.iter().any(|condition| condition.type_ == types::STALLED),
        reason: after.reason.clone(),
        note: after.message.clone(),
        job: None,
    }));
    for condition in &new.conditions {
        let special = [
            types::SOURCE_CHANGED,
            types::NO_REQUESTS_SEEN,
            types::ARCHIVE_UNAVAILABLE,
            types::DATABASE_UNREACHABLE,
        ];
        if special.contains(&condition.type_.as_str())
            && !old.conditions.iter().any(|before| before.type_ == condition.type_)
            && !told.iter().any(|told| told.reason == condition.reason)
        {
            told.push(Told {
                warning: true,
                reason: condition.reason.clone(),
                note: condition.message.clone(),
                job: None,
            });
        }
    }
    told
}

/// A run's start and end have separate events.
fn is_told_by_runs(reason: &str) -> bool {
    [
        Reason::Starting,
        Reason::Running,
        Reason::AwaitingPromotion,
        Reason::AwaitingRestore,
        Reason::Applied,
    ]
    .iter()
    .any(|told| told.as_str() == reason)
}

fn ready(status: &DataMigrationStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == types::READY)
}

fn started(run: &RunRecord) -> Told {
    let reason = match run.kind {
        RunKind::DryRun => Reason::DryRunStarted,
        RunKind::Apply => Reason::RunStarted,
        RunKind::RestorePreview => Reason::RestorePreviewStarted,
        RunKind::Restore => Reason::RestoreStarted,
    };
    Told {
        warning: false,
        reason: reason.to_string(),
        note: format!("Run {} starts as Job {}", run.number, run.job),
        job: Some(run.job.clone()),
    }
}

fn ended(run: &RunRecord, status: &DataMigrationStatus) -> Told {
    let reason = run.reason.unwrap_or(Reason::OutcomeUnknown);
    let note = match (run.result, run.kind) {
        (RunResult::Succeeded, RunKind::DryRun) => {
            status.dry_run.as_ref().and_then(summary::dry_run)
        }
        (RunResult::Succeeded, RunKind::Apply) => {
            let effects = status.applied.as_ref().and_then(|report| report.effects.as_ref());
            effects.map(summary::changed)
        }
        (RunResult::Succeeded, RunKind::RestorePreview) => {
            status.restore_preview.as_ref().map(|report| summary::would_restore(status, report))
        }
        (RunResult::Succeeded, RunKind::Restore) => {
            status.restored.as_ref().map(|report| summary::restored(status, report))
        }
        _ => status.failure.as_ref().map(|failure| failure.message.clone()),
    };
    Told {
        warning: !matches!(run.result, RunResult::Succeeded | RunResult::Canceled),
        reason: reason.to_string(),
        note: outcome::bounded(match (note, run.result) {
            (Some(note), _) => format!("Run {}: {note}", run.number),
            (None, RunResult::Canceled) => format!("Run {}: it was canceled", run.number),
            (None, _) => format!("Run {} ended", run.number),
        }),
        job: Some(run.job.clone()),
    }
}

#[cfg(test)]
mod tests;
