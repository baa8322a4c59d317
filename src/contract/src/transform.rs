//! Messages between the entry program and the guard for a transform: the order with its files, and
//! the outcome. Both programs have the same version and run in one pod.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version that this build writes and the only one that it reads.
pub const ORDER_VERSION: u32 = 1;

/// Name of the file with the transform, next to its lookup files.
pub const TRANSFORM_FILE: &str = "transform.json";

/// Where the guard takes the order (POST) and says how it ended (GET), next to the program's
/// requests.
pub const TRANSFORM_PATH: &str = "/datamigration/transform";

/// Most bytes of an order: a ConfigMap's 1 MiB, and what JSON adds to it.
pub const ORDER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A transform to carry out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransformOrder {
    /// Always [`ORDER_VERSION`].
    pub version: u32,
    /// Files by their path in the run's folder, [`TRANSFORM_FILE`] among them.
    pub files: BTreeMap<String, String>,
}

/// How a transform is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransformState {
    /// Always [`ORDER_VERSION`].
    pub version: u32,
    /// Text for the run's log.
    #[serde(default)]
    pub lines: Vec<String>,
    /// The exit code that stands for its end; absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
}

/// Returns what is wrong with the files of a transform's ConfigMap, by the field's name.
pub fn check_files(files: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    const FIELD: &str = "spec.transform.configMap";
    if files.contains_key(TRANSFORM_FILE) {
        return Err(format!(
            "{FIELD}: {TRANSFORM_FILE} is the operator's; give the file another name"
        ));
    }
    match files.iter().find(|(_, bytes)| std::str::from_utf8(bytes).is_err()) {
        Some((name, _)) => Err(format!("{FIELD}: {name} is not UTF-8; lookup files are text")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_one_form() {
        let order = r#"{"version":1,"files":{"transform.json":"{}"}}"#;
        let read: TransformOrder = serde_json::from_str(order).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), order);
        let state = r#"{"version":1,"lines":["done"],"exitCode":3}"#;
        let read: TransformState = serde_json::from_str(state).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), state);
    }
}
