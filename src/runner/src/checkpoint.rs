//! How far a run has come, in the archive: a guard that takes the place of another continues from
//! there and counts on from there, and the run after a partially failed one visits only the items
//! that failed. What was changed after the last checkpoint is read again, and found to be right.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dm_contract::part::Part;
use dm_contract::plan::{Mode, Plan};
use dm_engine::Usage;
use dm_engine::archive::ledger::{self, Kind, LedgerError};
use dm_engine::archive::{Archive, ArchiveError, RunName};
use dm_engine::journal::JournaledRun;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::FAILED_KEYS_MAX;
use crate::split::SplitError;

/// The version that this build writes and the only one that it reads.
const VERSION: u32 = 1;

/// Where the checkpoints of a run are.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    archive: Archive,
    /// The run's name, or that of the part that is done here.
    run: RunName,
    part: Option<Part>,
    /// Of the object whose run it is. One that was re-created has runs of the same number.
    uid: String,
}

/// What a checkpoint is of. Another transform, or another table of the same name, makes of it
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Subject {
    /// Digest of the transform and its files.
    pub transform: String,
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
    /// Of the object whose run it is. Absent in checkpoints of older versions.
    #[serde(default)]
    pub uid: String,
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
    /// What became of the items before these positions. Absent in checkpoints of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The guards that came so far.
    #[serde(default)]
    pub guards: Guards,
}

/// What became of the items before the positions of a checkpoint, but for those that failed. It is
/// written with the positions in one object, so a guard that continues counts none of them twice
/// and leaves none out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Counts {
    /// The table that is scanned.
    pub table: String,
    pub skipped: u64,
    pub unchanged: u64,
    pub changed: u64,
    /// Those of the changed that are no longer in the table.
    pub gone: u64,
}

/// What the guards of a run were and used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Guards {
    /// How many there were.
    pub number: u32,
    /// Whether one of them was killed after its last checkpoint.
    pub lost: bool,
    /// Whether the last one has ended, and this is its last checkpoint.
    pub ended: bool,
    pub usage: Usage,
}

/// What an earlier run left: where this run begins, and the earlier run's name.
pub(crate) struct Earlier {
    pub checkpoint: Checkpoint,
    pub run: String,
}

impl Counts {
    /// Items that were read and did not fail.
    pub fn read(&self) -> u64 {
        self.skipped + self.unchanged + self.changed
    }

    pub fn add(&mut self, other: &Self) {
        self.skipped += other.skipped;
        self.unchanged += other.unchanged;
        self.changed += other.changed;
        self.gone += other.gone;
    }
}

/// Why a run cannot continue from its checkpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("reading the checkpoint")]
    Archive(#[from] ArchiveError),
    #[error("reading which runs came before")]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Split(#[from] SplitError),
    #[error("the checkpoint {0} is not understood; remove it to begin with the first item")]
    Unknown(String),
}

impl Checkpoints {
    /// Returns those of a plan's run. Dry runs have none, because what their overlay held is gone.
    pub fn of(plan: &Plan, archive: &Archive) -> Option<Self> {
        let run =
            JournaledRun::of_plan(plan).ok().flatten().filter(|_| plan.mode == Mode::Apply)?;
        Some(Self { archive: archive.clone(), run: run.name, part: None, uid: run.id.uid })
    }

    /// Returns those of one part of the run.
    #[must_use]
    pub fn in_part(self, part: Option<Part>) -> Self {
        let run = part.map_or_else(|| self.run.whole(), |part| self.run.in_part(part));
        Self { run, part, ..self }
    }

    /// Returns the run's own. One that another object of the same name left, which never wrote an
    /// item, is none: its segments were scanned with another transform, or long ago.
    pub(crate) async fn read(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let path = self.run.checkpoint();
        let Some(bytes) = self.archive.get(&path).await? else { return Ok(None) };
        let found = parsed(&bytes).ok_or(CheckpointError::Unknown(path))?;
        Ok(Some(found).filter(|found| found.uid == self.uid))
    }

    /// Returns a checkpoint of this run.
    pub(crate) fn of_run(&self, checkpoint: Checkpoint) -> Checkpoint {
        Checkpoint { uid: self.uid.clone(), ..checkpoint }
    }

    /// Returns the checkpoint of the run before, if that applied the same, has seen every item, and
    /// lists all that failed. Any other run that wrote in between, such as a restore, makes it
    /// void. Each part takes its share of the items that failed in whichever part of that run.
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
        let mut found: Option<Checkpoint> = None;
        for name in ledger::part_names(&last.run, last.begun.parts) {
            let Some(bytes) = self.archive.get(&name.checkpoint()).await? else { return Ok(None) };
            let Some(checkpoint) = parsed(&bytes) else { return Ok(None) };
            if !checkpoint.uid.is_empty() && checkpoint.uid != last.begun.uid {
                return Ok(None);
            }
            if let Some(found) = &mut found {
                if !found.join(checkpoint) || found.failed.keys.len() > FAILED_KEYS_MAX {
                    return Ok(None);
                }
            } else {
                found = Some(checkpoint);
            }
        }
        let found = found.filter(|checkpoint| checkpoint.leaves_only_failed(subject));
        Ok(found.map(|checkpoint| Earlier {
            checkpoint: checkpoint.share_of(self.part),
            run: last.run.to_string(),
        }))
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
    /// Returns the one that a run begins with.
    pub fn new(total: u32, now_s: i64, subject: Subject) -> Self {
        Self {
            version: VERSION,
            uid: String::new(),
            total,
            now_s,
            done: BTreeSet::new(),
            positions: BTreeMap::new(),
            subject,
            failed: FailedKeys::default(),
            retried_run: None,
            counts: None,
            guards: Guards::default(),
        }
    }

    /// Returns the one with which a run of the items that failed in this one begins.
    pub fn retried(self, run: String, now_s: i64) -> Self {
        let (retried_run, guards) = (Some(run), Guards::default());
        Self { now_s, retried_run, counts: None, guards, ..self }
    }

    /// Whether all segments of a part are done, or of the whole scan.
    pub fn is_whole(&self, part: Option<Part>) -> bool {
        let own = |segment: &u32| part.is_none_or(|part| part.owns(*segment));
        (0..self.total).filter(own).all(|segment| self.done.contains(&segment))
    }

    /// Takes in that of another part of the same run; whether the two are of the same scan.
    fn join(&mut self, other: Self) -> bool {
        let same = self.total == other.total && self.subject == other.subject;
        self.done.extend(other.done);
        self.failed.keys.extend(other.failed.keys);
        self.failed.more |= other.failed.more;
        same
    }

    /// Returns it with those of the failed items that this part visits.
    fn share_of(mut self, part: Option<Part>) -> Self {
        if let Some(part) = part {
            self.failed.keys.retain(|key| part.owns(checksum(&key.to_string())));
        }
        self
    }

    /// Whether a run of this has nothing to do but to visit the items that are listed as failed.
    fn leaves_only_failed(&self, subject: &Subject) -> bool {
        self.is_whole(None)
            && self.subject == *subject
            && self.subject.table.is_some()
            && !self.failed.more
            // So no part's share can have more than a checkpoint lists.
            && (1..=FAILED_KEYS_MAX).contains(&self.failed.keys.len())
    }
}

/// The same number for the same text in every process: 32-bit FNV-1a.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_whole_scan_of_the_same_leaves_only_failed_items() {
        let subject = Subject { transform: "d".into(), table: Some("t".into()) };
        let whole = Checkpoint {
            done: BTreeSet::from([0, 1]),
            failed: FailedKeys { keys: vec![json!({"id": {"S": "a"}})], more: false },
            ..Checkpoint::new(2, 7, subject.clone())
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
    fn the_checkpoints_of_all_parts_are_one_and_each_part_takes_its_share() {
        let subject = Subject { transform: "d".into(), table: Some("t".into()) };
        let keys = |from: u32| (from..from + 20).map(|i| json!({"id": {"N": i.to_string()}}));
        let of = |done: [u32; 2], from| Checkpoint {
            done: BTreeSet::from(done),
            failed: FailedKeys { keys: keys(from).collect(), more: false },
            ..Checkpoint::new(4, 7, subject.clone())
        };
        let mut whole = of([0, 2], 0);
        assert!(!whole.leaves_only_failed(&subject), "one part alone is not the whole");
        assert!(whole.join(of([1, 3], 20)));
        assert!(whole.leaves_only_failed(&subject));
        let shares: Vec<usize> =
            Part::all(3).map(|part| whole.clone().share_of(Some(part)).failed.keys.len()).collect();
        assert_eq!(shares.iter().sum::<usize>(), 40);
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        let mut many = whole.clone();
        many.failed.keys = vec![json!({}); FAILED_KEYS_MAX + 1];
        assert!(
            !many.leaves_only_failed(&subject),
            "each part lists its own, all of them too many"
        );
        let mut other = of([1, 3], 0);
        other.total = 8;
        assert!(!whole.join(other), "another scan");
    }

    #[test]
    fn a_checkpoint_of_an_older_version_has_no_failed_items() {
        let old = br#"{"version":1,"total":2,"nowS":7,"done":[],"positions":{}}"#;
        let read = parsed(old).unwrap();
        assert_eq!((read.subject, read.failed), (Subject::default(), FailedKeys::default()));
        assert_eq!((read.counts, read.guards), (None, Guards::default()));
    }
}
