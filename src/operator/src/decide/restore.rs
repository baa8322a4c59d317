//! What `spec.state: Restored` means for a migration's history: which run is restored next, and
//! where the migration stands when none is left. Pure.
//!
//! Runs are restored one by one, the newest first, as they were laid one over the other: a run
//! that succeeded on the second attempt first, then the failed one under it.

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::status::{DataMigrationStatus, Phase, RunKind, RunRecord, RunResult};

use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::decide::{ledger, rest, summary};
use crate::history::has_applied;
use crate::runnable::Restoration;

/// Nothing is left to restore, as far as this object knows.
pub fn restored(situation: Situation<'_>, status: &DataMigrationStatus) -> Position {
    let message = match &status.restored {
        Some(report) if report.result == RunResult::Succeeded => summary::restored(status, report),
        Some(_) | None if may_be_recorded(situation, status) => return not_adopted(situation),
        Some(_) | None => {
            "No run of this object has changed anything, so there is nothing to restore".into()
        }
    };
    let mut position = Position::new(Phase::Restored, Standing::Ready, Reason::Restored, message);
    position.set_text("100%");
    position
}

/// Whether the archive may have an apply of this migration of which this object does not know: an
/// earlier object of its name, or another cluster, began it.
fn may_be_recorded(situation: Situation<'_>, status: &DataMigrationStatus) -> bool {
    let target = situation.runnable.ok().map(|runnable| &runnable.target).or(situation.target);
    let has_archive = target.is_none_or(|target| target.spec.archive.is_some());
    has_archive && status.applied.is_none() && !status.runs.iter().any(has_applied)
}

/// The ledger is read when an apply begins: until then what it has is not known, and not restored.
fn not_adopted(situation: Situation<'_>) -> Position {
    let migration = situation.migration;
    let name = format!("{}.{}", migration.namespace(), migration.name());
    let message = format!(
        "Nothing was restored: this object has applied nothing. Whether an earlier object of this \
         name applied the migration is in the archive's ledger, which is read when an apply \
         begins. Look there for applies of {name} (datamigration archive ls). If one succeeded and \
         was not restored, set spec.state to Applied and spec.dryRun to false: its result is \
         adopted, and the program does not run. Then set spec.state to Restored. If there is none, \
         nothing has to be restored, and with spec.state Applied the program would run"
    );
    let standing = Standing::Resting;
    let mut position = Position::new(Phase::Waiting, standing, Reason::NotAdopted, message);
    position.set_text("nothing to restore is known");
    position
}

/// Whether earlier runs already answer what the spec asks for: the preview, or the restore.
pub fn settled(
    migration: &DataMigration,
    restoration: Restoration,
    digest: &str,
    dry_run_first: bool,
) -> Option<Position> {
    let status = migration.status.clone().unwrap_or_default();
    let spec = &migration.spec;
    let same = |run: &&RunRecord| {
        run.restores == restoration.run
            && run.on_conflict == Some(restoration.on_conflict)
            && !ledger::is_reconsidered(migration, digest, run)
    };
    let newest = |kinds: &[RunKind]| {
        let over = |run: &&RunRecord| run.result != RunResult::Canceled;
        status.runs.iter().filter(over).find(|run| kinds.contains(&run.kind))
    };
    let last_writing = newest(&[RunKind::Apply, RunKind::Restore]).map_or(0, |run| run.number);
    // A preview is of the tables as the last run that wrote has left them.
    let preview = newest(&[RunKind::RestorePreview])
        .filter(same)
        .filter(|preview| preview.number > last_writing && spec.retry <= preview.retry);
    if spec.dry_run {
        let preview = preview?;
        return Some(if preview.result == RunResult::Succeeded {
            awaiting_restore(&status)
        } else {
            rest::failed(&status, preview)
        });
    }
    let failed = newest(&[RunKind::Restore])
        .filter(same)
        .filter(|run| run.number == last_writing && spec.retry <= run.retry)
        .filter(|run| run.result != RunResult::Succeeded);
    if let Some(run) = failed {
        return Some(rest::failed(&status, run));
    }
    let previewed = preview.is_some_and(|preview| preview.result == RunResult::Succeeded);
    // Under a run that was restored, the next one follows without being asked for again.
    let under_way = newest(&[RunKind::Restore]).is_some_and(|run| run.number == last_writing);
    (dry_run_first && !previewed && !under_way).then(|| {
        Position::new(
            Phase::Stalled,
            Standing::Stalled,
            Reason::DryRunRequired,
            format!(
                "Target {} requires a successful preview of this restore first \
                 (policy.dryRunFirst). Set spec.dryRun to true, look at its result, then set it to \
                 false",
                spec.target.name
            ),
        )
    })
}

/// The preview of a restore succeeded.
fn awaiting_restore(status: &DataMigrationStatus) -> Position {
    let summary = status.restore_preview.as_ref().map_or_else(
        || "The preview of the restore succeeded".into(),
        |report| summary::would_restore(status, report),
    );
    let mut position = Position::new(
        Phase::RestorePreviewOk,
        Standing::Resting,
        Reason::AwaitingRestore,
        format!("{summary}. Set spec.dryRun to false to restore it."),
    );
    position.set_text("100%");
    position
}

/// A restore was begun and not finished, and the program is wanted again: what it would find is
/// neither the one state nor the other.
pub fn incomplete(migration: &DataMigration) -> Option<Position> {
    let status = migration.status.as_ref()?;
    let last = status.runs.iter().find(|run| has_applied(run))?;
    let restore = status.restore_after(last.number)?;
    if restore.result == RunResult::Succeeded || migration.spec.retry > restore.retry {
        return None;
    }
    Some(Position::new(
        Phase::Stalled,
        Standing::Stalled,
        Reason::RestoreIncomplete,
        format!(
            "The restore by run {} did not finish, so run {} is partly restored. To finish the \
             restore, set spec.state to Restored and spec.retry to {retry}. To run the program on \
             the current data instead, leave spec.state at Applied and set spec.retry to {retry}",
            restore.number,
            restore.restores.unwrap_or_default(),
            retry = restore.next_retry(),
        ),
    ))
}
