//! When a migration is looked at again although nothing happens. Pure.

use std::time::Duration;

use dm_api::condition::Reason;
use jiff::Timestamp;

use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::decide::step::Step;
use crate::limits;

/// When to reconcile again even if nothing happens.
pub fn again(step: &Step, situation: Situation<'_>) -> Option<Duration> {
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
