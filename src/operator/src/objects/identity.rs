//! The parts of a run's plan about other runs: the accepted differences, and the required dry run.
//! Pure.

use dm_api::DataMigration;
use dm_api::identity::Mismatch as Accepted;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::identity::{DatabaseId, Mismatch, TriedOn};

use crate::runnable::Runnable;

/// The differences that `spec.accept` had when the run was begun.
pub fn accepted(record: &RunRecord) -> Vec<Mismatch> {
    let one = |accepted: &Accepted| match accepted {
        Accepted::OtherDatabase => Mismatch::OtherDatabase,
        Accepted::OtherProgram => Mismatch::OtherProgram,
        Accepted::TableReplaced => Mismatch::TableReplaced,
    };
    record.accepted.iter().map(one).collect()
}

/// What the dry run of the current program saw, if the target requires one.
pub fn tried(
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
) -> Option<TriedOn> {
    if record.kind != RunKind::Apply || !runnable.target.spec.policy.dry_run_first {
        return None;
    }
    let dry_run = migration.status.as_ref()?.dry_run.as_ref()?;
    let is_it = dry_run.program_digest == record.program_digest;
    let tried = dry_run.tried_on.as_ref().filter(|_| is_it)?;
    (dry_run.result == RunResult::Succeeded).then(|| TriedOn {
        database: DatabaseId {
            region: tried.region.clone(),
            endpoint: tried.endpoint.clone(),
            partition: tried.partition.clone(),
            account: tried.account.clone(),
        },
        tables: tried.tables.clone(),
    })
}
