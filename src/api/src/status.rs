//! The status of a `DataMigration`: what happened, what would happen, and why it stands still.
//!
//! Bounded: summaries, never items. Every list has a length here or in the operator's limits.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::condition;
pub use crate::effects::{
    AttributeCounts, Changed, OperationEntry, RemarkEntry, TableChanged, TableFate,
    TableWouldChange, WouldChange,
};
use crate::identity::{Mismatch, TriedOn};
use crate::restore_status::{OnConflict, RestoreReport};
pub use crate::run_kind::{RunKind, RunResult};

/// What the controller says of a migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataMigrationStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for people. Machines use the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// `Ready`, `Reconciling` and `Stalled` by the kstatus rules, and others that are present
    /// only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How far it is, or why it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When the program of the run that applied the migration began, as its container saw it;
    /// before that, of the run under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// When that program had ended, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// The last dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunReport>,
    /// The last run that was to apply the migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedReport>,
    /// The last preview of a restore: what it would put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_preview: Option<RestoreReport>,
    /// The last restore: what it put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoreReport>,
    /// Why the last run failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Number of the last run; the first is 1. Written before the run's Job exists.
    #[serde(default)]
    pub last_run: u32,
    /// The last ten runs, newest first, and older ones whose changes were not taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub runs: Vec<RunRecord>,
}

impl DataMigrationStatus {
    /// Whether the migration is applied: a run applied it, and no restore has begun to take that
    /// run back.
    pub fn is_applied(&self) -> bool {
        self.applied.as_ref().is_some_and(|applied| {
            applied.result == RunResult::Succeeded
                && applied.restored_by.is_none()
                && self.restore_after(applied.run).is_none()
        })
    }

    /// The last restore after the run of this number that may have written. One that found no journal
    /// has not.
    pub fn restore_after(&self, run: u32) -> Option<&RunRecord> {
        self.runs.iter().find(|later| {
            later.kind == RunKind::Restore
                && later.number > run
                && later.reason != Some(condition::Reason::ArchiveRequired)
                && later.result != RunResult::Cancelled
                && later.execution_time.is_some()
        })
    }
}

/// One word for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Phase {
    /// Seen, nothing decided yet.
    Pending,
    /// Something else has to happen first: a time, another migration.
    Waiting,
    /// `spec.suspend` holds it.
    Suspended,
    /// A dry run is under way.
    DryRunning,
    /// The dry run succeeded.
    #[serde(rename = "DryRunOK")]
    DryRunOk,
    /// The dry run failed.
    DryRunFailed,
    /// The program of the dry run ended without a request to the guard, so nothing is known of it.
    NoRequestsSeen,
    /// A run that writes is under way.
    Running,
    /// It has been applied.
    Applied,
    /// It was applied before this operator existed, as `spec.baseline` says.
    Baseline,
    /// The run that was to apply it failed.
    Failed,
    /// The transform has changed all items but those that its report lists.
    PartiallyFailed,
    /// The preview of a restore is under way.
    RestorePreviewing,
    /// The preview of a restore succeeded.
    #[serde(rename = "RestorePreviewOK")]
    RestorePreviewOk,
    /// The preview of a restore failed.
    RestorePreviewFailed,
    /// What it changed is being taken back.
    Restoring,
    /// What it changed was taken back.
    Restored,
    /// The run that was to take it back failed.
    RestoreFailed,
    /// A person has to change something before it can run.
    Stalled,
    /// It is being deleted.
    Terminating,
}

/// How far a migration is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// In a few words: a percentage, or what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Items the program has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_read: Option<u64>,
    /// Items it has written, or in a dry run would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_written: Option<u64>,
    /// Items it will write in all, by the dry run's count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimate: Option<u64>,
    /// Share of that, 0 to 99 while the run goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u64>,
    /// Items written per second, since the program began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_per_second: Option<u64>,
    /// Seconds until the end at that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
}

/// One run, in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Its number.
    pub number: u32,
    /// What it is for.
    pub kind: RunKind,
    /// Where it stands.
    pub result: RunResult,
    /// Why it ended as it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<condition::Reason>,
    /// Name of its Job.
    pub job: String,
    /// Uid of its Job, written before the Job is let go: a Job is created suspended, and a program
    /// starts only in the one that is named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// `spec.retry` when its outcome was written to this status; before that, when it was started. A
    /// higher value starts another run after a failure or an unknown outcome.
    #[serde(default)]
    pub retry: i64,
    /// Name of the target it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of a run that applies: where its journal is, the URL of its target's archive. Absent where
    /// the target had none; what the run changed can then not be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Of a run that applies: it is known to have changed nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wrote_nothing: bool,
    /// Of a run that the archive's ledger did not let begin, because an earlier one of the migration
    /// had applied it, or has an unknown outcome: number of that one, whose journal is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<u32>,
    /// Of a run that applies: number of the run that took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_by: Option<u32>,
    /// Of a restore or its preview: number of the run that it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u32>,
    /// Of a restore or its preview: what happens to what others changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// Digest of what it runs: files or image, command, arguments, environment, target.
    pub program_digest: String,
    /// When the program began, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// When the program had ended, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// When the controller decided to start the run, by the controller's clock.
    pub requested_at: Time,
    /// When the controller saw its end, by the controller's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Time>,
    /// Exit code of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What the archive's ledger said of it, where that kept it from running its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when it has been tried to start, where another migration or the archive held it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// Runs up to this number may have an outcome that nobody knows: `spec.retry` was raised after
    /// that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrules: Option<u32>,
    /// Differences from a run on record that `spec.accept` had accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Mismatch>,
    /// Whether its outcome is in the archive. Absent where it has begun nothing there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Where the archive has the program's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The image that the program's container ran, as the kubelet reported it. Of an apply that has not
    /// ended: the one that its dry run ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
}

impl RunRecord {
    /// The number under which the archive has the journal of what this run stands for.
    pub fn in_archive(&self) -> u32 {
        self.adopted.unwrap_or(self.number)
    }
}

/// What a dry run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunReport {
    /// Number of the run.
    pub run: u32,
    /// How it ended.
    pub result: RunResult,
    /// When the program began, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// When the program had ended, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// Whether running the program a second time, over what it had written, changed nothing. Absent
    /// where it was not run a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// What the guard saw. Absent when the guard did not get to say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<WouldChange>,
    /// The database and the tables that it saw. A target that wants a dry run first wants it of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_on: Option<TriedOn>,
    /// Digest of what was run: files or image, command, arguments, environment, target.
    pub program_digest: String,
    /// Digest over the program's and over the shape of its effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where the archive keeps the program's whole output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Where the archive keeps the full report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// What a run that was to apply the migration did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedReport {
    /// Number of the run.
    pub run: u32,
    /// The run in the archive, where its result was adopted from an object that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<String>,
    /// Whether no run of this operator applied it: `spec.baseline` says that it was applied before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub baseline: bool,
    /// How it ended.
    pub result: RunResult,
    /// When the program began, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// When the program had ended, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// What the guard saw. Absent when the guard did not get to say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Changed>,
    /// Digest of what was run: files or image, command, arguments, environment, target.
    pub program_digest: String,
    /// Digest over the program's and over the shape of its effects, where the run has a journal. It
    /// equals the dry run's if the effects are those that the dry run reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Entries in its journal: writes that were about to change an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journaled: Option<u64>,
    /// Where the archive has the program's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Where the archive has the full report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Number of the run that took it back. With it the migration is applied no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_by: Option<u32>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Why a run failed, and what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One word, listed in the documentation.
    pub reason: condition::Reason,
    /// What happened, and what state the data is in.
    pub message: String,
    /// The last lines the program wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// What to do now.
    pub what_now: String,
    /// Where the archive has the program's whole output.
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
