//! The next status of a migration. After the end of a run it says where the migration stands
//! without that run, which is decided on the status with its result. Pure.

use dm_api::status::DataMigrationStatus;

use crate::decide::{self, Situation, Step};
use crate::read::view::RunObjects;
use crate::status;

/// Returns the status that a step leads to.
pub fn next(situation: Situation<'_>, step: &Step) -> DataMigrationStatus {
    let mut next = status::after(situation, step);
    if !matches!(step, Step::Finish(_) | Step::Discard) {
        return next;
    }
    let mut migration = situation.migration.clone();
    migration.status = Some(next.clone());
    let after = Situation {
        migration: &migration,
        objects: RunObjects { job: None, pods: &[] },
        ..situation
    };
    // Any other step writes a status of its own in the next round.
    if let Step::Rest(position) = decide::decide(after) {
        status::place(&mut next, situation, &position);
    }
    next
}
