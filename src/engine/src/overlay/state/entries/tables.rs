//! Tables that the program changes or deletes while their entries are here.

use std::ops::Bound;

use dm_dynamodb::error::ServiceError;

use crate::fault::Fault;
use crate::overlay::state::entries::{
    Direction, ENTRY, Entry, INSERTION, State, Table, after_prefix, as_slice, damaged, scans,
};

/// A shape that no table has: it was deleted.
const GONE: u32 = u32::MAX;

impl State {
    /// Refuses what was begun on a table before it was deleted, or before its indexes changed: its
    /// places would be wrong. A caller that sends it again finds the current table.
    pub fn check_current(&self, table: &Table) -> Result<(), Fault> {
        match self.shapes.get(&table.number) {
            None => Ok(()),
            Some(shape) if *shape == table.shape => Ok(()),
            Some(&GONE) => Err(ServiceError::table_not_found().into()),
            Some(_) => Err(Fault::Unavailable("the table's indexes are being changed".into())),
        }
    }

    /// The table has other indexes from now on: every entry gets its places in them.
    pub fn reshape(&mut self, table: &Table) -> Result<(), Fault> {
        self.clear(of_table(INSERTION, table))?;
        let prefix = of_table(ENTRY, table);
        let end = after_prefix(&prefix);
        let mut from = Bound::Included(prefix);
        loop {
            let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.store.first(as_slice(&from), to, Direction::Forward)?;
            let Some((key, bytes)) = next else { break };
            let entry = Entry::decode(&bytes).ok_or_else(damaged)?;
            for view in table.views() {
                if let Some(place) = view.insertion(&entry) {
                    // A scan that is under way returns all of them.
                    self.store.put(view.stored(&place), scans::stored(&place, 0))?;
                }
            }
            from = Bound::Excluded(key);
        }
        self.shapes.insert(table.number, table.shape);
        Ok(())
    }

    /// The table is gone, with all its entries and what they would have changed.
    pub fn drop_table(&mut self, table: &Table) -> Result<(), Fault> {
        self.clear(of_table(INSERTION, table))?;
        if let Some(changed_again) = &mut self.changed_again {
            // What the first pass left stays for its difference. No other table has the number.
            changed_again.remove(&table.schema.name);
        } else {
            self.clear(of_table(ENTRY, table))?;
            self.samples.remove(&table.number);
            self.effects.remove(&table.schema.name);
        }
        self.forget_table(table)?;
        self.shapes.insert(table.number, GONE);
        Ok(())
    }

    /// A table itself was changed; in a second pass that is reported.
    pub fn table_changed(&mut self, name: &str) {
        if self.changed_again.is_some() {
            self.tables_again.entry(name.to_owned()).or_insert(false);
        }
    }

    /// The same of a table that was created.
    pub fn table_created(&mut self, name: &str) {
        if self.changed_again.is_some() {
            self.tables_again.entry(name.to_owned()).or_insert(true);
        }
    }

    /// The same of one that was deleted, unless the pass had made it: then it is as before.
    pub fn table_deleted(&mut self, name: &str) {
        let was_made = self.tables_again.get(name).copied().unwrap_or_default();
        if was_made {
            self.tables_again.remove(name);
        } else {
            self.table_changed(name);
        }
    }

    /// Removes all keys with a prefix.
    fn clear(&mut self, prefix: Vec<u8>) -> Result<(), Fault> {
        // Only keys of the last kind of all would have no end.
        let end = after_prefix(&prefix).ok_or_else(damaged)?;
        Ok(self.store.clear(prefix, end)?)
    }
}

fn of_table(kind: u8, table: &Table) -> Vec<u8> {
    let mut prefix = vec![kind];
    prefix.extend_from_slice(&table.number.to_be_bytes());
    prefix
}
