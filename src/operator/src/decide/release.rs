//! Which objects are let go: the finalizers of a migration's Jobs and pods, and its own. Pure.

use dm_api::status::{DataMigrationStatus, RunRecord};
use dm_api::{DataMigration, OUTCOME_FINALIZER, RUN_FINALIZER};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt as _};

use crate::decide::ledger;
use crate::identified::Identified;
use crate::limits;
use crate::read::view;

/// Whether a migration could vanish under a run. One that is being deleted takes no finalizer.
pub fn needs_hold(migration: &DataMigration) -> bool {
    migration.metadata.deletion_timestamp.is_none()
        && !migration.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
}

/// Whether nothing is lost if a migration vanishes now: no run is under way, and the archive knows
/// how each ended. Its objects are another matter; see [`release`].
pub fn may_vanish(migration: &DataMigration) -> bool {
    let runs = migration.status.iter().flat_map(|status| &status.runs);
    let mut open = runs.filter(|run| !run.result.is_over() || run.archived == Some(false));
    open.next().is_none()
}

/// Whether an object still has our finalizer.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == OUTCOME_FINALIZER)
}

/// How long a Job is kept from now on, if its run's outcome is in status and in the archive. The
/// Job of a try that was put off is of no interest: there may be many.
pub fn may_go(status: &DataMigrationStatus, run: Option<u32>) -> Option<i32> {
    let record = status.runs.iter().find(|record| Some(record.number) == run);
    let is_kept = record.is_none_or(|record| record.archived != Some(false));
    let put_off = record.is_some_and(ledger::is_put_off);
    let seconds = if put_off { limits::PUT_OFF_TTL_SECONDS } else { limits::JOB_TTL_SECONDS };
    (is_over(status, run) && is_kept).then_some(seconds)
}

/// Whether a run is over. One whose number is not in this status yet was begun by another
/// controller since it was read.
pub fn is_over(status: &DataMigrationStatus, run: Option<u32>) -> bool {
    let active = status.under_way().map(|run| run.number);
    run.is_none_or(|run| run <= status.last_run && Some(run) != active)
}

/// Whether a Job was never let go and never will be: a controller created it that did not know
/// that its run had another Job or was over already.
pub fn is_stray(status: &DataMigrationStatus, job: &Job) -> bool {
    let number = view::run_of(job.metadata.labels.as_ref());
    let record = status.runs.iter().find(|run| Some(run.number) == number);
    let launched = record.is_some_and(|run| run.job_uid == job.metadata.uid);
    let other = record.is_some_and(|run| run.job_uid.is_some()) && !launched;
    !launched && view::is_suspended(job) && (other || is_over(status, number))
}

/// A pod that its suspended Job has stopped says nothing of the run's outcome.
pub fn given_up(job: Option<&Identified<Job>>, pod: &Pod, run: &RunRecord) -> bool {
    let ours = view::run_of(pod.metadata.labels.as_ref()) == Some(run.number);
    let suspended = ours && job.is_some_and(|job| view::is_suspended(job));
    suspended && pod.metadata.deletion_timestamp.is_some() && view::pod_is_over(pod)
}
