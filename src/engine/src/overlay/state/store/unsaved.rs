//! A store that outlives its process. Memory holds what is not on disk yet, and nothing else:
//! whoever changed something takes a batch of it, writes that, and says so.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::OnceLock;

use crate::overlay::state::disk::{Disk, DiskError};
use crate::overlay::state::store::{KeyBounds, Room, Store, StoreError, entry_bytes, is_empty};

/// Changes that are not on disk yet.
#[derive(Debug, Default)]
pub struct Unsaved {
    /// How many changes there have been.
    changes: u64,
    /// The last of those that are on disk.
    saved: u64,
    /// The last change of each key.
    keys: HashMap<Vec<u8>, u64>,
    /// Ranges of the disk whose keys were all removed, by where they begin.
    cleared: BTreeMap<Vec<u8>, Cleared>,
}

/// A range whose keys are still on disk, though they were removed. Nothing is known of each key, so
/// that a range of millions takes no memory.
#[derive(Debug)]
struct Cleared {
    /// Its end, which is not part of it.
    end: Vec<u8>,
    /// The change that removed the keys.
    change: u64,
}

/// All changes of a store up to one of them.
#[derive(Debug)]
pub struct Batch {
    to: u64,
    /// Ranges that are empty, except for the pairs: where each begins, and its end, which is not
    /// part of it.
    pub cleared: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys with their values, or without where they were removed.
    pub pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Unsaved {
    /// A key has another value.
    pub fn changed(&mut self, key: &[u8]) {
        self.changes += 1;
        self.keys.insert(key.to_owned(), self.changes);
    }

    /// A range has no keys any more, of which these were in memory.
    pub fn cleared<'a>(
        &mut self,
        from: Vec<u8>,
        end: Vec<u8>,
        in_memory: impl Iterator<Item = &'a [u8]>,
    ) {
        self.changes += 1;
        for key in in_memory {
            self.keys.remove(key);
        }
        self.cleared.insert(from, Cleared { end, change: self.changes });
    }

    /// Whether what the disk has of a key was removed.
    pub fn hides(&self, key: &[u8]) -> bool {
        self.cleared.iter().any(|(from, cleared)| **from <= *key && *key < *cleared.end)
    }

    /// The parts of a range, in order, where the disk holds what is there.
    pub fn visible<'a>(&'a self, (from, to): KeyBounds<'a>) -> Vec<KeyBounds<'a>> {
        let (mut parts, mut from) = (Vec::new(), from);
        for (begin, Cleared { end, .. }) in &self.cleared {
            if is_empty(Bound::Included(begin), to) {
                break;
            }
            if is_empty(from, Bound::Excluded(end)) {
                continue;
            }
            if !is_empty(from, Bound::Excluded(begin)) {
                parts.push((from, Bound::Excluded(&begin[..])));
            }
            from = Bound::Included(&end[..]);
        }
        if !is_empty(from, to) {
            parts.push((from, to));
        }
        parts
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
        let Some(unsaved) = &self.unsaved else {
            return Batch { to: 0, cleared: Vec::new(), pairs: Vec::new() };
        };
        let value = |key: &Vec<u8>| (key.clone(), self.memory.get(key).cloned().flatten());
        let range = |(from, cleared): (&Vec<u8>, &Cleared)| (from.clone(), cleared.end.clone());
        Batch {
            to: unsaved.changes,
            cleared: unsaved.cleared.iter().map(range).collect(),
            pairs: unsaved.keys.keys().map(value).collect(),
        }
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
        unsaved.cleared.retain(|_, cleared| cleared.change > batch.to);
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
