//! What an embedded database keeps beside its items: each table, and how much it holds.

use std::ops::Bound;

use crate::fault::Fault;
use crate::overlay::state::direction::Direction;
use crate::overlay::state::disk::{Disk, DiskError};
use crate::overlay::state::entries::{
    Entry, State, Store, Table, TableSize, after_prefix, as_slice, damaged,
};
use crate::overlay::state::store::{Batch, StoreError};

/// Kinds of stored keys, behind those of entries and insertions.
const TABLE: u8 = 2;
const SIZE: u8 = 3;
/// The number of the first insertion since the database was last opened.
const OPENED: u8 = 4;

/// More insertions than there are between two openings. So those of a later opening have higher
/// numbers, and only that is written about them.
const INSERTIONS_OF_AN_OPENING: u64 = 1 << 40;

/// A table that a database kept.
#[derive(Debug)]
pub struct KeptTable {
    pub number: u32,
    /// What it is, as it was given.
    pub record: Vec<u8>,
}

impl State {
    /// What a disk holds, to which changes are added.
    pub fn kept(disk: Disk) -> Result<Self, DiskError> {
        Store::kept(disk).map(Self::over)
    }

    /// Keeps a table in its present form.
    pub fn keep_table(&mut self, table: &Table, record: Vec<u8>) -> Result<(), Fault> {
        if self.store.is_kept() {
            self.store.put(of_kind(TABLE, table.number), record)?;
        }
        Ok(())
    }

    /// The tables that were kept, and what they hold from now on.
    pub fn kept_tables(&mut self) -> Result<Vec<KeptTable>, Fault> {
        self.begin_numbers()?;
        let (mut tables, mut from) = (Vec::new(), Bound::Included(vec![TABLE]));
        let end = after_prefix(&[TABLE]);
        loop {
            let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.store.first(as_slice(&from), to, Direction::Forward)?;
            let Some((key, record)) = next else { return Ok(tables) };
            let number = key.get(1..).and_then(|number| number.try_into().ok());
            let number = number.map(u32::from_be_bytes).ok_or_else(damaged)?;
            if let Some(size) = self.store.get(&of_kind(SIZE, number))? {
                self.sizes.insert(number, TableSize::decode(&size).ok_or_else(damaged)?);
            }
            tables.push(KeptTable { number, record });
            from = Bound::Excluded(key);
        }
    }

    /// Insertions from now on have higher numbers than those that were kept.
    fn begin_numbers(&mut self) -> Result<(), Fault> {
        let last = match self.store.get(&[OPENED])? {
            Some(bytes) => u64::from_be_bytes(bytes.try_into().map_err(|_| damaged())?),
            None => 0,
        };
        self.insertions = last.saturating_add(INSERTIONS_OF_AN_OPENING);
        self.store.put(vec![OPENED], self.insertions.to_be_bytes().to_vec())?;
        Ok(())
    }

    /// Counts an entry of a table.
    pub(super) fn count_size(
        &mut self,
        table: &Table,
        before: &Entry,
        after: &Entry,
    ) -> Result<(), Fault> {
        let size = self.sizes.entry(table.number).or_default();
        size.replace(before, after);
        let size = size.encode();
        if self.store.is_kept() {
            self.store.put(of_kind(SIZE, table.number), size)?;
        }
        Ok(())
    }

    /// A table is gone.
    pub(super) fn forget_table(&mut self, table: &Table) -> Result<(), Fault> {
        self.sizes.remove(&table.number);
        if self.store.is_kept() {
            self.store.remove(&of_kind(TABLE, table.number))?;
            self.store.remove(&of_kind(SIZE, table.number))?;
        }
        Ok(())
    }

    /// The last change that is not on disk yet, if there is one.
    pub fn last_unsaved(&self) -> Option<u64> {
        self.store.last_unsaved()
    }

    /// Whether a change is on disk.
    pub fn has_saved(&self, change: u64) -> Result<bool, StoreError> {
        self.store.has_saved(change)
    }

    /// All changes that are not on disk yet.
    pub fn batch(&self) -> Batch {
        self.store.batch()
    }

    /// A batch was written, or could not be.
    pub fn saved(
        &mut self,
        batch: &Batch,
        written: Result<(), DiskError>,
    ) -> Result<(), StoreError> {
        self.store.saved(batch, written)
    }
}

fn of_kind(kind: u8, table: u32) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&table.to_be_bytes());
    key
}
