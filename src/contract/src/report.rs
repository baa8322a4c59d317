//! Results that a run's pod reports to the operator: the guard's and the program's, both written as
//! termination messages, which the kubelet cuts.
//!
//! They cross a process boundary, so they carry a version and have golden files. Counts and names
//! of attributes only, but for the samples of a dry run whose target shows values.

mod changed_item;
mod continued;
mod digest;
mod dry_run;
pub(crate) mod effects;
pub mod example;
mod merged;
mod outage;
mod restore;
mod timeline;
mod transform;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use changed_item::{CHANGED_ITEM_VERSION, ChangeKind, ChangedItem, ItemChange};
pub use continued::Continued;
pub use digest::effects_digest;
pub use dry_run::{
    ApplyTime, ChangedAgain, DryRunResult, Limited, OperationCount, SecondPass, Use,
};
pub use effects::{AttributeEffect, TableChange, TableEffect};
pub use merged::merged;
pub use outage::{Behind, Outage};
pub use restore::{ListedConflict, RestoreCounts, RestoreReport};
pub use timeline::{Timeline, TimelineStep};
pub use transform::{EXIT_PARTIALLY_FAILED, FailedItem, TransformEnd, TransformResult};

use crate::identity::DatabaseId;
use crate::part::Part;
use crate::plan::Mode;
use crate::verdict::{LockHolder, RunOutcome, Verdict};

/// The version this build writes and the only one it reads.
pub const REPORT_VERSION: u32 = 1;

/// The ledger's text for a program that ended with 0 and sent no request: it did nothing, or it
/// bypassed the guard.
pub const NO_REQUESTS: &str =
    "The program ended with exit code 0 and sent no request to the guard.";

/// What the guard saw, as its container's termination message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardResult {
    /// Always [`REPORT_VERSION`].
    pub version: u32,
    /// What happened to writes.
    pub mode: Mode,
    /// Requests the program sent to the guard, answered or refused.
    pub requests: u64,
    /// Calls of writing operations that the guard sent to the database. In a dry run: 0.
    pub write_calls_upstream: u64,
    /// Calls of reading operations that the guard sent to the database.
    pub read_calls_upstream: u64,
    /// Items returned to the program by its reads, before filters.
    pub items_read: u64,
    /// Read request units: used in an applied run, in a dry run used by the reads made.
    pub read_units: f64,
    /// Write request units: used in an applied run, in a dry run what applying would cost.
    pub write_units: f64,
    /// What changed, or in a dry run would change, per table, in order of their names.
    pub tables: Vec<TableEffect>,
    /// Operations that were not answered exactly, or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// Calls that the program sent and that were answered with an error of DynamoDB's, by operation
    /// and error; of a batch of statements only its own. None of a transform, which deals with
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorCount>,
    /// Digest over the shape of the effects: tables, kinds of writes, attributes, counts.
    pub effects_digest: String,
    /// Why the result cannot be relied on, if so (the guard was restarted in the middle, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Entries of `tables`, `remarks` or `errors` that had to be left out to fit the message.
    #[serde(default)]
    pub left_out: u32,
    /// What only a dry run has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunResult>,
    /// What was journaled; absent where the plan names no archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalResult>,
    /// Owner of the table lock for which a write last waited or was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<LockHolder>,
    /// Outages during the run: the last of the archive and of the database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
    /// What is kept of the run; absent where the plan names no archive, and while the run
    /// continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Archived>,
    /// The database, as far as the ARNs of its tables identify it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseId>,
    /// Why the run wrote nothing: the ledger's verdict before its first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_way: Option<Verdict>,
    /// What a transform did; absent where a program ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<TransformResult>,
    /// The part of the run that this result describes; absent if it describes the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The guards before this one whose counts are contained. Absent of a program, without an
    /// archive, and until the guard has read what they left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continued: Option<Continued>,
}

impl GuardResult {
    /// The result of a run of which nothing was seen.
    pub fn empty(mode: Mode) -> Self {
        Self {
            version: REPORT_VERSION,
            mode,
            requests: 0,
            write_calls_upstream: 0,
            read_calls_upstream: 0,
            items_read: 0,
            read_units: 0.0,
            write_units: 0.0,
            tables: Vec::new(),
            remarks: Vec::new(),
            errors: Vec::new(),
            effects_digest: String::new(),
            problem: None,
            left_out: 0,
            dry_run: None,
            journal: None,
            locked: None,
            outages: Vec::new(),
            archived: None,
            database: None,
            gave_way: None,
            transform: None,
            part: None,
            continued: None,
        }
    }

    /// What did not answer when the run ended; the archive first, because no write goes without it.
    pub fn outage(&self) -> Option<&Outage> {
        let lasting = |of| self.outages.iter().find(|outage| outage.lasts && outage.of == of);
        lasting(Behind::Archive).or_else(|| lasting(Behind::Database))
    }

    /// Notes that the program failed when it ran a second time. It is then not safe to run again,
    /// even if it changed nothing until then.
    pub fn second_run_failed(&mut self) {
        let dry_run = self.dry_run.as_mut();
        if let Some(pass) = dry_run.and_then(|dry_run| dry_run.second_pass.as_mut()) {
            pass.idempotent = false;
        }
    }
}

/// What is kept of a run in the archive, by paths in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Archived {
    /// The run's name in the archive, `MIGRATION/NUMBER`.
    pub run: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Of a dry run: what would change, item by item; its first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// How many parts it has, where there is more than one: `difference-2.ndjson.zst` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference_parts: Option<u32>,
    /// Of a restore: the conflicts, one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<String>,
    /// What the ledger says of the run's end; absent in a dry run, and where the end is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<RunOutcome>,
    /// What could not be kept, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What an applied run has journaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalResult {
    /// The run's name in the archive, `MIGRATION/NUMBER`.
    pub run: String,
    /// Entries: writes that were about to change an item.
    pub entries: u64,
    /// Objects in the archive that hold them.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes whose entries were durable before the program sent them.
    #[serde(default)]
    pub ahead: u64,
    /// Read units used to know items before they change; contained in the run's read units.
    pub read_units: f64,
    /// Why the run cannot be restored, if its journal was found missing when it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How faithfully an operation was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fidelity {
    /// Answered, but not in every respect as DynamoDB would have.
    Approximate,
    /// Not answered; the program got an error.
    Refused,
}

impl Fidelity {
    /// What an operation was, in a word for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Approximate => "approximate",
            Self::Refused => "rejected",
        }
    }
}

/// One operation that was not answered exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remark {
    /// DynamoDB's name of the operation.
    pub operation: String,
    /// How it was answered.
    pub fidelity: Fidelity,
    /// Why, in one sentence.
    pub why: String,
    pub count: u64,
}

/// Calls of one operation that were answered with one error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorCount {
    /// DynamoDB's name of the operation.
    pub operation: String,
    /// DynamoDB's name of the error.
    pub error: String,
    pub count: u64,
}

/// How the second pass of the program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondRun {
    /// Its exit code, unless a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
}

impl SecondRun {
    /// Whether it ran and did not succeed.
    pub fn failed(&self) -> bool {
        self.not_run.is_none() && self.exit_code != Some(0)
    }
}

/// Processes that a program left running when it ended. They are stopped with its container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftRunning {
    pub count: u32,
    /// The names of the first.
    pub names: Vec<String>,
}

impl fmt::Display for LeftRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, count) = (self.names.join(", "), self.count);
        match count {
            1 => write!(f, "a process that it had started still ran ({names})"),
            _ if count as usize > self.names.len() => {
                write!(f, "{count} processes that it had started still ran ({names} …)")
            }
            _ => write!(f, "{count} processes that it had started still ran ({names})"),
        }
    }
}

/// What the entry program saw of the user's program, as its container's termination message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramResult {
    /// Always [`REPORT_VERSION`].
    pub version: u32,
    /// When the program was started, RFC 3339 in UTC with milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it had ended, RFC 3339 in UTC with milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Its exit code, unless a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The signal that asked it to stop, if one was passed on before it ended. With exit code 0 its
    /// work may be incomplete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_to_end: Option<i32>,
    /// Processes that it had started and that still ran a moment after it ended with exit code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_running: Option<LeftRunning>,
    /// Why it could not be started at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_error: Option<String>,
    /// How its second run ended, if one was asked for; everything else is of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_run: Option<SecondRun>,
    /// The last lines it wrote to standard output and standard error, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// Why not all of its output is kept for the archive, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_problem: Option<String>,
}

impl ProgramResult {
    /// The signal that asked the program to stop, if it then ended with exit code 0: its work may
    /// be incomplete.
    pub fn interrupted(&self) -> Option<i32> {
        self.asked_to_end.filter(|_| self.exit_code == Some(0))
    }
}
