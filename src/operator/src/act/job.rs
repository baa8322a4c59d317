//! Changes the Job of a run: starts, suspends and stops it. Patches name the version that was read:
//! whoever read an older Job may know an older status, too.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use serde_json::json;

use crate::act::delete::delete;
use crate::act::error::{ActError, transient};
use crate::act::isolate;
use crate::cluster::Cluster;
use crate::decide::deadline::Deadline;
use crate::decide::outcome::StopReason;
use crate::identified::Identified;
use crate::objects::{DEADLINE_LEFT_ANNOTATION, STOP_REASON_ANNOTATION};

/// Starts a suspended Job whose uid is in status, after its pods' NetworkPolicy exists.
pub async fn launch(
    cluster: Cluster<'_>,
    job: &Job,
    policy: Option<&NetworkPolicy>,
) -> Result<(), ActError> {
    if let Some(policy) = policy {
        isolate::isolate(cluster, policy).await?;
    }
    set_suspended(cluster, job, false).await
}

/// Suspends a Job, or starts it.
pub async fn set_suspended(cluster: Cluster<'_>, job: &Job, suspend: bool) -> Result<(), ActError> {
    let patch = json!({
        "metadata": {"resourceVersion": job.resource_version()},
        "spec": {"suspend": suspend},
    });
    let patched = cluster.patch(job, &patch).await;
    patched.map(|_| ()).map_err(transient("suspending or starting a Job"))
}

/// Takes a Job's deadline away during a pause, or gives it back.
pub async fn set_deadline(cluster: Cluster<'_>, job: &Job, to: Deadline) -> Result<(), ActError> {
    let (deadline, left) = match to {
        Deadline::Hold(left) => (None, Some(left.to_string())),
        Deadline::Set(seconds) => (Some(seconds), None),
    };
    let patch = json!({
        "metadata": {
            "resourceVersion": job.resource_version(),
            "annotations": {DEADLINE_LEFT_ANNOTATION: left},
        },
        "spec": {"activeDeadlineSeconds": deadline},
    });
    let patched = cluster.patch(job, &patch).await;
    patched.map(|_| ()).map_err(transient("changing a Job's deadline"))
}

/// Stops a run: deletes its Job and pods. Our finalizer keeps their last status.
pub async fn stop(
    cluster: Cluster<'_>,
    job: Option<&Identified<Job>>,
    pods: &[Pod],
    reason: Option<StopReason>,
) -> Result<(), ActError> {
    if let Some(job) = job {
        let is_noted = job.annotations().contains_key(STOP_REASON_ANNOTATION);
        if let Some(reason) = reason.filter(|_| !is_noted) {
            let patch =
                json!({"metadata": {"annotations": {STOP_REASON_ANNOTATION: reason.as_str()}}});
            let noted = cluster.patch::<Job>(job, &patch).await;
            noted.map_err(transient("noting on a Job why it is stopped"))?;
        }
        delete::<Job>(&cluster.api(), job).await?;
    }
    for pod in pods {
        delete(&cluster.api(), pod).await?;
    }
    Ok(())
}
