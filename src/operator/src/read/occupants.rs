//! Finds writers of a target that no migration shows: Jobs and pods of runs whose migration was
//! deleted by force, or was deleted and created again. Pure.

use dm_api::{MIGRATION_NAME_ANNOTATION, MIGRATION_UID_LABEL, MigrationTarget};
use dm_contract::plan::{Mode, Plan};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::{Resource, ResourceExt as _};

use crate::objects::{RECORD_OF_LABEL, literal};
use crate::read::holders::Holder;
use crate::read::view::{self, JobEnd};

/// The runs that may write to the database of `target` now, by their Jobs and pods; those of the
/// migration with the uid `own` are not among them.
pub fn occupants<'a>(
    own: &str,
    target: &MigrationTarget,
    jobs: impl IntoIterator<Item = &'a Job>,
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Vec<Holder> {
    let jobs = jobs.into_iter().filter(|job| has_pods_to_come(job)).filter_map(|job| {
        let pod = job.spec.as_ref()?.template.spec.as_ref();
        occupant(own, target, job, pod, format!("Job {}", job.name_any()))
    });
    let pods = pods.into_iter().filter(|pod| !view::pod_is_over(pod)).filter_map(|pod| {
        occupant(own, target, pod, pod.spec.as_ref(), format!("pod {}", pod.name_any()))
    });
    // A pod says more than its Job.
    let mut found: Vec<Holder> = Vec::new();
    for holder in pods.chain(jobs) {
        if !found.iter().any(|known| known.uid == holder.uid) {
            found.push(holder);
        }
    }
    found
}

/// Whether the Job controller may create a pod of it. It creates none of a Job that is being
/// deleted.
fn has_pods_to_come(job: &Job) -> bool {
    !view::is_suspended(job)
        && job.metadata.deletion_timestamp.is_none()
        && view::job_end(job) == JobEnd::No
}

fn occupant<K: Resource>(
    own: &str,
    target: &MigrationTarget,
    object: &K,
    pod: Option<&PodSpec>,
    described: String,
) -> Option<Holder> {
    let uid = object.labels().get(MIGRATION_UID_LABEL).filter(|uid| *uid != own)?.clone();
    if object.labels().contains_key(RECORD_OF_LABEL) || !may_write(target, pod) {
        return None;
    }
    let name = object.annotations().get(MIGRATION_NAME_ANNOTATION).cloned();
    Some(Holder {
        name: name.unwrap_or_else(|| "a deleted migration".into()),
        uid: Some(uid),
        since: object.meta().creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default(),
        launched: true,
        left: Some(described),
    })
}

/// Whether a run's pod writes to the target's database. A plan that is not understood may; a pod
/// without one is none of ours, whatever its labels say.
fn may_write(target: &MigrationTarget, pod: Option<&PodSpec>) -> bool {
    let Some(text) = pod.and_then(view::plan_text) else { return false };
    let plan = serde_json::from_str(&literal::plain(text)).ok();
    plan.is_none_or(|plan: Plan| {
        plan.mode == Mode::Apply
            && plan.upstream.region == target.spec.region
            && plan.upstream.endpoint == target.spec.endpoint
    })
}

#[cfg(test)]
mod tests;
