//! One reconcile of one target: reads its check, writes what follows to status, then acts. What is
//! done is in status first, so the next reconcile repairs a crash in between.

use std::time::Duration;

use dm_api::target_condition::{TargetReason, types};
use dm_api::target_status::MigrationTargetStatus;
use dm_api::{MigrationTarget, TARGET_UID_LABEL};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as PodEvent, Pod, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{ListParams, PostParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Client, Resource as _};

use crate::act::delete::delete;
use crate::act::error::ActError;
use crate::identified::{Identified, Target, Unidentified};
use crate::limits;
use crate::objects::{check, names};
use crate::read::paging;
use crate::target::TargetContext;
use crate::target::decide::{self, Next, Step};
use crate::target::state::{self, Seen, State, Trouble};

/// Why a reconcile of a target is repeated.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Reading the cluster failed.
    #[error("while reading the check of a target")]
    Observe(#[source] kube::Error),
    /// Writing status failed, or somebody else wrote the object first.
    #[error("while writing the status of a target")]
    Status(#[source] kube::Error),
    /// An object was read without its identity.
    #[error(transparent)]
    Unidentified(#[from] Unidentified),
    /// Creating the check failed.
    #[error("while creating the check of a target")]
    Create(#[source] kube::Error),
    /// Deleting the check failed.
    #[error(transparent)]
    Delete(#[from] ActError),
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
}

/// Reconciles a target once. Returns when to do it again.
pub async fn reconcile(
    context: &TargetContext,
    namespace: &str,
    name: &str,
) -> Result<Option<Duration>, TargetError> {
    let api: Api<MigrationTarget> = Api::namespaced(context.client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(TargetError::Observe)?;
    let found = found.filter(|target| target.metadata.deletion_timestamp.is_none());
    let Some(target) = found.map(Target::parse).transpose()? else {
        // Its Job goes with it.
        context.metrics.forget_target(namespace, name);
        return Ok(None);
    };
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    let job = jobs.get_opt(&names::check(name)).await.map_err(TargetError::Observe)?;
    let job = job.map(Identified::parse).transpose()?;
    let now = (context.clock)();
    let state = observe(context, &target, job.as_ref()).await.map_err(TargetError::Observe)?;
    let mut next = decide::decide(&target, &state, now);
    if next.step == Step::Create && is_without_account(&context.client, &target).await? {
        let trouble = state::without_account(&target);
        next = decide::rejected(&target, &next.status, &trouble, now);
    }
    let written = write(context, &api, &target, &next.status).await?;
    match next.step {
        Step::Wait => {}
        Step::Delete => {
            if let Some(job) = &job {
                delete(&jobs, job).await?;
            }
        }
        Step::Create => {
            if let Some(trouble) = create(context, &jobs, &written).await? {
                let Next { status, again, .. } =
                    decide::rejected(&written, &next.status, &trouble, now);
                write(context, &api, &written, &status).await?;
                return Ok(Some(again));
            }
        }
    }
    Ok(Some(next.again))
}

/// Reads how far the check is.
async fn observe(
    context: &TargetContext,
    target: &Target,
    job: Option<&Identified<Job>>,
) -> Result<State, kube::Error> {
    let (mut pods, mut refused) = (Vec::new(), None);
    if let Some(job) = job.filter(|job| state::is_own(target, job)) {
        let api: Api<Pod> = Api::namespaced(context.client.clone(), target.namespace());
        let ours = format!("{TARGET_UID_LABEL}={}", target.uid());
        pods = paging::all(&api, &ListParams::default().labels(&ours)).await?;
        if pods.is_empty() {
            refused = refusal(&context.client, job).await;
        }
    }
    let seen = Seen { target, job, pods: &pods, refused: refused.as_deref() };
    Ok(state::state(seen, &context.settings, (context.clock)()))
}

/// Why the Job controller could not create the pod of a Job, by its last event. Best effort.
async fn refusal(client: &Client, job: &Identified<Job>) -> Option<String> {
    let events: Api<PodEvent> = Api::namespaced(client.clone(), job.namespace());
    let of_job = format!("involvedObject.uid={},reason=FailedCreate", job.uid());
    let params = ListParams::default().fields(&of_job).limit(limits::EVENTS_READ_MAX);
    let found = match events.list(&params).await {
        Ok(found) => found.items,
        Err(error) => {
            tracing::warn!(%error, "the events of a check without a pod were not read");
            return None;
        }
    };
    let time = |event: &PodEvent| event.last_timestamp.as_ref().map(|time| time.0);
    found.into_iter().max_by_key(time)?.message
}

/// Whether the target names a ServiceAccount that does not exist.
async fn is_without_account(client: &Client, target: &Target) -> Result<bool, TargetError> {
    let Some(name) = check::service_account(target) else { return Ok(false) };
    // A name that is no name is no object, and gets into no request.
    let Some(name) = dm_api::name::DnsName::parse(name) else { return Ok(true) };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), target.namespace());
    let found = accounts.get_opt(name.as_str()).await.map_err(TargetError::Observe)?;
    Ok(found.is_none())
}

/// Creates the check. Returns why it was rejected, if it was.
async fn create(
    context: &TargetContext,
    jobs: &Api<Job>,
    target: &Target,
) -> Result<Option<Trouble>, TargetError> {
    if context.settings.network_policy_from.is_some() {
        let policies: Api<NetworkPolicy> =
            Api::namespaced(context.client.clone(), target.namespace());
        let created = policies.create(&PostParams::default(), &check::policy(target)).await;
        if let Some(trouble) = rejection("NetworkPolicy", created.map(drop))? {
            return Ok(Some(trouble));
        }
    }
    let job = check::build(target, &context.settings);
    rejection("Job", jobs.create(&PostParams::default(), &job).await.map(drop))
}

/// One that exists was created by an earlier attempt, or the next reconcile sees whose it is.
fn rejection(kind: &str, created: Result<(), kube::Error>) -> Result<Option<Trouble>, TargetError> {
    match created {
        Ok(()) => Ok(None),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            Ok(Some(Trouble {
                reason: TargetReason::ObjectRefused,
                message: format!(
                    "the API server rejected the check's {kind}: {}. Change that quota or rule; \
                     the check starts again automatically",
                    status.message
                ),
                is_fault: false,
            }))
        }
        Err(source) => Err(TargetError::Create(source)),
    }
}

/// Writes status if it differs, tied to the version that was read, then publishes a change of
/// `Ready`.
async fn write(
    context: &TargetContext,
    api: &Api<MigrationTarget>,
    target: &Target,
    new: &MigrationTargetStatus,
) -> Result<Target, TargetError> {
    let old = target.status.clone().unwrap_or_default();
    let is_ready = new.condition(types::READY).is_some_and(|ready| ready.status == "True");
    context.metrics.note_target(target.namespace(), target.name(), is_ready);
    if old == *new {
        return Ok(target.clone());
    }
    let mut object = MigrationTarget::clone(target);
    object.status = Some(new.clone());
    object.metadata.managed_fields = None;
    let written = api
        .replace_status(target.name(), &PostParams::default(), &object)
        .await
        .map_err(TargetError::Status)?;
    let written = Target::parse(written)?;
    publish_ready(context, &written, &old, new).await;
    Ok(written)
}

/// Publishes an event when `Ready` has another status or reason. A check that begins is no news.
async fn publish_ready(
    context: &TargetContext,
    target: &Target,
    old: &MigrationTargetStatus,
    new: &MigrationTargetStatus,
) {
    let Some(ready) = new.condition(types::READY) else { return };
    let before = old.condition(types::READY).map(|ready| (&ready.status, &ready.reason));
    if before == Some((&ready.status, &ready.reason))
        || ready.reason == TargetReason::Checking.as_str()
    {
        return;
    }
    let event = Event {
        type_: if ready.status == "True" { EventType::Normal } else { EventType::Warning },
        reason: ready.reason.clone(),
        note: Some(ready.message.clone()),
        action: "Check".into(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &target.object_ref(&())).await {
        // Status holds the same.
        tracing::warn!(%error, target = target.name(), "an event was lost");
    }
}
