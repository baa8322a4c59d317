//! The end of a run is noted in the archive's ledger by its own guard, or, where that could not, by a
//! small Job. What waits for it, and what status says meanwhile. Pure.

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase, RunRecord};
use jiff::SignedDuration;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use crate::build::RECORD_OF_LABEL;
use crate::decide::Situation;
use crate::limits;
use crate::position::{Position, Standing};
use crate::view::{self, JobEnd};

/// A Job that notes the end of a run in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordJob {
    /// The run's number.
    pub run: u32,
    /// How the Job ended, if it did.
    pub end: JobEnd,
}

/// The recorders among a migration's Jobs.
pub fn recorders(jobs: &[Job]) -> Vec<RecordJob> {
    let recorder = |job: &Job| {
        let run = job.labels().get(RECORD_OF_LABEL)?.parse().ok()?;
        Some(RecordJob { run, end: view::job_end(job) })
    };
    jobs.iter().filter_map(recorder).collect()
}

/// The runs whose end is in status, but not in the archive.
pub fn outstanding<'a>(
    status: &'a DataMigrationStatus,
    recorders: &'a [RecordJob],
) -> impl Iterator<Item = &'a RunRecord> {
    status.runs.iter().filter(|run| run.archived == Some(false) && !is_done(run, recorders))
}

/// Notes in status which runs' ends are in the archive by now.
pub fn note(status: &mut DataMigrationStatus, recorders: &[RecordJob]) {
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
    let failed = recorders.iter().find_map(|recorder| match &recorder.end {
        JobEnd::Failed(_) if recorder.run == run.number => Some(()),
        JobEnd::No | JobEnd::Complete | JobEnd::Failed(_) => None,
    });
    let (reason, how) = match failed {
        Some(()) => (
            Reason::ArchiveUnavailable,
            format!(
                "the archive cannot be written; it is tried again (kubectl logs job/{})",
                name(run)
            ),
        ),
        None => (Reason::Recording, format!("Job {} notes it", name(run))),
    };
    let message =
        format!("How run {} ended is in this status, but not in the archive: {how}", run.number);
    Some((types::NOT_ARCHIVED, reason, message))
}

fn name(run: &RunRecord) -> String {
    crate::names::record(&run.job)
}

/// No run begins before the archive knows how the last one ended: it would find that nobody knows.
pub fn before_begin(situation: Situation<'_>, status: &DataMigrationStatus) -> Option<Position> {
    let (_, reason, message) = condition(status, situation.recorders)?;
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
    let message = format!(
        "The migration is being deleted; first the archive is told how run {} ended",
        run.number
    );
    Some(Position::new(Phase::Terminating, Standing::Reconciling, Reason::Terminating, message))
}
