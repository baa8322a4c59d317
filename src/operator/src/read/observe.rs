//! Reads everything a decision rests on: from what the watches hold, and from the API server where
//! the decision needs it (`decide::fresh`, decision 026).

use dm_api::status::RunRecord;
use dm_api::{DataMigration, MIGRATION_UID_LABEL};
use dm_contract::control::ControlState;
use dm_contract::report::GuardResult;
use dm_contract::restored::RestoreResult;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, Client, Error, ResourceExt as _};

use crate::cluster::{Cluster, Kept};
use crate::decide::fresh::Fresh;
use crate::guard_client;
use crate::limits;
use crate::objects::{FAILED_CREATE_ANNOTATION, control};
use crate::read::dependencies::Dependencies;
use crate::read::holders::Holder;
use crate::read::owned;
use crate::read::paging;
use crate::read::queue;
use crate::read::sources::{self, Sources};
use crate::read::view;

/// What was found.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What a run is made from.
    pub sources: Sources,
    /// Jobs of all its runs.
    pub jobs: Vec<Job>,
    /// Pods of all its runs, in the order of their creation.
    pub pods: Vec<Pod>,
    /// What the guard of the run under way has counted so far, if there is one and it answered.
    pub guard: Option<GuardResult>,
    /// How fast that run goes, if its guard can be controlled.
    pub control: Option<ControlState>,
    /// The same as `guard` of a restore under way.
    pub restore: Option<RestoreResult>,
    /// Where the migrations stand that it depends on.
    pub dependencies: Dependencies,
    /// Runs of other migrations on the same target that write, or are about to.
    pub holders: Vec<Holder>,
}

impl Observed {
    /// The Job of a run: the one in its record, or one that has not been let go yet.
    pub fn job_of(&self, run: &RunRecord) -> Option<&Job> {
        job_of(&self.jobs, run)
    }

    /// The pod of the run under way and the token of its guard, if it can be controlled now.
    pub fn controlled<'a>(&'a self, migration: &DataMigration) -> Option<(&'a Pod, &'a str)> {
        controlled(migration, &self.jobs, &self.pods)
    }

    /// The pods of a run, in the order of their creation.
    pub fn pods(&self, run: u32) -> Vec<&Pod> {
        self.pods
            .iter()
            .filter(|pod| view::run_of(pod.metadata.labels.as_ref()) == Some(run))
            .collect()
    }
}

/// Reads what a migration's next step depends on.
pub async fn observe(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    fresh: Fresh,
    now: Timestamp,
) -> Result<Observed, Error> {
    let sources = sources::sources(cluster, migration, fresh).await?;
    let (mut jobs, pods) = runs(cluster, migration, fresh).await?;
    note_refusal(cluster.client, migration, &mut jobs, &pods, now).await;
    let asked = asked(migration, &pods);
    // What is asked of one guard is asked at once.
    let (guard, restore, control) = tokio::join!(
        async {
            let (run, pod) = asked?;
            if run.kind.restores() { None } else { guard_client::progress(pod).await }
        },
        async {
            let (run, pod) = asked?;
            if run.kind.restores() { guard_client::restore(pod).await } else { None }
        },
        async {
            let (pod, token) = controlled(migration, &jobs, &pods)?;
            guard_client::control(pod, token).await
        },
    );
    Ok(Observed {
        holders: queue::holders(cluster, migration, sources.target.as_ref(), fresh).await?,
        dependencies: queue::dependencies(cluster, migration),
        sources,
        jobs,
        guard,
        restore,
        control,
        pods,
    })
}

/// Reads the Jobs and pods of a migration's runs.
async fn runs(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    fresh: Fresh,
) -> Result<(Vec<Job>, Vec<Pod>), Error> {
    // A run's number is in status before its Job exists: without one there is none.
    if migration.status.as_ref().is_none_or(|status| status.last_run == 0) {
        return Ok((Vec::new(), Vec::new()));
    }
    if !fresh.runs {
        let held = own(migration, held(cluster, migration), held(cluster, migration));
        if !is_doubtful(migration, &held.0, &held.1) {
            return Ok(held);
        }
    }
    let namespace = migration.namespace().unwrap_or_default();
    let uid = migration.uid().unwrap_or_default();
    let ours = ListParams::default().labels(&format!("{MIGRATION_UID_LABEL}={uid}"));
    // Jobs first: a pod that is listed later is at least as new as its Job.
    let jobs = paging::all(&cluster.api::<Job>(&namespace), &ours).await?;
    let pods = paging::all(&cluster.api::<Pod>(&namespace), &ours).await?;
    Ok(own(migration, jobs, pods))
}

/// The objects of a kind with the migration's label that the cache holds.
fn held<K: Kept>(cluster: Cluster<'_>, migration: &DataMigration) -> Vec<K> {
    let all = K::of(cluster.cache).all(&migration.namespace().unwrap_or_default()).into_iter();
    let is_ours = |object: &K| object.labels().get(MIGRATION_UID_LABEL) == migration.uid().as_ref();
    all.filter(|object| is_ours(object)).map(|object| object.as_ref().clone()).collect()
}

fn own(migration: &DataMigration, jobs: Vec<Job>, pods: Vec<Pod>) -> (Vec<Job>, Vec<Pod>) {
    let jobs = owned::jobs(migration, jobs);
    let mut pods = owned::pods(migration, &jobs, pods);
    pods.sort_by_key(|pod| {
        (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.name_any())
    });
    (jobs, pods)
}

/// Whether the cache shows what may only look so: the Job of a run under way is not there, which
/// would end it; or a pod of it is being deleted, which is let go where its Job is suspended.
fn is_doubtful(migration: &DataMigration, jobs: &[Job], pods: &[Pod]) -> bool {
    let status = migration.status.as_ref();
    let Some(run) = status.and_then(|s| s.runs.first()).filter(|run| !run.result.is_over()) else {
        return false;
    };
    let is_going = |pod: &Pod| {
        pod.metadata.deletion_timestamp.is_some()
            && view::run_of(pod.metadata.labels.as_ref()) == Some(run.number)
    };
    (run.job_uid.is_some() && job_of(jobs, run).is_none()) || pods.iter().any(is_going)
}

/// Notes on the Job of a run whose pod does not appear why it could not be created, by the Job
/// controller's last event. Best effort: the run does not depend on it.
async fn note_refusal(
    client: &Client,
    migration: &DataMigration,
    jobs: &mut [Job],
    pods: &[Pod],
    now: Timestamp,
) {
    let status = migration.status.as_ref();
    let run = status.and_then(|status| status.runs.first()).filter(|run| !run.result.is_over());
    let Some(run) = run.filter(|run| run.job_uid.is_some()) else { return };
    let has_pod =
        pods.iter().any(|pod| view::run_of(pod.metadata.labels.as_ref()) == Some(run.number));
    let job = jobs.iter_mut().find(|job| job.metadata.uid == run.job_uid).filter(|_| !has_pod);
    let Some((job, uid)) = job.zip(run.job_uid.as_ref()) else { return };
    let created = job.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    if now.duration_since(created).unsigned_abs() < limits::POD_EXPECTED_WITHIN {
        return;
    }
    let events: Api<Event> =
        Api::namespaced(client.clone(), &migration.namespace().unwrap_or_default());
    let of_job = format!("involvedObject.uid={uid},reason=FailedCreate");
    let params = ListParams::default().fields(&of_job).limit(limits::EVENTS_READ_MAX);
    match events.list(&params).await {
        Ok(found) => {
            let time = |event: &Event| event.last_timestamp.as_ref().map(|time| time.0);
            let last = found.items.into_iter().max_by_key(time);
            if let Some(words) = last.and_then(|event| event.message) {
                let annotations = job.metadata.annotations.get_or_insert_default();
                annotations.insert(FAILED_CREATE_ANNOTATION.into(), words);
            }
        }
        Err(error) => tracing::warn!(%error, "the events of a Job without a pod were not read"),
    }
}

/// The pod of the run under way, if its program runs: its guard can be asked how far it is.
fn asked<'a, 'b>(
    migration: &'a DataMigration,
    pods: &'b [Pod],
) -> Option<(&'a RunRecord, &'b Pod)> {
    let run = migration.status.as_ref()?.runs.first().filter(|run| !run.result.is_over())?;
    let pod = pods.iter().rev().find(|pod| {
        view::run_of(pod.metadata.labels.as_ref()) == Some(run.number)
            && view::program_started(pod).is_some()
            && view::program_end(pod).is_none()
    })?;
    Some((run, pod))
}

fn controlled<'a>(
    migration: &DataMigration,
    jobs: &'a [Job],
    pods: &'a [Pod],
) -> Option<(&'a Pod, &'a str)> {
    let (run, pod) = asked(migration, pods)?;
    Some((pod, control::token_of(job_of(jobs, run)?)?))
}

fn job_of<'a>(jobs: &'a [Job], run: &RunRecord) -> Option<&'a Job> {
    jobs.iter().find(|job| {
        // One that was not let go yet has the name that was made for it.
        view::run_of(job.metadata.labels.as_ref()) == Some(run.number)
            && match &run.job_uid {
                Some(uid) => job.metadata.uid.as_ref() == Some(uid),
                None => job.metadata.name.as_ref() == Some(&run.job),
            }
    })
}
