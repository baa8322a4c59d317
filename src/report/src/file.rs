//! The file `report.json`: what a guard saw, and beside it what only those know who started the
//! run.
//!
//! It crosses a process boundary. Its version is that of the result; every other member may be
//! absent, as in files of older versions.

use dm_contract::plan::Mode;
use dm_contract::report::{GuardResult, REPORT_VERSION, Timeline, TransformEnd};
use serde::{Deserialize, Serialize};

/// The file as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// What the guard saw.
    #[serde(flatten)]
    pub result: GuardResult,
    /// Who ran what, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// How fast an apply went over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
}

/// Who ran what, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The migration, or the program where it is of none.
    #[serde(default)]
    pub name: String,
    /// The database, for people: its endpoint and region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Who started the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When the program was started, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it had ended, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// How long it ran, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// How the program ended. Absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Whether a second pass was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_pass: bool,
    /// How the second pass ended, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_end: Option<End>,
    /// Why there was none although it was asked for and the program succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_not_run: Option<String>,
    /// Whether a program that sends no request is what was expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expects_no_requests: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// With this exit code.
    Exited(i32),
    Signaled(i32),
    /// With exit code 0 after this signal asked it to stop. Its work may be incomplete.
    Interrupted(i32),
    /// The guard was stopped. Its clients may still run.
    Stopped,
}

impl End {
    /// Whether the program ended in any way except exit code 0.
    pub fn failed(self) -> bool {
        match self {
            Self::Exited(code) => code != 0,
            Self::Signaled(_) | Self::Interrupted(_) => true,
            Self::Stopped => false,
        }
    }
}

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("this is not the report of a run: a JSON object with `mode` and `tables` is needed")]
    Json(#[from] serde_json::Error),
    #[error("the report has version {0}, and this program reads version {REPORT_VERSION}")]
    Version(u32),
}

impl RunReport {
    pub fn from_json(json: &[u8]) -> Result<Self, ReadError> {
        let report: Self = serde_json::from_slice(json)?;
        match report.result.version {
            REPORT_VERSION => Ok(report),
            other => Err(ReadError::Version(other)),
        }
    }

    /// How the program ended.
    pub fn end(&self) -> Option<End> {
        self.about.as_ref().and_then(|about| about.end)
    }

    /// Whether nothing was written because it was a dry run.
    pub fn is_dry_run(&self) -> bool {
        self.result.mode == Mode::DryRun
    }

    /// Whether created, updated and deleted count items. Without a journal, an apply counts
    /// requests.
    pub fn counts_items(&self) -> bool {
        self.is_dry_run() || self.result.journal.is_some()
    }

    /// Whether the run failed, as far as the report says.
    pub fn failed(&self) -> bool {
        let transform = self.result.transform.as_ref().map(|transform| transform.end);
        let stopped = matches!(transform, Some(TransformEnd::Failed | TransformEnd::Interrupted));
        stopped || self.result.problem.is_some() || self.end().is_some_and(End::failed)
    }

    /// Items that a transform could not change, where it continued behind them.
    pub fn failed_items(&self) -> u64 {
        let transform = self.result.transform.as_ref().filter(|_| !self.failed());
        transform.map_or(0, |transform| transform.failed)
    }

    /// Whether the guard has seen nothing of the run.
    pub fn is_unseen(&self) -> bool {
        self.result.requests == 0 && self.result.transform.is_none()
    }

    /// Whether nothing was to be seen of it.
    pub fn expects_no_requests(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.expects_no_requests)
    }
}
