//! Gives the pods of a run their NetworkPolicy before its Job is launched, and those of the Job
//! that records its end.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::PostParams;

use crate::act::error::ActError;
use crate::cluster::Cluster;

/// Creates a policy, or finds it already there.
pub async fn isolate(cluster: Cluster<'_>, policy: &NetworkPolicy) -> Result<(), ActError> {
    match cluster.api().create(&PostParams::default(), policy).await {
        Ok(_) => Ok(()),
        // Policies add to each other: one of that name takes nothing away.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            let object = format!("NetworkPolicy {}", policy.name_any());
            Err(ActError::Refused { object, message: status.message })
        }
        Err(source) => Err(ActError::Transient { what: "creating a run's NetworkPolicy", source }),
    }
}
