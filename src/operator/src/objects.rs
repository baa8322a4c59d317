//! The objects of a run, built whole from what was validated. Pure, and never fails.

use dm_api::agent_resources::AgentResources;

pub mod archive;
pub mod check;
pub mod control;
pub mod copies;
pub mod digest;
pub mod failure;
pub mod files;
pub mod guard;
pub mod identity;
pub mod image;
pub mod job;
pub mod literal;
pub mod names;
pub mod network;
pub mod parts;
pub mod pod;
pub mod program;
pub mod record;
pub mod restore;
pub mod share;

/// Name of the container that runs the program.
pub const PROGRAM_CONTAINER: &str = "program";

/// Name of the sidecar between the program and the database.
pub const GUARD_CONTAINER: &str = "guard";

/// Name of the init container that brings the entry program and the files.
pub const PREPARE_CONTAINER: &str = "prepare";

/// Name of the init container that asks the archive's ledger whether the run may begin.
pub const LEDGER_CONTAINER: &str = "ledger";

/// Name of the volume with the copy of the program's files.
pub const FILES_VOLUME: &str = "dm-files";

/// Label with the run's number on the Job that notes its end in the archive, and on that Job's
/// pods.
pub const RECORD_OF_LABEL: &str = "datamigration.dev/record-of";
/// Name of the container that restores what a run changed; its pod has no other.
pub const RESTORE_CONTAINER: &str = "restore";

/// Annotation on a Job that the controller itself stops, with the reason.
pub const STOP_REASON_ANNOTATION: &str = "datamigration.dev/stop-reason";

/// Annotation on the Job of a run that is paused: the seconds that were left of its deadline.
pub const DEADLINE_LEFT_ANNOTATION: &str = "datamigration.dev/deadline-left";

/// Annotation on the Job of a check with the generation of the target that it checks.
pub const GENERATION_ANNOTATION: &str = "datamigration.dev/target-generation";

/// Annotation on a Job with the digest of the settings it was made from.
pub const SETTINGS_DIGEST_ANNOTATION: &str = "datamigration.dev/settings-digest";

/// Why the Job controller could not create a Job's pod, by its last event. It stands on the Job as
/// it was read, and on no object of the API server.
pub const FAILED_CREATE_ANNOTATION: &str = "datamigration.dev/failed-create";

/// What the operator was started with and every run needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Image with the guard and the entry program.
    pub agent_image: String,
    /// When that image is pulled.
    pub agent_pull_policy: String,
    /// What its containers may use, where the target does not say it.
    pub resources: AgentResources,
    /// The operator's namespace, where the pods of runs get a NetworkPolicy.
    pub network_policy_from: Option<String>,
}

#[cfg(test)]
mod tests;
