//! Creates a Job that records in the archive how a run ended.

use k8s_openapi::api::batch::v1::Job;

use crate::act::create::create;
use crate::act::error::ActError;
use crate::act::{isolate, release};
use crate::cluster::Cluster;
use crate::identified::Migration;
use crate::objects::{Settings, network};

/// Creates the Job, unless it exists. If it is dispensable and the API server rejects it, the
/// migration is released.
pub async fn record(
    cluster: Cluster<'_>,
    migration: &Migration,
    job: &Job,
    is_dispensable: bool,
    settings: &Settings,
) -> Result<(), ActError> {
    match create(&cluster.api(), job, migration, "Job").await {
        // One that ends before it has its policy fails, is removed, and is created again.
        Ok(made) if made.is_new => {
            if settings.network_policy_from.is_some() {
                isolate::isolate(cluster, &network::of_recorder(&made.object)).await?;
            }
            cluster.note(None, made.object);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(ActError::Refused { .. }) if is_dispensable => {
            release::release_migration(cluster, migration).await
        }
        Err(error) => Err(error),
    }
}
