//! What a restore that came to its end has left of its run. It looked at every key: what is not
//! restored there is in its list of conflicts, and is the work of others. Only what it could not do
//! is left to a further restore.

use std::collections::HashSet;

use dm_contract::report::ListedConflict;
use dm_contract::restored::Conflict;
use dm_dynamodb::journal::{ItemDigest, MergedEntry};
use dm_dynamodb::value::item_from_json;

use crate::archive::ledger::{LedgerEntry, RunOutcome};
use crate::archive::{Archive, ArchiveError};
use crate::restore::conflicts::part_name;
use crate::restore::partitions::{Place, hash};

/// The keys at which a restore left something of the run, by hashes of their places.
#[derive(Debug, Default)]
pub struct Settled {
    /// What it could not do: the place was taken, or the database rejected it.
    left: HashSet<u64>,
    /// Items that others changed as a whole, or during every attempt.
    changed: HashSet<u64>,
}

impl Settled {
    /// Of a restore; `None` if it did not come to its end, or its list of conflicts is not whole.
    pub async fn of(archive: &Archive, entry: &LedgerEntry) -> Result<Option<Self>, ArchiveError> {
        let completed = entry.completed.as_ref();
        let completed = completed.filter(|end| end.outcome == RunOutcome::Succeeded);
        let Some(expected) = completed.and_then(|end| end.conflicts) else { return Ok(None) };
        let (mut settled, mut count) = (Self::default(), 0);
        for part in 0.. {
            if count >= expected {
                break;
            }
            let path = format!("{}/{}", entry.run.folder(), part_name(part));
            let Some(lines) = archive.get(&path).await? else { break };
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                count += 1;
                if settled.take(line).is_none() {
                    tracing::warn!(run = %entry.run, "a conflict of an earlier restore is unknown");
                    return Ok(None);
                }
            }
        }
        if count != expected {
            tracing::warn!(run = %entry.run, "the conflicts of an earlier restore are not whole");
            return Ok(None);
        }
        Ok(Some(settled))
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        let listed: ListedConflict = serde_json::from_slice(line).ok()?;
        let key = item_from_json(&listed.key?).ok()?;
        let place = hash(&(listed.table, ItemDigest::of_item(&key)));
        match listed.conflict {
            Conflict::PlaceTaken
            | Conflict::OnlyCopy
            | Conflict::OrderUnknown
            | Conflict::Rejected(_) => _ = self.left.insert(place),
            Conflict::ItemChanged => _ = self.changed.insert(place),
            Conflict::AttributeChanged(_) | Conflict::ItemDeleted => {}
        }
        Some(())
    }

    /// Whether nothing of the run is left at a key.
    pub fn includes(&self, place: &Place, entry: &MergedEntry) -> bool {
        let place = hash(place);
        // Others changed all of an item that the run created; of another, some attributes.
        let is_undecided = self.changed.contains(&place) && entry.first().is_some();
        !self.left.contains(&place) && !is_undecided
    }
}
