//! What can end a run, and the reason that status gives for each.

use dm_api::condition::Reason;
use dm_contract::verdict::Verdict;

use crate::decide::ledger;

/// Why the controller itself stops a run; kept on the Job, so that it is known after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The spec changed before it mattered.
    Superseded,
    /// The migration or its namespace is being deleted.
    Terminating,
    /// `spec.suspend` became true before the program started.
    Suspended,
    /// An apply runs another image than its dry run.
    ImageChanged,
}

impl StopReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "Superseded",
            Self::Terminating => "Terminating",
            Self::Suspended => "Suspended",
            Self::ImageChanged => "ImageChanged",
        }
    }
}

/// What ended the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    Success,
    /// After this many seconds, if the Job still says it.
    Deadline(Option<i64>),
    Stopped(StopReason),
    JobDeleted,
    Disruption(String),
    PodDeleted,
    OutOfMemory,
    NotStarted(String),
    Prepare(String),
    Container(String),
    Signal(i32),
    ExitCode(i32),
    /// It ended with 0 after it was asked to end: by this signal, if that is known.
    Interrupted(Option<i32>),
    /// It ended with 0 while these processes that it had started still ran.
    LeftRunning(String),
    Guard(String),
    Ledger(Box<Verdict>),
    GaveWay(Box<Verdict>),
    /// Its program had started, and the ledger let no other pod continue.
    Refused(Box<Verdict>),
    Gone,
}

impl Cause {
    pub const fn reason(&self) -> Reason {
        match self {
            // The words for a success depend on the kind; see `part::complete_dry_run`.
            Self::Success => Reason::Applied,
            Self::Deadline(_) => Reason::DeadlineExceeded,
            Self::Stopped(StopReason::Superseded) => Reason::Superseded,
            Self::Stopped(StopReason::Terminating) => Reason::Terminating,
            Self::Stopped(StopReason::Suspended) => Reason::Suspended,
            Self::Stopped(StopReason::ImageChanged) => Reason::ImageChanged,
            Self::JobDeleted => Reason::JobDeleted,
            Self::Disruption(_) => Reason::Evicted,
            Self::PodDeleted => Reason::PodDeleted,
            Self::OutOfMemory => Reason::OutOfMemory,
            Self::NotStarted(_) => Reason::ProgramNotStarted,
            Self::Prepare(_) | Self::Container(_) => Reason::ContainerStartFailed,
            Self::Signal(_) => Reason::ProgramKilled,
            Self::ExitCode(_) => Reason::ProgramFailed,
            Self::Interrupted(_) => Reason::Interrupted,
            Self::LeftRunning(_) => Reason::ProcessesLeftRunning,
            Self::Guard(_) => Reason::GuardFailed,
            Self::Ledger(verdict) => ledger::reason(verdict),
            Self::GaveWay(verdict) | Self::Refused(verdict) => {
                ledger::reason_at_first_write(verdict)
            }
            Self::Gone => Reason::OutcomeUnknown,
        }
    }
}
