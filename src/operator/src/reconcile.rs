//! One reconcile of one migration: observe, validate, decide, write status, act. What is done is in
//! status first, so the next reconcile finds and repairs a crash in between.

use std::time::Duration;

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::status::{DataMigrationStatus, Phase};
use kube::Api;
use kube::api::PostParams;

use crate::act::{ActError, recorders, release};
use crate::cache::slim;
use crate::carry_out::carry_out;
use crate::cluster::ReadError;
use crate::context::Context;
use crate::decide::again::again;
use crate::decide::fresh::{self, Fresh};
use crate::decide::position::{Position, Standing};
use crate::decide::{self, Step};
use crate::identified::{Migration, Unidentified};
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
    Observe(#[source] ReadError),
    /// Writing status failed, or somebody else wrote the object meanwhile.
    #[error("while writing status")]
    Status(#[source] kube::Error),
    /// The migration was read without its identity.
    #[error(transparent)]
    Unidentified(#[from] Unidentified),
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
        Box::pin(sweep::sweep(context.cluster(namespace), name)).await?;
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
) -> Result<Option<Migration>, ReconcileError> {
    let held = context.cache.migrations.get(namespace, name);
    let found = match held {
        Some(migration) if slim::is_cut(&migration) => {
            let api: Api<DataMigration> = context.cluster(namespace).api();
            api.get_opt(name).await.map_err(|error| ReconcileError::Observe(error.into()))?
        }
        held => held.map(|migration| migration.as_ref().clone()),
    };
    Ok(found.map(Migration::parse).transpose()?)
}

/// Takes a step, and waits for its turn if it is one of those that are taken one at a time.
async fn in_turn(
    context: &Context,
    migration: Migration,
) -> Result<Option<Duration>, ReconcileError> {
    let without_turn = |fresh: Fresh| !fresh.takes_turn();
    let needed = {
        let first = decided(context, &migration, Fresh::default(), without_turn);
        let (seen, step, needed) = Box::pin(first).await?;
        if without_turn(needed) {
            return Box::pin(take(context, migration, &seen, step)).await;
        }
        needed
    };
    let _turn = context.turn.lock().await;
    // Others wait for it to be over.
    let taken = tokio::time::timeout(limits::TURN_MAX, async {
        let decided = Box::pin(decided(context, &migration, needed, |_| true));
        let (seen, step, _) = decided.await?;
        Box::pin(take(context, migration, &seen, step)).await
    });
    taken.await.map_err(|_| ReconcileError::TooSlow(limits::TURN_MAX))?
}

/// Decides, and decides again on what the step needs from the API server, until it needs no more or
/// what it needs may not be read. Returns that, too.
async fn decided(
    context: &Context,
    migration: &Migration,
    mut fresh: Fresh,
    may_read: impl Fn(Fresh) -> bool,
) -> Result<(Seen, Step, Fresh), ReconcileError> {
    // Each round reads more, and there are four kinds of it.
    loop {
        let seen = Seen::read(context, migration, fresh).await;
        let seen = seen.map_err(ReconcileError::Observe)?;
        let step = seen.with(context, migration, decide::decide);
        let needed = fresh.and(fresh::needed(&step));
        if needed == fresh || !may_read(needed) {
            return Ok((seen, step, needed));
        }
        fresh = needed;
    }
}

/// Writes what a step means to status, and carries it out. Returns when to reconcile again.
async fn take(
    context: &Context,
    mut migration: Migration,
    seen: &Seen,
    step: Step,
) -> Result<Option<Duration>, ReconcileError> {
    // Somebody may have taken it away from under a run.
    if (seen.run.is_some() || matches!(step, Step::Begin { .. }))
        && decide::release::needs_hold(&migration)
    {
        match release::hold(context.cluster(migration.namespace()), &migration).await? {
            Some(held) => migration = Migration::parse(held)?,
            // The watch is behind, and may be for some time.
            None => return Ok(Some(limits::POLL_BEHIND)),
        }
    }
    let step = Box::pin(record(context, &migration, seen, step)).await?;
    let new = seen.with(context, &migration, |situation| plan::next(situation, &step));
    let written = write(context, &migration, &new).await?;
    match Box::pin(carry_out(context, seen, &step, &written)).await {
        Ok(()) => Ok(seen.with(context, &migration, |situation| again(&step, situation))),
        Err(error) => {
            let (reason, message) = refusal(context, &migration, error).await?;
            let position = Position::new(Phase::Stalled, Standing::Stalled, reason, message);
            let step = Step::Rest(position);
            let new = seen.with(context, &written, |situation| plan::next(situation, &step));
            write(context, &written, &new).await?;
            Ok(Some(limits::POLL_WAITING))
        }
    }
}

/// Records in the archive how earlier runs ended. If a recording Job is refused, the status of a
/// migration at rest reports that instead; there is one status write.
async fn record(
    context: &Context,
    migration: &Migration,
    seen: &Seen,
    step: Step,
) -> Result<Step, ReconcileError> {
    let (cluster, runnable) = (context.cluster(migration.namespace()), seen.runnable.as_ref().ok());
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
    migration: &Migration,
    new: &DataMigrationStatus,
) -> Result<Migration, ReconcileError> {
    let old = migration.status.clone().unwrap_or_default();
    if old == *new {
        return Ok(migration.clone());
    }
    let mut object = DataMigration::clone(migration);
    object.status = Some(new.clone());
    object.metadata.managed_fields = None;
    let cluster = context.cluster(migration.namespace());
    let written = cluster
        .api::<DataMigration>()
        .replace_status(migration.name(), &PostParams::default(), &object)
        .await
        .map_err(ReconcileError::Status)?;
    cluster.note(migration.metadata.resource_version.as_deref(), written.clone());
    publish::count(&context.metrics, &old, new);
    publish::events(&context.recorder, migration, &old, new).await;
    Ok(Migration::parse(written)?)
}

/// What is said of an object that could not be created as it must be. Other errors are tried again.
async fn refusal(
    context: &Context,
    migration: &Migration,
    error: ActError,
) -> Result<(Reason, String), ReconcileError> {
    match error {
        ActError::Refused { object, message } => {
            Ok((Reason::ObjectRefused, format!("the API server refused {object}: {message}")))
        }
        ActError::NameTaken { object } => {
            Box::pin(sweep::sweep(context.cluster(migration.namespace()), migration.name()))
                .await?;
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
        other @ (ActError::Random(_) | ActError::Unidentified(_) | ActError::Transient { .. }) => {
            Err(other.into())
        }
    }
}
