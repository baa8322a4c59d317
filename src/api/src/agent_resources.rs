//! What the containers of ours in a run's pod may use.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Resources of the operator's containers in a run's pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentResources {
    /// Resources of the guard, and of a restore's container. The overlay of a dry run keeps 64 MiB
    /// in memory and the rest on disk; with less memory than the default, large requests may end a
    /// run. Default: the chart's `agentResources.guard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<ResourceRequirements>,
    /// Resources of the containers that copy files, read or write the ledger, and check the target.
    /// Default: the chart's `agentResources.prepare`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<ResourceRequirements>,
}

impl AgentResources {
    /// Whether no resources are set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
