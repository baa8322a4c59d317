//! Carries out a step that is already in status: creates, suspends, stops and releases a run's
//! objects. Each call can be repeated.

use dm_api::status::RunRecord;
use dm_api::{DataMigration, OUTCOME_FINALIZER, RUN_FINALIZER};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::build::{STOP_REASON_ANNOTATION, Settings, files, job};
use crate::limits;
use crate::observe::Observed;
use crate::outcome::StopReason;
use crate::validate::{Program, Runnable};
use crate::view;

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

fn transient(what: &'static str) -> impl Fn(kube::Error) -> ActError {
    move |source| ActError::Transient { what, source }
}

/// Creates a run's files and its Job, or finds them already there.
pub async fn create_run(
    client: &Client,
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Result<(), ActError> {
    let namespace = migration.namespace().unwrap_or_default();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let mut copy = None;
    if let Program::Script { files, .. } = &runnable.program {
        let map = files::build(migration, record, files);
        copy = Some(create(&maps, &map, migration, "ConfigMap").await?);
    }
    let job = job::build(migration, record, runnable, settings);
    let job = create(&jobs, &job, migration, "Job").await?;
    if let Some(copy) = copy {
        keep_with(&maps, &copy, &job).await?;
    }
    Ok(())
}

/// Creates an object. One of that name that is ours was created by an earlier attempt.
async fn create<K>(
    api: &Api<K>,
    object: &K,
    migration: &DataMigration,
    kind: &str,
) -> Result<K, ActError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let described = || format!("{kind} {}", object.name_any());
    match api.create(&PostParams::default(), object).await {
        Ok(created) => Ok(created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let what = "reading an object that exists already";
            let found = api.get(&object.name_any()).await.map_err(transient(what))?;
            let label = found.labels().get(dm_api::MIGRATION_UID_LABEL).cloned();
            if label == migration.uid() {
                return Ok(found);
            }
            Err(ActError::NameTaken { object: described() })
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            Err(ActError::Refused { object: described(), message: status.message })
        }
        Err(source) => Err(ActError::Transient { what: "creating a run's object", source }),
    }
}

/// Hands the copy of the files to the Job, so that both are kept as long as each other.
async fn keep_with(maps: &Api<ConfigMap>, copy: &ConfigMap, job: &Job) -> Result<(), ActError> {
    let Some(owner) = job.owner_ref(&()) else { return Ok(()) };
    let patch = json!({"metadata": {"ownerReferences": [owner]}});
    let patched =
        maps.patch(&copy.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(|_| ()).map_err(transient("handing a run's files to its Job"))
}

/// Suspends a Job or lets it go on.
pub async fn suspend_job(client: &Client, job: &Job, suspend: bool) -> Result<(), ActError> {
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let patch = json!({"spec": {"suspend": suspend}});
    let patched = api.patch(&job.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(|_| ()).map_err(transient("suspending or resuming a Job"))
}

/// Stops a run: deletes its Job and pods. Our finalizer keeps their last status.
pub async fn stop_run(
    client: &Client,
    observed: &Observed,
    run: u32,
    reason: Option<StopReason>,
) -> Result<(), ActError> {
    if let Some(job) = observed.job(run) {
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
    for pod in observed.pods(run) {
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        delete(&api, pod).await?;
    }
    Ok(())
}

/// Deletes just this object, not another of its name.
async fn delete<K>(api: &Api<K>, object: &K) -> Result<(), ActError>
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
/// gave up.
pub async fn release(
    client: &Client,
    migration: &DataMigration,
    observed: &Observed,
) -> Result<(), ActError> {
    let status = migration.status.clone().unwrap_or_default();
    let active = status.runs.first().filter(|run| !run.result.is_over()).map(|run| run.number);
    for job in &observed.jobs {
        if view::run_of(job.metadata.labels.as_ref()) != active {
            release_job(client, job).await?;
        }
    }
    for pod in &observed.pods {
        let run = view::run_of(pod.metadata.labels.as_ref());
        if run != active || given_up(observed, pod, run) {
            release_pod(client, pod).await?;
        }
    }
    Ok(())
}

/// A pod that its suspended Job has stopped says nothing of the run's outcome.
fn given_up(observed: &Observed, pod: &Pod, run: Option<u32>) -> bool {
    let job = run.and_then(|run| observed.job(run));
    let suspended = job.and_then(|job| job.spec.as_ref()).and_then(|spec| spec.suspend);
    suspended == Some(true) && pod.metadata.deletion_timestamp.is_some() && view::pod_is_over(pod)
}

async fn release_job(client: &Client, job: &Job) -> Result<(), ActError> {
    let Some(finalizers) = without_ours(job.finalizers(), OUTCOME_FINALIZER) else { return Ok(()) };
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let mut patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": job.resource_version()},
    });
    if job.metadata.deletion_timestamp.is_none() {
        patch["spec"] = json!({"ttlSecondsAfterFinished": limits::JOB_TTL_SECONDS});
    }
    gone_is_fine(
        api.patch(&job.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(|_| ()),
        "releasing a Job",
    )
}

async fn release_pod(client: &Client, pod: &Pod) -> Result<(), ActError> {
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

/// Whether a migration could vanish under a run.
pub fn needs_hold(migration: &DataMigration) -> bool {
    !migration.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
}

/// Makes sure that a migration with a run cannot vanish under it.
pub async fn hold(client: &Client, migration: &DataMigration) -> Result<(), ActError> {
    let mut finalizers = migration.finalizers().to_vec();
    finalizers.push(RUN_FINALIZER.into());
    set_finalizers(client, migration, &finalizers, "holding a migration").await
}

/// Lets a migration go that is being deleted.
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
