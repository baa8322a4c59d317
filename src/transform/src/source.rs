//! A transform as its author writes it. The custom resource has the same fields; this is what crosses
//! into a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A declared migration, before it is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// The table whose items change.
    pub table: String,
    /// An index of the table to scan instead of it; its projection must be ALL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The condition that an item meets to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Expressions by the path that gets their value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// The same for paths that are absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub default: BTreeMap<String, String>,
    /// New paths by old ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Types by path: S, N, L, SS, NS, M, json, iso8601 or epoch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub convert: BTreeMap<String, String>,
    /// Paths that are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Whether the items are deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
    /// Expressions by the key attribute that gets their value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rekey: BTreeMap<String, String>,
    /// Where the items go, if not to their own table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<To>,
    /// Whether an item that goes to another key or table also stays where it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_original: bool,
}

/// Where items go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The table's name.
    pub table: String,
}

/// What an item that cannot be changed means for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnItemError {
    /// The run stops and has failed.
    #[default]
    Stop,
    /// The others are changed, and the run ends as partially failed.
    Continue,
}
