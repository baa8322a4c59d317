//! What kinds of runs there are, and how they end.

use serde::{Deserialize, Serialize};

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RunKind {
    /// Nothing is written.
    DryRun,
    /// The migration is applied.
    Apply,
    /// Says what a restore would put back; nothing is written.
    RestorePreview,
    /// What an earlier run changed is taken back.
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

    /// Whether it is about taking back, and runs no program of the migration's author.
    pub const fn restores(self) -> bool {
        match self {
            Self::DryRun | Self::Apply => false,
            Self::RestorePreview | Self::Restore => true,
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RunResult {
    /// It has its number; its objects may or may not exist.
    Starting,
    /// Its Job exists.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed,
    /// It ended, nobody knows how.
    Unknown,
    /// It was given up before its program started, or was a dry run of what is not wanted any more.
    Cancelled,
}

impl RunResult {
    /// Whether the run is over.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Starting | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Unknown | Self::Cancelled => true,
        }
    }
}
