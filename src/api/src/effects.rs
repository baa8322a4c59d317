//! What a run's guard saw, as it stands in status: counts and names, never keys or values but for the
//! samples of a target that shows them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the guard saw in a dry run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WouldChange {
    /// Items the program read.
    pub items_read: u64,
    /// Per table, what would change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableWouldChange>,
    /// Calls of writing operations that reached the database.
    pub write_calls_that_reached_the_database: u64,
    /// Read units the dry run used.
    pub read_units: f64,
    /// Write units that applying would use, an estimate.
    pub write_units: f64,
    /// Seconds that applying would take at the rate that is allowed, at least. Absent where no rate
    /// is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_seconds: Option<u64>,
    /// Items that somebody else changed meanwhile, as far as the program's reads came by them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed_underneath: u64,
    /// Requests the program sent.
    pub requests: u64,
    /// How each operation's calls were answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationEntry>,
    /// The first items of each table that would change, where the target allows values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<String>,
    /// Operations that were not answered exactly, or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkEntry>,
}

/// What would change in one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableWouldChange {
    /// The table's name.
    pub name: String,
    /// Items that would be there and were not before.
    pub would_create: u64,
    /// Items that would differ.
    pub would_update: u64,
    /// Items that would be gone.
    pub would_delete: u64,
    /// Top-level attributes of the items that would be updated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeCounts>,
    /// What would happen to the table itself: Created, Updated, Deleted with all its items, or
    /// Replaced by another one of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableFate>,
    /// What of an existing table would be set: billing, indexes, stream, time to live, tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

/// What happens to a table itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TableFate {
    /// It was not there before.
    Created,
    /// It has other settings.
    Updated,
    /// It is gone, with all its items.
    Deleted,
    /// It was deleted, with all its items, and one of its name created.
    Replaced,
}

/// What the guard saw in a run that writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Items the program read.
    pub items_read: u64,
    /// Per table, the writes that succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableChanged>,
    /// Read units used.
    pub read_units: f64,
    /// Write units used.
    pub write_units: f64,
    /// Requests the program sent.
    pub requests: u64,
    /// Operations that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkEntry>,
}

/// What a run changed in one table. With a journal these are items, each counted once, in the
/// categories of a dry run. Without one only requests that succeeded are known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct TableChanged {
    /// The table's name.
    pub name: String,
    /// With a journal: items that are there and were not before the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub created: u64,
    /// Without a journal: requests that put an item, whether or not there was one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub put: u64,
    /// With a journal: items that differ from before the run. Without one: update requests.
    pub updated: u64,
    /// With a journal: items that are gone. Without one: delete requests.
    pub deleted: u64,
    /// With a journal: items that the program wrote and that are as they were before the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchanged: u64,
    /// With a journal: top-level attributes of the items that were updated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeCounts>,
    /// What happened to the table itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableFate>,
}

impl TableChanged {
    /// Items that were changed, or without a journal requests that wrote.
    pub fn written(&self) -> u64 {
        self.created + self.put + self.updated + self.deleted
    }
}

/// What happened to one top-level attribute, in how many items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct AttributeCounts {
    /// The attribute's name.
    pub name: String,
    /// Items that got it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub added: u64,
    /// Items in which its value changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Items that lost it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub removed: u64,
}

/// How one operation's calls were answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct OperationEntry {
    /// DynamoDB's name of the operation.
    pub operation: String,
    /// Calls answered as DynamoDB would have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exact: u64,
    /// Calls answered, but not in every respect as DynamoDB would have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub approximate: u64,
    /// Calls refused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
}

/// One operation that was not answered exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct RemarkEntry {
    /// DynamoDB's name of the operation.
    pub operation: String,
    /// `Approximate` or `Refused`.
    pub fidelity: String,
    /// Why.
    pub why: String,
    /// How often.
    pub count: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(count: &u64) -> bool {
    *count == 0
}
