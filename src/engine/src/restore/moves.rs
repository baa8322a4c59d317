//! Items that a run moved to another key, by what connects the two places: the transaction that
//! wrote both, or their attributes. An item whose former place is taken cannot return there, so its
//! copy is not deleted.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;
use dm_dynamodb::journal::MergedEntry;
use dm_dynamodb::restore::{Decision, Step};
use dm_dynamodb::value::Item;
use parking_lot::Mutex;

/// What connects items that were there before the run and could not be recreated with their copies.
#[derive(Debug, Default)]
pub struct Moves(Mutex<HashSet<u64>>);

impl Moves {
    /// Takes note of the conflicts of an item. Those that were there before the run are restored
    /// first.
    pub fn see(&self, entry: &MergedEntry, conflicts: &[Conflict], on_conflict: OnConflict) {
        let Some(first) = entry.first() else { return };
        let stays_away = |conflict: &Conflict| match conflict {
            Conflict::PlaceTaken => on_conflict == OnConflict::Skip,
            Conflict::ItemChanged | Conflict::OrderUnknown | Conflict::Rejected(None) => true,
            Conflict::AttributeChanged(_)
            | Conflict::ItemDeleted
            | Conflict::OnlyCopy
            | Conflict::Rejected(Some(_)) => false,
        };
        if conflicts.iter().any(stays_away) {
            self.0.lock().extend(links(entry, first));
        }
    }

    /// The decision, unless it deletes what may be the only copy of an item.
    pub fn checked(&self, entry: &MergedEntry, now: Option<&Item>, decision: Decision) -> Decision {
        let Some(now) = now.filter(|_| decision.step == Step::Delete) else { return decision };
        let missing = self.0.lock();
        if missing.is_empty() || !links(entry, now).any(|link| missing.contains(&link)) {
            return decision;
        }
        let conflicts = [decision.conflicts, vec![Conflict::OnlyCopy]].concat();
        Decision { step: Step::Nothing, writes: Vec::new(), conflicts }
    }
}

/// What two places of a moved item have in common.
fn links(entry: &MergedEntry, item: &Item) -> impl Iterator<Item = u64> {
    let attributes: Vec<_> =
        item.iter().filter(|(name, _)| !entry.key.contains_key(name)).collect();
    let of_attributes = (!attributes.is_empty()).then(|| hash(&attributes));
    entry.transactions.iter().map(hash).chain(of_attributes)
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
