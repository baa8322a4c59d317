//! What the controller's watches hold: the migrations, targets, Jobs, pods and names of ConfigMaps
//! that a reconcile reads instead of asking the API server. What must be read live is decided in
//! `decide::fresh` (decision 026); this module only holds.

pub mod contents;
pub mod latest;
pub mod slim;

use dm_api::{DataMigration, MigrationTarget};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, Store, store::Writer};
use tokio::sync::watch;

use self::contents::Contents;
use self::latest::Latest;

/// What the controller's watches hold.
pub struct Cache {
    pub migrations: Latest<DataMigration>,
    pub targets: Latest<MigrationTarget>,
    /// Jobs of runs, whole until they are released.
    pub jobs: Latest<Job>,
    /// Pods of runs, whole until they are released.
    pub pods: Latest<Pod>,
    /// The names and versions of all ConfigMaps. Their contents are not held, because most belong
    /// to others.
    pub config_maps: Store<PartialObjectMeta<ConfigMap>>,
    /// Contents of ConfigMaps that migrations name.
    pub contents: Contents,
    /// Whether every watch has listed what there is.
    is_filled: watch::Sender<bool>,
}

/// Where the watches put what they see.
pub struct Writers {
    pub migrations: Writer<DataMigration>,
    pub targets: Writer<MigrationTarget>,
    pub jobs: Writer<Job>,
    pub pods: Writer<Pod>,
    pub config_maps: Writer<PartialObjectMeta<ConfigMap>>,
}

impl Cache {
    /// Returns an empty cache, and what fills it.
    pub fn new() -> (Self, Writers) {
        let (migrations, to_migrations) = reflector::store();
        let (targets, to_targets) = reflector::store();
        let (jobs, to_jobs) = reflector::store();
        let (pods, to_pods) = reflector::store();
        let (config_maps, to_config_maps) = reflector::store();
        let cache = Self {
            migrations: Latest::new(migrations),
            targets: Latest::new(targets),
            jobs: Latest::new(jobs),
            pods: Latest::new(pods),
            config_maps,
            contents: Contents::default(),
            is_filled: watch::Sender::new(false),
        };
        let writers = Writers {
            migrations: to_migrations,
            targets: to_targets,
            jobs: to_jobs,
            pods: to_pods,
            config_maps: to_config_maps,
        };
        (cache, writers)
    }

    /// Waits for every watch to list what there is, and wakes those that wait for it. It is for the
    /// task that polls the watches: a store of kube wakes only one of several tasks that wait for
    /// its list.
    pub async fn fill(&self) {
        // An error says that the watch is gone, and the process with it.
        let _ = tokio::join!(
            self.migrations.store().wait_until_ready(),
            self.targets.store().wait_until_ready(),
            self.jobs.store().wait_until_ready(),
            self.pods.store().wait_until_ready(),
            self.config_maps.wait_until_ready(),
        );
        self.is_filled.send_replace(true);
    }

    /// Waits until every watch has listed what there is: until then an absent object means nothing.
    pub async fn until_filled(&self) {
        // The sender is in `self`, so it cannot be gone.
        let _ = self.is_filled.subscribe().wait_for(|is_filled| *is_filled).await;
    }

    /// Removes objects that this process wrote and no watch has shown yet. After an error one of
    /// them may be the cause; without them a reconcile is at most based on an older object.
    pub fn forget_written(&self) {
        self.migrations.forget_all();
        self.jobs.forget_all();
        self.pods.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kube::runtime::watcher::Event;

    use super::*;

    #[tokio::test]
    async fn every_reconcile_that_waits_for_the_first_lists_is_woken() {
        let (cache, mut writers) = Cache::new();
        let cache = Arc::new(cache);
        let spawn = |fills: bool| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move {
                if fills { cache.fill().await } else { cache.until_filled().await }
            })
        };
        // Some come before the task that polls the watches, some after it, some when it is done.
        let mut waiting: Vec<_> = [false, false, true, false, false].map(spawn).into();
        tokio::task::yield_now().await;
        writers.migrations.apply_watcher_event(&Event::InitDone);
        writers.targets.apply_watcher_event(&Event::InitDone);
        writers.jobs.apply_watcher_event(&Event::InitDone);
        writers.pods.apply_watcher_event(&Event::InitDone);
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()), "ConfigMaps are not listed yet");
        writers.config_maps.apply_watcher_event(&Event::InitDone);
        waiting.push(spawn(false));
        for task in waiting {
            tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
        }
    }
}
