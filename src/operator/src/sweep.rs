//! Stops what is left of migrations that are gone: their Jobs and pods, whose finalizers nobody
//! else removes. A migration goes without our doing when its finalizer was removed by hand.

use std::collections::HashMap;
use std::sync::Arc;

use dm_api::{DataMigration, MIGRATION_NAME_ANNOTATION, MIGRATION_UID_LABEL};
use dm_contract::error_chain::chain;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use crate::act::delete::delete;
use crate::act::error::{ActError, transient};
use crate::act::release;
use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::identified::Identified;
use crate::limits;

/// Stops and releases what is left of migrations of this name that are gone, other than the one
/// that exists. Their programs have nobody to answer to.
pub async fn sweep(cluster: Cluster<'_>, name: &str) -> Result<(), ActError> {
    let labels = ListParams::default().labels(MIGRATION_UID_LABEL);
    let jobs: Api<Job> = cluster.api();
    let pods: Api<Pod> = cluster.api();
    let what = "looking for what is left of a migration";
    // Their names and references are enough.
    let left_jobs = jobs.list_metadata(&labels).await.map_err(transient(what))?.items;
    let left_pods = pods.list_metadata(&labels).await.map_err(transient(what))?.items;
    // Asked after the lists: what they show is older, so its migration is not one to come.
    let migrations: Api<DataMigration> = cluster.api();
    let migration = migrations.get_opt(name).await.map_err(transient(what))?;
    let live = migration.map(Identified::parse).transpose()?;
    let live = live.as_ref().map(Identified::uid);
    for job in left_jobs.into_iter().filter(|job| is_left_of(job, name, live)) {
        release::discard(cluster, &Job { metadata: job.metadata, ..Job::default() }).await?;
    }
    for pod in left_pods.into_iter().filter(|pod| is_left_of(pod, name, live)) {
        let pod = Pod { metadata: pod.metadata, ..Pod::default() };
        release::release_pod(cluster, &pod).await?;
        delete(&pods, &pod).await?;
    }
    Ok(())
}

fn is_left_of<K: ResourceExt>(object: &K, name: &str, live: Option<&str>) -> bool {
    object.annotations().get(MIGRATION_NAME_ANNOTATION).is_some_and(|of| of == name)
        && object.labels().get(MIGRATION_UID_LABEL).map(String::as_str) != live
}

/// Sweeps in the background, each migration by itself and until it worked.
pub struct Sweeper {
    client: Client,
    cache: Arc<Cache>,
    /// Migrations being swept, by namespace and name, and whether once more is asked for.
    under_way: Mutex<HashMap<(String, String), bool>>,
}

impl Sweeper {
    /// One that has nothing to do yet.
    pub fn new(client: Client, cache: Arc<Cache>) -> Arc<Self> {
        Arc::new(Self { client, cache, under_way: Mutex::default() })
    }

    /// Sweeps after a migration that is gone. Asked again during a sweep, it repeats it: something
    /// may have been created behind its lists.
    pub fn begin(self: &Arc<Self>, namespace: Option<&str>, name: &str) {
        let Some(namespace) = namespace else {
            tracing::error!(name, "a migration without a namespace is not cleaned up");
            return;
        };
        let gone = (namespace.to_owned(), name.to_owned());
        let mut under_way = self.under_way.lock();
        if let Some(again) = under_way.get_mut(&gone) {
            *again = true;
            return;
        }
        under_way.insert(gone.clone(), false);
        tokio::spawn(Arc::clone(self).until_done(gone));
    }

    async fn until_done(self: Arc<Self>, gone: (String, String)) {
        let mut wait = limits::BACKOFF_MIN;
        loop {
            let cluster = Cluster { client: &self.client, cache: &self.cache, namespace: &gone.0 };
            let swept = Box::pin(sweep(cluster, &gone.1));
            let swept = tokio::time::timeout(limits::RECONCILE_MAX, swept).await;
            let failed = match swept {
                Ok(swept) => swept.err().map(|error| chain(&error)),
                Err(_) => Some("the API server did not answer in time".to_owned()),
            };
            if let Some(error) = failed {
                let (namespace, migration) = (&gone.0, &gone.1);
                tracing::warn!(namespace, migration, error, "sweeping failed");
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(limits::BACKOFF_MAX);
                continue;
            }
            let mut under_way = self.under_way.lock();
            match under_way.get_mut(&gone) {
                Some(again) if *again => *again = false,
                Some(_) | None => {
                    under_way.remove(&gone);
                    return;
                }
            }
        }
    }
}
