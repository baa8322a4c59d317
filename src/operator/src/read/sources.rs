//! Reads what a run is made from: its target, the program's files, and what its pod refers to.

use dm_api::name::DnsName;
use dm_api::{DataMigration, MigrationTarget};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Error, Resource};
use serde::de::DeserializeOwned;
use std::sync::Arc;

use crate::cluster::{Cluster, ReadError};
use crate::decide::fresh::Fresh;
use crate::history;
use crate::identified::Target;
use crate::read::paging;
use crate::read::references::{self, References};
use crate::runnable::FilesFound;

/// What a run is made from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The target, if it exists.
    pub target: Option<Target>,
    /// The ServiceAccount that runs would use, if the target names one that does not exist.
    pub missing_account: Option<String>,
    /// The ConfigMap with the files.
    pub files: FilesFound,
    /// What its program refers to beside them.
    pub references: References,
}

/// Reads what a migration's next run would be made from.
pub async fn sources(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    fresh: Fresh,
) -> Result<Sources, ReadError> {
    let target = target(cluster, migration, fresh).await?;
    // Only a run that would begin needs it: there is no watch of ServiceAccounts.
    let missing_account = match &target {
        Some(target) if fresh.permissions => missing_account(cluster, migration, target).await?,
        Some(_) | None => None,
    };
    Ok(Sources {
        missing_account,
        files: files(cluster, migration, fresh).await?,
        references: references(cluster, migration, fresh).await?,
        target,
    })
}

/// Reads the target. The cache's is of a moment ago at most. That one is missing is read live: a
/// target that was created just before its migration may reach us after it.
async fn target(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    fresh: Fresh,
) -> Result<Option<Target>, ReadError> {
    let name = &migration.spec.target.name;
    let held = cluster.cache.targets.get(cluster.namespace, name).filter(|_| !fresh.sources);
    let found = match held {
        Some(target) => Some(target.as_ref().clone()),
        None => named::<MigrationTarget>(&cluster.api(), name).await?,
    };
    Ok(found.map(Target::parse).transpose()?)
}

/// Reads a ConfigMap. Its content is held by its version, and the watch knows the version.
async fn config_map(
    cluster: Cluster<'_>,
    name: &str,
    fresh: Fresh,
) -> Result<Option<Arc<ConfigMap>>, Error> {
    let known = cluster.cache.config_maps.get(&ObjectRef::new(name).within(cluster.namespace));
    let version = known.and_then(|known| known.metadata.resource_version.clone());
    let held = version.filter(|_| !fresh.sources);
    let held =
        held.and_then(|version| cluster.cache.contents.get(cluster.namespace, name, &version));
    if held.is_some() {
        return Ok(held);
    }
    let found = named::<ConfigMap>(&cluster.api(), name).await?.map(Arc::new);
    if let Some(map) = &found {
        cluster.cache.contents.keep(cluster.namespace, map);
    }
    Ok(found)
}

/// Reads the object that a spec names. Nothing else than a name gets into a request: there is no
/// object `../secrets/x`, and `t?x=1` is not `t`.
async fn named<K>(api: &Api<K>, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    match DnsName::parse(name) {
        Some(name) => api.get_opt(name.as_str()).await,
        None => Ok(None),
    }
}

async fn missing_account(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    target: &MigrationTarget,
) -> Result<Option<String>, Error> {
    let kind = history::kind_wanted(migration);
    let Some(account) = &target.spec.credentials_of(kind).service_account else {
        return Ok(None);
    };
    let api: Api<ServiceAccount> = cluster.api();
    Ok(named(&api, &account.name).await?.is_none().then(|| account.name.clone()))
}

async fn files(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    fresh: Fresh,
) -> Result<FilesFound, Error> {
    // A restore needs no program.
    let restores = history::kind_wanted(migration).restores();
    let Some(source) = migration.spec.files().filter(|_| !restores) else {
        return Ok(FilesFound::NotNeeded);
    };
    let found = config_map(cluster, &source.name, fresh).await?;
    Ok(found.map_or(FilesFound::Missing, |map| FilesFound::Found(Box::new(map.as_ref().clone()))))
}

async fn references(
    cluster: Cluster<'_>,
    migration: &DataMigration,
    fresh: Fresh,
) -> Result<References, Error> {
    let mut found = References::default();
    if history::kind_wanted(migration).restores() {
        return Ok(found);
    }
    if references::needs_targets(migration) {
        // Which Secrets only guards may have: a target that has just been created counts when a run
        // begins.
        found.targets = if fresh.permissions {
            paging::all(&cluster.api(), &ListParams::default()).await?
        } else {
            let held = cluster.cache.targets.all(cluster.namespace);
            held.iter().map(|target| target.as_ref().clone()).collect()
        };
    }
    for name in references::config_maps(migration) {
        let map = config_map(cluster, &name, fresh).await?;
        found.config_maps.insert(name, map.map(|map| map.as_ref().clone()));
    }
    Ok(found)
}
