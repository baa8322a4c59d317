//! What status says of a restore, from what its pod said. Pure.

use dm_api::restore_status::{ConflictGroup, ConflictKind, RestoreEffects, RestoreStatus};
use dm_api::status::{DataMigrationStatus, RunKind, RunRecord, RunResult};
use dm_contract::limits::CONFLICT_KEYS_MAX;
use dm_contract::restored::Conflict;
use dm_contract::restored::{self, RestoreResult};

use crate::decide::outcome::{Outcome, bounded};
use crate::limits;

/// The report of a restore or its preview.
pub fn report(run: &RunRecord, outcome: &Outcome) -> RestoreStatus {
    RestoreStatus {
        run: run.number,
        restores: run.restores.unwrap_or_default(),
        on_conflict: run.on_conflict.unwrap_or_default(),
        result: outcome.result,
        execution_time: run.execution_time.clone(),
        finalization_time: run.finalization_time.clone(),
        effects: outcome.restore.as_ref().map(effects),
        report: outcome.kept(|archived| archived.report.as_ref()),
    }
}

/// Marks the run as restored: it is no longer applied.
pub fn mark_restored(status: &mut DataMigrationStatus, restore: &RunRecord) {
    if restore.result != RunResult::Succeeded {
        return;
    }
    let of_it = |run: &&mut RunRecord| {
        run.kind == RunKind::Apply && Some(run.in_archive()) == restore.restores
    };
    for run in status.runs.iter_mut().filter(of_it) {
        run.restored_by = Some(restore.number);
    }
    let applied = status.applied.as_mut().filter(|report| Some(report.run) == restore.restores);
    if let Some(report) = applied {
        report.restored_by = Some(restore.number);
    }
}

fn effects(result: &RestoreResult) -> RestoreEffects {
    RestoreEffects {
        items: result.counts.items,
        restored: result.counts.restored,
        deleted: result.counts.deleted,
        recreated: result.counts.recreated,
        unchanged: result.counts.unchanged,
        unverified: result.counts.unverified,
        unconfirmed: result.counts.unconfirmed,
        conflicts: result.conflicts,
        conflict_groups: result
            .groups
            .iter()
            .take(limits::CONFLICT_GROUPS_MAX)
            .map(conflict_group)
            .collect(),
        not_restored: result
            .not_restored
            .iter()
            .take(limits::NOT_RESTORED_MAX)
            .map(|call| bounded(call.to_string()))
            .collect(),
        read_units: result.read_units,
        write_units: result.write_units,
    }
}

fn conflict_group(group: &restored::ConflictGroup) -> ConflictGroup {
    let (kind, attribute) = match &group.conflict {
        Conflict::AttributeChanged(name) => (ConflictKind::AttributeChanged, Some(name.clone())),
        Conflict::ItemChanged => (ConflictKind::ItemChanged, None),
        Conflict::ItemDeleted => (ConflictKind::ItemDeleted, None),
        Conflict::PlaceTaken => (ConflictKind::PlaceTaken, None),
        Conflict::OrderUnknown => (ConflictKind::OrderUnknown, None),
        Conflict::OnlyCopy => (ConflictKind::OnlyCopy, None),
        Conflict::Rejected(name) => (ConflictKind::Rejected, name.clone()),
    };
    ConflictGroup {
        table: group.table.clone(),
        kind,
        attribute,
        items: group.count,
        keys: group.keys.iter().take(CONFLICT_KEYS_MAX).map(ToString::to_string).collect(),
    }
}
