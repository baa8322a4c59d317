//! Where a migration stands, in a few words. Pure.

use dm_api::DataMigration;
use dm_api::condition::types;
use dm_api::status::Phase;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    pub phase: String,
    /// How far, or what it waits for.
    pub text: String,
    /// Share that is done, while a run tells it.
    pub percent: Option<u64>,
    /// Whether anything continues by itself.
    pub rest: Rest,
}

/// Whether anything continues by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    No,
    /// No, and all is well.
    Well,
    /// No, and a person has to mend something.
    Stalled,
}

/// Where a migration stands.
pub fn standing(migration: &DataMigration) -> Standing {
    let progress = migration.status.as_ref().and_then(|status| status.progress.as_ref());
    let message = || ready(migration).map(|ready| ready.reason.clone()).unwrap_or_default();
    Standing {
        name: migration.metadata.name.clone().unwrap_or_default(),
        phase: phase(migration),
        text: progress.and_then(|progress| progress.text.clone()).unwrap_or_else(message),
        percent: progress.and_then(|progress| progress.percent),
        rest: rest(migration),
    }
}

/// The phase's word as `kubectl get` shows it.
pub fn phase(migration: &DataMigration) -> String {
    let phase = migration.status.as_ref().and_then(|status| status.phase);
    let word = serde_json::to_value(phase.unwrap_or(Phase::Pending)).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// The condition that says why.
pub fn ready(migration: &DataMigration) -> Option<&Condition> {
    condition(migration, types::READY)
}

/// Whether status speaks of the spec in its current state.
pub fn is_current(migration: &DataMigration) -> bool {
    let observed = migration.status.as_ref().and_then(|status| status.observed_generation);
    observed.is_some() && observed == migration.metadata.generation
}

fn rest(migration: &DataMigration) -> Rest {
    let holds =
        |type_| condition(migration, type_).is_some_and(|condition| condition.status == "True");
    if !is_current(migration) || holds(types::RECONCILING) {
        Rest::No
    } else if holds(types::STALLED) {
        Rest::Stalled
    } else {
        Rest::Well
    }
}

fn condition<'a>(migration: &'a DataMigration, type_: &str) -> Option<&'a Condition> {
    let conditions = migration.status.as_ref().map(|status| status.conditions.as_slice());
    conditions.unwrap_or_default().iter().find(|condition| condition.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::text::tests::migration;
    use serde_json::json;

    fn check(status: serde_json::Value, expected: (&str, &str, Option<u64>, Rest)) {
        let found = standing(&migration(json!({}), status));
        let found = (found.phase.as_str(), found.text.as_str(), found.percent, found.rest);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_migration_stands_where_its_conditions_say() {
        let condition = |type_: &str| {
            json!([{"type": type_, "status": "True", "reason": "R", "message": "m",
                "lastTransitionTime": "2026-12-01T10:00:00Z"}])
        };
        check(json!(null), ("Pending", "", None, Rest::No));
        check(
            json!({"observedGeneration": 3, "phase": "DryRunOK", "progress": {"text": "100%"}}),
            ("DryRunOK", "100%", None, Rest::Well),
        );
        check(
            json!({"observedGeneration": 2, "phase": "DryRunOK"}),
            ("DryRunOK", "", None, Rest::No),
        );
        check(
            json!({"observedGeneration": 3, "phase": "Running",
                "conditions": condition("Reconciling"),
                "progress": {"text": "37%", "percent": 37}}),
            ("Running", "37%", Some(37), Rest::No),
        );
        check(
            json!({"observedGeneration": 3, "phase": "Failed", "conditions": condition("Stalled")}),
            ("Failed", "", None, Rest::Stalled),
        );
    }
}
