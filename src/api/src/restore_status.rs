//! What status says of a restore, and of its preview. Bounded, as all of status is: counts, and the
//! first conflicts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::effects::is_zero;
use crate::run_kind::RunResult;

/// What a restore did, or in a preview would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// Number of the run.
    pub run: u32,
    /// Number of the run that it restores.
    pub restores: u32,
    /// What the restore does with values that others changed since.
    pub on_conflict: OnConflict,
    /// How the run ended.
    pub result: RunResult,
    /// Start of the run, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<Time>,
    /// End of the run, by its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<Time>,
    /// What the restore found and did; for a preview, what the restore would do. Absent if its
    /// container left no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<RestoreEffects>,
    /// URL of the full report in the archive, with all conflicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// What a restore found in its run's journal and did about it; in a preview, would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreEffects {
    /// Items that the run had written.
    pub items: u64,
    /// Items of which attributes were restored to their earlier values.
    pub restored: u64,
    /// Items that the run had created and the restore deleted.
    pub deleted: u64,
    /// Items that the run had deleted and the restore recreated.
    pub recreated: u64,
    /// Items that were as before the run, or whose changes are all in conflict.
    pub unchanged: u64,
    /// Items restored of which it is not certain that they were so before the run: they were
    /// journaled without a check (mode `Cheap`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unverified: u64,
    /// Items deleted without an answer from the database. Attributes that others added to them at
    /// that moment may be lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unconfirmed: u64,
    /// Attributes and whole items that were not returned to their earlier state, or only by
    /// `Overwrite`; `conflictGroups` has the reasons.
    pub conflicts: u64,
    /// Conflicts by table and kind, the first 20 groups. The archive has all conflicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub conflict_groups: Vec<ConflictGroup>,
    /// Control-plane calls of the run. A restore does not create, change or delete tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub not_restored: Vec<String>,
    /// Read units used.
    pub read_units: f64,
    /// Write units used.
    pub write_units: f64,
}

/// Conflicts of one kind in one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConflictGroup {
    /// Name of the table.
    pub table: String,
    /// Why: what others did to the items, or why the database rejected them.
    pub kind: ConflictKind,
    /// The attribute, if the conflict is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Number of items with this conflict.
    pub items: u64,
    /// Keys of the first of these items, in DynamoDB's JSON. Present only if the target's policy
    /// shows values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub keys: Vec<String>,
}

/// What others did to an item since the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ConflictKind {
    /// An attribute has another value than the run left.
    AttributeChanged,
    /// The item that the run created is not what the run left.
    ItemChanged,
    /// The item that the run changed was deleted.
    ItemDeleted,
    /// The run deleted an item, and another item now has its key.
    PlaceTaken,
    /// Several pods of the run wrote the item, and their journals do not tell in which order.
    OrderUnknown,
    /// The run moved an item here that could not return to its former key. This may be the only
    /// copy.
    OnlyCopy,
    /// The database rejects the earlier value, for example because of an index that was added
    /// since.
    Rejected,
}

/// What a restore does with what others changed since.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum OnConflict {
    /// The changed value stays, and is listed.
    #[default]
    Skip,
    /// The earlier value is restored over the changed one.
    Overwrite,
}
