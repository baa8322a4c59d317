//! Why a run cannot be undone on a target.

use dm_api::condition::Reason;
use dm_api::status::RunRecord;
use dm_api::{DataMigration, MigrationTarget};

use crate::history::has_applied;
use crate::runnable::{Problem, Restoration};

/// Why a run cannot be restored on this target, if so: its journal has to be there.
pub fn obstacle(
    migration: &DataMigration,
    target: &MigrationTarget,
    restoration: Restoration,
) -> Option<Problem> {
    let status = migration.status.as_ref()?;
    let is_it = |run: &&RunRecord| has_applied(run) && Some(run.in_archive()) == restoration.run;
    let run = status.runs.iter().find(is_it)?;
    let (number, name) = (run.in_archive(), &migration.spec.target.name);
    if let Some(other) = run.target.as_ref().filter(|other| *other != name) {
        return Some(Problem {
            reason: Reason::InvalidSpec,
            message: format!(
                "spec.target.name: run {number} worked on target {other} and can be restored only \
                 there. Set spec.target.name to {other}"
            ),
        });
    }
    let now = target.spec.archive.as_ref().map(|archive| &archive.url);
    let message = match (&run.archive, now) {
        (Some(then), Some(now)) if then == now => return None,
        (Some(then), _) => format!(
            "The journal of run {number} is in the archive {then}, which is no longer the archive \
             of target {name}. Set spec.archive.url of the target to it again"
        ),
        (None, _) => format!(
            "Run {number} kept no journal, because target {name} had no archive when it ran, so \
             it cannot be restored. Give the target an archive (spec.archive): later runs can then \
             be restored"
        ),
    };
    Some(Problem { reason: Reason::ArchiveRequired, message })
}
