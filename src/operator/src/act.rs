//! Carries out a step that is already in status: creates, suspends, stops and releases a run's
//! objects. Each call can be repeated.

pub mod adopt;
pub mod delete;
pub mod error;
pub mod isolate;
pub mod release;

use dm_api::DataMigration;
use dm_api::status::RunRecord;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use self::adopt::Created;
use self::delete::delete;
pub use self::error::ActError;
use self::error::transient;
use self::isolate::Isolation;
use self::release::gone_is_fine;
use crate::decide::adjust::Adjustment;
use crate::decide::deadline::Deadline;
use crate::decide::outcome::StopReason;
use crate::guard_client;
use crate::objects::{
    DEADLINE_LEFT_ANNOTATION, STOP_REASON_ANNOTATION, Settings, control, copies, files, job, names,
    record,
};
use crate::read::observe::Observed;
use crate::read::owned;
use crate::runnable::Runnable;

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
    let files = runnable.program.files().map(|files| files::build(migration, record, files));
    for copy in files.into_iter().chain(copies::build(migration, record, runnable)) {
        let found = create(&maps, &copy, migration, "ConfigMap").await?.object;
        if !adopt::is_same_copy(&found, &copy) {
            return Err(ActError::NameTaken { object: format!("ConfigMap {}", copy.name_any()) });
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
        && guard_client::adjust(pod, token, to.limits.as_ref(), to.paused).await.is_none()
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
    let spec = &migration.spec;
    let has_files = spec.script.is_some() || spec.transform.is_some();
    let files = (has_files && !run.kind.restores()).then(|| names::files(&job.name_any()));
    for copy in files.into_iter().chain(copies::names_in(job)) {
        keep_with(client, job, &copy).await?;
    }
    set_suspended(client, job, false).await
}

/// Hands a copy to the Job, so that both are kept as long as each other.
async fn keep_with(client: &Client, job: &Job, copy: &str) -> Result<(), ActError> {
    let Some(owner) = job.owner_ref(&()) else { return Ok(()) };
    let maps: Api<ConfigMap> =
        Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"ownerReferences": [owner]}});
    gone_is_fine(
        maps.patch(copy, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ()),
        "handing a run's copies to its Job",
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
