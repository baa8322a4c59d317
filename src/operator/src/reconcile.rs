//! One reconcile of one migration: observe → validate → decide → write status → act. What is done
//! is in status first, so the next reconcile finds and repairs a crash in between.

pub mod error;
mod facts;
mod refused;
mod status;
mod validated;

use std::time::Duration;

use self::error::ReconcileError;
use self::facts::Facts;
use self::refused::refused;
use self::validated::validated;
use crate::act::act;
use crate::act::error::ActError;
use crate::context::Context;
use crate::decide::again::again;
use crate::decide::decide;
use crate::decide::decision::Decision;
use crate::decide::fresh::{self, Fresh};
use crate::identified::Migration;
use crate::limits;
use crate::read::observe::observe;
use crate::status::next;
use crate::sweep::sweep;

/// Reconciles a migration once. Returns when to do it again.
pub async fn reconcile(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Duration>, ReconcileError> {
    let Some(migration) = status::read(context, namespace, name).await? else {
        Box::pin(sweep(context.cluster(namespace), name)).await?;
        return Ok(None);
    };
    let result = Box::pin(pass(context, migration)).await;
    if result.is_err() {
        context.cache.forget_written();
    }
    result
}

/// Decides on the cache, and carries that out. A run that begins or is launched is decided again
/// under a lock, on what the API server has.
async fn pass(context: &Context, migration: Migration) -> Result<Option<Duration>, ReconcileError> {
    let is_shared = |fresh: Fresh| !fresh.is_exclusive();
    let (facts, decision, needed) =
        Box::pin(decided(context, &migration, Fresh::default(), is_shared)).await?;
    if is_shared(needed) {
        return Box::pin(apply(context, migration, &facts, decision)).await;
    }
    let _lock = context.starting.lock().await;
    // Others wait for the lock.
    let applied = tokio::time::timeout(limits::START_MAX, async {
        let (facts, decision, _) = Box::pin(decided(context, &migration, needed, |_| true)).await?;
        Box::pin(apply(context, migration, &facts, decision)).await
    });
    applied.await.map_err(|_| ReconcileError::TooSlow(limits::START_MAX))?
}

/// Observes, validates and decides, and again on what the decision needs from the API server, until
/// it needs no more or what it needs may not be read. Returns that, too.
async fn decided(
    context: &Context,
    migration: &Migration,
    mut fresh: Fresh,
    may_read: impl Fn(Fresh) -> bool,
) -> Result<(Facts, Decision, Fresh), ReconcileError> {
    // Each round reads more, and there are four kinds of it.
    loop {
        let now = (context.clock)();
        let observed = observe(context.cluster(migration.namespace()), migration, fresh, now).await;
        let observed = observed.map_err(ReconcileError::Observe)?;
        let runnable = validated(migration, &observed.sources).await;
        let facts = Facts::new(observed, runnable, now);
        let decision = decide(facts.situation(context, migration, &facts.run_pods(migration)));
        let needed = fresh.and(fresh::needed(&decision));
        if needed == fresh || !may_read(needed) {
            return Ok((facts, decision, needed));
        }
        fresh = needed;
    }
}

/// Writes status, and acts. Returns when to reconcile again.
async fn apply(
    context: &Context,
    mut migration: Migration,
    facts: &Facts,
    mut decision: Decision,
) -> Result<Option<Duration>, ReconcileError> {
    let pods = facts.run_pods(&migration);
    match act(context, &mut migration, &decision.before_status).await {
        Ok(()) => {}
        // The watch is behind, and may be for some time.
        Err(ActError::Vanished) => return Ok(Some(limits::POLL_BEHIND)),
        Err(error) => decision.report(refused(context, &migration, error).await?),
    }
    let situation = facts.situation(context, &migration, &pods);
    let mut written = status::write(context, &migration, &next(situation, &decision)).await?;
    match act(context, &mut written, &decision.actions).await {
        Ok(()) => Ok(again(&decision, situation)),
        Err(error) => {
            let decision = Decision::rest(refused(context, &written, error).await?);
            let situation = facts.situation(context, &written, &pods);
            status::write(context, &written, &next(situation, &decision)).await?;
            Ok(Some(limits::POLL_WAITING))
        }
    }
}
