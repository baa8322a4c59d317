//! What the archive's ledger says before a run: the termination message of the pod's first
//! container, and the exit code that goes with it, by which the Job knows what to do without
//! reading.
//!
//! It crosses a process boundary, so it carries a version and has a golden file. No item's key or
//! value is in it.

use serde::{Deserialize, Serialize};

use crate::identity::Difference;
use crate::limits::TERMINATION_MESSAGE_BYTES_MAX;
use crate::report::effects::TableEffect;

/// The version this build writes and the only one it reads.
pub const VERDICT_VERSION: u32 = 1;

/// Exit code for [`Verdict::Go`].
pub const EXIT_GO: u8 = 0;
/// Exit code for [`Verdict::Adopt`]. No shell and no interpreter ends with it by itself, nor with
/// the following ones.
pub const EXIT_ADOPT: u8 = 80;
/// Exit code for [`Verdict::Unknown`].
pub const EXIT_UNKNOWN: u8 = 81;
/// Exit code for [`Verdict::Renumber`].
pub const EXIT_RENUMBER: u8 = 82;
/// Exit code for [`Verdict::Locked`].
pub const EXIT_LOCKED: u8 = 83;
/// Exit code for [`Verdict::Unavailable`].
pub const EXIT_UNAVAILABLE: u8 = 84;

/// Exit code of `record` where the ledger says already that the run ended otherwise, or is another
/// object's. To say it again would not help.
pub const EXIT_CONTRADICTED: u8 = 85;

/// Exit code for [`Verdict::Differs`].
pub const EXIT_DIFFERS: u8 = 86;
/// Exit code for [`Verdict::Unreachable`].
pub const EXIT_UNREACHABLE: u8 = 87;

/// Exit codes after which a pod of the same Job would hear the same: for `podFailurePolicy`.
pub const EXITS_FINAL: [u8; 7] = [
    EXIT_ADOPT,
    EXIT_UNKNOWN,
    EXIT_RENUMBER,
    EXIT_LOCKED,
    EXIT_UNAVAILABLE,
    EXIT_DIFFERS,
    EXIT_UNREACHABLE,
];

/// Those of them that rest on what the ledger has on record, which every pod reads alike. The
/// others say that the archive or the database did not answer one pod at one moment: where a pod
/// that failed is replaced, the next one may be answered.
pub const EXITS_ON_RECORD: [u8; 5] =
    [EXIT_ADOPT, EXIT_UNKNOWN, EXIT_RENUMBER, EXIT_LOCKED, EXIT_DIFFERS];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerVerdict {
    /// Always [`VERDICT_VERSION`].
    pub version: u32,
    /// Whether the run may begin.
    pub verdict: Verdict,
}

/// Whether a run may begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    Go,
    /// It must not: what it is to do was done. The object takes over this result as its own.
    Adopt(Adopted),
    /// It must not: a run was begun, and its outcome is unknown. A person decides: raises
    /// `spec.retry` (the plan's `overrule` then names this run) or has it restored.
    Unknown(UnknownRun),
    /// It must not under this number: the archive has runs up to this one.
    Renumber {
        /// The highest number that is taken. A run gets a higher one.
        highest: u32,
    },
    /// Not now: a table that it will write is another run's.
    Locked(LockHolder),
    /// Nothing is known: the archive did not answer, or holds what is not understood.
    Unavailable {
        /// What happened, in one sentence.
        message: String,
    },
    /// It must not: what is on record was of another program, another database, or a table that was
    /// replaced since. A person decides.
    Differs(Differs),
    /// Nothing is known: the database did not say which one it is.
    Unreachable {
        /// What happened, in one sentence.
        message: String,
    },
}

/// How a run on record differs from the one that is to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Differs {
    /// The run in the ledger; absent where it is the dry run that must come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RecordedRun>,
    pub difference: Difference,
}

/// A run in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRun {
    pub run: u32,
    /// When it was begun, RFC 3339 in UTC.
    pub begun_at: String,
    /// Namespace of the object whose run it was.
    pub namespace: String,
    pub name: String,
}

/// What a run does, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LedgerKind {
    /// It applies the migration.
    Apply,
    /// It restores the run of this number.
    Restore(u32),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunOutcome {
    /// It did what it should.
    Succeeded,
    /// It failed; what it had changed is in its journal.
    Failed,
}

/// How far a run's journal has come: so much of it was durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JournalExtent {
    /// Its segments, which are numbered from 1.
    pub segments: u32,
    pub entries: u64,
}

/// A run that did what is asked for, and succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adopted {
    pub run: u32,
    pub kind: LedgerKind,
    /// Namespace of the object whose run it was.
    pub namespace: String,
    pub name: String,
    /// That object's uid: the own one, or that of an object that is gone.
    pub uid: String,
    /// When it was begun, RFC 3339 in UTC.
    pub begun_at: String,
    /// When its end was noted, RFC 3339 in UTC.
    pub completed_at: String,
    /// When its program was started, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<String>,
    /// When its program had ended, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<String>,
    /// Of a restore: how many things others had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<u64>,
    /// What a person should know beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it did to the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<RunSummary>,
}

/// What a run did to the data, in a few numbers: kept in the ledger, so that another object can
/// tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSummary {
    /// Requests the program sent.
    #[serde(default)]
    pub requests: u64,
    /// Items the program read.
    #[serde(default)]
    pub items_read: u64,
    /// Read units used.
    #[serde(default)]
    pub read_units: f64,
    /// Write units used.
    #[serde(default)]
    pub write_units: f64,
    /// What changed, per table, without attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableEffect>,
    /// Tables left out, to be short.
    #[serde(default, skip_serializing_if = "crate::plan::is_zero")]
    pub left_out: u32,
    /// Whether the counts are items. Else they are requests, as of a run without a journal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counts_items: bool,
}

impl RunSummary {
    /// Returns what the parts of a run did together.
    #[must_use]
    pub fn merged(parts: Vec<Self>) -> Self {
        let tables = TableEffect::merged(parts.iter().flat_map(|part| &part.tables));
        let mut whole = Self { tables, counts_items: true, ..Self::default() };
        for part in parts {
            whole.requests = whole.requests.saturating_add(part.requests);
            whole.items_read = whole.items_read.saturating_add(part.items_read);
            whole.read_units += part.read_units;
            whole.write_units += part.write_units;
            whole.left_out = whole.left_out.saturating_add(part.left_out);
            whole.counts_items &= part.counts_items;
        }
        whole
    }
}

/// A run that was begun and not completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnknownRun {
    pub run: u32,
    /// What it was to do.
    pub kind: LedgerKind,
    /// When it was begun, RFC 3339 in UTC.
    pub begun_at: String,
    /// Namespace of the object whose run it was.
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// Before a migration's name: the lock of a run on its migration, among those of tables, under a
/// name that no table can have.
pub const MIGRATION_LOCK: &str = "migration=";

/// Before a migration's name, `=` and a run's number: the lock of a run whose migration others may
/// run at the same time.
pub const RUN_LOCK: &str = "run=";

/// Who has a table's lock, or that of a migration or a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockHolder {
    pub table: String,
    /// The run that has it, as `MIGRATION/NUMBER`.
    pub by: String,
    /// Namespace of that run's object.
    pub namespace: String,
    pub name: String,
    /// Since when, by the holder's clock, RFC 3339 in UTC.
    pub since: String,
    /// The lock's fencing number.
    pub fence: u32,
}

impl LockHolder {
    /// Whose run it is. Without a cluster there is no namespace.
    pub fn owner(&self) -> String {
        match self.namespace.as_str() {
            "" => self.name.clone(),
            namespace => format!("{namespace}/{}", self.name),
        }
    }
}

impl LedgerVerdict {
    /// The message of a verdict.
    pub fn new(verdict: Verdict) -> Self {
        Self { version: VERDICT_VERSION, verdict }
    }

    /// The exit code that goes with it.
    pub fn exit_code(&self) -> u8 {
        match &self.verdict {
            Verdict::Go => EXIT_GO,
            Verdict::Adopt(_) => EXIT_ADOPT,
            Verdict::Unknown(_) => EXIT_UNKNOWN,
            Verdict::Renumber { .. } => EXIT_RENUMBER,
            Verdict::Locked(_) => EXIT_LOCKED,
            Verdict::Unavailable { .. } => EXIT_UNAVAILABLE,
            Verdict::Differs(_) => EXIT_DIFFERS,
            Verdict::Unreachable { .. } => EXIT_UNREACHABLE,
        }
    }

    /// As the termination message: JSON that the kubelet does not cut. Texts are shortened first,
    /// then the last tables are summed up in one.
    pub fn to_message(&self) -> String {
        let mut short = self.clone();
        loop {
            let json = serde_json::json!(short).to_string();
            if json.len() <= TERMINATION_MESSAGE_BYTES_MAX || !short.shorten() {
                return json;
            }
        }
    }

    /// Leaves something out, or sums it up; whether there was something.
    fn shorten(&mut self) -> bool {
        match &mut self.verdict {
            Verdict::Unavailable { message } | Verdict::Unreachable { message } => {
                halve_text(message)
            }
            Verdict::Differs(differs) => halve_text(&mut differs.difference.what),
            Verdict::Adopt(adopted) => {
                let tables = adopted.summary.as_mut().filter(|all| all.tables.len() > 1);
                if adopted.message.as_mut().is_some_and(halve_text) {
                    return true;
                }
                let Some(summary) = tables else { return false };
                summary.tables =
                    TableEffect::bounded(&summary.tables, summary.tables.len().div_ceil(2));
                true
            }
            // Names and times: Kubernetes and DynamoDB bound them to some hundred characters.
            Verdict::Go | Verdict::Unknown(_) | Verdict::Renumber { .. } | Verdict::Locked(_) => {
                false
            }
        }
    }
}

/// Text that is longer than a line or two loses its second half.
fn halve_text(text: &mut String) -> bool {
    let chars = text.chars().count();
    if chars <= TEXT_CHARS_KEPT {
        return false;
    }
    *text = text.chars().take(chars / 2).chain(['…']).collect();
    true
}

/// Characters of a text that are never cut: what happened stands at its beginning.
const TEXT_CHARS_KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn adopted(message: &str, tables: usize) -> LedgerVerdict {
        let table =
            |i| TableEffect { name: format!("table-{i}"), updated: 2, ..TableEffect::default() };
        LedgerVerdict::new(Verdict::Adopt(Adopted {
            run: 3,
            kind: LedgerKind::Apply,
            namespace: "team".into(),
            name: "m".into(),
            uid: "u".into(),
            begun_at: "2026-12-01T00:00:00.000Z".into(),
            completed_at: "2026-12-01T00:01:00.000Z".into(),
            execution_time: None,
            finalization_time: None,
            conflicts: None,
            message: Some(message.to_owned()),
            summary: Some(RunSummary {
                tables: (0..tables).map(table).collect(),
                ..RunSummary::default()
            }),
        }))
    }

    #[test]
    fn a_message_fits_and_says_what_it_leaves_out() {
        for (text, tables) in [(0, 0), (10_000, 0), (10, 500), (10_000, 500)] {
            let whole = adopted(&"ü".repeat(text), tables);
            let message = whole.to_message();
            assert!(message.len() <= TERMINATION_MESSAGE_BYTES_MAX, "{text} {tables}");
            let read: LedgerVerdict = serde_json::from_str(&message).unwrap();
            let Verdict::Adopt(adopted) = read.verdict else { panic!("another verdict") };
            let summary = adopted.summary.unwrap();
            let counted = |table: &TableEffect| if table.more > 0 { table.more } else { 1 };
            let told: u32 = summary.tables.iter().map(counted).sum();
            assert_eq!(told as usize, tables, "{:?}", summary.tables);
            let updated: u64 = summary.tables.iter().map(|table| table.updated).sum();
            assert_eq!((updated, summary.left_out), (2 * tables as u64, 0));
        }
    }

    #[test]
    fn each_verdict_has_an_exit_code_of_its_own() {
        let unavailable = Verdict::Unavailable { message: "x".repeat(9999) };
        let unavailable = LedgerVerdict::new(unavailable);
        assert!(unavailable.to_message().len() <= TERMINATION_MESSAGE_BYTES_MAX);
        let codes = [
            LedgerVerdict::new(Verdict::Go).exit_code(),
            adopted("", 0).exit_code(),
            LedgerVerdict::new(Verdict::Renumber { highest: 1 }).exit_code(),
            unavailable.exit_code(),
        ];
        assert_eq!(codes, [0, 80, 82, 84]);
    }
}
