//! Lets objects go: takes our finalizers off Jobs, pods and migrations. Which ones,
//! `decide::release` says.

use dm_api::{DataMigration, OUTCOME_FINALIZER, RUN_FINALIZER};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use crate::act::delete::delete;
use crate::act::error::{ActError, transient};
use crate::cluster::Cluster;
use crate::decide::release;
use crate::identified::Migration;
use crate::limits;
use crate::read::observe::Observed;
use crate::read::view;

/// Lets go of the objects of runs whose outcome is in status, and of pods that a suspended Job
/// gave up. Returns whether no object is held any more.
pub async fn release(
    cluster: Cluster<'_>,
    migration: &Migration,
    observed: &Observed,
) -> Result<bool, ActError> {
    let status = migration.status.clone().unwrap_or_default();
    let active = status.under_way();
    let mut all = true;
    for job in &observed.jobs {
        if release::is_stray(&status, job) {
            discard(cluster, job).await?;
        } else if let Some(seconds) =
            release::may_go(&status, view::run_of(job.metadata.labels.as_ref()))
        {
            release_job(cluster, job, seconds).await?;
        } else {
            all &= !release::is_held::<Job>(job);
        }
    }
    for pod in &observed.pods {
        let run = view::run_of(pod.metadata.labels.as_ref());
        let given_up =
            active.is_some_and(|active| release::given_up(observed.job_of(active), pod, active));
        if release::is_over(&status, run) || given_up {
            release_pod(cluster, pod).await?;
        } else {
            all &= !release::is_held(pod);
        }
    }
    Ok(all)
}

/// Lets go of a Job and deletes it.
pub async fn discard(cluster: Cluster<'_>, job: &Job) -> Result<(), ActError> {
    release_job(cluster, job, limits::JOB_TTL_SECONDS).await?;
    delete(&cluster.api(), job).await
}

async fn release_job(cluster: Cluster<'_>, job: &Job, kept_seconds: i32) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(job.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let mut patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": job.resource_version()},
    });
    if job.metadata.deletion_timestamp.is_none() {
        patch["spec"] = json!({"ttlSecondsAfterFinished": kept_seconds});
    }
    gone_is_fine(cluster.patch(job, &patch).await, "releasing a Job").map(|_| ())
}

/// Lets go of a pod.
pub async fn release_pod(cluster: Cluster<'_>, pod: &Pod) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(pod.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": pod.resource_version()},
    });
    gone_is_fine(cluster.patch(pod, &patch).await, "releasing a pod").map(|_| ())
}

/// Makes sure that a migration with a run cannot vanish under it. Returns what it is then, unless
/// it has vanished.
pub async fn hold(
    cluster: Cluster<'_>,
    migration: &Migration,
) -> Result<Option<DataMigration>, ActError> {
    let mut finalizers = migration.finalizers().to_vec();
    finalizers.push(RUN_FINALIZER.into());
    set_finalizers(cluster, migration, &finalizers, "holding a migration").await
}

/// Removes the finalizer of a migration that is being deleted, or has no open run.
pub async fn let_go(cluster: Cluster<'_>, migration: &Migration) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(migration.finalizers(), RUN_FINALIZER) else {
        return Ok(());
    };
    set_finalizers(cluster, migration, &finalizers, "letting a migration go").await.map(|_| ())
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
