//! How far a run has come, in the archive: a guard that was restarted in the middle of a run goes on from
//! there. What was changed after the last checkpoint is read again, and found to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use dm_contract::plan::{Mode, Plan};
use dm_engine::archive::{Archive, ArchiveError};
use dm_engine::journal::JournalledRun;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version that this build writes and the only one that it reads.
const VERSION: u32 = 1;

/// Where the checkpoints of a run are.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    archive: Archive,
    path: String,
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
}

/// Why a run cannot go on from its checkpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("reading the checkpoint")]
    Archive(#[from] ArchiveError),
    #[error("the checkpoint {0} is not understood; remove it to begin with the first item")]
    Unknown(String),
}

impl Checkpoints {
    /// Returns those of a plan's run. Dry runs have none, because what their overlay held is gone.
    pub fn of(plan: &Plan, archive: &Archive) -> Option<Self> {
        let run =
            JournalledRun::of_plan(plan).ok().flatten().filter(|_| plan.mode == Mode::Apply)?;
        Some(Self { archive: archive.clone(), path: run.name.checkpoint() })
    }

    pub(crate) async fn read(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let Some(bytes) = self.archive.get(&self.path).await? else { return Ok(None) };
        let read = serde_json::from_slice::<Checkpoint>(&bytes).ok();
        let known = read.filter(|checkpoint| checkpoint.version == VERSION);
        known.map(Some).ok_or_else(|| CheckpointError::Unknown(self.path.clone()))
    }

    /// Writes one. It only saves reading, so its failure is not the run's.
    pub(crate) async fn write(&self, checkpoint: &Checkpoint) {
        let json = serde_json::to_vec(checkpoint).unwrap_or_default();
        if let Err(error) = self.archive.replace(&self.path, Bytes::from(json)).await {
            tracing::warn!(%error, "writing a checkpoint");
        }
    }
}

/// The checkpoint of a run under way.
#[derive(Debug)]
pub(crate) struct Position(Mutex<(Checkpoint, bool)>);

impl Position {
    /// At the beginning.
    pub fn begin(total: u32, now_s: i64) -> Self {
        let (done, positions) = (BTreeSet::new(), BTreeMap::new());
        let checkpoint = Checkpoint { version: VERSION, total, now_s, done, positions };
        // Written at once: what now() gives must not change.
        Self(Mutex::new((checkpoint, true)))
    }

    /// Where an earlier process was.
    pub fn at(checkpoint: Checkpoint) -> Self {
        Self(Mutex::new((checkpoint, false)))
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

    /// Returns the checkpoint if it has changed since the last call.
    pub fn changed(&self) -> Option<Checkpoint> {
        self.with(|(checkpoint, changed)| std::mem::take(changed).then(|| checkpoint.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_moves_on_and_says_whether_it_did() {
        let position = Position::begin(4, 7);
        assert!(position.changed().is_some(), "what now() gives is to be kept");
        assert_eq!(position.changed(), None);
        position.reached(1, Some(&json!({"id": {"S": "a"}})));
        position.reached(2, None);
        let written = serde_json::to_value(position.changed().unwrap()).unwrap();
        assert_eq!(
            written,
            json!({
                "version": 1, "total": 4, "nowS": 7, "done": [2],
                "positions": {"1": {"id": {"S": "a"}}},
            })
        );
        assert_eq!(position.changed(), None);
        position.reached(1, None);
        let now = position.now();
        assert_eq!((now.done, now.positions), (BTreeSet::from([1, 2]), BTreeMap::new()));
        assert_eq!(serde_json::from_value::<Checkpoint>(written).unwrap().now_s, 7);
    }
}
