//! The end of a run is noted in the archive's ledger by its own guard, or, where that could not, by
//! a small Job. What waits for it, and what status says in the meantime. Pure.

use dm_api::condition::{Reason, types};
use dm_api::migration::State;
use dm_api::status::{DataMigrationStatus, Phase, RunRecord};
use jiff::SignedDuration;

use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::limits;
use crate::read::recorders::RecordJob;
use crate::read::view::{self, JobEnd};

/// The runs whose end is in status, but not in the archive.
pub fn outstanding<'a>(
    status: &'a DataMigrationStatus,
    recorders: &'a [RecordJob],
) -> impl Iterator<Item = &'a RunRecord> {
    status.runs.iter().filter(|run| run.archived == Some(false) && !is_done(run, recorders))
}

/// Notes in status which runs' ends are in the archive by now.
pub fn note_recorded(status: &mut DataMigrationStatus, recorders: &[RecordJob]) {
    for run in &mut status.runs {
        if run.archived == Some(false) && is_done(run, recorders) {
            run.archived = Some(true);
        }
    }
}

fn is_done(run: &RunRecord, recorders: &[RecordJob]) -> bool {
    recorders.iter().any(|recorder| recorder.run == run.number && recorder.end == JobEnd::Complete)
}

/// The condition that holds while the archive lags behind.
pub fn condition(
    status: &DataMigrationStatus,
    recorders: &[RecordJob],
) -> Option<(&'static str, Reason, String)> {
    let run = outstanding(status, recorders).next()?;
    if is_contradicted(run, recorders) {
        return Some((types::NOT_ARCHIVED, Reason::LedgerContradicts, contradiction(run)));
    }
    let failed = recorders.iter().find_map(|recorder| match &recorder.end {
        JobEnd::Failed(_) if recorder.run == run.number => Some(()),
        JobEnd::No | JobEnd::Complete | JobEnd::Failed(_) => None,
    });
    let (reason, how) = match failed {
        Some(()) => (
            Reason::ArchiveUnavailable,
            format!(
                "the archive cannot be written; the operator retries (kubectl logs job/{})",
                name(run)
            ),
        ),
        None => (Reason::Recording, format!("Job {} records it", name(run))),
    };
    let message = format!(
        "This status has the outcome of run {}, and the archive does not yet: {how}",
        run.number
    );
    Some((types::NOT_ARCHIVED, reason, message))
}

/// Whether ledger and status disagree on a run: its Job found that, and failed.
fn is_contradicted(run: &RunRecord, recorders: &[RecordJob]) -> bool {
    recorders.iter().any(|recorder| {
        recorder.run == run.number
            && match &recorder.end {
                JobEnd::Failed(reason) => reason == view::POD_FAILURE_POLICY,
                JobEnd::No | JobEnd::Complete => false,
            }
    })
}

/// A person who raised `spec.retry` before status said that the ledger contradicts did not decide
/// on that.
pub fn use_up_retry(status: &mut DataMigrationStatus, recorders: &[RecordJob], retry: i64) {
    let is_reported = status.conditions.iter().any(|condition| {
        condition.type_ == types::NOT_ARCHIVED
            && condition.reason == Reason::LedgerContradicts.as_str()
    });
    for run in status.runs.iter_mut().filter(|run| !is_reported && run.archived == Some(false)) {
        if !is_contradicted(run, recorders) || run.retry >= retry {
            continue;
        }
        run.retry = retry;
        // What it advises was followed already.
        let failure = status.failure.as_mut().filter(|failure| failure.run == run.number);
        if let Some(failure) = failure {
            failure.what_now = what_now(run);
        }
    }
}

/// A run that writes begins although ledger and status disagree on an earlier one: a person has
/// accepted what the ledger has, and nothing more is recorded of it.
pub fn accept_ledger(status: &mut DataMigrationStatus, recorders: &[RecordJob]) {
    for run in status.runs.iter_mut().filter(|run| run.archived == Some(false)) {
        if is_contradicted(run, recorders) {
            run.archived = Some(true);
        }
    }
}

fn what_now(run: &RunRecord) -> String {
    format!(
        "Look at the data; then set spec.retry to {} to accept the ledger's outcome, or spec.state \
         to Restored to restore what the run changed.",
        run.next_retry()
    )
}

fn contradiction(run: &RunRecord) -> String {
    format!(
        "This status and the archive's ledger have different outcomes of run {} (kubectl logs \
         job/{}). Neither is corrected automatically. {}",
        run.number,
        name(run),
        what_now(run).trim_end_matches('.')
    )
}

fn name(run: &RunRecord) -> String {
    crate::objects::names::record(&run.job)
}

/// No run begins before the archive knows how the last one ended: it would find that nobody knows.
/// Where the archive says otherwise a person decides: by `spec.retry`, or by having it restored.
pub fn before_begin(situation: Situation<'_>, status: &DataMigrationStatus) -> Option<Position> {
    let (_, reason, message) = condition(status, situation.recorders)?;
    let contradicted = outstanding(status, situation.recorders)
        .find(|run| is_contradicted(run, situation.recorders));
    if let Some(run) = contradicted {
        let spec = &situation.migration.spec;
        if spec.retry > run.retry || spec.state == State::Restored {
            return None;
        }
        return Some(Position::new(Phase::Stalled, Standing::Stalled, reason, message));
    }
    let mut position = Position::new(Phase::Waiting, Standing::Reconciling, reason, message);
    position.set_text("waiting for the archive");
    Some(position)
}

/// A migration that is deleted stays until the archive knows how its last run ended, but no longer
/// than a while: the ledger then says that nobody knows, which is safe.
pub fn before_release(situation: Situation<'_>, status: &DataMigrationStatus) -> Option<Position> {
    let run = outstanding(status, situation.recorders).next()?;
    let recorded = run.recorded_at.as_ref().map_or(run.requested_at.0, |time| time.0);
    let longest = SignedDuration::try_from(limits::RECORD_BEFORE_RELEASE_MAX).ok()?;
    let late = recorded.checked_add(longest).is_ok_and(|end| end < situation.now);
    let deleted = situation.migration.metadata.deletion_timestamp.as_ref()?;
    let long = deleted.0.checked_add(longest).is_ok_and(|end| end < situation.now);
    if late && long {
        return None;
    }
    let end = recorded.max(deleted.0).checked_add(longest).ok();
    let message = format!(
        "The migration is being deleted; first the outcome of run {} is recorded in the archive",
        run.number
    );
    let (phase, standing) = (Phase::Terminating, Standing::Reconciling);
    let position = Position::new(phase, standing, Reason::Terminating, message);
    Some(Position { next: end, ..position })
}
