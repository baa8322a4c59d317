//! Carries out a step that is already in status: creates, suspends, stops and releases a run's
//! objects. Each call can be repeated.

pub mod adopt;
pub mod isolate;

use dm_api::status::{DataMigrationStatus, RunRecord};
use dm_api::{DataMigration, OUTCOME_FINALIZER, RUN_FINALIZER};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use self::adopt::Created;
use self::isolate::Isolation;
use crate::decide::adjust::Adjustment;
use crate::decide::deadline::Deadline;
use crate::decide::ledger;
use crate::decide::outcome::StopReason;
use crate::guard_client;
use crate::limits;
use crate::objects::names;
use crate::objects::{
    DEADLINE_LEFT_ANNOTATION, STOP_REASON_ANNOTATION, Settings, control, files, job, record,
};
use crate::read::observe::Observed;
use crate::read::owned;
use crate::read::view;
use crate::validate::{Program, Runnable};

/// Why a step could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The API server refused an object; it will refuse it again until somebody changes something.
    #[error("the API server refused {object}: {message}")]
    Refused {
        /// Kind and name.
        object: String,
        /// Its words.
        message: String,
    },
    /// An object of that name belongs to somebody else.
    #[error("{object} exists and belongs to another owner")]
    NameTaken {
        /// Kind and name.
        object: String,
    },
    /// The machine gives no random bytes.
    #[error("making a control token")]
    Random(#[from] getrandom::Error),
    /// Anything else: it is tried again.
    #[error("while {what}")]
    Transient {
        /// What we were doing.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: kube::Error,
    },
}

pub(crate) fn transient(what: &'static str) -> impl Fn(kube::Error) -> ActError {
    move |source| ActError::Transient { what, source }
}

/// Creates a run's files and its Job, or finds them already there.
pub async fn create_run(
    client: &Client,
    created: &Created,
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Result<(), ActError> {
    let namespace = migration.namespace().unwrap_or_default();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    if let Program::Script { files, .. } = &runnable.program {
        let map = files::build(migration, record, files);
        let found = create(&maps, &map, migration, "ConfigMap").await?;
        if !adopt::is_same_copy(&found.object, &map) {
            return Err(ActError::NameTaken { object: format!("ConfigMap {}", map.name_any()) });
        }
    }
    let mut job = job::build(migration, record, runnable, settings);
    control::give(&mut job, &random_token()?);
    let made = create(&jobs, &job, migration, "Job").await?;
    if made.is_new {
        created.note(made.object.uid());
    }
    Ok(())
}

/// Whether the Job of a run that was not let go yet is what we would create.
pub async fn is_as_created(
    client: &Client,
    created: &Created,
    found: &Job,
    built: &Job,
) -> Result<bool, ActError> {
    let same = adopt::is_as_created(client, created, found, built).await;
    same.map_err(transient("comparing a Job with what would be created"))
}

/// Not to be guessed: 256 bits, as hexadecimal digits.
fn random_token() -> Result<String, ActError> {
    let mut halves = [[0; 16]; 2];
    getrandom::fill(halves.as_flattened_mut())?;
    let [first, second] = halves.map(u128::from_ne_bytes);
    Ok(format!("{first:032x}{second:032x}"))
}

/// Tells the guard of a run under way how it is to go on. Best effort: the next look sees whether it
/// does, and tells it again.
pub async fn adjust(observed: &Observed, migration: &DataMigration, to: &Adjustment) {
    if let Some((pod, token)) = observed.controlled(migration)
        && guard_client::adjust(pod, token, to).await.is_none()
    {
        let migration = migration.name_any();
        tracing::warn!(migration, ?to, "the guard did not take what it was told");
    }
}

/// Creates the Job that notes in the archive how a run ended, after the run's own Job.
pub async fn record(
    client: &Client,
    migration: &DataMigration,
    run: &RunRecord,
    job: &Job,
    settings: &Settings,
) -> Result<(), ActError> {
    let Some(recorder) = record::build(migration, run, job, settings) else { return Ok(()) };
    let jobs: Api<Job> =
        Api::namespaced(client.clone(), &migration.namespace().unwrap_or_default());
    create(&jobs, &recorder, migration, "Job").await.map(|_| ())
}

/// Creates the Job that notes in the archive that the migration was applied before.
pub async fn record_baseline(
    client: &Client,
    migration: &DataMigration,
    run: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Result<(), ActError> {
    let recorder = record::baseline(migration, run, runnable, settings);
    let Some(recorder) = recorder else { return Ok(()) };
    let jobs: Api<Job> =
        Api::namespaced(client.clone(), &migration.namespace().unwrap_or_default());
    create(&jobs, &recorder, migration, "Job").await.map(|_| ())
}

/// An object that is there now.
struct Made<K> {
    object: K,
    /// Whether this very call created it.
    is_new: bool,
}

/// Creates an object. One of that name that is ours was created by an earlier attempt.
async fn create<K>(
    api: &Api<K>,
    object: &K,
    migration: &DataMigration,
    kind: &str,
) -> Result<Made<K>, ActError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let described = || format!("{kind} {}", object.name_any());
    match api.create(&PostParams::default(), object).await {
        Ok(object) => Ok(Made { object, is_new: true }),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let what = "reading an object that exists already";
            let found = api.get(&object.name_any()).await.map_err(transient(what))?;
            let owner = owned::controller(&found, "DataMigration");
            if owner.is_some() && owner == migration.uid().as_deref() {
                return Ok(Made { object: found, is_new: false });
            }
            Err(ActError::NameTaken { object: described() })
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            Err(ActError::Refused { object: described(), message: status.message })
        }
        Err(source) => Err(ActError::Transient { what: "creating a run's object", source }),
    }
}

/// Lets a suspended Job go whose uid is in status. Tied to the version that was read: who read an
/// older one may know an older status, too.
pub async fn launch(
    client: &Client,
    migration: &DataMigration,
    run: &RunRecord,
    job: &Job,
    isolation: Option<Isolation<'_>>,
) -> Result<(), ActError> {
    if let Some(isolation) = isolation {
        isolate::isolate(client, migration, run, job, isolation).await?;
    }
    if migration.spec.script.is_some() && !run.kind.restores() {
        keep_with(client, job).await?;
    }
    set_suspended(client, job, false).await
}

/// Hands the copy of the files to the Job, so that both are kept as long as each other.
async fn keep_with(client: &Client, job: &Job) -> Result<(), ActError> {
    let Some(owner) = job.owner_ref(&()) else { return Ok(()) };
    let maps: Api<ConfigMap> =
        Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"ownerReferences": [owner]}});
    let name = names::files(&job.name_any());
    gone_is_fine(
        maps.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ()),
        "handing a run's files to its Job",
    )
}

/// Suspends a Job or lets it go.
pub async fn set_suspended(client: &Client, job: &Job, suspend: bool) -> Result<(), ActError> {
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": {"resourceVersion": job.resource_version()},
        "spec": {"suspend": suspend},
    });
    let patched = api.patch(&job.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(|_| ()).map_err(transient("suspending a Job or letting it go"))
}

/// Takes a Job's deadline away during a pause, or gives it back.
pub async fn set_deadline(client: &Client, job: &Job, to: Deadline) -> Result<(), ActError> {
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let (deadline, left) = match to {
        Deadline::Hold(left) => (None, Some(left.to_string())),
        Deadline::Set(seconds) => (Some(seconds), None),
    };
    let patch = json!({
        "metadata": {
            "resourceVersion": job.resource_version(),
            "annotations": {DEADLINE_LEFT_ANNOTATION: left},
        },
        "spec": {"activeDeadlineSeconds": deadline},
    });
    let patched = api.patch(&job.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(|_| ()).map_err(transient("changing a Job's deadline"))
}

/// Stops a run: deletes its Job and pods. Our finalizer keeps their last status.
pub async fn stop_run(
    client: &Client,
    observed: &Observed,
    run: &RunRecord,
    reason: Option<StopReason>,
) -> Result<(), ActError> {
    if let Some(job) = observed.job_of(run) {
        let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
        if let Some(reason) =
            reason.filter(|_| !job.annotations().contains_key(STOP_REASON_ANNOTATION))
        {
            let patch =
                json!({"metadata": {"annotations": {STOP_REASON_ANNOTATION: reason.as_str()}}});
            api.patch(&job.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .map_err(transient("noting on a Job why it is stopped"))?;
        }
        delete(&api, job).await?;
    }
    for pod in observed.pods(run.number) {
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        delete(&api, pod).await?;
    }
    Ok(())
}

/// Deletes just this object, not another of its name.
pub(crate) async fn delete<K>(api: &Api<K>, object: &K) -> Result<(), ActError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    if object.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&object.name_any(), &params).await {
        Ok(_) => Ok(()),
        // Gone, or another object by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(ActError::Transient { what: "deleting a run's object", source }),
    }
}

/// Lets go of the objects of runs whose outcome is in status, and of pods that a suspended Job
/// gave up. Returns whether no object is held any more.
pub async fn release(
    client: &Client,
    migration: &DataMigration,
    observed: &Observed,
) -> Result<bool, ActError> {
    let status = migration.status.clone().unwrap_or_default();
    let active = status.runs.first().filter(|run| !run.result.is_over());
    let mut all = true;
    for job in &observed.jobs {
        if is_stray(&status, job) {
            discard(client, job).await?;
        } else if let Some(seconds) = may_go(&status, view::run_of(job.metadata.labels.as_ref())) {
            release_job(client, job, seconds).await?;
        } else {
            all &= !is_held(job);
        }
    }
    for pod in &observed.pods {
        let run = view::run_of(pod.metadata.labels.as_ref());
        let given_up = active.is_some_and(|active| given_up(observed, pod, active));
        if is_over(&status, run) || given_up {
            release_pod(client, pod).await?;
        } else {
            all &= !is_held(pod);
        }
    }
    Ok(all)
}

fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == OUTCOME_FINALIZER)
}

/// How long a Job is kept from now on, if its run's outcome is in status and in the archive. The Job
/// of a try that was put off is of no interest: there may be many.
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
    let active = status.runs.first().filter(|run| !run.result.is_over()).map(|run| run.number);
    run.is_none_or(|run| run <= status.last_run && Some(run) != active)
}

/// Whether a Job was never let go and never will be: a controller created it that did not know
/// that its run had another Job or was over already.
fn is_stray(status: &DataMigrationStatus, job: &Job) -> bool {
    let number = view::run_of(job.metadata.labels.as_ref());
    let record = status.runs.iter().find(|run| Some(run.number) == number);
    let launched = record.is_some_and(|run| run.job_uid == job.metadata.uid);
    let other = record.is_some_and(|run| run.job_uid.is_some()) && !launched;
    let suspended = job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false);
    !launched && suspended && (other || is_over(status, number))
}

/// Lets go of a Job and deletes it.
pub(crate) async fn discard(client: &Client, job: &Job) -> Result<(), ActError> {
    release_job(client, job, limits::JOB_TTL_SECONDS).await?;
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    delete(&api, job).await
}

/// A pod that its suspended Job has stopped says nothing of the run's outcome.
fn given_up(observed: &Observed, pod: &Pod, run: &RunRecord) -> bool {
    let ours = view::run_of(pod.metadata.labels.as_ref()) == Some(run.number);
    let job = observed.job_of(run).filter(|_| ours);
    let suspended = job.and_then(|job| job.spec.as_ref()).and_then(|spec| spec.suspend);
    suspended == Some(true) && pod.metadata.deletion_timestamp.is_some() && view::pod_is_over(pod)
}

async fn release_job(client: &Client, job: &Job, kept_seconds: i32) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(job.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let mut patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": job.resource_version()},
    });
    if job.metadata.deletion_timestamp.is_none() {
        patch["spec"] = json!({"ttlSecondsAfterFinished": kept_seconds});
    }
    gone_is_fine(
        api.patch(&job.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(|_| ()),
        "releasing a Job",
    )
}

/// Lets go of a pod.
pub(crate) async fn release_pod(client: &Client, pod: &Pod) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(pod.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": pod.resource_version()},
    });
    gone_is_fine(
        api.patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(|_| ()),
        "releasing a pod",
    )
}

/// Whether a migration could vanish under a run. One that is being deleted takes no finalizer.
pub fn needs_hold(migration: &DataMigration) -> bool {
    migration.metadata.deletion_timestamp.is_none()
        && !migration.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
}

/// Makes sure that a migration with a run cannot vanish under it.
pub async fn hold(client: &Client, migration: &DataMigration) -> Result<(), ActError> {
    let mut finalizers = migration.finalizers().to_vec();
    finalizers.push(RUN_FINALIZER.into());
    set_finalizers(client, migration, &finalizers, "holding a migration").await
}

/// Whether nothing is lost if a migration vanishes now: no run is under way, and the archive knows
/// how each ended. Its objects are another matter; see [`release`].
pub fn may_vanish(migration: &DataMigration) -> bool {
    let runs = migration.status.iter().flat_map(|status| &status.runs);
    let mut open = runs.filter(|run| !run.result.is_over() || run.archived == Some(false));
    open.next().is_none()
}

/// Removes the finalizer of a migration that is being deleted, or has no open run.
pub async fn let_go(client: &Client, migration: &DataMigration) -> Result<(), ActError> {
    match without_ours(migration.finalizers(), RUN_FINALIZER) {
        Some(finalizers) => {
            set_finalizers(client, migration, &finalizers, "letting a migration go").await
        }
        None => Ok(()),
    }
}

async fn set_finalizers(
    client: &Client,
    migration: &DataMigration,
    finalizers: &[String],
    what: &'static str,
) -> Result<(), ActError> {
    let namespace = migration.namespace().unwrap_or_default();
    let api: Api<DataMigration> = Api::namespaced(client.clone(), &namespace);
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": migration.resource_version()},
    });
    let name = migration.name_any();
    gone_is_fine(
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ()),
        what,
    )
}

fn without_ours(finalizers: &[String], ours: &str) -> Option<Vec<String>> {
    let rest: Vec<String> =
        finalizers.iter().filter(|finalizer| *finalizer != ours).cloned().collect();
    (rest.len() < finalizers.len()).then_some(rest)
}

fn gone_is_fine(result: Result<(), kube::Error>, what: &'static str) -> Result<(), ActError> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map_err(transient(what)),
    }
}
