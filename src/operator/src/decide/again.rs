//! When a migration is reconciled again although nothing happens. Pure.

use std::time::Duration;

use dm_api::condition::Reason;
use jiff::Timestamp;

use crate::decide::decision::{Change, Decision};
use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::limits;

/// Returns when to reconcile again even if nothing happens.
pub fn again(decision: &Decision, situation: Situation<'_>) -> Option<Duration> {
    match &decision.change {
        // What follows is decided on the status just written: a new Job is launched, an end
        // released.
        Change::Begin(_) | Change::Baseline(_) | Change::Finish(_) | Change::Discard => {
            Some(Duration::ZERO)
        }
        Change::Nothing if decision.creates() => Some(Duration::ZERO),
        Change::Nothing if decision.stops() => Some(limits::POLL_STOPPING),
        Change::Nothing => decision.position.as_ref().map(|position| at_rest(position, situation)),
        Change::Launch { .. } | Change::Suspend => Some(limits::POLL_RUNNING),
        Change::Follow { .. } if decision.adjusts() => Some(limits::POLL_ADJUSTED),
        Change::Follow { execution_time } => Some(progress_interval(*execution_time, situation)),
        Change::GiveWay { .. } => Some(limits::POLL_QUEUE),
    }
}

fn at_rest(position: &Position, situation: Situation<'_>) -> Duration {
    match (position.next, position.standing) {
        (Some(next), _) => {
            let left = next.duration_since(situation.now).unsigned_abs();
            left.clamp(Duration::from_millis(100), limits::POLL_RESTING)
        }
        (None, _) if position.reason == Reason::LockedByAnother => limits::POLL_QUEUE,
        (None, Standing::Reconciling | Standing::Stalled) if waits_unwatched(position) => {
            limits::POLL_WAITING
        }
        (None, _) => limits::POLL_RESTING,
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

/// Whether it waits for something whose change no watch of ours reports.
fn waits_unwatched(position: &Position) -> bool {
    matches!(
        position.reason,
        Reason::ObjectRefused | Reason::NameTaken | Reason::ServiceAccountNotFound
    )
}
