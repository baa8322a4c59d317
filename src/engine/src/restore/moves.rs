//! Items that a run moved to another key, and which of the items that it created may be their
//! copies. An item whose former place is taken cannot return there, so its copy is not deleted.
//!
//! Nothing in a journal says that a script moved an item: it created one and deleted another. The
//! two are connected by the transaction that wrote both, by what they have in common, or, if that
//! is little, by the order of the writes.

mod copies;

use dm_contract::plan::OnConflict;
use dm_contract::restored::Conflict;
use dm_dynamodb::journal::MergedEntry;
use dm_dynamodb::restore::{Decision, Step};
use dm_dynamodb::value::Item;
use parking_lot::Mutex;

use crate::restore::moves::copies::Missing;
use crate::restore::partitions::Partitions;
use crate::restore::{Restore, RestoreError, Result};

/// Items that were there before the run and could not be recreated.
#[derive(Debug, Default)]
pub struct Moves(Mutex<Missing>);

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

    /// Takes note that a table cannot be recreated.
    pub fn see_lost_table(&self) {
        self.0.lock().add_table();
    }

    /// Whether the entries of the run must be compared with items that are missing, before what it
    /// created is deleted.
    fn must_compare(&self) -> bool {
        self.0.lock().must_compare()
    }

    /// Compares entries of the run with the missing items.
    fn compare(&self, entries: &[MergedEntry]) {
        let mut missing = self.0.lock();
        for entry in entries {
            missing.compare(entry);
        }
    }

    /// All entries of the run were compared.
    fn compared(&self) {
        self.0.lock().compared();
    }

    /// The decision, unless it deletes what may be the only copy of an item.
    pub fn checked(&self, entry: &MergedEntry, now: Option<&Item>, decision: Decision) -> Decision {
        if now.is_none() || decision.step != Step::Delete || !self.0.lock().may_be(entry) {
            return decision;
        }
        let conflicts = [decision.conflicts, vec![Conflict::OnlyCopy]].concat();
        Decision { step: Step::Nothing, writes: Vec::new(), conflicts }
    }
}

impl Restore {
    /// Finds what may be the copies of items that could not be recreated, by the journal alone.
    pub(in crate::restore) async fn find_copies(&self, partitions: &mut Partitions) -> Result<()> {
        if !self.moves.must_compare() {
            return Ok(());
        }
        partitions.rewind();
        while let Some(entries) = partitions.next().map_err(RestoreError::Sorting)? {
            self.moves.compare(&entries);
            tokio::task::yield_now().await;
            if self.speed.is_stopping() {
                return Err(RestoreError::Interrupted);
            }
        }
        self.moves.compared();
        Ok(())
    }
}
