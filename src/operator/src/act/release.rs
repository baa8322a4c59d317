//! Lets objects go: takes our finalizers off Jobs, pods and migrations. Which ones, `decide::release` says.

use dm_api::{DataMigration, OUTCOME_FINALIZER, RUN_FINALIZER};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::act::delete::delete;
use crate::act::error::{ActError, transient};
use crate::decide::release;
use crate::limits;
use crate::read::observe::Observed;
use crate::read::view;

/// Lets go of the objects of runs whose outcome is in status, and of pods that a suspended Job
/// gave up. Returns whether no object is held any more.
pub async fn release(
    client: &Client,
    migration: &DataMigration,
    observed: &Observed,
) -> Result<bool, ActError> {
    let status = migration.status.clone().unwrap_or_default();
    let active = status.runs.first().filter(|run| !run.result.is_over());
    let mut all = true;
    for job in &observed.jobs {
        if release::is_stray(&status, job) {
            discard(client, job).await?;
        } else if let Some(seconds) =
            release::may_go(&status, view::run_of(job.metadata.labels.as_ref()))
        {
            release_job(client, job, seconds).await?;
        } else {
            all &= !release::is_held(job);
        }
    }
    for pod in &observed.pods {
        let run = view::run_of(pod.metadata.labels.as_ref());
        let given_up =
            active.is_some_and(|active| release::given_up(observed.job_of(active), pod, active));
        if release::is_over(&status, run) || given_up {
            release_pod(client, pod).await?;
        } else {
            all &= !release::is_held(pod);
        }
    }
    Ok(all)
}

/// Lets go of a Job and deletes it.
pub async fn discard(client: &Client, job: &Job) -> Result<(), ActError> {
    release_job(client, job, limits::JOB_TTL_SECONDS).await?;
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    delete(&api, job).await
}

async fn release_job(client: &Client, job: &Job, kept_seconds: i32) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(job.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let mut patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": job.resource_version()},
    });
    if job.metadata.deletion_timestamp.is_none() {
        patch["spec"] = json!({"ttlSecondsAfterFinished": kept_seconds});
    }
    gone_is_fine(
        api.patch(&job.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(|_| ()),
        "releasing a Job",
    )
}

/// Lets go of a pod.
pub async fn release_pod(client: &Client, pod: &Pod) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(pod.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": pod.resource_version()},
    });
    gone_is_fine(
        api.patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(|_| ()),
        "releasing a pod",
    )
}

/// Makes sure that a migration with a run cannot vanish under it.
pub async fn hold(client: &Client, migration: &DataMigration) -> Result<(), ActError> {
    let mut finalizers = migration.finalizers().to_vec();
    finalizers.push(RUN_FINALIZER.into());
    set_finalizers(client, migration, &finalizers, "holding a migration").await
}

/// Removes the finalizer of a migration that is being deleted, or has no open run.
pub async fn let_go(client: &Client, migration: &DataMigration) -> Result<(), ActError> {
    match without_ours(migration.finalizers(), RUN_FINALIZER) {
        Some(finalizers) => {
            set_finalizers(client, migration, &finalizers, "letting a migration go").await
        }
        None => Ok(()),
    }
}

async fn set_finalizers(
    client: &Client,
    migration: &DataMigration,
    finalizers: &[String],
    what: &'static str,
) -> Result<(), ActError> {
    let namespace = migration.namespace().unwrap_or_default();
    let api: Api<DataMigration> = Api::namespaced(client.clone(), &namespace);
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": migration.resource_version()},
    });
    let name = migration.name_any();
    gone_is_fine(
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ()),
        what,
    )
}

fn without_ours(finalizers: &[String], ours: &str) -> Option<Vec<String>> {
    let rest: Vec<String> =
        finalizers.iter().filter(|finalizer| *finalizer != ours).cloned().collect();
    (rest.len() < finalizers.len()).then_some(rest)
}

pub(super) fn gone_is_fine(
    result: Result<(), kube::Error>,
    what: &'static str,
) -> Result<(), ActError> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map_err(transient(what)),
    }
}
