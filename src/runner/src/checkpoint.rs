//! How far a run has come, in the archive: a guard that was restarted in the middle of a run
//! continues from there, and the run after a partially failed one visits only the items that
//! failed. What was changed after the last checkpoint is read again, and found to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use dm_contract::plan::{Mode, Plan};
use dm_engine::archive::ledger::{self, Kind, LedgerError};
use dm_engine::archive::{Archive, ArchiveError, RunName};
use dm_engine::journal::JournalledRun;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version that this build writes and the only one that it reads.
const VERSION: u32 = 1;

/// Where the checkpoints of a run are.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    archive: Archive,
    run: RunName,
}

/// What a checkpoint is of. Another transform, or another table of the same name, makes of it
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Subject {
    /// Digest of the transform and its files.
    pub transform: String,
    /// The table's id.
    pub table: Option<String>,
}

/// The keys of items that could not be changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FailedKeys {
    /// Each as DynamoDB's JSON.
    pub keys: Vec<Value>,
    /// Whether there are more than are listed.
    #[serde(default)]
    pub more: bool,
}

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Checkpoint {
    version: u32,
    /// Segments of the scan.
    pub total: u32,
    /// Seconds since 1970 that `now()` gives.
    pub now_s: i64,
    /// Segments whose items are all done.
    pub done: BTreeSet<u32>,
    /// Of other segments the key up to which they are.
    pub positions: BTreeMap<u32, Value>,
    /// What was scanned. Absent in checkpoints of older versions.
    #[serde(default)]
    pub subject: Subject,
    /// Items before these positions that failed.
    #[serde(default)]
    pub failed: FailedKeys,
    /// The run whose failed items are all that is visited, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_run: Option<String>,
}

/// What an earlier run left: where this run begins, and the earlier run's name.
pub(crate) struct Earlier {
    pub checkpoint: Checkpoint,
    pub run: String,
}

/// Why a run cannot go on from its checkpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("reading the checkpoint")]
    Archive(#[from] ArchiveError),
    #[error("reading which runs came before")]
    Ledger(#[from] LedgerError),
    #[error("the checkpoint {0} is not understood; remove it to begin with the first item")]
    Unknown(String),
}

impl Checkpoints {
    /// Returns those of a plan's run. Dry runs have none, because what their overlay held is gone.
    pub fn of(plan: &Plan, archive: &Archive) -> Option<Self> {
        let run =
            JournalledRun::of_plan(plan).ok().flatten().filter(|_| plan.mode == Mode::Apply)?;
        Some(Self { archive: archive.clone(), run: run.name })
    }

    pub(crate) async fn read(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let path = self.run.checkpoint();
        let Some(bytes) = self.archive.get(&path).await? else { return Ok(None) };
        parsed(&bytes).map(Some).ok_or(CheckpointError::Unknown(path))
    }

    /// Returns the checkpoint of the run before, if that applied the same, has seen every item, and
    /// lists all that failed. Any other run that wrote in between, such as a restore, makes it
    /// void.
    pub(crate) async fn earlier(
        &self,
        subject: &Subject,
    ) -> Result<Option<Earlier>, CheckpointError> {
        let entries = ledger::entries(&self.archive, Some(self.run.migration())).await?;
        let before = entries.iter().filter(|entry| entry.run.number() < self.run.number());
        let Some(last) = before.max_by_key(|entry| entry.run.number()) else { return Ok(None) };
        if last.begun.kind != Kind::Apply || last.begun.baseline {
            return Ok(None);
        }
        let Some(bytes) = self.archive.get(&last.run.checkpoint()).await? else { return Ok(None) };
        let found = parsed(&bytes).filter(|checkpoint| checkpoint.leaves_only_failed(subject));
        Ok(found.map(|checkpoint| Earlier { checkpoint, run: last.run.to_string() }))
    }

    /// Writes one. It only saves reading, so its failure is not the run's.
    pub(crate) async fn write(&self, checkpoint: &Checkpoint) {
        let json = serde_json::to_vec(checkpoint).unwrap_or_default();
        if let Err(error) = self.archive.replace(&self.run.checkpoint(), Bytes::from(json)).await {
            tracing::warn!(%error, "writing a checkpoint");
        }
    }
}

fn parsed(bytes: &[u8]) -> Option<Checkpoint> {
    let read = serde_json::from_slice::<Checkpoint>(bytes).ok();
    read.filter(|checkpoint| checkpoint.version == VERSION)
}

impl Checkpoint {
    /// Returns it for a run in which `now()` gives this time.
    pub fn at_time(self, now_s: i64) -> Self {
        Self { now_s, ..self }
    }

    /// Whether a run of this has nothing to do but to visit the items that are listed as failed.
    fn leaves_only_failed(&self, subject: &Subject) -> bool {
        let scanned = (0..self.total).all(|segment| self.done.contains(&segment));
        scanned
            && self.subject == *subject
            && self.subject.table.is_some()
            && !self.failed.more
            && !self.failed.keys.is_empty()
    }
}

/// The checkpoint of a run under way.
#[derive(Debug)]
pub(crate) struct Position(Mutex<(Checkpoint, bool)>);

impl Position {
    /// At the beginning.
    pub fn begin(total: u32, now_s: i64, subject: Subject) -> Self {
        let (done, positions) = (BTreeSet::new(), BTreeMap::new());
        let failed = FailedKeys::default();
        let checkpoint = Checkpoint {
            version: VERSION,
            total,
            now_s,
            done,
            positions,
            subject,
            failed,
            retried_run: None,
        };
        // Written at once: what now() gives must not change.
        Self(Mutex::new((checkpoint, true)))
    }

    /// Where an earlier process, or an earlier run, was.
    pub fn at(checkpoint: Checkpoint) -> Self {
        Self(Mutex::new((checkpoint, true)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut (Checkpoint, bool)) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything up to this key is done; without a key, the whole segment.
    pub fn reached(&self, segment: u32, key: Option<&Value>) {
        self.with(|(checkpoint, changed)| {
            if let Some(key) = key {
                checkpoint.positions.insert(segment, key.clone());
            } else {
                checkpoint.positions.remove(&segment);
                checkpoint.done.insert(segment);
            }
            *changed = true;
        });
    }

    /// Returns the checkpoint.
    pub fn now(&self) -> Checkpoint {
        self.with(|(checkpoint, _)| checkpoint.clone())
    }

    /// Returns the checkpoint, and whether it has changed since the last call.
    pub fn look(&self) -> (Checkpoint, bool) {
        self.with(|(checkpoint, changed)| (checkpoint.clone(), std::mem::take(changed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_moves_on_and_says_whether_it_did() {
        let subject = Subject { transform: "d".into(), table: Some("t".into()) };
        let position = Position::begin(4, 7, subject);
        assert!(position.look().1, "what now() gives is to be kept");
        assert!(!position.look().1);
        position.reached(1, Some(&json!({"id": {"S": "a"}})));
        position.reached(2, None);
        let written = serde_json::to_value(position.look().0).unwrap();
        assert_eq!(
            written,
            json!({
                "version": 1, "total": 4, "nowS": 7, "done": [2],
                "positions": {"1": {"id": {"S": "a"}}},
                "subject": {"transform": "d", "table": "t"},
                "failed": {"keys": [], "more": false},
            })
        );
        assert!(!position.look().1);
        position.reached(1, None);
        let now = position.now();
        assert_eq!((now.done, now.positions), (BTreeSet::from([1, 2]), BTreeMap::new()));
        assert_eq!(serde_json::from_value::<Checkpoint>(written).unwrap().now_s, 7);
    }

    #[test]
    fn only_a_whole_scan_of_the_same_leaves_only_failed_items() {
        let subject = Subject { transform: "d".into(), table: Some("t".into()) };
        let whole = Checkpoint {
            version: VERSION,
            total: 2,
            now_s: 7,
            done: BTreeSet::from([0, 1]),
            positions: BTreeMap::new(),
            subject: subject.clone(),
            failed: FailedKeys { keys: vec![json!({"id": {"S": "a"}})], more: false },
            retried_run: None,
        };
        assert!(whole.leaves_only_failed(&subject));
        let other = |table: Option<&str>| Subject {
            transform: "d".into(),
            table: table.map(ToOwned::to_owned),
        };
        assert!(!whole.leaves_only_failed(&other(Some("another"))), "re-created");
        let mut unknown = whole.clone();
        unknown.subject.table = None;
        assert!(!unknown.leaves_only_failed(&other(None)), "which table is not known");
        let changed = Subject { transform: "e".into(), ..subject.clone() };
        assert!(!whole.leaves_only_failed(&changed));
        let mut part = whole.clone();
        part.done.remove(&1);
        assert!(!part.leaves_only_failed(&subject));
        let mut many = whole.clone();
        many.failed.more = true;
        assert!(!many.leaves_only_failed(&subject));
        let mut none = whole;
        none.failed.keys.clear();
        assert!(!none.leaves_only_failed(&subject));
    }

    #[test]
    fn a_checkpoint_of_an_older_version_has_no_failed_items() {
        let old = br#"{"version":1,"total":2,"nowS":7,"done":[],"positions":{}}"#;
        let read = parsed(old).unwrap();
        assert_eq!((read.subject, read.failed), (Subject::default(), FailedKeys::default()));
    }
}
