//! Gives the pods of a run their NetworkPolicy before its Job is let go, and those of the Job that
//! notes its end.

use dm_api::status::RunRecord;
use dm_api::{DataMigration, MigrationTarget};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};

use crate::act::error::ActError;
use crate::objects::network;

/// What a run's NetworkPolicy is made from.
#[derive(Clone, Copy, Debug)]
pub struct Isolation<'a> {
    /// The run's target.
    pub target: &'a MigrationTarget,
    /// Where the operator runs.
    pub operator_namespace: &'a str,
}

/// Creates the policy of a run, or finds it already there.
pub async fn isolate(
    client: &Client,
    migration: &DataMigration,
    run: &RunRecord,
    job: &Job,
    isolation: Isolation<'_>,
) -> Result<(), ActError> {
    let credentials = isolation.target.spec.credentials_of(run.kind);
    let policy = network::build(migration, run, job, credentials, isolation.operator_namespace);
    create(client, &policy).await
}

/// Creates the policy of a Job that notes how a run ended.
pub async fn isolate_recorder(client: &Client, recorder: &Job) -> Result<(), ActError> {
    create(client, &network::of_recorder(recorder)).await
}

async fn create(client: &Client, policy: &NetworkPolicy) -> Result<(), ActError> {
    let policies: Api<NetworkPolicy> =
        Api::namespaced(client.clone(), &policy.namespace().unwrap_or_default());
    match policies.create(&PostParams::default(), policy).await {
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
