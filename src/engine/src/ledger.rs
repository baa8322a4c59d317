//! The ledger: which runs were begun and which were completed, beyond the cluster's life.
//!
//! An entry is created if absent, before a run's first write, and never changed; a second one says how
//! the run ended. One without the other means that the outcome is unknown.

mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dm_core::plan::RunId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError, Created, RunName};

pub use dm_core::verdict::{LedgerKind as Kind, RunOutcome, RunSummary};
pub use verdict::Question;

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
    /// Its name.
    pub name: String,
    /// Its uid, which tells a re-created object from the one that began the run.
    pub uid: String,
    /// When, RFC 3339 in UTC.
    pub begun_at: String,
}

/// A run has ended, and how is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Completed {
    /// Always [`LEDGER_VERSION`].
    pub version: u32,
    /// How it ended.
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
        }
    }
}

/// Both entries of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// The run.
    pub run: RunName,
    /// That it was begun.
    pub begun: Begun,
    /// How it ended; `None` while it goes on, or where nobody knows.
    pub completed: Option<Completed>,
}

/// What beginning a run came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// It is begun, now.
    New,
    /// The same run was begun before, and goes on.
    Again,
    /// Another run has this name, and it must not be written for.
    Taken(Begun),
    /// The run was completed: nothing more may be written for it.
    Over(Completed),
}

/// Why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The archive.
    #[error("keeping the ledger")]
    Archive(#[from] ArchiveError),
    /// An entry is not what this version writes.
    #[error("reading the ledger's entry `{path}`")]
    Entry {
        /// Its path.
        path: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// An entry is of another version.
    #[error("the ledger's entry `{0}` has a version that this program does not know")]
    Version(String),
    /// The run was completed before, in another way.
    #[error(
        "the ledger says that the run {run} ended at {at} and has {there:?}: it cannot have {said:?}"
    )]
    CompletedOtherwise {
        /// The run.
        run: RunName,
        /// How it was completed.
        there: RunOutcome,
        /// When.
        at: String,
        /// How it was to be completed now.
        said: RunOutcome,
    },
    /// The run was begun by another object, or does something else.
    #[error(
        "the run {run} is that of {}/{} with uid {}, begun at {}",
        .begun.namespace, .begun.name, .begun.uid, .begun.begun_at
    )]
    Taken {
        /// The run.
        run: RunName,
        /// Who began it.
        begun: Box<Begun>,
    },
}

type Result<T> = std::result::Result<T, LedgerError>;

/// Now, as the ledger writes it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Begins a run, unless it was begun before.
pub async fn begin(archive: &Archive, run: &RunName, begun: &Begun) -> Result<Begin> {
    let path = run.begun();
    let there = match archive.create(&path, json(begun)).await? {
        Created::New => return Ok(Begin::New),
        Created::Exists(there) => read_entry::<Begun>(&path, &there)?,
    };
    if let Some(completed) = completed(archive, run).await? {
        return Ok(Begin::Over(completed));
    }
    // The time differs when a guard of the same run begins again.
    let same = Begun { begun_at: there.begun_at.clone(), ..begun.clone() } == there;
    Ok(if same { Begin::Again } else { Begin::Taken(there) })
}

impl Begun {
    /// A run begins now.
    pub fn now(id: &RunId, kind: Kind) -> Self {
        Self {
            version: LEDGER_VERSION,
            kind,
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            uid: id.uid.clone(),
            begun_at: now(),
        }
    }
}

/// Completes a run. To say the same again does no harm.
pub async fn complete(archive: &Archive, run: &RunName, completed: &Completed) -> Result<()> {
    let path = run.completed();
    match archive.create(&path, json(completed)).await? {
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

/// Completes a run whose program ended, whether or not it wrote anything: one that did not is begun at
/// its end, so that it is on record.
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

/// How a run was completed, if it was.
pub async fn completed(archive: &Archive, run: &RunName) -> Result<Option<Completed>> {
    let path = run.completed();
    archive.get(&path).await?.map(|there| read_entry(&path, &there)).transpose()
}

/// All runs of a migration, or of all, in order.
pub async fn entries(archive: &Archive, migration: Option<&str>) -> Result<Vec<LedgerEntry>> {
    let folder = migration.map_or("ledger".to_owned(), |name| format!("ledger/{name}"));
    let mut begun: BTreeMap<RunName, Begun> = BTreeMap::new();
    let mut ended: BTreeMap<RunName, Completed> = BTreeMap::new();
    for object in archive.list(&folder).await? {
        let Some(run) = RunName::of_path(&object.path) else { continue };
        let Some(there) = archive.get(&object.path).await? else { continue };
        if object.path == run.begun() {
            begun.insert(run, read_entry(&object.path, &there)?);
        } else if object.path == run.completed() {
            ended.insert(run, read_entry(&object.path, &there)?);
        }
    }
    let entry = |(run, begun): (RunName, Begun)| {
        let completed = ended.remove(&run);
        LedgerEntry { run, begun, completed }
    };
    Ok(begun.into_iter().map(entry).collect())
}

/// The runs that were taken back, with nothing left in conflict.
pub fn restored(entries: &[LedgerEntry]) -> BTreeSet<RunName> {
    let of = |entry: &LedgerEntry| {
        let completed = entry.completed.as_ref()?;
        let clean = completed.conflicts == Some(0);
        match entry.begun.kind {
            Kind::Restore(number) if clean && completed.outcome == RunOutcome::Succeeded => {
                RunName::new(entry.run.migration(), number).ok()
            }
            Kind::Restore(_) | Kind::Apply => None,
        }
    };
    entries.iter().filter_map(of).collect()
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
mod tests {
    use super::*;
    use object_store::memory::InMemory;
    use std::sync::Arc;

    fn begun(uid: &str, at: &str) -> Begun {
        Begun {
            version: LEDGER_VERSION,
            kind: Kind::Apply,
            namespace: "n".into(),
            name: "m".into(),
            uid: uid.into(),
            begun_at: at.into(),
        }
    }

    fn completed(outcome: RunOutcome) -> Completed {
        let completed_at = "2026-12-01T00:00:00.000Z".into();
        Completed { completed_at, ..Completed::now(outcome) }
    }

    #[tokio::test]
    async fn a_run_is_begun_once_goes_on_as_itself_and_is_never_taken_over() {
        let archive = Archive::over(Arc::new(InMemory::new()));
        let run = RunName::new("m", 1).unwrap();
        assert_eq!(begin(&archive, &run, &begun("u", "1")).await.unwrap(), Begin::New);
        assert_eq!(begin(&archive, &run, &begun("u", "2")).await.unwrap(), Begin::Again);
        let taken = begin(&archive, &run, &begun("other", "3")).await.unwrap();
        assert_eq!(taken, Begin::Taken(begun("u", "1")));

        complete(&archive, &run, &completed(RunOutcome::Succeeded)).await.unwrap();
        complete(&archive, &run, &completed(RunOutcome::Succeeded)).await.unwrap();
        assert!(complete(&archive, &run, &completed(RunOutcome::Failed)).await.is_err());
        let over = begin(&archive, &run, &begun("u", "4")).await.unwrap();
        assert_eq!(over, Begin::Over(completed(RunOutcome::Succeeded)));
    }

    #[tokio::test]
    async fn entries_tell_which_runs_have_no_known_outcome() {
        let archive = Archive::over(Arc::new(InMemory::new()));
        for number in 1..=2 {
            let run = RunName::new("m", number).unwrap();
            begin(&archive, &run, &begun("u", "1")).await.unwrap();
        }
        let first = RunName::new("m", 1).unwrap();
        complete(&archive, &first, &completed(RunOutcome::Failed)).await.unwrap();
        let known: Vec<(u32, bool)> = entries(&archive, Some("m"))
            .await
            .unwrap()
            .iter()
            .map(|entry| (entry.run.number(), entry.completed.is_some()))
            .collect();
        assert_eq!(known, [(1, true), (2, false)]);
        assert!(entries(&archive, Some("other")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_not_understood_is_refused() {
        let archive = Archive::over(Arc::new(InMemory::new()));
        let run = RunName::new("m", 1).unwrap();
        for wrong in ["", "{}", r#"{"version":2}"#, r#"{"version":1,"kind":"apply"}"#] {
            archive.replace(&run.begun(), Bytes::from(wrong)).await.unwrap();
            assert!(begin(&archive, &run, &begun("u", "1")).await.is_err(), "{wrong}");
        }
    }

    #[test]
    fn entries_have_their_golden_form() {
        let kind = Kind::Restore(1);
        let begun = Begun { kind, ..begun("u", "2026-12-01T00:00:00.000Z") };
        assert_eq!(
            String::from_utf8_lossy(&json(&begun)),
            "{\"version\":1,\"kind\":{\"restore\":1},\"namespace\":\"n\",\"name\":\"m\",\
             \"uid\":\"u\",\"begunAt\":\"2026-12-01T00:00:00.000Z\"}\n"
        );
        assert_eq!(
            String::from_utf8_lossy(&json(&completed(RunOutcome::Succeeded))),
            "{\"version\":1,\"outcome\":\"Succeeded\",\
             \"completedAt\":\"2026-12-01T00:00:00.000Z\"}\n"
        );
    }
}
