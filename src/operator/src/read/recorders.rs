//! The Jobs among a migration's that note in the archive how a run ended. Pure.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use crate::identified::Identified;
use crate::objects::RECORD_OF_LABEL;
use crate::read::view::{self, JobEnd};

/// A Job that notes the end of a run in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordJob {
    pub run: u32,
    /// How the Job ended, if it did.
    pub end: JobEnd,
}

/// The recorders among a migration's Jobs.
pub fn recorders(jobs: &[Identified<Job>]) -> Vec<RecordJob> {
    let recorder =
        |job: &Identified<Job>| Some(RecordJob { run: recorder_of(job)?, end: view::job_end(job) });
    jobs.iter().filter_map(recorder).collect()
}

/// The number of the run whose end a Job notes, if it is such a Job.
pub fn recorder_of(job: &Job) -> Option<u32> {
    job.labels().get(RECORD_OF_LABEL)?.parse().ok()
}
