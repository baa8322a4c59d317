//! A transform as its author writes it. The custom resource has the same fields; this is what
//! crosses into a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of [`Declaration`] that this build writes and the only one that it reads.
pub const DECLARATION_VERSION: u32 = 1;

/// What a run carries out: a transform, and what a failed item means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Declaration {
    /// Always [`DECLARATION_VERSION`].
    pub version: u32,
    /// What a failed item means.
    #[serde(default)]
    pub on_item_error: OnItemError,
    pub transform: Source,
}

impl Declaration {
    /// Reads a declaration of this version.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if read.version == DECLARATION_VERSION {
            return Ok(read);
        }
        Err(format!("it has version {}, and this build reads {DECLARATION_VERSION}", read.version))
    }
}

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

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_read_whole_or_not_at_all() {
        let golden = r#"{"version":1,"onItemError":"Continue","transform":{"table":"cars","filter":"a = 1","set":{"b":"2"},"rename":{"c":"d"},"convert":{"e":"N"},"remove":["f"],"rekey":{"id":"g"},"to":{"table":"t"},"keepOriginal":true}}"#;
        let read = Declaration::from_json(golden.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), golden);
        for (wrong, message) in [
            (r#"{"version":2,"transform":{"table":"cars"}}"#, "it has version 2"),
            (
                r#"{"version":1,"transform":{"table":"cars","fliter":"x"}}"#,
                "unknown field `fliter`",
            ),
            (r#"{"version":1}"#, "missing field `transform`"),
        ] {
            let error = Declaration::from_json(wrong.as_bytes()).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
