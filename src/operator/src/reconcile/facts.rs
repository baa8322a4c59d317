//! What was observed of one migration and validated: all that a decision rests on, owned.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::context::Context;
use crate::decide::situation::Situation;
use crate::identified::Migration;
use crate::read::observe::Observed;
use crate::read::recorders::{self, RecordJob};
use crate::read::runs::{job_of, pods_of};
use crate::read::view::RunObjects;
use crate::runnable::{Problem, Runnable};

/// What was observed and validated.
pub struct Facts {
    observed: Observed,
    runnable: Result<Runnable, Problem>,
    recorders: Vec<RecordJob>,
    now: Timestamp,
}

impl Facts {
    pub fn new(observed: Observed, runnable: Result<Runnable, Problem>, now: Timestamp) -> Self {
        Self { recorders: recorders::recorders(&observed.jobs), observed, runnable, now }
    }

    /// The pods of the run under way.
    pub fn run_pods(&self, migration: &Migration) -> Vec<&Pod> {
        let run = migration.status.as_ref().and_then(|status| status.under_way());
        run.map(|run| pods_of(&self.observed.pods, run.number).collect()).unwrap_or_default()
    }

    /// What a decision about the migration rests on, with the pods of its run.
    pub fn situation<'a>(
        &'a self,
        context: &'a Context,
        migration: &'a Migration,
        pods: &'a [&'a Pod],
    ) -> Situation<'a> {
        let observed = &self.observed;
        let run = migration.status.as_ref().and_then(|status| status.under_way());
        let job = run.and_then(|run| job_of(&observed.jobs, run));
        Situation {
            migration,
            runnable: self.runnable.as_ref(),
            target: observed.sources.target.as_ref(),
            dependencies: &observed.dependencies,
            objects: RunObjects { job, pods },
            jobs: &observed.jobs,
            pods: &observed.pods,
            is_complete: job.is_some_and(|job| context.created.has(job)),
            answers: &observed.answers,
            holders: &observed.holders,
            namespace_ends: observed.namespace_ends,
            recorders: &self.recorders,
            settings: &context.settings,
            now: self.now,
        }
    }
}
