//! Files that come from a ConfigMap: those of a script, and those that a transform looks up.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::name;

/// A ConfigMap in the same namespace whose keys are files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilesConfigMap {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253), regex(pattern = name::PATTERN))]
    pub name: String,
    /// Which keys become which files. Default: every key, under its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub items: Vec<FileItem>,
}

/// One key of a ConfigMap and the file it becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct FileItem {
    /// Key in `data` or `binaryData`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Path of the file, relative to the program's folder; it may have subfolders.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[^/\\]+(/[^/\\]+)*$"))]
    #[x_kube(validation = Rule::new("!self.split('/').exists(p, p == '..' || p == '.')")
        .message("must stay within the program's folder"))]
    pub path: String,
}
