//! What is known of a run that is over.

use dm_api::condition::Reason;
use dm_api::status::RunResult;
use dm_contract::report::{Archived, GuardResult, SecondRun};
use dm_contract::restored::RestoreResult;
use dm_contract::verdict::Verdict;
use jiff::Timestamp;

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: RunResult,
    pub reason: Reason,
    /// What happened, and what state the data is in.
    pub message: String,
    /// What to do now; empty after a success.
    pub what_now: String,
    /// Whether the program started, or may have.
    pub started: bool,
    /// When the program began.
    pub execution_time: Option<Timestamp>,
    /// When it had ended.
    pub finalization_time: Option<Timestamp>,
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The last lines it wrote.
    pub last_lines: Vec<String>,
    /// What the guard saw.
    pub guard: Option<GuardResult>,
    /// How the program's second run ended, if it had one.
    pub second_run: Option<SecondRun>,
    /// What a restore did, all of its pods together.
    pub restore: Option<RestoreResult>,
    /// Of a run that applies: whether it is known to have changed nothing.
    pub wrote_nothing: bool,
    /// What the archive's ledger said to it, if it was asked: the program started only after
    /// [`Verdict::Go`], with which the run was begun there.
    pub verdict: Option<Verdict>,
    /// URL of the archive that the run used.
    pub archive: Option<String>,
    /// The image that the program ran, as the kubelet has it.
    pub image_id: Option<String>,
}

impl Outcome {
    /// Where something is that the guard, or a restore, has kept in the archive.
    pub fn kept(&self, which: impl Fn(&Archived) -> Option<&String>) -> Option<String> {
        let of_guard = self.guard.as_ref().and_then(|guard| guard.archived.as_ref());
        let of_restore = self.restore.as_ref().and_then(|restore| restore.archived.as_ref());
        let path = which(of_guard.or(of_restore)?)?;
        Some(format!("{}/{path}", self.archive.as_ref()?.trim_end_matches('/')))
    }

    /// How many changes were journaled, each before it was made.
    pub fn journaled(&self) -> Option<u64> {
        Some(self.guard.as_ref()?.journal.as_ref()?.entries)
    }
}
