//! Why a journal cannot be read.

use dm_contract::restored::JournalProblem;

use crate::archive::ledger::{LedgerError, Removal};
use crate::archive::{ArchiveError, RunName};
use crate::journal::frame::FrameError;

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("reading the journal of {run}")]
    Archive { run: RunName, source: ArchiveError },
    /// What the ledger says of it.
    #[error("reading what the ledger says of the journal of {run}")]
    Evidence { run: RunName, source: Box<LedgerError> },
    /// What its guard wrote down at its end.
    #[error("reading `{}` in the archive", .run.closed())]
    Closed { run: RunName, source: serde_json::Error },
    /// There never was such a run.
    #[error("no run {run} in the archive's ledger")]
    NoRun { run: RunName },
    /// The journal was removed on purpose.
    #[error(
        "JournalGone: the journal of {run} was removed at {} by {}. What the run changed cannot be \
         restored", .removal.removed_at, .removal.by
    )]
    Removed {
        run: RunName,
        /// The record of it.
        removal: Box<Removal>,
    },
    /// No segment is there, and there were some.
    #[error(
        "JournalGone: the journal of {run} is gone: {}, none is there, and no record says who \
         removed them", .segments.map_or("segments were written".into(), |all| {
            format!("it had {all} segments")
        })
    )]
    Gone {
        run: RunName,
        /// How many there were at least, where that was noted.
        segments: Option<u32>,
    },
    #[error("JournalIncomplete: {}", missing(run, *.segment, *.last))]
    Missing {
        run: RunName,
        segment: u32,
        /// The last of those that follow each other.
        last: u32,
    },
    #[error(
        "JournalIncomplete: the journal of {run} has {found} entries, and {noted} were noted when \
         they were written"
    )]
    Fewer {
        run: RunName,
        /// How many there are.
        found: u64,
        /// How many there were at least.
        noted: u64,
    },
    /// A segment is damaged.
    #[error("segment {segment} of the journal of {run} cannot be read")]
    Damaged { run: RunName, segment: u32, source: FrameError },
    /// A segment that was known to be durable ends too early.
    #[error(
        "segment {segment} of the journal of {run} is torn, and was complete when it was \
         written"
    )]
    Torn { run: RunName, segment: u32 },
}

fn missing(run: &RunName, first: u32, last: u32) -> String {
    if first == last {
        format!("segment {first} of the journal of {run} is missing")
    } else {
        format!("segments {first} to {last} of the journal of {run} are missing")
    }
}

impl ReadError {
    /// What is wrong with the journal, where to try again would not help.
    pub fn problem(&self) -> Option<JournalProblem> {
        match self {
            Self::Archive { .. } | Self::Evidence { .. } => None,
            Self::NoRun { .. } => Some(JournalProblem::NoRun),
            Self::Removed { .. } | Self::Gone { .. } => Some(JournalProblem::JournalGone),
            Self::Missing { .. } | Self::Fewer { .. } => Some(JournalProblem::JournalIncomplete),
            Self::Damaged { .. } | Self::Torn { .. } | Self::Closed { .. } => {
                Some(JournalProblem::JournalDamaged)
            }
        }
    }
}
