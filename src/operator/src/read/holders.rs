//! The runs of other migrations that write to the same target, in their order. Pure.

use std::sync::Arc;

use dm_api::DataMigration;
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::identified::Migration;

/// A run of another migration on the same target that writes, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub name: String,
    /// Its uid; of an object that is left, the one that it names.
    pub uid: Option<String>,
    /// When its run was asked for: who came first goes first.
    pub since: Timestamp,
    /// Whether its program may have been released.
    pub launched: bool,
    /// Of a run that no migration has any more: the Job or pod that is left of it.
    pub left: Option<String>,
}

/// The runs that stand in the way of one of `migration`, in their order: those that other
/// migrations have in their status, and those that only Jobs and pods show. A run of a migration
/// that exists is never one that was left: it is of the target that its status names.
pub fn holders<'a>(
    migration: &Migration,
    others: impl IntoIterator<Item = &'a DataMigration>,
    existing: &[Arc<DataMigration>],
    occupants: Vec<Holder>,
) -> Vec<Holder> {
    let mut holders: Vec<Holder> = others
        .into_iter()
        .filter(|other| {
            target_of_run(other) == Some(migration.spec.target.name.as_str())
                && other.name_any() != migration.name()
        })
        .filter_map(holder)
        .collect();
    for occupant in occupants {
        let is_its =
            |other: &&Arc<DataMigration>| occupant.uid.is_some() && other.uid() == occupant.uid;
        let exists = existing.iter().find(is_its);
        let is_elsewhere = exists.and_then(|other| target_of_run(other));
        if is_elsewhere.is_some_and(|target| target != migration.spec.target.name)
            || holders.iter().any(|holder| holder.uid == occupant.uid)
        {
            continue;
        }
        let left = occupant.left.filter(|_| exists.is_none());
        holders.push(Holder { left, ..occupant });
    }
    holders.sort_by(|a, b| (a.since, &a.name).cmp(&(b.since, &b.name)));
    holders
}

/// The target of a migration's open run, which may differ from the one that its spec names by now.
fn target_of_run(other: &DataMigration) -> Option<&str> {
    let run = other.status.as_ref()?.under_way()?;
    Some(run.target.as_deref().unwrap_or(&other.spec.target.name))
}

fn holder(other: &DataMigration) -> Option<Holder> {
    let run = other.status.as_ref()?.under_way()?;
    let launched = run.job_uid.is_some();
    // One that is held before it was released will look at the others once more before it is.
    let counts = run.kind.writes() && (launched || !other.spec.suspend);
    counts.then(|| Holder {
        name: other.name_any(),
        uid: other.uid(),
        since: run.requested_at.0,
        launched,
        left: None,
    })
}
