//! A store that outlives its process. Memory holds what is not on disk yet, and nothing else:
//! whoever changed something takes a batch of it, writes that, and says so.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use crate::overlay::state::disk::{Disk, DiskError};
use crate::overlay::state::store::{Room, Store, StoreError, entry_bytes};

/// Changes that are not on disk yet.
#[derive(Debug, Default)]
pub struct Unsaved {
    /// How many changes there have been.
    changes: u64,
    /// The last of those that are on disk.
    saved: u64,
    /// The last change of each key.
    keys: HashMap<Vec<u8>, u64>,
}

/// All changes of a store up to one of them.
#[derive(Debug)]
pub struct Batch {
    to: u64,
    /// Keys with their values, or without where they were removed.
    pub pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Unsaved {
    /// A key has another value.
    pub fn changed(&mut self, key: &[u8]) {
        self.changes += 1;
        self.keys.insert(key.to_owned(), self.changes);
    }
}

impl Store {
    /// A store whose changes stay on this disk, once they are written there.
    pub fn kept(mut disk: Disk) -> Result<Self, DiskError> {
        disk.refresh()?;
        Ok(Self {
            memory: BTreeMap::new(),
            memory_bytes: 0,
            disk: Some(disk),
            room: Room::default(),
            next: Vec::new(),
            failed: OnceLock::new(),
            unsaved: Some(Unsaved::default()),
        })
    }

    /// Whether it outlives its process.
    pub fn is_kept(&self) -> bool {
        self.unsaved.is_some()
    }

    /// The last change that is not on disk yet, if there is one.
    pub fn last_unsaved(&self) -> Option<u64> {
        let unsaved = self.unsaved.as_ref()?;
        (unsaved.changes > unsaved.saved).then_some(unsaved.changes)
    }

    /// Whether a change is on disk.
    pub fn has_saved(&self, change: u64) -> Result<bool, StoreError> {
        self.check()?;
        Ok(self.unsaved.as_ref().is_none_or(|unsaved| unsaved.saved >= change))
    }

    /// All changes that are not on disk yet.
    pub fn batch(&self) -> Batch {
        let Some(unsaved) = &self.unsaved else { return Batch { to: 0, pairs: Vec::new() } };
        let value = |key: &Vec<u8>| (key.clone(), self.memory.get(key).cloned().flatten());
        Batch { to: unsaved.changes, pairs: unsaved.keys.keys().map(value).collect() }
    }

    /// A batch is on disk, so memory need not hold it any more; or it could not be written.
    pub fn saved(
        &mut self,
        batch: &Batch,
        written: Result<(), DiskError>,
    ) -> Result<(), StoreError> {
        let refreshed = match (written, &mut self.disk) {
            (Ok(()), Some(disk)) => disk.refresh(),
            (written, _) => written,
        };
        refreshed.map_err(|error| self.fail(error))?;
        let Some(unsaved) = &mut self.unsaved else { return Ok(()) };
        unsaved.saved = batch.to;
        for (key, _) in &batch.pairs {
            // One that was changed since is in the next batch.
            if unsaved.keys.get(key).is_some_and(|change| *change <= batch.to) {
                unsaved.keys.remove(key);
                if let Some(value) = self.memory.remove(key) {
                    self.memory_bytes -= entry_bytes(key, value.as_deref());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;
    use crate::overlay::state::direction::Direction;
    use crate::overlay::state::kept_disk;

    #[test]
    fn what_was_saved_is_there_again_and_what_changed_since_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let (disk, writer) = kept_disk::open(folder.path()).unwrap();
            (Store::kept(disk).unwrap(), writer)
        };
        let key = |text: &str| text.as_bytes().to_vec();
        let (mut store, writer) = open();
        store.put(key("a"), key("1")).unwrap();
        store.put(key("b"), key("1")).unwrap();
        let batch = store.batch();
        store.put(key("a"), key("2")).unwrap();
        store.saved(&batch, writer.write(&batch)).unwrap();
        assert_eq!(store.get(b"a").unwrap(), Some(key("2")));
        assert!(store.last_unsaved().is_some_and(|change| !store.has_saved(change).unwrap()));
        let first = store.first(Bound::Unbounded, Bound::Unbounded, Direction::Forward);
        assert_eq!(first.unwrap(), Some((key("a"), key("2"))));
        drop((store, writer));

        let (mut store, writer) = open();
        assert_eq!(store.get(b"a").unwrap(), Some(key("1")), "the second was never saved");
        store.remove(b"b").unwrap();
        let batch = store.batch();
        store.saved(&batch, writer.write(&batch)).unwrap();
        assert_eq!(store.last_unsaved(), None);
        drop((store, writer));

        let (store, _writer) = open();
        assert_eq!(store.get(b"b").unwrap(), None);
    }
}
