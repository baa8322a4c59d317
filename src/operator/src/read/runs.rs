//! Which of a migration's Jobs and pods are those of one run. Pure.

use dm_api::status::RunRecord;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::identified::Identified;
use crate::read::indexes::PartPods;
use crate::read::view;

/// Returns the Job of a run: the one in its record, or one that has not been launched yet.
pub fn job_of<'a>(jobs: &'a [Identified<Job>], run: &RunRecord) -> Option<&'a Identified<Job>> {
    jobs.iter().find(|job| {
        // One that was not launched yet has the name that was made for it.
        view::run_of(job.metadata.labels.as_ref()) == Some(run.number)
            && match &run.job_uid {
                Some(uid) => job.uid() == uid,
                None => job.name() == run.job,
            }
    })
}

/// Returns the pods of a run, in the order of their creation.
pub fn pods_of(pods: &[Pod], run: u32) -> impl Iterator<Item = &Pod> {
    pods.iter().filter(move |pod| view::run_of(pod.metadata.labels.as_ref()) == Some(run))
}

/// Returns the pod of a part whose program runs: its guard answers, and can be controlled.
pub fn answering<'a>(part: &PartPods<'a>) -> Option<&'a Pod> {
    let runs =
        |pod: &&&Pod| view::program_started(pod).is_some() && view::program_end(pod).is_none();
    part.pods.iter().rev().find(runs).copied()
}
