//! The loop of targets: what wakes a reconcile, and how long errors wait.

use std::sync::Arc;

use dm_api::{MigrationTarget, TARGET_NAME_ANNOTATION, TARGET_UID_LABEL};
use dm_contract::error_chain::chain;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{PredicateConfig, WatchStreamExt as _, predicates, reflector, watcher};
use kube::{Resource, ResourceExt as _};

use crate::failures::{Failures, backoff};
use crate::identified::Unidentified;
use crate::limits;
use crate::target::TargetContext;
use crate::target::reconcile::{TargetError, reconcile};
use crate::watching::{after_lists, lasting, readable, scoped};

/// The context and the errors of each target, counted for its backoff.
struct Shared {
    context: TargetContext,
    failures: Failures<MigrationTarget>,
}

/// Runs until the process is asked to stop.
pub async fn run(context: TargetContext, namespace: Option<&str>) {
    let client = context.client.clone();
    let (store, writer) = reflector::store();
    let paged = watcher::Config::default().page_size(limits::PAGE_OBJECTS_MAX);
    let metrics = Arc::clone(&context.metrics);
    let targets = lasting(readable::<MigrationTarget>(&client, namespace, paged))
        .modify(|target| target.metadata.managed_fields = None)
        .inspect_ok(move |event| {
            if let watcher::Event::Delete(gone) = event
                && let Some(namespace) = gone.namespace()
            {
                metrics.forget_target(&namespace, &gone.name_any());
            }
        })
        .reflect(writer);
    let targets = after_lists(targets)
        .applied_objects()
        // A reconcile's own status write wakes no other: the next check is scheduled by time.
        .predicate_filter(predicates::generation, PredicateConfig::default());
    let ours = watcher::Config::default().labels(TARGET_UID_LABEL);
    let jobs = watcher(scoped::<PartialObjectMeta<Job>>(&client, namespace), ours.clone());
    let pods = watcher(scoped::<PartialObjectMeta<Pod>>(&client, namespace), ours);
    let shared = Arc::new(Shared { context, failures: Failures::default() });
    let ended = Arc::clone(&shared);
    Controller::for_stream(targets, store)
        .with_config(Config::default().concurrency(limits::CONCURRENT_CHECKS))
        .watches_stream(lasting(jobs).touched_objects(), |job| target_of(&job))
        .watches_stream(lasting(pods).touched_objects(), |pod| target_of(&pod))
        .shutdown_on_signal()
        .run(reconcile_one, after_error, shared)
        .for_each(|result| {
            if let Err(error) = &result {
                tracing::debug!(%error, "a reconcile of a target ended with an error");
                // It was deleted while it was looked at.
                if let controller::Error::ObjectNotFound(gone) = error
                    && let Some(namespace) = &gone.namespace
                {
                    ended.context.metrics.forget_target(namespace, &gone.name);
                    ended.failures.forget(&ObjectRef::new(&gone.name).within(namespace));
                }
            }
            std::future::ready(())
        })
        .await;
}

/// The target that a Job or pod checks, by its annotation. Whose it is, the reconcile finds out.
fn target_of<K: Resource>(object: &PartialObjectMeta<K>) -> Option<ObjectRef<MigrationTarget>> {
    let name = object.metadata.annotations.as_ref()?.get(TARGET_NAME_ANNOTATION)?;
    Some(ObjectRef::new(name).within(object.metadata.namespace.as_deref()?))
}

async fn reconcile_one(
    target: Arc<MigrationTarget>,
    shared: Arc<Shared>,
) -> Result<Action, TargetError> {
    let namespace = target.namespace().ok_or_else(|| Unidentified::of(&*target))?;
    let name = target.name_any();
    let reconciled = Box::pin(reconcile(&shared.context, &namespace, &name));
    let next = tokio::time::timeout(limits::RECONCILE_MAX, reconciled).await;
    let next = next.unwrap_or(Err(TargetError::TooSlow(limits::RECONCILE_MAX)))?;
    shared.failures.forget(&ObjectRef::from_obj(target.as_ref()));
    Ok(next.map_or_else(Action::await_change, Action::requeue))
}

// The signature is kube's.
#[allow(clippy::needless_pass_by_value)]
fn after_error(target: Arc<MigrationTarget>, error: &TargetError, shared: Arc<Shared>) -> Action {
    shared.context.metrics.errors.inc();
    let wait = backoff(shared.failures.one_more(ObjectRef::from_obj(target.as_ref())));
    tracing::warn!(
        target_name = target.name_any(),
        namespace = target.namespace(),
        error = chain(error),
        again_in_seconds = wait.as_secs_f64(),
        "the reconcile of a target failed"
    );
    Action::requeue(wait)
}
