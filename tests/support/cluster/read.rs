//! What the tests read in a migration's status; what must be there and is not fails the test.

use dm_api::DataMigration;
use dm_api::status::{DataMigrationStatus, Failure, WouldChange};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub fn status(migration: &DataMigration) -> &DataMigrationStatus {
    migration.status.as_ref().expect("a status")
}

/// A condition that is there.
pub fn condition<'a>(migration: &'a DataMigration, type_: &str) -> Option<&'a Condition> {
    let conditions = migration.status.as_ref().map(|status| &status.conditions)?;
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Reason and message of the condition Ready; empty as long as there is none.
pub fn ready(migration: &DataMigration) -> (&str, &str) {
    condition(migration, "Ready")
        .map_or(("", ""), |ready| (ready.reason.as_str(), ready.message.as_str()))
}

/// Why the last run failed.
pub fn failure(migration: &DataMigration) -> &Failure {
    status(migration).failure.as_ref().expect("a failure in status")
}

/// What the last dry run found.
pub fn effects(migration: &DataMigration) -> &WouldChange {
    let report = status(migration).dry_run.as_ref().expect("a dry run in status");
    report.effects.as_ref().expect("what the dry run's guard saw")
}
