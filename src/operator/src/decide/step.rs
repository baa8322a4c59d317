//! What is decided: what to do, and what status says.

use dm_api::status::RunRecord;
use jiff::Timestamp;

use crate::decide::adjust::Adjustment;
use crate::decide::deadline::Deadline;
use crate::decide::outcome::{Outcome, StopReason};
use crate::decide::position::Position;

/// What to do, and what status says meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing to do until something changes.
    Rest(Position),
    /// Give a run its number in status, then create its objects.
    Begin {
        /// The run's place in the history.
        record: Box<RunRecord>,
        position: Position,
    },
    /// Record that the migration was applied before this operator existed.
    Baseline {
        /// Its place in the history.
        record: Box<RunRecord>,
        position: Position,
    },
    /// Create the objects of a run that has its number.
    Create(Position),
    /// A run goes on.
    Follow {
        position: Position,
        /// When its program began, if it did.
        execution_time: Option<Timestamp>,
        /// What its guard is told, if anything.
        adjustment: Option<Adjustment>,
        /// What becomes of its Job's deadline, if anything.
        deadline: Option<Deadline>,
    },
    /// Let a Job go that is suspended, as every Job is when it is created: its uid is written to
    /// status first, so that no other Job of this run ever goes.
    Launch {
        /// Uid of the Job.
        job_uid: String,
        position: Position,
    },
    /// Suspend the Job of a run that can be begun again: a dry run, a restore.
    Suspend { position: Position },
    /// Stop the run's program: delete its Job and pods, keep their last status.
    Stop {
        /// Why, as it is noted on the Job; `None` where somebody else deleted it.
        reason: Option<StopReason>,
        position: Position,
    },
    /// The run is over: record how.
    Finish(Box<Outcome>),
    /// The run never got an object, and is not wanted any more.
    Discard,
    /// The run was not let go, because another migration's goes first: it is tried again later.
    GiveWay(Position),
    /// The migration is being deleted and has no run: let it go.
    Release,
}
