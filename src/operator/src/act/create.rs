//! Creates the objects of a run, or finds them already there. Each call can be repeated.

use dm_api::status::RunRecord;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::act::adopt::{self, Created};
use crate::act::error::{ActError, transient};
use crate::cluster::Cluster;
use crate::identified::{Identified, Migration};
use crate::objects::{Settings, control, copies, files, job};
use crate::read::owned;
use crate::runnable::Runnable;

/// Creates a run's Job, suspended, and the copies that its pod needs, or finds them already there.
/// The Job comes first: the copies are its own. What was there already is compared, once by each
/// process.
pub async fn create_run(
    cluster: Cluster<'_>,
    created: &Created,
    migration: &Migration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Result<(), ActError> {
    let mut built = job::build(migration, record, runnable, settings);
    control::give(&mut built, &random_token()?);
    let made = create(&cluster.api(), &built, migration, "Job").await?;
    let job = Identified::parse(made.object)?;
    let is_known = made.is_new || created.has(&job);
    if !is_known && !adopt::is_as_created(&cluster.api(), &job, &built).await? {
        return Err(ActError::NotAsCreated { job: job.name().into(), run: record.number });
    }
    // The watch may not have shown it yet.
    cluster.note(None, Job::clone(&job));
    let maps: Api<ConfigMap> = cluster.api();
    let files = runnable.program.files().map(|files| files::build(migration, record, &job, files));
    for copy in files.into_iter().chain(copies::build(migration, record, &job, runnable)) {
        create_copy(&maps, &copy, migration, &job).await?;
    }
    created.note(job.uid());
    Ok(())
}

/// Creates a copy, or finds it. One of an earlier Job of the run, or of an operator that gave
/// copies to the migration first, is handed to this Job.
async fn create_copy(
    maps: &Api<ConfigMap>,
    copy: &ConfigMap,
    migration: &Migration,
    job: &Identified<Job>,
) -> Result<(), ActError> {
    let taken = || ActError::NameTaken { object: format!("ConfigMap {}", copy.name_any()) };
    let made = create_or_find(maps, copy, "ConfigMap").await?;
    if made.is_new {
        return Ok(());
    }
    let found = made.object;
    let owners = found.metadata.owner_references.iter().flatten();
    let is_ours = |owner: &OwnerReference| {
        (owner.kind == "Job" && owner.name == job.name()) || owner.uid == migration.uid()
    };
    if !owners.clone().any(is_ours) || !adopt::is_same_copy(&found, copy) {
        return Err(taken());
    }
    if owners.clone().any(|owner| owner.uid == job.uid()) {
        return Ok(());
    }
    let patch = json!({"metadata": {
        "ownerReferences": copy.metadata.owner_references,
        "resourceVersion": found.metadata.resource_version,
    }});
    let patched =
        maps.patch(&copy.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(|_| ()).map_err(transient("handing a copy to its Job"))
}

/// A random token of 256 bits, as hexadecimal digits.
fn random_token() -> Result<String, ActError> {
    let mut halves = [[0; 16]; 2];
    getrandom::fill(halves.as_flattened_mut())?;
    let [first, second] = halves.map(u128::from_ne_bytes);
    Ok(format!("{first:032x}{second:032x}"))
}

/// An object that is there now.
pub struct Made<K> {
    pub object: K,
    /// Whether this very call created it.
    pub is_new: bool,
}

/// Creates an object that the migration controls. One of that name that is ours was created by an
/// earlier attempt.
pub async fn create<K>(
    api: &Api<K>,
    object: &K,
    migration: &Migration,
    kind: &str,
) -> Result<Made<K>, ActError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let made = create_or_find(api, object, kind).await?;
    if made.is_new || owned::controller(&made.object, "DataMigration") == Some(migration.uid()) {
        return Ok(made);
    }
    Err(ActError::NameTaken { object: format!("{kind} {}", object.name_any()) })
}

async fn create_or_find<K>(api: &Api<K>, object: &K, kind: &str) -> Result<Made<K>, ActError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    match api.create(&PostParams::default(), object).await {
        Ok(object) => Ok(Made { object, is_new: true }),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let what = "reading an object that exists already";
            let object = api.get(&object.name_any()).await.map_err(transient(what))?;
            Ok(Made { object, is_new: false })
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            let object = format!("{kind} {}", object.name_any());
            Err(ActError::Refused { object, message: status.message })
        }
        Err(source) => Err(ActError::Transient { what: "creating a run's object", source }),
    }
}
