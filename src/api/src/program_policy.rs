//! What a target's owner lets authors ask of the pods of their programs.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What migrations may request for the pods of their programs. Each entry is a name in which `*`
/// stands for any characters and `?` for one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgramPolicy {
    /// Secrets that a program may mount or read into variables. Secrets that a target names are
    /// always rejected. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 253)))]
    pub secrets: Vec<String>,
    /// PersistentVolumeClaims that a program may mount. Claims that hold a target's archive are
    /// always rejected. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 253)))]
    pub persistent_volume_claims: Vec<String>,
    /// Priority classes that a program's pod may have. Default: every class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 253)))]
    pub priority_classes: Option<Vec<String>>,
    /// Keys of taints that a program's pod may tolerate. A toleration of every taint needs `*`.
    /// Default: every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 317)))]
    pub tolerations: Option<Vec<String>>,
    /// Keys of labels that a program's pod may have. Default: every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 317)))]
    pub labels: Option<Vec<String>>,
    /// Keys of annotations that a program's pod may have. Default: every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 317)))]
    pub annotations: Option<Vec<String>>,
}

impl ProgramPolicy {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
