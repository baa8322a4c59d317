//! One reconcile of one migration: observe, validate, decide, write status, act. What is done is in
//! status first, so the next reconcile finds and repairs a crash in between.

use std::time::Duration;

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::status::{DataMigrationStatus, Phase};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use crate::act::{ActError, recorders, release};
use crate::cache::slim;
use crate::carry_out::carry_out;
use crate::context::Context;
use crate::decide::again::again;
use crate::decide::fresh::{self, Fresh};
use crate::decide::position::{Position, Standing};
use crate::decide::{self, Step};
use crate::limits;
use crate::plan;
use crate::publish;
use crate::seen::Seen;
use crate::sweep;

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
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
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
    let result = in_turn(context, migration).await;
    if result.is_err() {
        context.cache.forget_written();
    }
    result
}

/// Reads the migration. That of the cache is as good as one that was read a moment ago: status is
/// written, and Jobs are changed, only if their versions are still the same.
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

/// What a reconcile has come to.
enum Came {
    /// To its end: when to do it again.
    ToItsEnd(Option<Duration>),
    /// To a step that one reconcile takes at a time, and what is read for it.
    ToItsTurn(Fresh),
}

/// Takes a step, and waits for its turn if it is one of those that are taken one at a time.
async fn in_turn(
    context: &Context,
    migration: DataMigration,
) -> Result<Option<Duration>, ReconcileError> {
    let fresh = match Box::pin(step(context, migration.clone(), Fresh::default(), false)).await? {
        Came::ToItsEnd(next) => return Ok(next),
        Came::ToItsTurn(fresh) => fresh,
    };
    let _turn = context.turn.lock().await;
    // Others wait for it to be over.
    let step = Box::pin(step(context, migration, fresh, true));
    let step = tokio::time::timeout(limits::TURN_MAX, step).await;
    match step.map_err(|_| ReconcileError::TooSlow(limits::TURN_MAX))?? {
        Came::ToItsEnd(next) => Ok(next),
        // It has it.
        Came::ToItsTurn(_) => Ok(Some(Duration::ZERO)),
    }
}

async fn step(
    context: &Context,
    mut migration: DataMigration,
    mut fresh: Fresh,
    has_turn: bool,
) -> Result<Came, ReconcileError> {
    // Each round reads more from the API server, and there are four kinds of it.
    let (seen, step) = loop {
        let seen = Seen::read(context, &migration, fresh).await;
        let seen = seen.map_err(ReconcileError::Observe)?;
        let step = seen.with(context, &migration, decide::decide);
        let needed = fresh.and(fresh::needed(&step));
        if needed == fresh {
            break (seen, step);
        }
        if needed.takes_turn() && !has_turn {
            return Ok(Came::ToItsTurn(needed));
        }
        fresh = needed;
    };
    // Somebody may have taken it away from under a run.
    if (seen.run.is_some() || matches!(step, Step::Begin { .. }))
        && decide::release::needs_hold(&migration)
    {
        match release::hold(context.cluster(), &migration).await? {
            Some(held) => migration = held,
            // The watch is behind, and may be for some time.
            None => return Ok(Came::ToItsEnd(Some(limits::POLL_BEHIND))),
        }
    }
    let step = Box::pin(record(context, &migration, &seen, step)).await?;
    let new = seen.with(context, &migration, |situation| plan::next(situation, &step));
    let written = write(context, &migration, &new).await?;
    let next = match Box::pin(carry_out(context, &seen, &step, &written)).await {
        Ok(()) => seen.with(context, &migration, |situation| again(&step, situation)),
        Err(error) => {
            let (reason, message) = refusal(context, &migration, error).await?;
            let position = Position::new(Phase::Stalled, Standing::Stalled, reason, message);
            let step = Step::Rest(position);
            let new = seen.with(context, &written, |situation| plan::next(situation, &step));
            write(context, &written, &new).await?;
            Some(limits::POLL_WAITING)
        }
    };
    Ok(Came::ToItsEnd(next))
}

/// Records in the archive how earlier runs ended. If a recording Job is refused, the status of a
/// migration at rest reports that instead; there is one status write.
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
