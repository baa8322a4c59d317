//! How long a run has been paused, by status: its rate leaves that time out. Pure.

use dm_api::condition::types;
use dm_api::status::RunRecord;
use jiff::Timestamp;

use crate::decide::situation::Situation;

/// Seconds that a run was paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// In pauses that are over.
    over: u64,
    /// In the one that status has.
    lasting: u64,
}

impl Pauses {
    /// Reads those of a run whose program started at this time.
    pub fn of(situation: Situation<'_>, record: &RunRecord, started: Timestamp) -> Self {
        let status = situation.migration.status.as_ref();
        let status = status
            .filter(|status| status.runs.first().is_some_and(|run| run.number == record.number));
        let over = status.and_then(|status| status.progress.as_ref()?.paused_seconds).unwrap_or(0);
        let conditions = status.iter().flat_map(|status| &status.conditions);
        let paused = conditions.into_iter().find(|condition| condition.type_ == types::PAUSED);
        let lasting = paused.map_or(0, |paused| {
            let since = paused.last_transition_time.0.max(started);
            u64::try_from(situation.now.duration_since(since).as_secs()).unwrap_or(0)
        });
        Self { over, lasting }
    }

    /// The time from which the rate counts.
    pub fn after(self, started: Timestamp, now: Timestamp) -> Timestamp {
        let seconds = i64::try_from(self.over.saturating_add(self.lasting)).unwrap_or(i64::MAX);
        let later = started.checked_add(jiff::SignedDuration::from_secs(seconds));
        later.map_or(now, |later| later.min(now))
    }

    /// What status has from now on: a pause counts when it is over.
    pub fn recorded(self, is_paused: bool) -> Option<u64> {
        let seconds = if is_paused { self.over } else { self.over.saturating_add(self.lasting) };
        Some(seconds).filter(|seconds| *seconds > 0)
    }
}
