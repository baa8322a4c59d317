//! The status of a `DataMigration`: what happened, what would happen, and why it waits.
//!
//! Bounded: summaries, never items. Every list has a length here or in the operator's limits.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::condition;
pub use crate::effects::{
    AttributeCounts, Changed, ErrorEntry, OperationEntry, RemarkEntry, TableChanged, TableFate,
    TableWouldChange, WouldChange,
};
use crate::identity::{Mismatch, TriedOn};
use crate::restore_status::{OnConflict, RestoreStatus};
pub use crate::run_kind::{RunKind, RunResult};

/// Most parts of a run, as in `spec.parallelism`: a status that was edited may have another number.
const PARTS_MAX: u32 = 64;

/// State and history of a migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataMigrationStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// State in one word, for people. Machines use the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// `Ready`, `Reconciling` and `Stalled` by the kstatus rules, and conditions that are present
    /// only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Progress of the run under way, or what the migration waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Start of the program that applied the migration, by its container. Before the apply: of the
    /// last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// End of that program, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// The last dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunReport>,
    /// The last apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedReport>,
    /// The last preview of a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_preview: Option<RestoreStatus>,
    /// The last restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoreStatus>,
    /// Failure of the last run, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Number of the last run; the first is 1. It is written before the run's Job exists.
    #[serde(default)]
    pub last_run: u32,
    /// The last ten runs, and older ones that were not restored, at most 50; newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub runs: Vec<RunRecord>,
}

impl DataMigrationStatus {
    /// The run that is not over; it is the last one.
    pub fn under_way(&self) -> Option<&RunRecord> {
        self.runs.first().filter(|run| !run.result.is_over())
    }

    /// Whether the migration is applied: a run applied it, and no restore has begun to take that
    /// run back.
    pub fn is_applied(&self) -> bool {
        self.applied.as_ref().is_some_and(|applied| {
            applied.result == RunResult::Succeeded
                && applied.restored_by.is_none()
                && self.restore_after(applied.run).is_none()
        })
    }

    /// The last restore after the run of this number that may have written. One that found no
    /// journal has not.
    pub fn restore_after(&self, run: u32) -> Option<&RunRecord> {
        self.runs.iter().find(|later| {
            later.kind == RunKind::Restore
                && later.number > run
                && later.reason != Some(condition::Reason::ArchiveRequired)
                && later.result != RunResult::Canceled
                && later.execution_time.is_some()
        })
    }
}

/// State of a migration in one word, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Phase {
    /// Seen; nothing is decided yet.
    Pending,
    /// It waits, for example for a time or another migration.
    Waiting,
    /// `spec.suspend` is true.
    Suspended,
    /// A dry run is under way.
    DryRunning,
    /// The dry run succeeded.
    #[serde(rename = "DryRunOK")]
    DryRunOk,
    /// The dry run failed.
    DryRunFailed,
    /// The program of the dry run sent no request to the guard, so its effects are not known.
    NoRequestsSeen,
    /// An apply is under way.
    Running,
    /// It is applied.
    Applied,
    /// It was applied before this operator existed (`spec.baseline`).
    Baseline,
    /// The apply failed.
    Failed,
    /// The transform changed all items except those that its report lists.
    PartiallyFailed,
    /// The preview of a restore is under way.
    RestorePreviewing,
    /// The preview of a restore succeeded.
    #[serde(rename = "RestorePreviewOK")]
    RestorePreviewOk,
    /// The preview of a restore failed.
    RestorePreviewFailed,
    /// A restore is under way.
    Restoring,
    /// It is restored.
    Restored,
    /// The restore failed.
    RestoreFailed,
    /// A person must change something before a run can start.
    Stalled,
    /// It is being deleted.
    Terminating,
}

/// Progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Short text for `kubectl get`: a percentage or count, or what the migration waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Items that the program has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_read: Option<u64>,
    /// Items that the program has written, or in a dry run would have written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_written: Option<u64>,
    /// Total amount of work. For an apply: items that it will write, by the dry run's count; for a
    /// dry run: items in the tables that it scans; for a restore: items that the run wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimate: Option<u64>,
    /// What is done as a share of `totalEstimate`, 0 to 99 during the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u64>,
    /// Items done per second since the program started, without pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_per_second: Option<u64>,
    /// Seconds left at that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
    /// Seconds that the run was paused, without a pause that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_seconds: Option<u64>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Number of the run.
    pub number: u32,
    /// Kind of the run.
    pub kind: RunKind,
    /// State or outcome of the run.
    pub result: RunResult,
    /// Reason of the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<condition::Reason>,
    /// Name of the run's Job.
    pub job: String,
    /// Uid of the run's Job. A Job is created suspended and released only after its uid is here, so
    /// a program starts in no other Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// Value of `spec.retry` at the end of the run, or at its start while it is under way. A higher
    /// value starts another run after a failure or an unknown outcome.
    #[serde(default)]
    pub retry: i64,
    /// Name of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// For an apply: URL of the archive with its journal. Absent if the target had none; the run
    /// can then not be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Whether an apply is known to have changed nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wrote_nothing: bool,
    /// Number of the recorded run whose outcome this run adopted, or whose outcome is unknown. A
    /// restore uses that run's journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<u32>,
    /// For an apply: number of the restore that restored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_by: Option<u32>,
    /// For a restore or its preview: number of the run that it restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u32>,
    /// For a restore or its preview: what it does with values that others changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// Number of pods among which the run was split (`spec.parallelism`). Absent for one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub parallelism: Option<u32>,
    /// Digest of what runs: files, transform or image; command, arguments, environment, target.
    pub program_digest: String,
    /// Start of the program, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// End of the program, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// Time at which the operator decided to start the run, by its clock.
    pub requested_at: Time,
    /// Time at which the operator saw the end of the run, by its clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Time>,
    /// Exit code of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What the archive's ledger reported, if it prevented the program from running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Time since which the run has been waiting for another migration or for the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// Runs up to this number with an unknown outcome no longer block, because `spec.retry` was
    /// raised after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrules: Option<u32>,
    /// Differences from a recorded run that `spec.accept` had when the run started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Mismatch>,
    /// Whether the outcome is recorded in the archive. Absent if the run has no entry in the
    /// ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// URL of the program's output in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Image that the program's container ran, by the kubelet. For an apply under way: the image
    /// that its dry run ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
}

impl RunRecord {
    /// The number under which the archive has the journal of what this run stands for.
    pub fn in_archive(&self) -> u32 {
        self.adopted.unwrap_or(self.number)
    }

    /// The value of `spec.retry` that starts another run after this one.
    pub const fn next_retry(&self) -> i64 {
        self.retry.saturating_add(1)
    }

    /// Returns the number of parts that the run was split into; 1 if it was not split.
    pub fn parts(&self) -> u32 {
        self.parallelism.unwrap_or(1).clamp(1, PARTS_MAX)
    }
}

/// Result of a dry run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunReport {
    /// Number of the run.
    pub run: u32,
    /// How the run ended.
    pub result: RunResult,
    /// Start of the program, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// End of the program, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// Whether a second pass changed nothing. Absent without a second pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// What the guard counted. Absent if the guard left no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<WouldChange>,
    /// The database and the tables that it read. `policy.dryRunFirst` compares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_on: Option<TriedOn>,
    /// Digest of what ran: files, transform or image; command, arguments, environment; volumes,
    /// mounts, user and ConfigMaps; name, region and endpoint of the target.
    pub program_digest: String,
    /// Digest of what ran and of the shape of its effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// URL of the program's output in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// URL of the full report in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// Result of an apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedReport {
    /// Number of the run.
    pub run: u32,
    /// The recorded run whose result was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<String>,
    /// Whether no run applied the migration, because it was applied before this operator existed
    /// (`spec.baseline`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub baseline: bool,
    /// How the run ended.
    pub result: RunResult,
    /// Start of the program, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// End of the program, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// What the guard counted. Absent if the guard left no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Changed>,
    /// Digest of what ran: files, transform or image; command, arguments, environment; volumes,
    /// mounts, user and ConfigMaps; name, region and endpoint of the target.
    pub program_digest: String,
    /// Digest of what ran and of the shape of its effects, if the run has a journal. It equals the
    /// dry run's if the effects are those that the dry run reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Entries in the run's journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journaled: Option<u64>,
    /// URL of the program's output in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// URL of the full report in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Number of the restore that restored the run. The migration is then no longer applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_by: Option<u32>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Failure of a run, and what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Reason of the failure, one word. docs/reference/reasons.md lists them.
    pub reason: condition::Reason,
    /// What happened, and what state the data is in.
    pub message: String,
    /// Last lines of the program's output, up to 20. Everyone who may read the object sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// What to do.
    pub what_now: String,
    /// URL of the program's output in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Number of the run.
    pub run: u32,
    /// Exit code of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}
