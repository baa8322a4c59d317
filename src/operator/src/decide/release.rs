//! Which finalizers are removed: those of a migration's Jobs and pods, and its own. Pure.

use dm_api::status::{DataMigrationStatus, RunRecord};
use dm_api::{DataMigration, OUTCOME_FINALIZER, RUN_FINALIZER};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt as _};

use crate::decide::decision::{Action, Decision};
use crate::decide::ledger;
use crate::decide::situation::Situation;
use crate::identified::Identified;
use crate::limits;
use crate::read::runs::job_of;
use crate::read::view;

/// Returns what is released with a status: the objects of runs whose outcome is in it, pods that a
/// suspended Job gave up, and the migration, once it rests and nothing of it is held.
pub fn actions(
    situation: Situation<'_>,
    status: &DataMigrationStatus,
    decision: &Decision,
) -> Vec<Action> {
    let (jobs, pods) = (situation.jobs, situation.pods);
    let mut actions = Vec::new();
    let mut is_one_held = false;
    for job in jobs {
        let boxed = || Box::new(job.clone());
        if is_stray(status, job) {
            actions.push(Action::DiscardJob(boxed()));
        } else if let Some(kept_seconds) =
            may_go(status, view::run_of(job.metadata.labels.as_ref()))
        {
            let release = Action::ReleaseJob { job: boxed(), kept_seconds };
            actions.extend(is_held::<Job>(job).then_some(release));
        } else {
            is_one_held |= is_held::<Job>(job);
        }
    }
    let active = status.under_way();
    let is_given_up = |pod| active.is_some_and(|run| given_up(job_of(jobs, run), pod, run));
    for pod in pods.iter().filter(|pod| is_held(*pod)) {
        if is_over(status, view::run_of(pod.metadata.labels.as_ref())) || is_given_up(pod) {
            actions.push(Action::ReleasePod(Box::new(pod.clone())));
        } else {
            is_one_held = true;
        }
    }
    let rests = decision.rests() && situation.run().is_none() && !is_one_held;
    // Held only while a run is open: without us, it can be deleted all the same.
    if rests && may_vanish(status) && has_finalizer(situation.migration) {
        actions.push(Action::ReleaseMigration);
    }
    actions
}

/// Whether a migration could vanish under a run. One that is being deleted takes no finalizer.
pub fn needs_hold(migration: &DataMigration) -> bool {
    migration.metadata.deletion_timestamp.is_none() && !has_finalizer(migration)
}

fn has_finalizer(migration: &DataMigration) -> bool {
    migration.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
}

/// Whether nothing is lost if a migration vanishes now: no run is under way, and the archive knows
/// how each ended. Its objects are another matter.
fn may_vanish(status: &DataMigrationStatus) -> bool {
    let is_open = |run: &RunRecord| !run.result.is_over() || run.archived == Some(false);
    !status.runs.iter().any(is_open)
}

/// Whether an object still has our finalizer.
fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == OUTCOME_FINALIZER)
}

/// How long a Job is kept from now on, if its run's outcome is in status and in the archive. The
/// Job of a try that was put off is of no interest: there may be many.
fn may_go(status: &DataMigrationStatus, run: Option<u32>) -> Option<i32> {
    let record = status.runs.iter().find(|record| Some(record.number) == run);
    let is_kept = record.is_none_or(|record| record.archived != Some(false));
    let put_off = record.is_some_and(ledger::is_put_off);
    let seconds = if put_off { limits::PUT_OFF_TTL_SECONDS } else { limits::JOB_TTL_SECONDS };
    (is_over(status, run) && is_kept).then_some(seconds)
}

/// Whether a run is over. One whose number is not in this status yet was begun by another
/// controller since it was read.
fn is_over(status: &DataMigrationStatus, run: Option<u32>) -> bool {
    let active = status.under_way().map(|run| run.number);
    run.is_none_or(|run| run <= status.last_run && Some(run) != active)
}

/// Whether a Job was never released and never will be: a controller created it that did not know
/// that its run had another Job or was over already.
fn is_stray(status: &DataMigrationStatus, job: &Job) -> bool {
    let number = view::run_of(job.metadata.labels.as_ref());
    let record = status.runs.iter().find(|run| Some(run.number) == number);
    let launched = record.is_some_and(|run| run.job_uid == job.metadata.uid);
    let other = record.is_some_and(|run| run.job_uid.is_some()) && !launched;
    !launched && view::is_suspended(job) && (other || is_over(status, number))
}

/// A pod that its suspended Job has stopped says nothing of the run's outcome.
fn given_up(job: Option<&Identified<Job>>, pod: &Pod, run: &RunRecord) -> bool {
    let ours = view::run_of(pod.metadata.labels.as_ref()) == Some(run.number);
    let suspended = ours && job.is_some_and(|job| view::is_suspended(job));
    suspended && pod.metadata.deletion_timestamp.is_some() && view::pod_is_over(pod)
}
