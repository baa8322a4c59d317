//! Items that a run moved to another key, by what connects the two places: the transaction that
//! wrote both, or their attributes. An item whose former place is taken cannot return there, so its
//! copy is not deleted.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;
use dm_dynamodb::journal::MergedEntry;
use dm_dynamodb::restore::{Decision, Step};
use dm_dynamodb::value::{AttributeValue, Item};
use parking_lot::Mutex;

use crate::limits::MOVED_ITEMS_MAX;

/// Items that were there before the run and could not be recreated.
#[derive(Debug, Default)]
pub struct Moves(Mutex<Missing>);

#[derive(Debug, Default)]
struct Missing {
    /// The transactions that wrote them.
    transactions: HashSet<u64>,
    /// Their attributes besides their keys, by the largest of each.
    attributes: HashMap<u64, Vec<Vec<u64>>>,
    count: usize,
}

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
            self.0.lock().add(entry, first);
        }
    }

    /// The decision, unless it deletes what may be the only copy of an item.
    pub fn checked(&self, entry: &MergedEntry, now: Option<&Item>, decision: Decision) -> Decision {
        let Some(now) = now.filter(|_| decision.step == Step::Delete) else { return decision };
        if !self.0.lock().may_be(entry, now) {
            return decision;
        }
        let conflicts = [decision.conflicts, vec![Conflict::OnlyCopy]].concat();
        Decision { step: Step::Nothing, writes: Vec::new(), conflicts }
    }
}

impl Missing {
    fn add(&mut self, entry: &MergedEntry, item: &Item) {
        self.count += 1;
        if self.count > MOVED_ITEMS_MAX {
            return;
        }
        self.transactions.extend(entry.transactions.iter().map(hash));
        let all: Vec<_> = attributes(entry, item).collect();
        // Of an item with a key alone nothing but the key is lost. A large value is less likely to
        // be that of other items, too.
        let largest = all.iter().max_by_key(|(_, value)| value.size());
        if let Some(largest) = largest.map(hash) {
            let all = all.iter().map(hash).collect();
            self.attributes.entry(largest).or_default().push(all);
        }
    }

    /// Whether an item may be the copy of one that is missing: a transaction wrote both, or it has
    /// all attributes of that one. With too many missing, every item may be.
    fn may_be(&self, entry: &MergedEntry, item: &Item) -> bool {
        if self.count == 0 {
            return false;
        }
        if self.count > MOVED_ITEMS_MAX {
            return true;
        }
        let mut transactions = entry.transactions.iter().map(hash);
        if transactions.any(|transaction| self.transactions.contains(&transaction)) {
            return true;
        }
        let all: HashSet<u64> = attributes(entry, item).map(|one| hash(&one)).collect();
        let missing = all.iter().filter_map(|one| self.attributes.get(one)).flatten();
        missing.into_iter().any(|one| one.iter().all(|attribute| all.contains(attribute)))
    }
}

/// An item's attributes besides its key.
fn attributes<'i>(
    entry: &'i MergedEntry,
    item: &'i Item,
) -> impl Iterator<Item = (&'i String, &'i AttributeValue)> {
    item.iter().filter(|(name, _)| !entry.key.contains_key(name))
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
