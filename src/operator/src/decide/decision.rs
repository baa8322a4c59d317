//! What is decided: what is recorded of a run, where the migration stands, and what is done. Each
//! action carries what it acts on, so nothing is decided when it is carried out.

use dm_api::condition::Reason;
use dm_api::status::RunRecord;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::decide::adjust::Adjustment;
use crate::decide::deadline::Deadline;
use crate::decide::outcome::{Outcome, StopReason};
use crate::decide::position::Position;
use crate::identified::Identified;
use crate::runnable::Runnable;

/// What is decided about a migration.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is recorded of a run.
    pub change: Change,
    /// Where the migration stands. `None`: phase and conditions stay.
    pub position: Option<Position>,
    /// What is done before status is written, because status depends on it: [`Action::Hold`] and
    /// what records earlier runs in the archive.
    pub before_status: Vec<Action>,
    /// What is done once status is written, in this order.
    pub actions: Vec<Action>,
}

/// What status records of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Nothing,
    /// It begins: its number is in status before any of its objects exists.
    Begin(Box<RunRecord>),
    /// There was none: the migration was applied before this operator existed.
    Baseline(Box<RunRecord>),
    /// Its Job is launched: no Job of another uid ever is.
    Launch {
        job_uid: String,
    },
    /// Its Job is suspended, and may start again: a dry run, a restore.
    Suspend,
    /// Its program began then, if it did.
    Follow {
        execution_time: Option<Timestamp>,
    },
    /// It is over.
    Finish(Box<Outcome>),
    /// It never got an object, and is not wanted any more.
    Discard,
    /// It was not launched, because another migration's goes first: another attempt follows.
    GiveWay {
        reason: Reason,
        message: String,
    },
}

/// What is done in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Give the migration its finalizer, so that it cannot vanish under a run.
    Hold,
    /// Create a Job that records in the archive how a run ended.
    Record {
        job: Box<Job>,
        /// Whether the migration is deleted without it if the API server rejects it.
        is_dispensable: bool,
    },
    /// Remove our finalizer from a Job whose run's end is recorded, and keep it for this long.
    ReleaseJob { job: Box<Identified<Job>>, kept_seconds: i32 },
    /// Remove our finalizer from a pod whose run's end is recorded.
    ReleasePod(Box<Pod>),
    /// Release and delete a Job that no run has, or that cannot end.
    DiscardJob(Box<Identified<Job>>),
    /// Remove the migration's finalizer.
    ReleaseMigration,
    /// Create the Job of a run, suspended, and the copies that its pod needs.
    CreateRun { run: Box<RunRecord>, runnable: Box<Runnable> },
    /// Start a Job, after its pods' NetworkPolicy exists.
    Launch { job: Box<Identified<Job>>, policy: Option<Box<NetworkPolicy>> },
    /// Suspend a Job.
    Suspend(Box<Identified<Job>>),
    /// Send limits and pause state to the guards of these pods, with their token.
    Adjust { pods: Vec<Pod>, token: String, to: Adjustment },
    /// Change a Job's deadline.
    SetDeadline { job: Box<Identified<Job>>, to: Deadline },
    /// Delete a run's Job and pods. Our finalizer keeps their last status.
    Stop {
        job: Option<Box<Identified<Job>>>,
        pods: Vec<Pod>,
        /// Why, as it is noted on the Job; `None` where somebody else deleted it.
        reason: Option<StopReason>,
    },
}

impl Decision {
    /// Records a change; phase and conditions stay.
    pub const fn record(change: Change) -> Self {
        Self { change, position: None, before_status: Vec::new(), actions: Vec::new() }
    }

    /// The migration stands here, and nothing is done.
    pub fn rest(position: Position) -> Self {
        Self { position: Some(position), ..Self::record(Change::Nothing) }
    }

    /// Where the migration stands with that.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    /// Adds an action.
    #[must_use]
    pub fn and_do(mut self, action: impl Into<Option<Action>>) -> Self {
        self.actions.extend(action.into());
        self
    }

    /// Reports that an object was refused, if the migration rests: with a run under way, its own
    /// position matters more.
    pub fn report(&mut self, refused: Position) {
        if self.rests() {
            let next = self.position.take().and_then(|position| position.next);
            self.position = Some(Position { next, ..refused });
        }
    }

    /// Whether the objects of a run are created.
    pub fn creates(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::CreateRun { .. }))
    }

    /// Whether the guards of a run get other limits, or are paused or resumed.
    pub fn adjusts(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Adjust { .. }))
    }

    /// Whether the migration rests where it stands, whatever is released of earlier runs.
    pub fn rests(&self) -> bool {
        self.change == Change::Nothing
            && self.position.is_some()
            && !self.creates()
            && !self.stops()
    }

    /// Whether a run is stopped.
    pub fn stops(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Stop { .. }))
    }
}
