//! `spec.baseline`: the migration was applied before this operator existed. It is recorded, and
//! nothing runs. Pure.

use dm_api::condition::Reason;
use dm_api::status::{AppliedReport, DataMigrationStatus, Phase, RunKind, RunRecord, RunResult};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::objects::names;
use crate::runnable::Runnable;

/// Returns what stands for the run in the history.
pub fn record(
    situation: Situation<'_>,
    status: &DataMigrationStatus,
    runnable: &Runnable,
) -> RunRecord {
    let number = status.last_run.saturating_add(1);
    let archive = runnable.target.spec.archive.as_ref();
    RunRecord {
        number,
        kind: RunKind::Apply,
        result: RunResult::Succeeded,
        reason: Some(Reason::Baseline),
        job: names::job(situation.migration.name(), number, RunKind::Apply),
        job_uid: None,
        retry: situation.migration.spec.retry,
        target: Some(situation.migration.spec.target.name.clone()),
        archive: archive.map(|archive| archive.url.clone()),
        wrote_nothing: true,
        adopted: None,
        restored_by: None,
        restores: None,
        on_conflict: None,
        parallelism: None,
        program_digest: runnable.digest.clone(),
        execution_time: None,
        finalization_time: None,
        requested_at: Time(situation.now),
        recorded_at: Some(Time(situation.now)),
        exit_code: None,
        message: None,
        waiting_since: None,
        overrules: None,
        accepted: Vec::new(),
        image_id: None,
        // A separate Job writes it to the ledger.
        archived: archive.map(|_| false),
        log: None,
    }
}

/// It is on record.
pub fn position() -> Position {
    let message = "Recorded as applied (spec.baseline): the migration was applied before this \
                   operator existed, at an unknown time. No program ran, and none will run";
    let mut position =
        Position::new(Phase::Baseline, Standing::Ready, Reason::Baseline, message.into());
    position.set_text("100%");
    position
}

/// What status has of it instead of a run's report.
pub fn report(record: &RunRecord) -> AppliedReport {
    AppliedReport {
        run: record.number,
        adopted_from: None,
        baseline: true,
        result: RunResult::Succeeded,
        execution_time: None,
        finalization_time: None,
        effects: None,
        program_digest: record.program_digest.clone(),
        digest: None,
        journaled: None,
        log: None,
        report: None,
        restored_by: None,
    }
}
