//! The objects users touch: `DataMigration` and `MigrationTarget`, their conditions and reasons.
//!
//! Types only. The operator decides what a field means for a run. CEL rules next to the fields
//! reject what the API server can recognize.

#![warn(missing_docs)]

pub mod agent_resources;
pub mod archive;
pub mod bounds;
pub mod condition;
pub mod definitions;
pub mod effects;
pub mod files;
pub mod identity;
pub mod limits;
pub mod migration;
pub mod name;
pub mod program_policy;
pub mod restore_status;
pub mod run_kind;
pub mod script;
pub mod status;
pub mod target;
pub mod target_condition;
pub mod target_status;
pub mod transform;

pub use definitions::definitions;
pub use migration::{DataMigration, DataMigrationSpec};
pub use status::DataMigrationStatus;
pub use target::{MigrationTarget, MigrationTargetSpec};
pub use target_status::MigrationTargetStatus;

/// API group of all objects.
pub const GROUP: &str = "datamigration.dev";

/// Finalizer on a `DataMigration` that has a run: a running program is stopped before the object is
/// deleted.
pub const RUN_FINALIZER: &str = "datamigration.dev/run";

/// Finalizer on a run's Job and pods until their outcome is in the migration's status.
pub const OUTCOME_FINALIZER: &str = "datamigration.dev/outcome";

/// Label with the uid of the `DataMigration` on everything that belongs to one of its runs.
pub const MIGRATION_UID_LABEL: &str = "datamigration.dev/migration-uid";

/// Label with the uid of the `MigrationTarget` on everything that belongs to its check.
pub const TARGET_UID_LABEL: &str = "datamigration.dev/target-uid";

/// Annotation with the name of the `MigrationTarget`, which may be too long for a label.
pub const TARGET_NAME_ANNOTATION: &str = "datamigration.dev/target";

/// Label with the run's number on everything that belongs to it.
pub const RUN_LABEL: &str = "datamigration.dev/run";

/// Annotation with the name of the `DataMigration`, which may be too long for a label.
pub const MIGRATION_NAME_ANNOTATION: &str = "datamigration.dev/migration";

/// Annotation with the digest of what a Job runs.
pub const PROGRAM_DIGEST_ANNOTATION: &str = "datamigration.dev/program-digest";
