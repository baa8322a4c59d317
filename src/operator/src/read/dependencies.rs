//! Where the migrations stand that another one depends on, and whether they form a circle. Pure.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use dm_api::DataMigration;
use dm_api::status::Phase;

use crate::history;
use crate::limits;

/// Where the migrations stand that another one depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// Those that have not been applied, in the order of the spec.
    pub waits_for: Vec<Waiting>,
    /// Names of migrations that wait for each other, the first again at the end.
    pub cycle: Option<Vec<String>>,
}

/// A migration that has not been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub name: String,
    /// Where it stands; `None` if it does not exist.
    pub phase: Option<Phase>,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.phase {
            None => write!(f, "{}, which does not exist in this namespace", self.name),
            Some(phase) => write!(f, "{}, which is {phase:?}", self.name),
        }
    }
}

/// Looks up a migration's dependencies among all of its namespace.
pub fn resolve<M: Borrow<DataMigration>>(
    migration: &DataMigration,
    others: &BTreeMap<String, M>,
) -> Dependencies {
    let waits_for = migration
        .spec
        .depends_on
        .iter()
        .filter(|dependency| !others.get(&dependency.name).is_some_and(|m| is_applied(m.borrow())))
        .map(|dependency| Waiting {
            name: dependency.name.clone(),
            phase: others
                .get(&dependency.name)
                .map(|other| other.borrow().status.as_ref())
                .map(|status| status.and_then(|s| s.phase).unwrap_or(Phase::Pending)),
        })
        .collect();
    Dependencies { waits_for, cycle: find_cycle(migration, others) }
}

/// Whether a migration has been applied.
pub fn is_applied(migration: &DataMigration) -> bool {
    let applied = migration.status.as_ref().is_some_and(dm_api::DataMigrationStatus::is_applied);
    applied && !history::is_baseline_withdrawn(migration)
}

/// The first way that leads from a migration back to itself.
fn find_cycle<M: Borrow<DataMigration>>(
    start: &DataMigration,
    others: &BTreeMap<String, M>,
) -> Option<Vec<String>> {
    let name = start.metadata.name.clone()?;
    let mut seen = BTreeSet::new();
    let mut ways = vec![(start, vec![name.clone()])];
    while let Some((migration, way)) = ways.pop() {
        for dependency in &migration.spec.depends_on {
            let mut further = way.clone();
            further.push(dependency.name.clone());
            if dependency.name == name {
                return Some(further);
            }
            let new =
                seen.len() < limits::DEPENDENCIES_FOLLOWED_MAX && seen.insert(&dependency.name);
            if let Some(other) = others.get(&dependency.name).filter(|_| new) {
                ways.push((other.borrow(), further));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
