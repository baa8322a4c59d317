//! One reconcile of one migration: observe, validate, decide, write status, act. What is done is in status
//! first, so the next reconcile finds and repairs a crash in between.

use std::sync::Arc;
use std::time::Duration;

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::status::{DataMigrationStatus, Phase, RunRecord};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::PostParams;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client, Resource as _, ResourceExt as _};

use crate::act::adopt::Created;
use crate::act::isolate::Isolation;
use crate::act::{self, ActError, release};
use crate::decide::position::{Position, Standing};
use crate::decide::recording;
use crate::decide::{self, Situation, Step};
use crate::history;
use crate::limits;
use crate::metrics::{Metrics, RunLabels};
use crate::objects::{self, Settings, record};
use crate::read::dependencies::Dependencies;
use crate::read::observe::{self, Observed};
use crate::read::recorders::{self, RecordJob};
use crate::read::references;
use crate::read::view::{self, JobEnd, RunObjects};
use crate::runnable::{Problem, Runnable};
use crate::status;
use crate::status::events;
use crate::sweep;
use crate::validate;

/// What every reconciliation needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Where events go.
    pub recorder: Recorder,
    /// What runs need.
    pub settings: Settings,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Jobs that this process has created.
    pub created: Arc<Created>,
    /// The clock; the only one.
    pub clock: fn() -> Timestamp,
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
    let api: Api<DataMigration> = Api::namespaced(context.client.clone(), namespace);
    let Some(migration) = api.get_opt(name).await.map_err(ReconcileError::Observe)? else {
        sweep::sweep(&context.client, namespace, name).await?;
        return Ok(None);
    };
    let observed =
        observe::observe(&context.client, &migration).await.map_err(ReconcileError::Observe)?;
    let released = release::release(&context.client, &migration, &observed).await?;
    let runnable = validate::validate(
        &migration,
        observed.target.as_ref(),
        observed.missing_account.as_deref(),
        &observed.files,
    )
    .and_then(|runnable| references::settle(&migration, runnable, &observed.references));
    let reconciliation =
        Reconciliation { context, api: &api, migration: &migration, observed: &observed, released };
    Box::pin(reconciliation.step(runnable.as_ref())).await
}

/// One reconcile, after everything was read.
struct Reconciliation<'a> {
    context: &'a Context,
    api: &'a Api<DataMigration>,
    migration: &'a DataMigration,
    observed: &'a Observed,
    /// Whether no Job or pod of the migration is held any more.
    released: bool,
}

impl Reconciliation<'_> {
    async fn step(
        &self,
        runnable: Result<&Runnable, &Problem>,
    ) -> Result<Option<Duration>, ReconcileError> {
        let run = self.active_run();
        let pods = run.as_ref().map(|run| self.observed.pods(run.number)).unwrap_or_default();
        let job = run.as_ref().and_then(|run| self.observed.job_of(run));
        let recorders = recorders::recorders(&self.observed.jobs);
        let others;
        let mut situation = Situation {
            migration: self.migration,
            runnable,
            dependencies: &Dependencies::default(),
            objects: RunObjects { job, pods: &pods },
            guard: self.observed.guard.as_ref(),
            control: self.observed.control.as_ref(),
            restore: self.observed.restore.as_ref(),
            holders: &[],
            recorders: &recorders,
            agent_image: &self.context.settings.agent_image,
            now: (self.context.clock)(),
        };
        let mut step = decide::decide(situation);
        if decide::queue::asks_others(&step) {
            let target = self.observed.target.as_ref();
            others = observe::others(&self.context.client, self.migration, target)
                .await
                .map_err(ReconcileError::Observe)?;
            situation = Situation {
                dependencies: &others.dependencies,
                holders: &others.holders,
                ..situation
            };
            step = decide::decide(situation);
        }
        if let (Some(run), Some(job)) = (&run, job)
            && self.is_foreign(&step, runnable, run, job).await?
        {
            let message = format!(
                "Job {} has the name of run {} and is not what the operator creates: its content differs, or \
                 it was started by somebody else. Nothing was run. Delete it, and the run goes on",
                run.job, run.number
            );
            return self.refused(self.migration, situation, Reason::NameTaken, message).await;
        }
        // Somebody may have taken it away from under a run.
        if (run.is_some() || matches!(step, Step::Begin { .. }))
            && decide::release::needs_hold(self.migration)
        {
            // Taking hold changes the object; its watch brings us back with the new version.
            release::hold(&self.context.client, self.migration).await?;
            return Ok(Some(Duration::ZERO));
        }
        let new = status::next(situation, &step);
        let written = self.write(&new).await?;
        let acted = match Box::pin(self.record(&recorders, runnable)).await {
            Ok(()) => self.act(&step, runnable, run.as_ref(), &written).await,
            Err(error) => Err(error),
        };
        match acted {
            Err(ActError::Refused { object, message }) => {
                self.refused(
                    &written,
                    situation,
                    Reason::ObjectRefused,
                    format!("the API server refused {object}: {message}"),
                )
                .await
            }
            Err(ActError::NameTaken { object }) => {
                let namespace = self.migration.namespace().unwrap_or_default();
                let name = self.migration.name_any();
                sweep::sweep(&self.context.client, &namespace, &name).await?;
                self.refused(
                    &written,
                    situation,
                    Reason::NameTaken,
                    format!(
                        "{object} exists and belongs to another owner, perhaps a deleted migration of the \
                         same name that is being cleaned up. If it stays, delete it"
                    ),
                )
                .await
            }
            Err(other) => Err(other.into()),
            Ok(()) => Ok(again(&step, situation)),
        }
    }

    /// Whether the Job of a run that was not let go yet is somebody else's. Ours stays suspended until its
    /// uid is in status.
    async fn is_foreign(
        &self,
        step: &Step,
        runnable: Result<&Runnable, &Problem>,
        run: &RunRecord,
        job: &Job,
    ) -> Result<bool, ActError> {
        if run.job_uid.is_some() || job.metadata.deletion_timestamp.is_some() {
            return Ok(false);
        }
        let suspended = job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false);
        if !suspended || view::job_end(job) != JobEnd::No {
            return Ok(true);
        }
        let context = self.context;
        if !matches!(step, Step::Launch { .. }) || context.created.has(job) {
            return Ok(false);
        }
        // What cannot be compared is not let go.
        let Ok(runnable) = runnable else { return Ok(true) };
        let mut built = objects::job::build(self.migration, run, runnable, &context.settings);
        // Its value is not compared.
        objects::control::give(&mut built, "");
        Ok(!act::is_as_created(&context.client, &context.created, job, &built).await?)
    }

    /// Has the archive told how runs ended whose guards could not.
    async fn record(
        &self,
        recorders: &[RecordJob],
        runnable: Result<&Runnable, &Problem>,
    ) -> Result<(), ActError> {
        let status = self.migration.status.clone().unwrap_or_default();
        let client = &self.context.client;
        for run in recording::outstanding(&status, recorders) {
            let settings = &self.context.settings;
            if let Some(recorder) = recorders.iter().find(|recorder| recorder.run == run.number) {
                self.replace_recorder(recorder).await?;
                continue;
            }
            if history::is_baseline(run) {
                if let Ok(runnable) = runnable {
                    let (client, settings) = (&self.context.client, &self.context.settings);
                    act::record_baseline(client, self.migration, run, runnable, settings).await?;
                }
                continue;
            }
            // Somebody removed the Job with its finalizer: another like it tells where the archive is.
            let built = |r: &Runnable| objects::job::build(self.migration, run, r, settings);
            let job = self.observed.job_of(run).cloned().or_else(|| runnable.ok().map(built));
            let Some(job) = job else { continue };
            let recorded = act::record(client, self.migration, run, &job, settings).await;
            let deleting = self.migration.metadata.deletion_timestamp.is_some();
            match recorded {
                // A namespace that is going takes no new Job: its migration must not hold it up.
                Err(ActError::Refused { .. }) if deleting => {
                    release::let_go(&self.context.client, self.migration).await?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Deletes a Job that notes an end and may be waiting for an image that nobody has any more; the next
    /// reconcile creates another.
    async fn replace_recorder(&self, recorder: &RecordJob) -> Result<(), ActError> {
        let is_it = |job: &&Job| recorders::recorder_of(job) == Some(recorder.run);
        let settings = &self.context.settings;
        match self.observed.jobs.iter().find(is_it) {
            Some(job) if recorder.end == JobEnd::No && record::is_outdated(job, settings) => {
                release::discard(&self.context.client, job).await
            }
            Some(_) | None => Ok(()),
        }
    }

    fn active_run(&self) -> Option<RunRecord> {
        let status = self.migration.status.as_ref()?;
        status.runs.first().filter(|run| !run.result.is_over()).cloned()
    }

    /// Writes status if it differs, tied to the version that was read: who decided on an old
    /// object gets a conflict and starts over.
    async fn write(&self, new: &DataMigrationStatus) -> Result<DataMigration, ReconcileError> {
        let old = self.migration.status.clone().unwrap_or_default();
        if old == *new {
            return Ok(self.migration.clone());
        }
        let mut object = self.migration.clone();
        object.status = Some(new.clone());
        object.metadata.managed_fields = None;
        let written = self
            .api
            .replace_status(&self.migration.name_any(), &PostParams::default(), &object)
            .await
            .map_err(ReconcileError::Status)?;
        self.count(&old, new);
        self.tell(&old, new).await;
        Ok(written)
    }

    fn count(&self, old: &DataMigrationStatus, new: &DataMigrationStatus) {
        for run in new.runs.iter().filter(|run| run.result.is_over()) {
            let before = old.runs.iter().find(|before| before.number == run.number);
            if before.is_some_and(|before| before.result.is_over()) {
                continue;
            }
            let labels = RunLabels {
                kind: format!("{:?}", run.kind),
                result: format!("{:?}", run.result),
                reason: run.reason.map(|reason| reason.to_string()).unwrap_or_default(),
            };
            self.context.metrics.runs.get_or_create(&labels).inc();
        }
    }

    async fn tell(&self, old: &DataMigrationStatus, new: &DataMigrationStatus) {
        let reference = self.migration.object_ref(&());
        for told in events::between(old, new) {
            let event = Event {
                type_: if told.warning { EventType::Warning } else { EventType::Normal },
                reason: told.reason,
                note: Some(told.note),
                action: "Reconcile".into(),
                secondary: told.job.map(|job| ObjectReference {
                    api_version: Some("batch/v1".into()),
                    kind: Some("Job".into()),
                    namespace: self.migration.namespace(),
                    name: Some(job),
                    ..ObjectReference::default()
                }),
            };
            if let Err(error) = self.context.recorder.publish(&event, &reference).await {
                // Status holds the same; an event is only its echo.
                tracing::warn!(%error, migration = self.migration.name_any(), "an event was lost");
            }
        }
    }

    async fn act(
        &self,
        step: &Step,
        runnable: Result<&Runnable, &Problem>,
        run: Option<&RunRecord>,
        written: &DataMigration,
    ) -> Result<(), ActError> {
        let client = &self.context.client;
        let create = |record| async move {
            match runnable {
                Ok(runnable) => {
                    let settings = &self.context.settings;
                    let created = &self.context.created;
                    act::create_run(client, created, self.migration, record, runnable, settings)
                        .await
                }
                // `decide` creates nothing that was not validated.
                Err(_) => Ok(()),
            }
        };
        match (step, run) {
            (Step::Begin { record, .. }, _) => create(record).await,
            (Step::Create(_), Some(run)) => create(run).await,
            (Step::Launch { .. }, Some(run)) => match self.observed.job_of(run) {
                Some(job) => {
                    let from = self.context.settings.network_policy_from.as_deref();
                    let isolation = from.zip(self.observed.target.as_ref());
                    let isolation = isolation.map(|(operator_namespace, target)| Isolation {
                        target,
                        operator_namespace,
                    });
                    act::launch(client, self.migration, run, job, isolation).await
                }
                None => Ok(()),
            },
            (Step::Suspend { .. }, Some(run)) => match self.observed.job_of(run) {
                Some(job) => act::set_suspended(client, job, true).await,
                None => Ok(()),
            },
            (Step::Follow { adjustment, deadline, .. }, Some(run)) => {
                if let Some(adjustment) = adjustment {
                    act::adjust(self.observed, self.migration, adjustment).await;
                }
                match (deadline, self.observed.job_of(run)) {
                    (Some(deadline), Some(job)) => act::set_deadline(client, job, *deadline).await,
                    (Some(_) | None, _) => Ok(()),
                }
            }
            (Step::Stop { reason, .. }, Some(run)) => {
                act::stop_run(client, self.observed, run, *reason).await
            }
            (Step::Release, _) => release::let_go(client, self.migration).await,
            // Held only while a run is open: without us, it can be deleted all the same.
            (Step::Rest(_), None) if self.released && decide::release::may_vanish(written) => {
                release::let_go(client, written).await
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

    /// Says that an object was refused, after the step had been said.
    async fn refused(
        &self,
        written: &DataMigration,
        situation: Situation<'_>,
        reason: Reason,
        message: String,
    ) -> Result<Option<Duration>, ReconcileError> {
        let position = Position::new(Phase::Stalled, Standing::Stalled, reason, message);
        let situation = Situation { migration: written, ..situation };
        let new = status::next(situation, &Step::Rest(position));
        let reconciliation = Reconciliation { migration: written, ..*self };
        reconciliation.write(&new).await?;
        Ok(Some(limits::POLL_WAITING))
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
