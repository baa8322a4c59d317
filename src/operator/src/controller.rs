//! The loop: what wakes a reconciliation, how many run at once, and how long errors wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use dm_api::{DataMigration, MIGRATION_NAME_ANNOTATION, MIGRATION_UID_LABEL, MigrationTarget};
use dm_contract::error_chain::chain;
use futures::channel::mpsc;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, watcher};
use kube::{Resource, ResourceExt as _};

use crate::cache::{Cache, Writers, slim};
use crate::changed;
use crate::cluster::Kept;
use crate::context::Context;
use crate::failures::{Failures, backoff};
use crate::identified::Unidentified;
use crate::limits;
use crate::read::{news, references};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::reconcile;
use crate::sweep::Sweeper;
use crate::watching::{after_lists, lasting, readable, scoped};

/// The reconciliation's context and the errors of each object, counted for its backoff.
struct Shared {
    context: Context,
    failures: Failures<DataMigration>,
}

/// Runs until the process is asked to stop.
pub async fn run(
    context: Context,
    writers: Writers,
    namespace: Option<&str>,
    ready: Arc<AtomicBool>,
) {
    let (client, cache) = (context.client.clone(), Arc::clone(&context.cache));
    let sweeper = Sweeper::new(client.clone(), Arc::clone(&cache));
    let swept = Arc::clone(&sweeper);
    // Pages: a list from the cache comes whole, whatever its size.
    let paged = watcher::Config::default().page_size(limits::PAGE_OBJECTS_MAX);
    let ours = paged.clone().labels(MIGRATION_UID_LABEL);
    // Only metadata, which may be as large as an object.
    let any = paged.clone();
    let migrations = readable::<DataMigration>(&client, namespace, paged.clone());
    // This watch also wakes other migrations: what they read is at least as new.
    let (to_others, for_others) = mpsc::unbounded();
    let migrations =
        held(migrations, writers.migrations, Arc::clone(&cache)).inspect_ok(move |event| {
            // A migration whose finalizer was removed is deleted without the operator, and its
            // program may still run.
            if let watcher::Event::Delete(gone) = event {
                swept.begin(gone.metadata.namespace.as_deref(), &gone.name_any());
            }
            // The receiver ends only with the process.
            let _ = to_others.unbounded_send(Ok(event.clone()));
        });
    // The operator's own status writes wake no reconcile: the next one is scheduled by time.
    let migrations = migrations.applied_objects().predicate_filter(
        predicates::generation.combine(predicates::finalizers),
        PredicateConfig::default(),
    );
    let jobs = watcher(scoped::<Job>(&client, namespace), ours.clone());
    let jobs = held(jobs, writers.jobs, Arc::clone(&cache));
    let jobs = changed::distinct(jobs, news::of_job).touched_objects();
    let pods = watcher(scoped::<Pod>(&client, namespace), ours);
    let pods = held(pods, writers.pods, Arc::clone(&cache));
    let pods = changed::distinct(pods, news::of_pod).touched_objects();
    let targets = readable::<MigrationTarget>(&client, namespace, paged);
    let targets = lasting(targets).modify(slim::target).reflect(writers.targets);
    // The result of a check is in a target's status and affects no run.
    let targets = changed::specs(after_lists(targets)).touched_objects();
    let files = watcher(scoped::<PartialObjectMeta<ConfigMap>>(&client, namespace), any);
    let files = lasting(files).modify(slim::config_map);
    let files = after_lists(files.reflect(writers.config_maps)).touched_objects();
    let others = changed::distinct(for_others, news::of_other).touched_objects();
    let store = cache.migrations.store().clone();
    let (by_target, by_files, by_other) = (store.clone(), store.clone(), store.clone());
    let shared = Arc::new(Shared { context, failures: Failures::default() });
    let ended = Arc::clone(&shared);
    let reconciles = Controller::for_stream(migrations, store)
        .with_config(Config::default().concurrency(limits::CONCURRENT_RECONCILES))
        .watches_stream(jobs, |job| migration_of(&job))
        .watches_stream(pods, |pod| migration_of(&pod))
        .watches_stream(targets, move |target| {
            referring(&by_target, &target, |migration, name| migration.spec.target.name == name)
        })
        .watches_stream(files, move |map| {
            referring(&by_files, &map, |migration, name| {
                migration.spec.files().is_some_and(|map| map.name == name)
                    || references::config_maps(migration).contains(name)
            })
        })
        .watches_stream(others, move |other| {
            referring(&by_other, &other, |migration, _| news::concerns(migration, &other))
        })
        .shutdown_on_signal()
        .run(reconcile_one, after_error, shared)
        .for_each(|result| {
            if let Err(error) = &result {
                after_reconcile(error, &ended.failures, &sweeper);
            }
            std::future::ready(())
        });
    let filled = async {
        cache.fill().await;
        ready.store(true, Ordering::Relaxed);
    };
    // After the request to stop the watches are no longer polled, so their lists may never
    // complete.
    tokio::select! {
        () = reconciles => {}
        () = async { filled.await; std::future::pending().await } => {}
    }
}

/// Has the cache hold what a watch sees, and passes it on.
fn held<K: Kept + Send + Sync>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
    writer: Writer<K>,
    cache: Arc<Cache>,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send {
    let held = lasting(events)
        .modify(K::slim)
        .reflect(writer)
        .inspect_ok(move |event| K::of(&cache).seen(event));
    after_lists(held)
}

/// The migration that a Job or pod belongs to, by its annotation.
fn migration_of<K: Resource>(object: &K) -> Option<ObjectRef<DataMigration>> {
    let name = object.meta().annotations.as_ref()?.get(MIGRATION_NAME_ANNOTATION)?;
    Some(ObjectRef::new(name).within(object.meta().namespace.as_deref()?))
}

/// The migrations that refer to an object of the same namespace.
fn referring<K: Resource>(
    store: &Store<DataMigration>,
    object: &K,
    refers: impl Fn(&DataMigration, &str) -> bool,
) -> Vec<ObjectRef<DataMigration>> {
    let name = object.name_any();
    store
        .state()
        .iter()
        .filter(|migration| migration.metadata.namespace == object.meta().namespace)
        .filter(|migration| refers(migration, &name))
        .map(|migration| ObjectRef::from_obj(migration.as_ref()))
        .collect()
}

/// A Job or pod whose migration is deleted caused this reconcile. At the start all Jobs and pods
/// do.
fn after_reconcile(
    error: &controller::Error<ReconcileError, watcher::Error>,
    failures: &Failures<DataMigration>,
    sweeper: &Arc<Sweeper>,
) {
    tracing::debug!(%error, "a reconciliation ended with an error");
    if let controller::Error::ObjectNotFound(gone) = error {
        failures.forget(&of_migration(gone));
        sweeper.begin(gone.namespace.as_deref(), &gone.name);
    }
}

/// A reference to a migration, of whose kind kube does not know.
fn of_migration(reference: &ObjectRef<DynamicObject>) -> ObjectRef<DataMigration> {
    let migration = ObjectRef::new(&reference.name);
    match &reference.namespace {
        Some(namespace) => migration.within(namespace),
        None => migration,
    }
}

async fn reconcile_one(
    migration: Arc<DataMigration>,
    shared: Arc<Shared>,
) -> Result<Action, ReconcileError> {
    let metrics = &shared.context.metrics;
    metrics.reconciles.inc();
    // Until then an object that is absent from the cache may exist.
    shared.context.cache.until_filled().await;
    let begun = Instant::now();
    let namespace = migration.namespace().ok_or_else(|| Unidentified::of(&*migration))?;
    let name = migration.name_any();
    let reconciled = Box::pin(reconcile(&shared.context, &namespace, &name));
    // Stopped anywhere, it is as after a crash of the process.
    let result = tokio::time::timeout(limits::RECONCILE_MAX, reconciled).await;
    let result = result.unwrap_or_else(|_| {
        shared.context.cache.forget_written();
        Err(ReconcileError::TooSlow(limits::RECONCILE_MAX))
    });
    metrics.seconds.observe(begun.elapsed().as_secs_f64());
    let next = result?;
    shared.failures.forget(&ObjectRef::from_obj(migration.as_ref()));
    Ok(next.map_or_else(Action::await_change, Action::requeue))
}

// The signature is kube's.
#[allow(clippy::needless_pass_by_value)]
fn after_error(
    migration: Arc<DataMigration>,
    error: &ReconcileError,
    shared: Arc<Shared>,
) -> Action {
    shared.context.metrics.errors.inc();
    let wait = backoff(shared.failures.one_more(ObjectRef::from_obj(migration.as_ref())));
    tracing::warn!(
        migration = migration.name_any(),
        namespace = migration.namespace(),
        error = chain(error),
        again_in_seconds = wait.as_secs_f64(),
        "reconciliation failed"
    );
    Action::requeue(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_an_object_that_is_gone_are_forgotten() {
        let migration = DataMigration::clone(&crate::samples::migration(serde_json::json!({})));
        let failures = Failures::default();
        for count in 1..=3 {
            assert_eq!(failures.one_more(ObjectRef::from_obj(&migration)), count);
        }
        failures.forget(&of_migration(&ObjectRef::from_obj(&migration).erase()));
        assert_eq!(failures.one_more(ObjectRef::from_obj(&migration)), 1);
    }
}
