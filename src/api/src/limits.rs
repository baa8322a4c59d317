//! Bounds of a program's speed, as the spec and the target's policy give them.

#![allow(clippy::struct_field_names, reason = "units come last")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Highest rates of a program. The guard holds requests above them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Items read per second. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub reads_per_second: Option<u32>,
    /// Items written per second. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub writes_per_second: Option<u32>,
    /// Read request units used per second. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub read_units_per_second: Option<u32>,
    /// Write request units used per second. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub write_units_per_second: Option<u32>,
}
