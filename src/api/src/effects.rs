//! What a run's guard saw, as it stands in status: counts and names, never keys or values but for
//! the samples of a target that shows them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Effects of a dry run, as the guard counted them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WouldChange {
    /// Items that the program read.
    pub items_read: u64,
    /// What would change, by table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableWouldChange>,
    /// Write calls that reached the database: 0 in a dry run.
    pub write_calls_that_reached_the_database: u64,
    /// Read units that the dry run used.
    pub read_units: f64,
    /// Estimate of the write units of the apply.
    pub write_units: f64,
    /// Shortest duration of the apply at the allowed rate, in seconds. Absent without a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_seconds: Option<u64>,
    /// Items that others changed after the dry run had read them, as far as later reads showed it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed_underneath: u64,
    /// Requests that the program sent.
    pub requests: u64,
    /// Calls of each operation, by how they were answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationEntry>,
    /// First changed items of each table, if the target shows values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<String>,
    /// Reasons for calls that were answered approximately or rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkEntry>,
    /// Calls that were answered with an error of DynamoDB's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorEntry>,
}

/// What would change in one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableWouldChange {
    /// The table's name.
    pub name: String,
    /// Items that would be created.
    pub would_create: u64,
    /// Items that would be updated.
    pub would_update: u64,
    /// Items that would be deleted.
    pub would_delete: u64,
    /// Top-level attributes of items that would be updated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeCounts>,
    /// What would happen to the table itself: `Created`, `Updated`, `Deleted` with all its items,
    /// or `Replaced` by a new table of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableFate>,
    /// Settings of an existing table that would change: billing, indexes, stream, time to live,
    /// tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// Number of tables whose sum this entry is. Absent if it is one table.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// What happens to a table itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TableFate {
    /// It is created.
    Created,
    /// Its settings change.
    Updated,
    /// It is deleted, with all its items.
    Deleted,
    /// It is deleted, with all its items, and a table of the same name is created.
    Replaced,
}

/// Effects of an apply, as the guard counted them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Items that the program read.
    pub items_read: u64,
    /// What changed, by table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableChanged>,
    /// Read units used.
    pub read_units: f64,
    /// Write units used.
    pub write_units: f64,
    /// Requests that the program sent.
    pub requests: u64,
    /// Reasons for calls that were rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkEntry>,
    /// Calls that were answered with an error of DynamoDB's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorEntry>,
}

/// What a run changed in one table. With a journal the counts are items, each counted once. Without
/// one they are requests that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct TableChanged {
    /// The table's name.
    pub name: String,
    /// With a journal: items that did not exist before the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub created: u64,
    /// Without a journal: requests that put an item, new or not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub put: u64,
    /// With a journal: items that differ from before the run. Without one: update requests.
    pub updated: u64,
    /// With a journal: items that no longer exist. Without one: delete requests.
    pub deleted: u64,
    /// With a journal: items that the program wrote and that equal their state before the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchanged: u64,
    /// With a journal: top-level attributes of updated items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeCounts>,
    /// What happened to the table itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableFate>,
    /// Number of tables whose sum this entry is. Absent if it is one table.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

impl TableChanged {
    /// Items that were changed, or without a journal requests that wrote.
    pub fn written(&self) -> u64 {
        self.created + self.put + self.updated + self.deleted
    }
}

/// Number of items in which one top-level attribute was added, changed or removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct AttributeCounts {
    /// The attribute's name.
    pub name: String,
    /// Items in which it was added.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub added: u64,
    /// Items in which its value changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Items from which it was removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub removed: u64,
}

/// Calls of one operation, by how they were answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct OperationEntry {
    /// Operation of DynamoDB.
    pub operation: String,
    /// Calls that were answered as DynamoDB would have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exact: u64,
    /// Calls whose answer differs from DynamoDB's in a known way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub approximate: u64,
    /// Calls that were rejected.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
}

/// Reason for calls of one operation that were answered approximately or rejected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct RemarkEntry {
    /// Operation of DynamoDB.
    pub operation: String,
    /// `Approximate` or `Refused`.
    pub fidelity: String,
    /// The reason.
    pub why: String,
    /// Number of calls.
    pub count: u64,
}

/// Calls of one operation that were answered with one error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ErrorEntry {
    /// Operation of DynamoDB.
    pub operation: String,
    /// Error of DynamoDB.
    pub error: String,
    /// Number of calls.
    pub count: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}
