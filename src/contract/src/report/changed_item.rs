//! One line of a dry run's difference: what applying would make of one item.
//!
//! The lines cross a process boundary, so they carry a version and have golden files. Keys and
//! values are in them only where the target allows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version this build writes and the only one it reads.
pub const CHANGED_ITEM_VERSION: u32 = 1;

/// What would become of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedItem {
    /// Always [`CHANGED_ITEM_VERSION`].
    pub version: u32,
    pub table: String,
    /// The item's key, in DynamoDB's JSON, where values may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// Else what tells it from other items of this report, and nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_digest: Option<String>,
    /// What would happen to it.
    pub kind: ItemChange,
    /// What would happen to its top-level attributes, by name.
    pub attributes: BTreeMap<String, ChangeKind>,
    /// The item before, in DynamoDB's JSON, where values may be shown and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The item after, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What would happen to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemChange {
    /// It is not there yet.
    Created,
    Updated,
    Deleted,
}

/// What happened to an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It has another value.
    Changed,
    Removed,
}
