//! What kinds of runs there are, and how they end.

use serde::{Deserialize, Serialize};

/// Kind of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RunKind {
    /// A dry run: nothing is written.
    DryRun,
    /// An apply: the program writes.
    Apply,
    /// The preview of a restore: nothing is written.
    RestorePreview,
    /// A restore of an earlier run.
    Restore,
}

impl RunKind {
    /// Whether a run of this kind may write.
    pub const fn writes(self) -> bool {
        match self {
            Self::DryRun | Self::RestorePreview => false,
            Self::Apply | Self::Restore => true,
        }
    }

    /// Whether it is a restore or its preview, which run no program of the migration's author.
    pub const fn restores(self) -> bool {
        match self {
            Self::DryRun | Self::Apply => false,
            Self::RestorePreview | Self::Restore => true,
        }
    }
}

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RunResult {
    /// It has a number. Its objects may not exist yet.
    Starting,
    /// Its Job exists.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It ended with an unknown outcome.
    Unknown,
    /// It was canceled before its program started, or it was a dry run of an older spec.
    // Statuses of operators before 0.1.0 spell it so; the next status write replaces it.
    #[serde(alias = "Cancelled")]
    Canceled,
}

impl RunResult {
    /// Whether the run is over.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Starting | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Unknown | Self::Canceled => true,
        }
    }
}
