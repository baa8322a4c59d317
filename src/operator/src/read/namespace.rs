//! Reads whether a migration's namespace is being deleted. It takes no new object then: a run that
//! begins gets no Job, and the Job of a run gets no pod in place of one that was deleted.

use dm_api::DataMigration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;

use crate::cluster::Cluster;
use crate::decide::fresh::Fresh;
use crate::identified::Identified;
use crate::read::indexes::{self, PartPods};
use crate::read::runs::{job_of, pods_of};
use crate::read::view::{self, JobEnd};

/// Returns whether the namespace is being deleted. It is read only where a decision depends on it:
/// a run would begin, or a run waits for another pod. Best effort: an operator without the
/// permission waits, as for any pod that does not appear.
pub async fn is_ending(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    jobs: &[Identified<Job>],
    pods: &[Pod],
    fresh: Fresh,
) -> bool {
    if !fresh.permissions && !waits_for_another_pod(migration, jobs, pods) {
        return false;
    }
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    match namespaces.get_opt(cluster.namespace).await {
        Ok(found) => found.is_some_and(|found| found.metadata.deletion_timestamp.is_some()),
        Err(error) => {
            let namespace = cluster.namespace;
            tracing::warn!(namespace, %error, "whether the namespace is being deleted is unknown");
            false
        }
    }
}

/// Whether a pod of the run under way was deleted and is over, and its Job would replace it.
fn waits_for_another_pod(
    migration: &DataMigration,
    jobs: &[Identified<Job>],
    pods: &[Pod],
) -> bool {
    let run = migration.status.as_ref().and_then(|status| status.under_way());
    let Some((run, job)) = run.and_then(|run| Some((run, job_of(jobs, run)?))) else {
        return false;
    };
    let is_going = job.metadata.deletion_timestamp.is_some();
    if is_going || view::is_suspended(job) || view::job_end(job) != JobEnd::No {
        return false;
    }
    let is_missing =
        |pod: &Pod| pod.metadata.deletion_timestamp.is_some() && view::pod_is_over(pod);
    let ours: Vec<&Pod> = pods_of(pods, run.number).collect();
    let parts = indexes::parts(run, &ours);
    parts.iter().filter_map(PartPods::last).any(is_missing)
}
