//! Items that others change in the database during a dry run. The program keeps seeing them as they
//! were, and where they were.

use dm_dynamodb::schema::ItemKey;

use crate::fault::Fault;
use crate::overlay::state::entries::{Entry, State, Table, entry_key, scans};

impl State {
    /// Somebody else has changed the item of an entry in the database. It is counted once.
    pub fn changed_underneath(
        &mut self,
        table: &Table,
        key: &ItemKey,
        entry: &Entry,
    ) -> Result<(), Fault> {
        if entry.changed_underneath || self.changed_again.is_some() {
            return Ok(());
        }
        let entry = Entry { changed_underneath: true, ..entry.clone() };
        self.store.put(entry_key(table, key.bytes()), entry.encode())?;
        self.changed_underneath += 1;
        Ok(())
    }

    /// Somebody else has moved the item of an entry in an index of the database. From now on the
    /// entry is an insertion in each index: the program finds it where its own image belongs, and
    /// not where the database has it.
    pub fn displace(
        &mut self,
        table: &Table,
        key: &ItemKey,
        entry: &Entry,
    ) -> Result<Entry, Fault> {
        self.check_current(table)?;
        let displaced = Entry { displaced: true, ..entry.clone() };
        for view in table.views().filter(|view| view.insertion(entry).is_none()) {
            if let Some(place) = view.insertion(&displaced) {
                // It was there before any scan began.
                self.store.put(view.stored(&place), scans::stored(&place, 0))?;
            }
        }
        self.store.put(entry_key(table, key.bytes()), displaced.encode())?;
        self.changed_underneath(table, key, &displaced)?;
        Ok(displaced)
    }

    /// How many items somebody else has changed.
    pub fn count_changed_underneath(&self) -> u64 {
        self.changed_underneath
    }
}
