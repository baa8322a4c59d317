//! Reads everything a decision rests on: from what the watches hold, and from the API server where
//! the decision needs it (`decide::fresh`, decision 026).

use dm_api::status::RunRecord;
use dm_api::{DataMigration, MIGRATION_UID_LABEL};
use dm_contract::control::ControlState;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::cluster::{Cluster, Kept, ReadError};
use crate::decide::fresh::Fresh;
use crate::guard_client;
use crate::identified::{Identified, Migration, Unidentified};
use crate::limits;
use crate::objects::{FAILED_CREATE_ANNOTATION, control};
use crate::read::answers::Answers;
use crate::read::counts;
use crate::read::dependencies::Dependencies;
use crate::read::holders::Holder;
use crate::read::indexes::{self, PartPods};
use crate::read::namespace;
use crate::read::owned;
use crate::read::paging;
use crate::read::queue;
use crate::read::runs::{answering, job_of, pods_of};
use crate::read::sources::{self, Sources};
use crate::read::view;

#[derive(Clone, Debug)]
pub struct Observed {
    /// What a run is made from.
    pub sources: Sources,
    /// Jobs of all its runs.
    pub jobs: Vec<Identified<Job>>,
    /// Pods of all its runs, in the order of their creation.
    pub pods: Vec<Pod>,
    /// What the guards of the run under way answered.
    pub answers: Answers,
    /// Where the migrations stand that it depends on.
    pub dependencies: Dependencies,
    /// Runs of other migrations on the same target that write, or are about to.
    pub holders: Vec<Holder>,
    /// Whether the namespace is known to be in deletion.
    pub namespace_ends: bool,
}

/// Reads what a migration's next step depends on.
pub async fn observe(
    cluster: Cluster<'_>,
    migration: &Migration,
    fresh: Fresh,
    now: Timestamp,
) -> Result<Observed, ReadError> {
    let sources = sources::sources(cluster, migration, fresh).await?;
    let (mut jobs, pods) = runs(cluster, migration, fresh).await?;
    note_refusal(cluster, migration, &mut jobs, &pods, now).await;
    let answers = ask(migration, &jobs, &pods).await;
    Ok(Observed {
        holders: queue::holders(cluster, migration, sources.target.as_ref(), fresh).await?,
        dependencies: queue::dependencies(cluster, migration),
        namespace_ends: namespace::is_ending(cluster, migration, &jobs, &pods, fresh).await,
        sources,
        jobs,
        answers,
        pods,
    })
}

/// Reads the Jobs and pods of a migration's runs.
async fn runs(
    cluster: Cluster<'_>,
    migration: &Migration,
    fresh: Fresh,
) -> Result<(Vec<Identified<Job>>, Vec<Pod>), ReadError> {
    // A run's number is in status before its Job exists: without one there is none.
    if migration.status.as_ref().is_none_or(|status| status.last_run == 0) {
        return Ok((Vec::new(), Vec::new()));
    }
    if !fresh.runs {
        let held = own(migration, held(cluster, migration), held(cluster, migration))?;
        if !is_doubtful(migration, &held.0, &held.1) {
            return Ok(held);
        }
    }
    let ours = format!("{MIGRATION_UID_LABEL}={}", migration.uid());
    let ours = ListParams::default().labels(&ours);
    // Jobs first: a pod that is listed later is at least as new as its Job.
    let jobs = paging::all(&cluster.api::<Job>(), &ours).await?;
    let pods = paging::all(&cluster.api::<Pod>(), &ours).await?;
    Ok(own(migration, jobs, pods)?)
}

/// The objects of a kind with the migration's label that the cache holds.
fn held<K: Kept>(cluster: Cluster<'_>, migration: &Migration) -> Vec<K> {
    let all = K::of(cluster.cache).all(cluster.namespace).into_iter();
    let label = |object: &K| object.labels().get(MIGRATION_UID_LABEL).cloned();
    all.filter(|object| label(object).as_deref() == Some(migration.uid()))
        .map(|object| object.as_ref().clone())
        .collect()
}

fn own(
    migration: &Migration,
    jobs: Vec<Job>,
    pods: Vec<Pod>,
) -> Result<(Vec<Identified<Job>>, Vec<Pod>), Unidentified> {
    let jobs = owned::jobs(migration, jobs)?;
    let mut pods = owned::pods(migration, &jobs, pods);
    pods.sort_by_key(|pod| {
        (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.name_any())
    });
    Ok((jobs, pods))
}

/// Whether the cache shows what may only look so: the Job of a run under way is not there, which
/// would end it; or a pod of it is being deleted, which is released where its Job is suspended. A
/// pod that was replaced keeps our finalizer until the run is over, so it is no reason by itself.
fn is_doubtful(migration: &DataMigration, jobs: &[Identified<Job>], pods: &[Pod]) -> bool {
    let Some(run) = under_way(migration) else { return false };
    let Some(job) = job_of(jobs, run) else { return run.job_uid.is_some() };
    let is_going = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    view::is_suspended(job) && pods_of(pods, run.number).any(is_going)
}

/// Notes on the Job of a run whose pod does not appear why it could not be created, by the Job
/// controller's last event. Best effort: the run does not depend on it.
async fn note_refusal(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    jobs: &mut [Identified<Job>],
    pods: &[Pod],
    now: Timestamp,
) {
    let Some(run) = under_way(migration).filter(|run| run.job_uid.is_some()) else { return };
    let ours: Vec<&Pod> = pods_of(pods, run.number).collect();
    let has_pods = indexes::parts(run, &ours).iter().all(|part| !part.pods.is_empty());
    let is_it = |job: &&mut Identified<Job>| run.job_uid.as_deref() == Some(job.uid());
    let Some(job) = jobs.iter_mut().find(is_it).filter(|_| !has_pods) else { return };
    let created = job.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    if now.duration_since(created).unsigned_abs() < limits::POD_EXPECTED_WITHIN {
        return;
    }
    let of_job = format!("involvedObject.uid={},reason=FailedCreate", job.uid());
    let params = ListParams::default().fields(&of_job).limit(limits::EVENTS_READ_MAX);
    match cluster.api::<Event>().list(&params).await {
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

/// Asks the guards of the run under way how far its parts are and how fast they go, all at the same
/// time.
async fn ask(migration: &DataMigration, jobs: &[Identified<Job>], pods: &[Pod]) -> Answers {
    let Some(run) = under_way(migration) else { return Answers::default() };
    let ours: Vec<&Pod> = pods_of(pods, run.number).collect();
    let token = job_of(jobs, run).and_then(|job| control::token_of(job));
    let parts = indexes::parts(run, &ours);
    let given_up = indexes::given_up(job_of(jobs, run), run.parts());
    let waits = |part: &&PartPods<'_>| {
        answering(part).is_none() && !part.has_ended_well() && !given_up.contains(&part.index)
    };
    let waiting = parts.iter().filter(waits).map(|part| part.index).collect();
    let mut answers = Answers { waiting, ..Answers::default() };
    let running = parts.iter().find_map(answering);
    // Between the end of a program and its result status keeps what it has.
    if running.is_none() && run.parts() == 1 {
        return answers;
    }
    if run.kind.restores() {
        let Some(pod) = running else { return answers };
        let (restore, control) = tokio::join!(guard_client::restore(pod), state(pod, token));
        answers.restore = restore;
        answers.controls.extend(control);
        return answers;
    }
    let each = parts.iter().map(async |part| match answering(part) {
        Some(pod) => tokio::join!(guard_client::progress(pod), state(pod, token)),
        None => (None, None),
    });
    let mut counted = Vec::new();
    for (part, (progress, state)) in parts.iter().zip(join_all(each).await) {
        if answering(part).is_some() && state.is_none() {
            answers.silent.push(part.index);
        }
        answers.controls.extend(state);
        counted.push(counts::of_part(run, part, progress));
    }
    answers.is_partial = counted.iter().any(|counted| !counted.is_whole);
    answers.guard = counts::of_run(counted);
    answers
}

async fn state(pod: &Pod, token: Option<&str>) -> Option<ControlState> {
    guard_client::control(pod, token?).await
}

/// The run under way.
fn under_way(migration: &DataMigration) -> Option<&RunRecord> {
    migration.status.as_ref()?.under_way()
}
