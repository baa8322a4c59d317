//! One reconcile of one migration: observe, validate, decide, write status, act. What is done is in status
//! first, so the next reconcile finds and repairs a crash in between.

use std::sync::Arc;
use std::time::Duration;

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::status::{DataMigrationStatus, Phase, RunRecord};
use jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::events::Recorder;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::Mutex;

use crate::act::adopt::Created;
use crate::act::isolate::Isolation;
use crate::act::{self, ActError, recorders, release};
use crate::cache::{Cache, slim};
use crate::cluster::Cluster;
use crate::decide::fresh::{self, Fresh};
use crate::decide::position::{Position, Standing};
use crate::decide::{self, Situation, Step};
use crate::limits;
use crate::metrics::Metrics;
use crate::objects::Settings;
use crate::publish;
use crate::read::observe::{self, Observed};
use crate::read::recorders::RecordJob;
use crate::read::references;
use crate::read::view::RunObjects;
use crate::runnable::{Problem, Runnable};
use crate::status;
use crate::sweep;
use crate::validate;

/// What every reconciliation needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What the watches hold.
    pub cache: Arc<Cache>,
    /// Where events go.
    pub recorder: Recorder,
    /// What runs need.
    pub settings: Settings,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Jobs that this process has created.
    pub created: Arc<Created>,
    /// Held by the reconcile whose run begins or is let go.
    pub turn: Mutex<()>,
    /// The clock; the only one.
    pub clock: fn() -> Timestamp,
}

impl Context {
    /// Returns the API server, and what the watches hold of it.
    pub fn cluster(&self) -> Cluster<'_> {
        Cluster { client: &self.client, cache: &self.cache }
    }
}

/// Why a reconciliation has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Reading the cluster failed.
    #[error("while reading the cluster")]
    Observe(#[source] kube::Error),
    /// Writing status failed, or somebody else wrote the object meanwhile.
    #[error("while writing status")]
    Status(#[source] kube::Error),
    /// Acting failed.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// Reconciles a migration once. Returns when to do it again.
pub async fn reconcile(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Duration>, ReconcileError> {
    let Some(migration) = read(context, namespace, name).await? else {
        sweep::sweep(context.cluster(), namespace, name).await?;
        return Ok(None);
    };
    let result = Box::pin(step(context, migration)).await;
    if result.is_err() {
        context.cache.forget_written();
    }
    result
}

/// Reads the migration. That of the cache is as good as one that was read a moment ago: status is written, and Jobs
/// are changed, only if their versions are still the same.
async fn read(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<DataMigration>, ReconcileError> {
    let held = context.cache.migrations.get(namespace, name);
    match held {
        Some(migration) if slim::is_cut(&migration) => {
            let api: Api<DataMigration> = context.cluster().api(namespace);
            api.get_opt(name).await.map_err(ReconcileError::Observe)
        }
        Some(migration) => Ok(Some(migration.as_ref().clone())),
        None => Ok(None),
    }
}

async fn step(
    context: &Context,
    mut migration: DataMigration,
) -> Result<Option<Duration>, ReconcileError> {
    let mut fresh = Fresh::default();
    let mut turn = None;
    // Each round reads more from the API server, and there are four kinds of it.
    let (seen, step) = loop {
        let seen = Seen::read(context, &migration, fresh).await?;
        let step = seen.with(context, &migration, decide::decide);
        let needed = fresh.and(fresh::needed(&step));
        if needed == fresh {
            break (seen, step);
        }
        if needed.takes_turn() && turn.is_none() {
            turn = Some(context.turn.lock().await);
        }
        fresh = needed;
    };
    // Somebody may have taken it away from under a run.
    if (seen.run.is_some() || matches!(step, Step::Begin { .. }))
        && decide::release::needs_hold(&migration)
    {
        match release::hold(context.cluster(), &migration).await? {
            Some(held) => migration = held,
            None => return Ok(Some(Duration::ZERO)),
        }
    }
    let step = record(context, &migration, &seen, step).await?;
    let new = seen.with(context, &migration, |situation| status::next(situation, &step));
    let written = write(context, &migration, &new).await?;
    match Box::pin(act(context, &seen, &step, &written)).await {
        Ok(()) => Ok(seen.with(context, &migration, |situation| again(&step, situation))),
        Err(error) => {
            let (reason, message) = refusal(context, &migration, error).await?;
            let position = Position::new(Phase::Stalled, Standing::Stalled, reason, message);
            let step = Step::Rest(position);
            let new = seen.with(context, &written, |situation| status::next(situation, &step));
            write(context, &written, &new).await?;
            Ok(Some(limits::POLL_WAITING))
        }
    }
}

/// Records in the archive how earlier runs ended. If a recording Job is refused, the status of a migration at rest
/// reports that instead; there is one status write.
async fn record(
    context: &Context,
    migration: &DataMigration,
    seen: &Seen,
    step: Step,
) -> Result<Step, ReconcileError> {
    let (cluster, runnable) = (context.cluster(), seen.runnable.as_ref().ok());
    let settings = &context.settings;
    let recorded = recorders::record(cluster, migration, &seen.observed, runnable, settings).await;
    let Err(error) = recorded else { return Ok(step) };
    let (reason, message) = refusal(context, migration, error).await?;
    Ok(match step {
        Step::Rest(position) => {
            let refused = Position::new(Phase::Stalled, Standing::Stalled, reason, message);
            Step::Rest(Position { next: position.next, ..refused })
        }
        other => other,
    })
}

/// What was read, checked.
struct Seen {
    observed: Observed,
    runnable: Result<Runnable, Problem>,
    /// The run under way.
    run: Option<RunRecord>,
    recorders: Vec<RecordJob>,
    is_complete: bool,
    now: Timestamp,
}

impl Seen {
    async fn read(
        context: &Context,
        migration: &DataMigration,
        fresh: Fresh,
    ) -> Result<Self, ReconcileError> {
        let now = (context.clock)();
        let observed = observe::observe(context.cluster(), migration, fresh, now)
            .await
            .map_err(ReconcileError::Observe)?;
        let sources = &observed.sources;
        let runnable = validate::validate(
            migration,
            sources.target.as_ref(),
            sources.missing_account.as_deref(),
            &sources.files,
        )
        .and_then(|runnable| references::settle(migration, runnable, &sources.references));
        let status = migration.status.as_ref();
        let run = status.and_then(|status| status.runs.first()).filter(|run| !run.result.is_over());
        let job = run.and_then(|run| observed.job_of(run));
        Ok(Self {
            runnable,
            run: run.cloned(),
            recorders: crate::read::recorders::recorders(&observed.jobs),
            is_complete: job.is_some_and(|job| context.created.has(job)),
            now,
            observed,
        })
    }

    fn with<T>(
        &self,
        context: &Context,
        migration: &DataMigration,
        of: impl FnOnce(Situation<'_>) -> T,
    ) -> T {
        let run = self.run.as_ref();
        let pods = run.map(|run| self.observed.pods(run.number)).unwrap_or_default();
        let job = run.and_then(|run| self.observed.job_of(run));
        of(Situation {
            migration,
            runnable: self.runnable.as_ref(),
            dependencies: &self.observed.dependencies,
            objects: RunObjects { job, pods: &pods },
            is_complete: self.is_complete,
            guard: self.observed.guard.as_ref(),
            control: self.observed.control.as_ref(),
            restore: self.observed.restore.as_ref(),
            holders: &self.observed.holders,
            recorders: &self.recorders,
            agent_image: &context.settings.agent_image,
            now: self.now,
        })
    }
}

/// Writes status if it differs, tied to the version that was read: who decided on an old
/// object gets a conflict and starts over.
async fn write(
    context: &Context,
    migration: &DataMigration,
    new: &DataMigrationStatus,
) -> Result<DataMigration, ReconcileError> {
    let old = migration.status.clone().unwrap_or_default();
    if old == *new {
        return Ok(migration.clone());
    }
    let mut object = migration.clone();
    object.status = Some(new.clone());
    object.metadata.managed_fields = None;
    let cluster = context.cluster();
    let api: Api<DataMigration> = cluster.api(&migration.namespace().unwrap_or_default());
    let written = api
        .replace_status(&migration.name_any(), &PostParams::default(), &object)
        .await
        .map_err(ReconcileError::Status)?;
    cluster.note(migration.metadata.resource_version.as_deref(), written.clone());
    publish::count(&context.metrics, &old, new);
    publish::tell(&context.recorder, migration, &old, new).await;
    Ok(written)
}

async fn act(
    context: &Context,
    seen: &Seen,
    step: &Step,
    written: &DataMigration,
) -> Result<(), ActError> {
    let (cluster, observed) = (context.cluster(), &seen.observed);
    let released = release::release(cluster, written, observed).await?;
    let job = seen.run.as_ref().and_then(|run| observed.job_of(run));
    match (step, &seen.run) {
        (Step::Begin { record, .. }, _) => create(context, seen, written, record).await,
        (Step::Create(_), Some(run)) => create(context, seen, written, run).await,
        (Step::Launch { .. }, Some(run)) => match job {
            Some(job) => {
                let from = context.settings.network_policy_from.as_deref();
                let isolation = from.zip(observed.sources.target.as_ref());
                let isolation = isolation
                    .map(|(operator_namespace, target)| Isolation { target, operator_namespace });
                act::launch(cluster, written, run, job, isolation).await
            }
            None => Ok(()),
        },
        (Step::Suspend { .. }, Some(_)) => match job {
            Some(job) => act::set_suspended(cluster, job, true).await,
            None => Ok(()),
        },
        (Step::Follow { adjustment, deadline, .. }, Some(_)) => {
            if let Some(adjustment) = adjustment {
                act::adjust(observed, written, adjustment).await;
            }
            match (deadline, job) {
                (Some(deadline), Some(job)) => act::set_deadline(cluster, job, *deadline).await,
                (Some(_) | None, _) => Ok(()),
            }
        }
        (Step::Stop { reason, .. }, Some(run)) => {
            act::stop_run(cluster, observed, run, *reason).await
        }
        (Step::Release, _) => release::let_go(cluster, written).await,
        // Held only while a run is open: without us, it can be deleted all the same.
        (Step::Rest(_), None) if released && decide::release::may_vanish(written) => {
            release::let_go(cluster, written).await
        }
        (
            Step::Rest(_)
            | Step::Baseline { .. }
            | Step::Follow { .. }
            | Step::Finish(_)
            | Step::Discard
            | Step::GiveWay(_)
            | Step::Create(_)
            | Step::Launch { .. }
            | Step::Suspend { .. }
            | Step::Stop { .. },
            _,
        ) => Ok(()),
    }
}

async fn create(
    context: &Context,
    seen: &Seen,
    written: &DataMigration,
    record: &RunRecord,
) -> Result<(), ActError> {
    // `decide` creates nothing that was not validated.
    let Ok(runnable) = &seen.runnable else { return Ok(()) };
    let (cluster, created) = (context.cluster(), &context.created);
    act::create_run(cluster, created, written, record, runnable, &context.settings).await
}

/// What is said of an object that could not be created as it must be. Other errors are tried again.
async fn refusal(
    context: &Context,
    migration: &DataMigration,
    error: ActError,
) -> Result<(Reason, String), ReconcileError> {
    match error {
        ActError::Refused { object, message } => {
            Ok((Reason::ObjectRefused, format!("the API server refused {object}: {message}")))
        }
        ActError::NameTaken { object } => {
            let namespace = migration.namespace().unwrap_or_default();
            sweep::sweep(context.cluster(), &namespace, &migration.name_any()).await?;
            let message = format!(
                "{object} exists and belongs to another owner, perhaps a deleted migration of the same name \
                 that is being cleaned up. If it stays, delete it"
            );
            Ok((Reason::NameTaken, message))
        }
        ActError::NotAsCreated { job, run } => {
            let message = format!(
                "Job {job} has the name of run {run} and is not what the operator creates: its content \
                 differs. Nothing was run. Delete it, and the run starts"
            );
            Ok((Reason::NameTaken, message))
        }
        other @ (ActError::Random(_) | ActError::Transient { .. }) => Err(other.into()),
    }
}

/// When to reconcile again even if nothing happens.
fn again(step: &Step, situation: Situation<'_>) -> Option<Duration> {
    match step {
        Step::Rest(position) => Some(match (position.next, position.standing) {
            (Some(next), _) => {
                let left = next.duration_since(situation.now).unsigned_abs();
                left.clamp(Duration::from_millis(100), limits::POLL_RESTING)
            }
            (None, _) if position.reason == Reason::LockedByAnother => limits::POLL_TURN,
            (None, Standing::Reconciling | Standing::Stalled) if waits_unwatched(position) => {
                limits::POLL_WAITING
            }
            (None, _) => limits::POLL_RESTING,
        }),
        Step::Launch { .. } | Step::Suspend { .. } => Some(limits::POLL_RUNNING),
        Step::Follow { adjustment: Some(_), .. } => Some(limits::POLL_ADJUSTED),
        Step::Follow { execution_time, .. } => Some(progress_interval(*execution_time, situation)),
        Step::Stop { .. } => Some(Duration::from_secs(2)),
        // What follows is decided on the status just written: a new Job is let go, an end settled.
        Step::Begin { .. }
        | Step::Baseline { .. }
        | Step::Create(_)
        | Step::Finish(_)
        | Step::Discard => Some(Duration::ZERO),
        Step::GiveWay(_) => Some(limits::POLL_TURN),
        Step::Release => None,
    }
}

/// A short run is asked often, a long one seldom.
fn progress_interval(started: Option<Timestamp>, situation: Situation<'_>) -> Duration {
    let age = started.map(|started| situation.now.duration_since(started).unsigned_abs());
    match age {
        Some(age) if age < limits::PROGRESS_SLOWS_AFTER => limits::POLL_PROGRESS,
        Some(_) | None => limits::POLL_RUNNING,
    }
}

/// Whether it waits for something whose change no watch of ours tells.
fn waits_unwatched(position: &Position) -> bool {
    matches!(
        position.reason,
        Reason::ObjectRefused | Reason::NameTaken | Reason::ServiceAccountNotFound
    )
}
