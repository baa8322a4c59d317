//! What a decision must rest on that is read from the API server, not from what the watches hold. A
//! reconcile decides on the cache first, and reads what its decision needs before it decides again.
//! Pure.

use crate::decide::decision::{Change, Decision};

/// What is read from the API server for a decision.
#[allow(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// The Jobs and pods of the migration's runs.
    pub runs: bool,
    /// The target and the ConfigMaps.
    pub sources: bool,
    /// Who else writes to the target.
    pub queue: bool,
    /// What allows a run to begin: the ServiceAccount that it uses, the Secrets that no program may
    /// use, and a namespace that takes new objects.
    pub permissions: bool,
}

impl Fresh {
    /// Returns what either of two asks for.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            runs: self.runs || other.runs,
            sources: self.sources || other.sources,
            queue: self.queue || other.queue,
            permissions: self.permissions || other.permissions,
        }
    }

    /// Whether the decision is one of those that one reconcile of this process makes at a time: of
    /// two runs that would begin at the same time, the second sees the first. It saves a run that
    /// would give way; what keeps two from writing is the list that each reads after its number is
    /// in status.
    pub const fn is_exclusive(self) -> bool {
        self.queue || self.permissions
    }
}

/// Returns what a decision needs.
pub fn needed(decision: &Decision) -> Fresh {
    const NOTHING: Fresh = Fresh { runs: false, sources: false, queue: false, permissions: false };
    // What is given up for a change must have changed, and must not have started.
    const GIVEN_UP: Fresh = Fresh { runs: true, sources: true, ..NOTHING };
    match decision.change {
        // A stale migration is a conflict when the number is written, so no run begins twice. Stale
        // sources are those of a moment ago; what they were is in the run's digest. Who writes to
        // the target is read again before the Job is launched.
        Change::Begin(_) => Fresh { permissions: true, ..NOTHING },
        // Of two runs that are launched, the one that wrote its number later must see the other.
        Change::Launch { .. } => Fresh { queue: true, ..NOTHING },
        // A result is final: pods that the cache lacks, or shows as they were, would make another
        // one of it.
        Change::Finish(_) => Fresh { runs: true, ..NOTHING },
        Change::Discard => GIVEN_UP,
        Change::Nothing if decision.stops() => GIVEN_UP,
        // A Job that exists is found when it is created again, and compared. Other changes of a Job
        // name the version that they rest on, and so does each write to the migration.
        Change::Nothing
        | Change::Suspend
        | Change::Follow { .. }
        | Change::Baseline(_)
        | Change::GiveWay { .. } => NOTHING,
    }
}
