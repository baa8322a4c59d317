//! What a migration's spec and the runs in its status say together: which run is wanted, what was
//! applied, and what may still be there. Pure.

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::migration::State;
use dm_api::status::{DataMigrationStatus, RunKind, RunRecord, RunResult};

use crate::runnable::Restoration;

/// Returns the kind of run that the spec asks for.
pub fn kind_wanted(migration: &DataMigration) -> RunKind {
    match (migration.spec.state, migration.spec.dry_run) {
        (State::Applied, true) => RunKind::DryRun,
        (State::Applied, false) => RunKind::Apply,
        (State::Restored, true) => RunKind::RestorePreview,
        (State::Restored, false) => RunKind::Restore,
    }
}

/// Whether `spec.baseline` says that the migration was applied before this operator existed.
pub fn is_baseline_wanted(migration: &DataMigration) -> bool {
    migration.spec.baseline && migration.spec.state == State::Applied
}

/// Whether the spec said so, and says otherwise now: the migration runs.
pub fn is_baseline_withdrawn(migration: &DataMigration) -> bool {
    let applied = migration.status.as_ref().and_then(|status| status.applied.as_ref());
    !migration.spec.baseline && applied.is_some_and(|applied| applied.baseline)
}

/// Whether a run is none: it stands for what was applied before.
pub fn is_baseline(run: &RunRecord) -> bool {
    run.reason == Some(Reason::Baseline)
}

/// What is to be restored next, where the spec asks for it.
pub fn restoration_wanted(migration: &DataMigration) -> Option<Restoration> {
    let spec = &migration.spec;
    (spec.state == State::Restored).then(|| Restoration {
        run: next(migration).map(RunRecord::in_archive),
        on_conflict: spec.on_conflict(),
    })
}

/// The newest run whose changes may be there and are to be restored.
fn next(migration: &DataMigration) -> Option<&RunRecord> {
    let runs = &migration.status.as_ref()?.runs;
    let mut applied = runs.iter().filter(|run| has_applied(run));
    let last_applying = applied.clone().next()?.number;
    // What is not restored comes first: restoring a newer run again would write over what the
    // restore of an older one has already done.
    let open = applied.clone().find(|run| run.restored_by.is_none() && may_have_written(run));
    // What was restored is restored once more where that is asked for: with what others had changed
    // this time, or because `retry` was raised. Not below a newer run that applied.
    let is_asked_for = |run: &&RunRecord| {
        let by = run.restored_by.filter(|by| *by > last_applying);
        let restore = by.and_then(|by| runs.iter().find(|restore| restore.number == by));
        restore.is_some_and(|restore| {
            migration.spec.retry > restore.retry
                || restore.on_conflict != Some(migration.spec.on_conflict())
        })
    };
    open.or_else(|| applied.find(is_asked_for))
}

/// Whether a run was to apply the migration and is over.
pub fn has_applied(run: &RunRecord) -> bool {
    run.kind == RunKind::Apply
        && run.result.is_over()
        && run.result != RunResult::Canceled
        && !is_baseline(run)
}

/// Whether a run that is over may have left changes. One that succeeded is restored even if it
/// changed nothing, so that it can run again.
fn may_have_written(run: &RunRecord) -> bool {
    !run.wrote_nothing || run.result == RunResult::Succeeded
}

/// Whether a run's changes may still be there, so that it must not be forgotten.
pub fn is_open(run: &RunRecord) -> bool {
    has_applied(run) && run.restored_by.is_none() && may_have_written(run)
}

/// Returns the image that the dry run of just this program ran, for the apply that follows it.
pub fn image_tried(
    status: &DataMigrationStatus,
    program_digest: &str,
    kind: RunKind,
) -> Option<String> {
    let tried = |run: &&RunRecord| {
        run.kind == RunKind::DryRun
            && run.result == RunResult::Succeeded
            && run.program_digest == program_digest
    };
    let run = status.runs.iter().find(tried).filter(|_| kind == RunKind::Apply)?;
    run.image_id.clone()
}
