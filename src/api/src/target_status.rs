//! The status of a `MigrationTarget`: whether its database and its archive can be used, by the last
//! check.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Result of the last check of a target. No run waits for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationTargetStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `DatabaseReachable` and, where the target has an archive, `ArchiveReachable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Start of the last check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_started_at: Option<Time>,
    /// Time at which the result of the last check was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Time>,
    /// Number of checks that failed in a row. The delay to the next check grows with it.
    #[serde(default)]
    pub failed_checks: u32,
}

impl MigrationTargetStatus {
    /// Returns the condition of a type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }
}
