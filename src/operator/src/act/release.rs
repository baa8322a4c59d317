//! Removes our finalizers from Jobs, pods and migrations. `decide::release` says from which.

use dm_api::{DataMigration, OUTCOME_FINALIZER, RUN_FINALIZER};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use crate::act::delete::delete;
use crate::act::error::{ActError, transient};
use crate::cluster::Cluster;
use crate::identified::Migration;
use crate::limits;

/// Releases a Job and deletes it.
pub async fn discard(cluster: Cluster<'_>, job: &Job) -> Result<(), ActError> {
    release_job(cluster, job, limits::JOB_TTL_SECONDS).await?;
    delete(&cluster.api(), job).await
}

/// Removes our finalizer from a Job, and keeps it for this long after its end.
pub async fn release_job(
    cluster: Cluster<'_>,
    job: &Job,
    kept_seconds: i32,
) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(job.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let mut patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": job.resource_version()},
    });
    if job.metadata.deletion_timestamp.is_none() {
        patch["spec"] = json!({"ttlSecondsAfterFinished": kept_seconds});
    }
    gone_is_fine(cluster.patch(job, &patch).await, "releasing a Job").map(|_| ())
}

/// Removes our finalizer from a pod.
pub async fn release_pod(cluster: Cluster<'_>, pod: &Pod) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(pod.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": pod.resource_version()},
    });
    gone_is_fine(cluster.patch(pod, &patch).await, "releasing a pod").map(|_| ())
}

/// Gives a migration its finalizer, so that it cannot vanish under a run. It becomes what it is
/// then.
pub async fn hold(cluster: Cluster<'_>, migration: &mut Migration) -> Result<(), ActError> {
    let mut finalizers = migration.finalizers().to_vec();
    finalizers.push(RUN_FINALIZER.into());
    let held = set_finalizers(cluster, migration, &finalizers, "holding a migration").await?;
    *migration = Migration::parse(held.ok_or(ActError::Vanished)?)?;
    Ok(())
}

/// Removes the finalizer of a migration that is being deleted, or has no open run.
pub async fn release_migration(
    cluster: Cluster<'_>,
    migration: &Migration,
) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(migration.finalizers(), RUN_FINALIZER) else {
        return Ok(());
    };
    set_finalizers(cluster, migration, &finalizers, "releasing a migration").await.map(|_| ())
}

async fn set_finalizers(
    cluster: Cluster<'_>,
    migration: &Migration,
    finalizers: &[String],
    what: &'static str,
) -> Result<Option<DataMigration>, ActError> {
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": migration.resource_version()},
    });
    gone_is_fine(cluster.patch::<DataMigration>(migration, &patch).await, what)
}

fn without_ours(finalizers: &[String], ours: &str) -> Option<Vec<String>> {
    let rest: Vec<String> =
        finalizers.iter().filter(|finalizer| *finalizer != ours).cloned().collect();
    (rest.len() < finalizers.len()).then_some(rest)
}

fn gone_is_fine<K>(
    patched: Result<K, kube::Error>,
    what: &'static str,
) -> Result<Option<K>, ActError> {
    match patched {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        other => other.map(Some).map_err(transient(what)),
    }
}
