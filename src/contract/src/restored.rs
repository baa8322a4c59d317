//! What a restore's pod reports to the operator, as its container's termination message, which the
//! kubelet cuts. The full report and all conflicts are in the archive.
//!
//! It crosses a process boundary, so it carries a version and has a golden file. Keys of items are
//! in it only where the target's policy shows values; values never.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::Difference;
use crate::limits::TERMINATION_MESSAGE_BYTES_MAX;
use crate::plan::Mode;
use crate::report::{Archived, JournalResult, RestoreCounts};
use crate::verdict::EXIT_DIFFERS;

/// The version this build writes and the only one it reads.
pub const RESTORE_RESULT_VERSION: u32 = 1;

/// What a restore did, or in a dry run would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreResult {
    /// Always [`RESTORE_RESULT_VERSION`].
    pub version: u32,
    pub mode: Mode,
    /// The number of the run that is restored.
    pub of: u32,
    /// When it began, RFC 3339 in UTC with milliseconds.
    pub started_at: String,
    /// When it had ended, RFC 3339 in UTC with milliseconds.
    pub finished_at: String,
    /// Whether every key was looked at. If not, `problem` says why, and the same restore continues.
    pub finished: bool,
    #[serde(flatten)]
    pub counts: RestoreCounts,
    /// Things that others changed since: attributes, and whole items.
    pub conflicts: u64,
    /// The same by table and kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ConflictGroup>,
    /// Entries of `groups` that had to be left out to fit the message, and conflicts that are in no
    /// group because there were too many.
    #[serde(default)]
    pub left_out: u32,
    /// Read units used.
    pub read_units: f64,
    /// Write units used.
    pub write_units: f64,
    /// What the restore journaled of itself; absent where it wrote nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalResult>,
    /// What is kept of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Archived>,
    /// Why it did not finish, or what cannot be relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Why nothing was restored: the run worked on another database, or a table was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs: Option<Difference>,
    /// What is wrong with the journal, where that is why it did not finish. Nothing was written
    /// then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_problem: Option<JournalProblem>,
    /// Calls of the run that changed tables themselves, the first of them: they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_restored: Vec<NotRestored>,
    /// Whether the run that is restored is on record and wrote nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nothing_written: bool,
}

/// What is wrong with the journal of the run that is to be restored. To try again would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalProblem {
    /// The archive's ledger does not know the run.
    NoRun,
    /// The journal was removed, on record or not.
    JournalGone,
    /// Segments that were durable are not there.
    JournalIncomplete,
    /// It cannot be read.
    JournalDamaged,
}

/// A call of the run that changed tables themselves, which no restore undoes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotRestored {
    /// The operation, as DynamoDB spells it.
    pub operation: String,
    /// The tables that it named.
    pub tables: Vec<String>,
    /// Whether its outcome is unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

impl std::fmt::Display for NotRestored {
    /// As `CreateTable prices`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operation, tables, in_doubt } = self;
        f.write_str(operation)?;
        if !tables.is_empty() {
            write!(f, " {}", tables.join(", "))?;
        }
        f.write_str(if *in_doubt { " (perhaps not carried out)" } else { "" })
    }
}

/// Exit code of a restore that has met a [`JournalProblem`]. Another pod would meet the same.
pub const EXIT_JOURNAL: u8 = 88;

/// Conflicts of one kind in one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictGroup {
    pub table: String,
    /// What was changed; of an attribute, its name.
    pub conflict: Conflict,
    /// In how many items.
    pub count: u64,
    /// Keys of the first of them, in DynamoDB's JSON; empty where values are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Value>,
}

/// Something that others changed since the run, so that it cannot simply be restored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Conflict {
    /// This attribute has another value than the run left, or others have written that value since
    /// an earlier restore.
    AttributeChanged(String),
    /// The item that the run created is not what the run left, or others have written it since an
    /// earlier restore.
    ItemChanged,
    /// The item that the run changed was deleted.
    ItemDeleted,
    /// Where the run deleted an item there is another one.
    PlaceTaken,
    /// Several parts of the run wrote the item, and their journals do not tell in which order.
    OrderUnknown,
    /// The run created the item, and it may be the only copy of one that could not be recreated: by
    /// their transaction, by what they have in common, or by the order of the writes.
    OnlyCopy,
    /// The database rejects the earlier value, for example under the key of an index that was added
    /// since: of this attribute, or of the whole item.
    Rejected(Option<String>),
}

impl Conflict {
    /// Returns what others did to the item, in words. `named` shows the name of an attribute as the
    /// reader's screen or page needs it.
    pub fn in_words(&self, named: impl Fn(&str) -> String) -> String {
        match self {
            Self::AttributeChanged(name) => format!("{} changed after the run", named(name)),
            Self::ItemChanged => "the item changed after the run".into(),
            Self::ItemDeleted => "the item was deleted after the run".into(),
            Self::PlaceTaken => "another item with its key was created after the run".into(),
            Self::OnlyCopy => "it may be the only copy of an item that could not return".into(),
            Self::OrderUnknown => "several pods wrote the item in an unknown order".into(),
            Self::Rejected(Some(name)) => {
                format!("the database rejects the earlier {}", named(name))
            }
            Self::Rejected(None) => "the database rejects the earlier item".into(),
        }
    }
}

impl RestoreResult {
    /// As the termination message: JSON that the kubelet does not cut. Keys go first, then groups.
    pub fn to_message(&self) -> String {
        let mut short = self.clone();
        if let Some(problem) = &mut short.problem {
            *problem = problem.chars().take(PROBLEM_CHARS_MAX).collect();
        }
        loop {
            let json = serde_json::json!(short).to_string();
            if json.len() <= TERMINATION_MESSAGE_BYTES_MAX || !short.shorten() {
                return json;
            }
        }
    }

    /// The exit code that goes with it, by which the Job knows whether to try again.
    pub fn exit_code(&self) -> u8 {
        if self.differs.is_some() {
            return EXIT_DIFFERS;
        }
        if self.journal_problem.is_some() {
            return EXIT_JOURNAL;
        }
        u8::from(!self.finished || self.problem.is_some())
    }

    fn shorten(&mut self) -> bool {
        if self.groups.iter().any(|group| !group.keys.is_empty()) {
            for group in &mut self.groups {
                group.keys.truncate(group.keys.len() / 2);
            }
            return true;
        }
        if self.groups.is_empty() && !self.not_restored.is_empty() {
            self.not_restored.truncate(self.not_restored.len() / 2);
            return true;
        }
        let keep = self.groups.len() / 2;
        let left_out = u32::try_from(self.groups.len() - keep).unwrap_or(u32::MAX);
        self.left_out = self.left_out.saturating_add(left_out);
        self.groups.truncate(keep);
        left_out > 0
    }
}

/// Characters of a problem in the message: two bytes each in the worst text there is, and room.
const PROBLEM_CHARS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn result(groups: usize, keys: usize) -> RestoreResult {
        let key = |i| serde_json::json!({"id": {"S": format!("cars/{i}")}});
        let group = |i| ConflictGroup {
            table: "cars".into(),
            conflict: Conflict::AttributeChanged(format!("attribute-{i}")),
            count: keys as u64,
            keys: (0..keys).map(key).collect(),
        };
        RestoreResult {
            version: RESTORE_RESULT_VERSION,
            mode: Mode::Apply,
            of: 1,
            started_at: String::new(),
            finished_at: String::new(),
            finished: true,
            counts: RestoreCounts { items: 1, unchanged: 1, ..RestoreCounts::default() },
            conflicts: (groups * keys) as u64,
            groups: (0..groups).map(group).collect(),
            left_out: 0,
            read_units: 0.5,
            write_units: 0.0,
            journal: None,
            archived: None,
            problem: None,
            differs: None,
            journal_problem: None,
            not_restored: Vec::new(),
            nothing_written: false,
        }
    }

    #[test]
    fn a_result_of_an_earlier_version_is_read() {
        let mut old = serde_json::json!(result(1, 2));
        let members = old.as_object_mut().unwrap();
        for (new, old) in [
            ("items", "keys"),
            ("restored", "updated"),
            ("recreated", "put"),
            ("unchanged", "untouched"),
        ] {
            let count = members.remove(new).unwrap();
            members.insert(old.to_owned(), count);
        }
        assert_eq!(serde_json::from_value::<RestoreResult>(old).unwrap(), result(1, 2));
    }

    #[test]
    fn a_message_fits_and_says_what_it_leaves_out() {
        for (groups, keys) in [(0, 0), (1, 2), (1, 10_000), (500, 3)] {
            let mut whole = result(groups, keys);
            whole.problem = (keys > 2).then(|| "ü".repeat(5000));
            let message = whole.to_message();
            assert!(message.len() <= TERMINATION_MESSAGE_BYTES_MAX, "{groups} {keys}");
            let read: RestoreResult = serde_json::from_str(&message).unwrap();
            assert_eq!(read.groups.len() + read.left_out as usize, groups);
            assert_eq!(read.conflicts, whole.conflicts);
        }
        assert_eq!(
            serde_json::from_str::<RestoreResult>(&result(1, 2).to_message()).unwrap(),
            result(1, 2)
        );
    }
}
