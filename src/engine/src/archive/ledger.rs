//! The ledger: which runs were begun and which were completed, beyond the cluster's life.
//!
//! An entry is created if absent, before a run's first write, and never changed; a second one says
//! how the run ended. One without the other means that the outcome is unknown.

mod baseline;
mod entries;
mod extent;
mod parts;
mod removal;
mod verdict;

use std::collections::BTreeMap;

use bytes::Bytes;
use dm_contract::identity::{DatabaseId, Mismatch, ProgramId, Recorded, TableIds};
use dm_contract::plan::{Plan, RunId};
use dm_contract::report::GuardResult;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::archive::RunName;
use crate::archive::store::{Archive, ArchiveError, Created, Listed};
use crate::limits;

#[cfg(test)]
pub(in crate::archive) use self::entries::tests::begun as begun_by;
pub use crate::archive::ledger::baseline::record_baseline;
pub use crate::archive::ledger::entries::{
    entries, in_use, is_undone, readable, restore_of, restored, restored_by,
};
pub use crate::archive::ledger::extent::{note, noted};
pub use crate::archive::ledger::parts::{begun_parts, complete_run_of, part_names};
pub use crate::archive::ledger::removal::{Removal, collect, removed};
pub use crate::archive::ledger::verdict::Question;
pub use dm_contract::verdict::{JournalExtent, LedgerKind as Kind, RunOutcome, RunSummary};

/// The version this build writes and the only one it reads.
pub const LEDGER_VERSION: u32 = 1;

/// A run was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Begun {
    /// Always [`LEDGER_VERSION`].
    pub version: u32,
    /// What kind of run.
    pub kind: Kind,
    /// Namespace of the migration's object.
    pub namespace: String,
    pub name: String,
    /// Its uid, which distinguishes a re-created object from the one that began the run.
    pub uid: String,
    /// When, RFC 3339 in UTC.
    pub begun_at: String,
    /// The database. Absent in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseId>,
    /// The program. Absent in entries of older versions, and where nobody has fixed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramId>,
    /// Tables that it was about to write, with their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: TableIds,
    /// Whether nothing ran: the migration was applied before the operator existed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline: bool,
    /// Differences from the runs before it that a person had accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Mismatch>,
    /// Runs up to this number were no obstacle, because a person had decided to run again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overrules: u32,
    /// How many parts the run has, each with a journal, tables and its own end; absent where
    /// it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A run has ended, and how is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Completed {
    /// Always [`LEDGER_VERSION`].
    pub version: u32,
    pub outcome: RunOutcome,
    /// When, RFC 3339 in UTC.
    pub completed_at: String,
    /// Of a restore: how many things others had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<u64>,
    /// What a person should know beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the program was started, RFC 3339 in UTC, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_time: Option<String>,
    /// When the program had ended, RFC 3339 in UTC, as its container saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization_time: Option<String>,
    /// What the run did to the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<RunSummary>,
    /// How far its journal had come: at least so much of it must be there. Absent of runs of
    /// earlier versions, of which nothing was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalExtent>,
    /// The database. Absent in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseId>,
    /// The program. Absent in entries of older versions, and where nobody has fixed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramId>,
    /// Tables that it wrote, with their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: TableIds,
    /// Of a part: its result. A pod that is started once more for it reports this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<GuardResult>>,
}

/// The ids of the tables that a run writes. Overwritten when it writes to one more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tables {
    /// Always [`LEDGER_VERSION`].
    version: u32,
    /// All of them so far.
    tables: TableIds,
}

impl Completed {
    /// A run has ended now; no more is known.
    pub fn now(outcome: RunOutcome) -> Self {
        Self {
            version: LEDGER_VERSION,
            outcome,
            completed_at: now(),
            conflicts: None,
            message: None,
            execution_time: None,
            finalization_time: None,
            summary: None,
            database: None,
            program: None,
            tables: TableIds::new(),
            journal: None,
            result: None,
        }
    }
}

/// Both entries of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    pub run: RunName,
    /// That it was begun.
    pub begun: Begun,
    /// How it ended; `None` while it continues, or if that is unknown.
    pub completed: Option<Completed>,
    /// The tables that it wrote, with their ids, as far as they are on record.
    pub tables: TableIds,
}

impl LedgerEntry {
    /// Which program it ran, and where.
    pub fn recorded(&self) -> Recorded<'_> {
        let ended = self.completed.as_ref();
        Recorded {
            database: ended.and_then(|end| end.database.as_ref()).or(self.begun.database.as_ref()),
            program: ended.and_then(|end| end.program.as_ref()).or(self.begun.program.as_ref()),
            tables: &self.tables,
        }
    }
}

/// What beginning a run came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// It is begun, now.
    New,
    /// The same run was begun before, and continues.
    Again,
    /// Another run has this name, and it must not be written for.
    Taken(Begun),
    /// The run was completed: nothing more may be written for it.
    Over(Completed),
}

/// Why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("keeping the ledger")]
    Archive(#[from] ArchiveError),
    /// An entry is not what this version writes.
    #[error("reading the ledger's entry `{path}`")]
    Entry { path: String, source: serde_json::Error },
    /// An entry is of another version.
    #[error("the ledger's entry `{0}` has a version that this program does not know")]
    Version(String),
    /// The run was completed before, in another way.
    #[error(
        "by the ledger, run {run} ended at {at} with the outcome {there:?}; {said:?} cannot be \
         recorded"
    )]
    CompletedOtherwise {
        run: RunName,
        /// How it was completed.
        there: RunOutcome,
        at: String,
        /// How it was to be completed now.
        said: RunOutcome,
    },
    /// Another run's journal would be continued by one that begins.
    #[error(
        "the archive has a journal in `{folder}`, and its ledger has no such run: the ledger was \
         lost or deleted. Nothing is written for {run}. Restore the folder `ledger`, or move the \
         journal away"
    )]
    LeftOver {
        /// The run that was to begin.
        run: RunName,
        /// Where the journal is.
        folder: String,
    },
    /// The run was begun by another object, or does something else.
    #[error(
        "the run {run} is that of {}/{} with uid {}, begun at {}",
        .begun.namespace, .begun.name, .begun.uid, .begun.begun_at
    )]
    Taken { run: RunName, begun: Box<Begun> },
}

impl LedgerError {
    /// The run whose entry cannot be read, if that is what it says.
    pub fn run(&self) -> Option<RunName> {
        match self {
            Self::Entry { path, .. } | Self::Version(path) => RunName::of_path(path),
            Self::LeftOver { run, .. } | Self::CompletedOtherwise { run, .. } => Some(run.clone()),
            Self::Archive(_) | Self::Taken { .. } => None,
        }
    }
}

type Result<T> = std::result::Result<T, LedgerError>;

/// Now, as the ledger writes it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Begins a run, or one of its parts, unless it was begun before. The first part begins the run for
/// all of them.
pub async fn begin(archive: &Archive, run: &RunName, begun: &Begun) -> Result<Begin> {
    let path = run.begun();
    let there = match archive.get(&path).await? {
        Some(there) => there,
        None => match enter(archive, run, begun).await? {
            Created::New => return Ok(Begin::New),
            Created::Exists(there) => there,
        },
    };
    let there = read_entry::<Begun>(&path, &there)?;
    // A part that has ended writes no more, even if others have not.
    let part = run.is_part().then(|| run.clone());
    for over in std::iter::once(run.whole()).chain(part) {
        if let Some(completed) = completed(archive, &over).await? {
            return Ok(Begin::Over(completed));
        }
    }
    Ok(if begun.is_same_run(&there) { Begin::Again } else { Begin::Taken(there) })
}

/// Creates the entry that a run was begun.
async fn enter(archive: &Archive, run: &RunName, begun: &Begun) -> Result<Created> {
    let path = run.begun();
    if let Some(folder) = left_over(archive, run, begun).await? {
        // Another part may have begun the run in the meantime, and have written its journal.
        return match archive.get(&path).await? {
            Some(there) if begun.parts.is_some() => Ok(Created::Exists(there)),
            Some(_) | None => Err(LedgerError::LeftOver { run: run.whole(), folder }),
        };
    }
    for name in part_names(&run.whole(), begun.parts) {
        extent::expect(archive, &name).await?;
    }
    Ok(archive.create(&path, json(begun)).await?)
}

/// The folder of a journal of a run that was not begun. A listing may be late, a name is not.
async fn left_over(archive: &Archive, run: &RunName, begun: &Begun) -> Result<Option<String>> {
    for name in part_names(&run.whole(), begun.parts) {
        if archive.exists(&name.segment(1)).await? {
            return Ok(Some(name.journal()));
        }
    }
    let whole = run.whole();
    let mut journal = None;
    // The first is enough.
    let look = |object: Listed| {
        if RunName::is_of_journal(&object.path) {
            journal = Some(object.path);
        }
        journal.is_none()
    };
    archive.visit(&whole.folder(), look).await?;
    let folder = |path: String| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    Ok(journal.map(|path| folder(path).unwrap_or_else(|| whole.journal())))
}

impl Begun {
    /// A run of this plan begins now.
    pub fn now(plan: &Plan, kind: Kind) -> Self {
        let RunId { namespace, name, uid, .. } = plan.run.clone();
        let at = &plan.upstream;
        Self {
            version: LEDGER_VERSION,
            kind,
            namespace,
            name,
            uid,
            begun_at: now(),
            database: Some(DatabaseId::new(&at.region, at.endpoint.as_deref())),
            program: plan.program.clone().filter(|_| plan.restore.is_none()),
            tables: TableIds::new(),
            baseline: false,
            accepted: plan.accept.clone(),
            overrules: plan.archive.as_ref().map_or(0, |archive| archive.overrule),
            parts: plan.parts.filter(|_| plan.restore.is_none()),
        }
    }

    /// Whether the other entry is of the same run: a guard that is started again knows less of it,
    /// or more.
    fn is_same_run(&self, other: &Self) -> bool {
        let of = |begun: &Self| {
            let Self { kind, namespace, name, uid, parts, .. } = begun;
            (kind.clone(), namespace.clone(), name.clone(), uid.clone(), *parts)
        };
        // The parts of a run do the same, so none joins a run of another program.
        let same_program = self.parts.is_none() || self.program == other.program;
        of(self) == of(other) && same_program
    }
}

/// The tables on record of a run that was begun, or of one of its parts, with their ids.
pub async fn tables(archive: &Archive, run: &RunName) -> Result<TableIds> {
    let Some(begun) = begun(archive, run).await? else {
        return more_tables(archive, run, None).await;
    };
    let mut tables = begun.tables;
    tables.extend(more_tables(archive, run, begun.parts).await?);
    Ok(tables)
}

/// Those that were put on record after the beginning: of a whole run those of all its parts.
async fn more_tables(archive: &Archive, run: &RunName, parts: Option<u32>) -> Result<TableIds> {
    let names = part_names(run, parts);
    let each = names.iter().map(|name| async move {
        let path = name.tables();
        let there = archive.get(&path).await?.map(|there| read_entry::<Tables>(&path, &there));
        Ok::<_, LedgerError>(there.transpose()?.map(|there| there.tables).unwrap_or_default())
    });
    let each: Vec<_> = each.collect();
    stream::iter(each).buffered(limits::ARCHIVE_READS_AT_ONCE).try_concat().await
}

/// Puts all tables that a run writes on record.
pub async fn write_tables(archive: &Archive, run: &RunName, tables: &TableIds) -> Result<()> {
    let record = Tables { version: LEDGER_VERSION, tables: tables.clone() };
    Ok(archive.replace(&run.tables(), json(&record)).await?)
}

/// Completes a run, or one of its parts, with how far its journal has come. To say the same again
/// does no harm. What it began with, and the tables that it wrote since, become part of the entry.
/// The last part that succeeds completes the run.
pub async fn complete(archive: &Archive, run: &RunName, completed: &Completed) -> Result<()> {
    let begun = begun(archive, run).await?;
    enter_end(archive, run, begun.clone(), completed).await?;
    match begun {
        Some(begun) if run.is_part() => parts::complete_whole(archive, run, begun).await,
        Some(_) | None => Ok(()),
    }
}

/// Creates the entry that a run, or a part, has ended.
async fn enter_end(
    archive: &Archive,
    run: &RunName,
    begun: Option<Begun>,
    completed: &Completed,
) -> Result<()> {
    let mut completed = completed.clone();
    if let Some(begun) = begun {
        completed.database = completed.database.or(begun.database);
        completed.program = completed.program.or(begun.program);
        let later = std::mem::take(&mut completed.tables);
        completed.tables = begun.tables;
        completed.tables.extend(more_tables(archive, run, begun.parts).await?);
        completed.tables.extend(later);
    }
    let path = run.completed();
    // A whole run with parts has none itself.
    completed.journal = noted(archive, run).await?;
    match archive.create(&path, json(&completed)).await? {
        Created::New => Ok(()),
        Created::Exists(there) => {
            let there = read_entry::<Completed>(&path, &there)?;
            if there.outcome == completed.outcome {
                Ok(())
            } else {
                Err(LedgerError::CompletedOtherwise {
                    run: run.clone(),
                    there: there.outcome,
                    at: there.completed_at,
                    said: completed.outcome,
                })
            }
        }
    }
}

/// Completes a run whose program ended, whether or not it wrote anything: one that did not is begun
/// at its end, so that it is on record.
pub async fn record(
    archive: &Archive,
    run: &RunName,
    begun: &Begun,
    completed: &Completed,
) -> Result<()> {
    match begin(archive, run, begun).await? {
        Begin::New | Begin::Again | Begin::Over(_) => complete(archive, run, completed).await,
        Begin::Taken(there) => Err(LedgerError::Taken { run: run.clone(), begun: Box::new(there) }),
    }
}

/// That a run was begun, if it was.
pub async fn begun(archive: &Archive, run: &RunName) -> Result<Option<Begun>> {
    let path = run.begun();
    archive.get(&path).await?.map(|there| read_entry(&path, &there)).transpose()
}

/// How a run was completed, if it was.
pub async fn completed(archive: &Archive, run: &RunName) -> Result<Option<Completed>> {
    let path = run.completed();
    archive.get(&path).await?.map(|there| read_entry(&path, &there)).transpose()
}

fn json(entry: &impl Serialize) -> Bytes {
    // Texts, numbers and enums: nothing that JSON cannot hold.
    Bytes::from(serde_json::json!(entry).to_string() + "\n")
}

/// The version is looked at first: another one may have other fields.
fn read_entry<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T> {
    let wrong = |source| LedgerError::Entry { path: path.to_owned(), source };
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(wrong)?;
    if value.get("version").and_then(serde_json::Value::as_u64) != Some(u64::from(LEDGER_VERSION)) {
        return Err(LedgerError::Version(path.to_owned()));
    }
    serde_json::from_value(value).map_err(wrong)
}

#[cfg(test)]
mod tests;
