//! The queue of a target: its migrations are applied one after another, and a run that the archive
//! put off is tried again after a while. Pure.

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase, RunRecord};

use crate::decide::ledger;
use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::read::holders::Holder;

/// The place in the queue of a run that has its number and was not launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nobody is ahead of it.
    First,
    /// This one came later, and will give way or end.
    Wait(Holder),
    /// This one goes first: give the number up.
    GiveWay(Holder),
}

/// Returns the place of a run whose number is in status. Each run writes its number before it reads
/// those of others; so of two, at least one sees the other. One that sees a run that was launched,
/// or that came before it, gives way; one that sees a run that came later waits until that one has
/// given way.
pub fn place(holders: &[Holder], name: &str, run: &RunRecord, at_once: usize) -> Place {
    let ahead: Vec<&Holder> = holders
        .iter()
        .filter(|h| h.launched || (h.since, h.name.as_str()) < (run.requested_at.0, name))
        .collect();
    match (ahead.get(at_once.saturating_sub(1)), holders.get(at_once.saturating_sub(1))) {
        (Some(_), _) => Place::GiveWay((*ahead[0]).clone()),
        (None, Some(_)) => Place::Wait(holders[0].clone()),
        (None, None) => Place::First,
    }
}

/// Another migration of the target is being applied.
pub fn after_another(holder: &Holder) -> Position {
    let since = holder.since.strftime("%Y-%m-%dT%H:%M:%SZ");
    let who = match &holder.left {
        None => format!("{}, which has been writing to the same target since {since}", holder.name),
        Some(left) => format!(
            "{left} of migration {}, which was deleted while its run (started {since}) was writing \
             to the same target. Its program is being stopped",
            holder.name
        ),
    };
    held(
        Reason::LockedByAnother,
        format!(
            "Waiting for {who}. One migration at a time is applied to a target, unless its \
             policy.maxConcurrentRuns allows more"
        ),
        &format!("waiting for {}", holder.name),
    )
}

/// The last try was put off, and the next is not due yet.
pub fn put_off(situation: Situation<'_>, status: &DataMigrationStatus) -> Option<Position> {
    let run = status.runs.first()?;
    let next = ledger::next_try(run).filter(|next| *next > situation.now)?;
    let mut position = waiting(run)?;
    position.next = Some(next);
    Some(position)
}

/// Whether a run waits because the archive or the database does not answer.
pub const fn is_outage(reason: Reason) -> bool {
    matches!(reason, Reason::ArchiveUnavailable | Reason::DatabaseUnreachable)
}

/// Where a migration stands whose run has not begun, because the archive or the database did not
/// answer its pods.
pub fn unanswered(reason: Reason, message: String) -> Position {
    held(reason, message, text(reason))
}

/// What is said of a run that was put off, or of the try after it.
pub fn waiting(run: &RunRecord) -> Option<Position> {
    let reason = run.reason.filter(|_| run.waiting_since.is_some())?;
    let message = run.message.clone().unwrap_or_default();
    Some(held(reason, message, text(reason)))
}

/// A few words for `kubectl get`.
const fn text(reason: Reason) -> &'static str {
    match reason {
        Reason::LockedByAnother => "locked by another",
        Reason::DatabaseUnreachable => "waiting for the database",
        _ => "waiting for the archive",
    }
}

fn held(reason: Reason, message: String, text: &str) -> Position {
    let mut position = Position::new(Phase::Waiting, Standing::Reconciling, reason, message);
    position.set_text(text);
    if reason == Reason::LockedByAnother {
        position.conditions.push((types::LOCKED_BY_ANOTHER, reason, position.message.clone()));
    }
    position
}
