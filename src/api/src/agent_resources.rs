//! What the containers of ours in a run's pod may use.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Resources of the containers in a run's pod that are not the program's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentResources {
    /// Of the guard, and of a restore's container. Its memory limit bounds what a dry run can hold.
    /// Default: the operator's (chart value `agentResources.guard`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<ResourceRequirements>,
    /// Of the containers that copy files and read or write the ledger. Default: the operator's (chart
    /// value `agentResources.prepare`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<ResourceRequirements>,
}

impl AgentResources {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
