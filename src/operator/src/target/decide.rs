//! What is next for a target: whether a check starts, what its status says, and when to look again.
//! Pure.

use std::time::Duration;

use dm_api::MigrationTarget;
use dm_api::target_condition::{TargetReason, types};
use dm_api::target_status::MigrationTargetStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::limits;
use crate::target::findings;
use crate::target::state::{State, Trouble};

/// What is done after the status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Wait,
    /// The check's Job is created.
    Create,
    /// The check's Job is deleted: its result is in status, or it has none to give.
    Delete,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// The status to write first.
    pub status: MigrationTargetStatus,
    /// What is done then.
    pub step: Step,
    /// When to look again even if nothing happens.
    pub again: Duration,
}

/// Returns what is next for a target whose check is in this state.
pub fn decide(target: &MigrationTarget, state: &State, now: Timestamp) -> Next {
    let mut status = status_of_generation(target, now);
    let wait = |status, again| Next { status, step: Step::Wait, again };
    let delete = |status: MigrationTargetStatus| Next {
        // The name is free once the Job is gone; its watch says so.
        again: due(&status, now).max(limits::POLL_CHECK),
        status,
        step: Step::Delete,
    };
    match state {
        State::Outdated => Next { status, step: Step::Delete, again: limits::POLL_ADJUSTED },
        State::Running => wait(status, limits::POLL_CHECK),
        State::Blocked(trouble) => {
            findings::troubled(&mut status, target, trouble, now);
            wait(status, limits::POLL_CHECK)
        }
        // The operator ended between the status and the deletion.
        State::Ended(_) | State::Failed(_) | State::Late if is_recorded(&status) => delete(status),
        State::Ended(checked) => {
            let is_well = findings::found(&mut status, target, checked, now);
            record(&mut status, is_well, now);
            delete(status)
        }
        State::Failed(trouble) => {
            findings::troubled(&mut status, target, trouble, now);
            record(&mut status, false, now);
            delete(status)
        }
        State::Late => {
            // What blocked the pod is in status already, and says more.
            if !is_blocked(&status) {
                findings::troubled(&mut status, target, &late(), now);
            }
            record(&mut status, false, now);
            delete(status)
        }
        State::Idle | State::Foreign => {
            let left = due(&status, now);
            if !left.is_zero() {
                return wait(status, left);
            }
            if *state == State::Foreign {
                return rejected(target, &status, &foreign(), now);
            }
            status.check_started_at = Some(Time(now));
            Next { status, step: Step::Create, again: limits::POLL_CHECK }
        }
    }
}

/// Returns what is next for a target whose check could not start.
pub fn rejected(
    target: &MigrationTarget,
    status: &MigrationTargetStatus,
    trouble: &Trouble,
    now: Timestamp,
) -> Next {
    let mut status = status.clone();
    findings::troubled(&mut status, target, trouble, now);
    status.check_started_at = Some(Time(now));
    record(&mut status, false, now);
    Next { again: due(&status, now), status, step: Step::Wait }
}

/// The status as it was written, or an empty one for a generation that nobody has checked.
fn status_of_generation(target: &MigrationTarget, now: Timestamp) -> MigrationTargetStatus {
    let old = target.status.clone().unwrap_or_default();
    if old.observed_generation.is_some() && old.observed_generation == target.metadata.generation {
        return old;
    }
    let mut new = MigrationTargetStatus {
        observed_generation: target.metadata.generation,
        conditions: old.conditions,
        ..MigrationTargetStatus::default()
    };
    findings::checking(&mut new, target, now);
    new
}

fn record(status: &mut MigrationTargetStatus, is_well: bool, now: Timestamp) {
    status.checked_at = Some(Time(now));
    status.failed_checks = if is_well { 0 } else { status.failed_checks.saturating_add(1) };
}

/// Whether the check that was started last has its result in status.
fn is_recorded(status: &MigrationTargetStatus) -> bool {
    match (&status.check_started_at, &status.checked_at) {
        (Some(started), Some(checked)) => checked.0 >= started.0,
        (None, _) | (_, None) => false,
    }
}

/// How long until the next check starts.
fn due(status: &MigrationTargetStatus, now: Timestamp) -> Duration {
    let since = |time: &Time, wait: Duration| {
        let passed = now.duration_since(time.0);
        // A clock that went back makes nobody wait longer than the whole time.
        let passed = if passed.is_negative() { Duration::ZERO } else { passed.unsigned_abs() };
        wait.saturating_sub(passed)
    };
    match (&status.check_started_at, &status.checked_at) {
        (None, None) => Duration::ZERO,
        (Some(started), _) if !is_recorded(status) => since(started, limits::CHECK_AGAIN_MIN),
        (_, Some(checked)) => since(checked, interval(status.failed_checks)),
        (Some(started), None) => since(started, limits::CHECK_AGAIN_MIN),
    }
}

/// The time between two checks after this many failures.
fn interval(failures: u32) -> Duration {
    if failures == 0 {
        return limits::CHECK_EVERY;
    }
    let doubled = limits::CHECK_AGAIN_MIN.saturating_mul(1 << (failures - 1).min(20));
    doubled.min(limits::CHECK_AGAIN_MAX)
}

fn is_blocked(status: &MigrationTargetStatus) -> bool {
    use TargetReason::{
        ContainerStartFailed, ImagePullFailed, ObjectRefused, SecretNotFound, Unschedulable,
        VolumeUnavailable,
    };
    let blocks = [
        ContainerStartFailed,
        ImagePullFailed,
        ObjectRefused,
        SecretNotFound,
        Unschedulable,
        VolumeUnavailable,
    ];
    let ready = status.condition(types::READY);
    ready.is_some_and(|ready| blocks.iter().any(|reason| reason.as_str() == ready.reason))
}

fn late() -> Trouble {
    Trouble {
        reason: TargetReason::CheckFailed,
        message: format!(
            "the check had no result after {} s. The state of the target is unknown. The check \
             starts again",
            limits::CHECK_DEADLINE_SECONDS
        ),
        is_fault: false,
    }
}

fn foreign() -> Trouble {
    Trouble {
        reason: TargetReason::NameTaken,
        message:
            "a Job of the check's name belongs to another owner. Delete it, and the check starts"
                .into(),
        is_fault: false,
    }
}

#[cfg(test)]
mod tests;
