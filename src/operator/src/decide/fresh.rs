//! What a decision must rest on that is read from the API server, not from what the watches hold. A
//! reconcile decides on the cache first, and reads what its step needs before it decides again.
//! Pure.

use crate::decide::step::Step;

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
    /// What allows a run to begin: the ServiceAccount that it uses, and the Secrets that no program
    /// may use.
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

    /// Whether the step is one of those that one reconcile of this process takes at a time: of two
    /// that would begin at the same time, the second sees the first. It saves a run that would give
    /// way; what keeps two from writing is the list that each reads after its number is in status.
    pub const fn takes_turn(self) -> bool {
        self.queue || self.permissions
    }
}

/// Returns what a step needs.
pub const fn needed(step: &Step) -> Fresh {
    const NOTHING: Fresh = Fresh { runs: false, sources: false, queue: false, permissions: false };
    match step {
        // A stale migration is a conflict when the number is written, so no run begins twice. Stale
        // sources are those of a moment ago; what they were is in the run's digest. Who writes to
        // the target is read again before the Job is let go.
        Step::Begin { .. } => Fresh { permissions: true, ..NOTHING },
        // Of two runs that are let go, the one that wrote its number later must see the other.
        Step::Launch { .. } => Fresh { queue: true, ..NOTHING },
        // A result is final: pods that the cache lacks, or shows as they were, would make another
        // one of it.
        Step::Finish(_) => Fresh { runs: true, ..NOTHING },
        // What is given up for a change must have changed, and must not have started.
        Step::Stop { .. } | Step::Discard => Fresh { runs: true, sources: true, ..NOTHING },
        // A Job that exists is found when it is created again, and compared.
        Step::Create(_)
        // Each change of a Job names the version that it rests on.
        | Step::Suspend { .. }
        | Step::Follow { .. }
        // These write to the migration only, and name its version.
        | Step::Rest(_)
        | Step::Baseline { .. }
        | Step::GiveWay(_)
        | Step::Release => NOTHING,
    }
}
