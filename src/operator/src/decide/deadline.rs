//! A pause does not count towards the deadline: a paused run has none, and a resumed run has the
//! seconds that were left. Pure.

use dm_api::status::RunRecord;
use kube::ResourceExt as _;

use crate::decide::adjust;
use crate::decide::situation::Situation;
use crate::limits;
use crate::objects::DEADLINE_LEFT_ANNOTATION;

/// The change of a Job's `activeDeadlineSeconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// There is none during a pause; this many seconds were left.
    Hold(i64),
    /// It is this again, in seconds from the Job's start.
    Set(i64),
}

/// The difference from the desired state.
pub fn wanted(situation: Situation<'_>, record: &RunRecord) -> Option<Deadline> {
    let job = situation.objects.job?;
    let began = job.status.as_ref()?.start_time.as_ref()?.0;
    let passed = situation.now.duration_since(began).as_secs();
    let deadline = job.spec.as_ref()?.active_deadline_seconds;
    let left = job.annotations().get(DEADLINE_LEFT_ANNOTATION);
    let is_to_stand = adjust::pauses(situation, record);
    let stands = situation.answers.paused() == Some(true);
    match (deadline, left) {
        (Some(deadline), _) if is_to_stand && stands => {
            Some(Deadline::Hold(deadline.saturating_sub(passed).max(1)))
        }
        (None, Some(left)) if !is_to_stand => {
            // Whoever may edit the Job may have edited the annotation.
            let left = left.parse().unwrap_or(1).clamp(1, limits::DEADLINE_SECONDS_MAX);
            Some(Deadline::Set(passed.saturating_add(left)))
        }
        (Some(_) | None, _) => None,
    }
}
