//! Gives the pods of a run their NetworkPolicy before its Job is let go, and those of the Job that
//! notes its end.

use dm_api::MigrationTarget;
use dm_api::status::RunRecord;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::PostParams;

use crate::act::error::ActError;
use crate::cluster::Cluster;
use crate::identified::{Identified, Migration};
use crate::objects::network;

/// What a run's NetworkPolicy is made from.
#[derive(Clone, Copy, Debug)]
pub struct Isolation<'a> {
    pub target: &'a MigrationTarget,
    /// Where the operator runs.
    pub operator_namespace: &'a str,
}

/// Creates the policy of a run, or finds it already there.
pub async fn isolate(
    cluster: Cluster<'_>,
    migration: &Migration,
    run: &RunRecord,
    job: &Identified<Job>,
    isolation: Isolation<'_>,
) -> Result<(), ActError> {
    let credentials = isolation.target.spec.credentials_of(run.kind);
    let policy = network::build(migration, run, job, credentials, isolation.operator_namespace);
    create(cluster, &policy).await
}

/// Creates the policy of a Job that notes how a run ended.
pub async fn isolate_recorder(cluster: Cluster<'_>, recorder: &Job) -> Result<(), ActError> {
    create(cluster, &network::of_recorder(recorder)).await
}

async fn create(cluster: Cluster<'_>, policy: &NetworkPolicy) -> Result<(), ActError> {
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
