//! Records in the archive how runs ended whose guards could not do so: one small Job each.

use dm_api::status::RunRecord;
use k8s_openapi::api::batch::v1::Job;

use crate::act::error::ActError;
use crate::act::{create, isolate, release};
use crate::cluster::Cluster;
use crate::decide::recording;
use crate::history;
use crate::identified::{Identified, Migration};
use crate::objects::{Settings, job, record};
use crate::read::observe::Observed;
use crate::read::recorders::{self, RecordJob};
use crate::read::view::JobEnd;
use crate::runnable::Runnable;

/// Creates the Jobs that are missing, and replaces those that cannot end.
pub async fn record(
    cluster: Cluster<'_>,
    migration: &Migration,
    observed: &Observed,
    runnable: Option<&Runnable>,
    settings: &Settings,
) -> Result<(), ActError> {
    let status = migration.status.clone().unwrap_or_default();
    let recorders = recorders::recorders(&observed.jobs);
    for run in recording::outstanding(&status, &recorders) {
        if let Some(recorder) = recorders.iter().find(|recorder| recorder.run == run.number) {
            replace(cluster, observed, recorder, settings).await?;
            continue;
        }
        let built = built(migration, observed, run, runnable, settings);
        let Some(recorder) = built else { continue };
        match create(&cluster.api(), &recorder, migration, "Job").await {
            // One that ends before it has its policy fails, is removed, and is created again.
            Ok(made) if made.is_new => {
                if settings.network_policy_from.is_some() {
                    isolate::isolate_recorder(cluster, &made.object).await?;
                }
                cluster.note(None, made.object);
            }
            Ok(_) => {}
            // A namespace that is going takes no new Job: its migration must not hold it up.
            Err(ActError::Refused { .. })
                if migration.metadata.deletion_timestamp.is_some()
                    && !history::is_baseline(run) =>
            {
                release::let_go(cluster, migration).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn built(
    migration: &Migration,
    observed: &Observed,
    run: &RunRecord,
    runnable: Option<&Runnable>,
    settings: &Settings,
) -> Option<Job> {
    if history::is_baseline(run) {
        return record::baseline(migration, run, runnable?, settings);
    }
    // Somebody removed the Job with its finalizer: another like it tells where the archive is.
    let of = |runnable: &Runnable| job::build(migration, run, runnable, settings);
    let job = observed.job_of(run).map(|job| Job::clone(job)).or_else(|| runnable.map(of))?;
    let target = runnable.map(|runnable| &runnable.target);
    record::build(migration, run, &job, target, settings)
}

/// Deletes a Job that notes an end and may be waiting for an image that nobody has any more; the
/// next reconcile creates another.
async fn replace(
    cluster: Cluster<'_>,
    observed: &Observed,
    recorder: &RecordJob,
    settings: &Settings,
) -> Result<(), ActError> {
    let is_it = |job: &&Identified<Job>| recorders::recorder_of(job) == Some(recorder.run);
    match observed.jobs.iter().find(is_it) {
        Some(job) if recorder.end == JobEnd::No && record::is_outdated(job, settings) => {
            release::discard(cluster, job).await
        }
        Some(_) | None => Ok(()),
    }
}
