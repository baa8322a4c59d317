//! The Jobs that record in the archive how runs ended whose guards could not do so: one small Job
//! each. Which of them are created, and which are replaced. Pure.

use dm_api::status::RunRecord;
use k8s_openapi::api::batch::v1::Job;

use crate::decide::decision::Action;
use crate::decide::recording;
use crate::decide::situation::Situation;
use crate::history;
use crate::identified::Identified;
use crate::objects::{job, record};
use crate::read::recorders::{RecordJob, recorder_of};
use crate::read::runs::job_of;
use crate::read::view::JobEnd;

/// Returns the Jobs that are missing, and those that cannot end.
pub fn actions(situation: Situation<'_>) -> Vec<Action> {
    let status = situation.migration.status.clone().unwrap_or_default();
    let outstanding = recording::outstanding(&status, situation.recorders);
    outstanding.filter_map(|run| action(situation, run)).collect()
}

fn action(situation: Situation<'_>, run: &RunRecord) -> Option<Action> {
    if let Some(recorder) = situation.recorders.iter().find(|it| it.run == run.number) {
        return replaced(situation, recorder);
    }
    // A namespace that is going takes no new Job: its migration must not hold it up.
    let is_dispensable = situation.is_terminating() && !history::is_baseline(run);
    Some(Action::Record { job: Box::new(built(situation, run)?), is_dispensable })
}

fn built(situation: Situation<'_>, run: &RunRecord) -> Option<Job> {
    let Situation { migration, settings, .. } = situation;
    let runnable = situation.runnable.ok();
    if history::is_baseline(run) {
        return record::baseline(migration, run, runnable?, settings);
    }
    // Somebody removed the Job with its finalizer: another like it says where the archive is.
    let like = || Some(job::build(migration, run, runnable?, settings));
    let job = job_of(situation.jobs, run).map(|job| Job::clone(job)).or_else(like)?;
    record::build(migration, run, &job, runnable.map(|runnable| &runnable.target), settings)
}

/// A Job that waits for an image that nobody has any more is deleted; the next reconcile creates
/// another.
fn replaced(situation: Situation<'_>, recorder: &RecordJob) -> Option<Action> {
    let is_it = |job: &&Identified<Job>| recorder_of(job) == Some(recorder.run);
    let job = situation.jobs.iter().find(is_it)?;
    let waits = recorder.end == JobEnd::No && record::is_outdated(job, situation.settings);
    waits.then(|| Action::DiscardJob(Box::new(job.clone())))
}
