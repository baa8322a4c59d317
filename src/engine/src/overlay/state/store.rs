//! The overlay's memory: an ordered map of bytes, in memory up to a bound, and beyond it on disk.
//! It knows nothing about items.
//!
//! What memory holds of a key is newer than what the disk has of it. When memory is full, a part of
//! it that is together in the order of keys moves to the disk, and the next part the next time.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::limits;
use dm_contract::error_chain::chain;

use crate::overlay::state::direction::Direction;
use crate::overlay::state::disk::{Disk, DiskError, Pair};
pub use crate::overlay::state::store::unsaved::Batch;
use crate::overlay::state::store::unsaved::Unsaved;

mod unsaved;

/// An ordered map from keys to values.
#[derive(Debug)]
pub struct Store {
    /// `None` is a key that was removed, though the disk may have it.
    memory: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    memory_bytes: usize,
    disk: Option<Disk>,
    room: Room,
    /// Where the next part begins that moves to the disk.
    next: Vec<u8>,
    /// Set once, and then nothing is answered any more: what was asked for may be lost.
    failed: OnceLock<StoreError>,
    /// Of a store that outlives its process: what is not on its disk yet.
    unsaved: Option<Unsaved>,
}

/// Both ends of a range of keys.
type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Where a store may be, and how large.
#[derive(Clone, Debug)]
pub struct Room {
    /// Folder of the file on disk.
    pub folder: PathBuf,
    /// Bytes kept in memory.
    pub memory_bytes_max: usize,
    pub disk_bytes_max: u64,
}

/// The disk could not be used, so the store answers nothing any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// What it held is lost.
    #[error("keeping the items of a dry run on disk")]
    Lost(#[source] Arc<DiskError>),
    /// Of a store that outlives its process: what was answered is on disk.
    #[error("keeping the database on disk")]
    Closed(#[source] Arc<DiskError>),
}

/// What an entry of the map takes beside its bytes: two vectors, their allocations, its share of a
/// node.
const ENTRY_OVERHEAD: usize = 128;

/// This many parts move to the disk one after the other: each move is short, as all calls wait for
/// it.
const PARTS: usize = 16;

impl Default for Room {
    fn default() -> Self {
        Self {
            folder: std::env::temp_dir(),
            memory_bytes_max: limits::OVERLAY_MEMORY_BYTES_MAX,
            disk_bytes_max: limits::OVERLAY_DISK_BYTES_MAX,
        }
    }
}

impl Store {
    pub fn new(room: Room) -> Self {
        Self {
            memory: BTreeMap::new(),
            memory_bytes: 0,
            disk: None,
            room,
            next: Vec::new(),
            failed: OnceLock::new(),
            unsaved: None,
        }
    }

    /// Why it was lost, if it was.
    pub fn failure(&self) -> Option<&StoreError> {
        self.failed.get()
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check()?;
        match (self.memory.get(key), self.disk_of(key)) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(disk)) => disk.get(key).map_err(|error| self.fail(error)),
            (None, None) => Ok(None),
        }
    }

    /// Whether a key has a value.
    pub fn contains(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.check()?;
        match (self.memory.get(key), self.disk_of(key)) {
            (Some(value), _) => Ok(value.is_some()),
            (None, Some(disk)) => {
                disk.get(key).map(|value| value.is_some()).map_err(|error| self.fail(error))
            }
            (None, None) => Ok(false),
        }
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        self.set(key, Some(value))
    }

    pub fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if self.disk.is_some() {
            return self.set(key.to_vec(), None);
        }
        if let Some(value) = self.memory.remove(key) {
            self.memory_bytes -= entry_bytes(key, value.as_deref());
        }
        Ok(())
    }

    /// Removes all keys of a range, whose end is not part of it. Of a store that outlives its
    /// process, this takes no longer if more of them are on disk.
    pub fn clear(&mut self, from: Vec<u8>, end: Vec<u8>) -> Result<(), StoreError> {
        self.check()?;
        if from >= end {
            return Ok(());
        }
        let range = (Bound::Included(&from[..]), Bound::Excluded(&end[..]));
        let keys = self.memory.range::<[u8], _>(range).map(|(key, _)| key.clone());
        let keys: Vec<Vec<u8>> = keys.collect();
        for key in &keys {
            if let Some(value) = self.memory.remove(key) {
                self.memory_bytes -= entry_bytes(key, value.as_deref());
            }
        }
        match (&mut self.unsaved, &mut self.disk) {
            (Some(unsaved), _) => unsaved.cleared(from, end, keys.iter().map(Vec::as_slice)),
            (None, Some(disk)) => {
                let cleared = disk.clear(&from, &end);
                cleared.map_err(|error| self.fail(error))?;
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// The first key in a range, in this direction, with its value.
    pub fn first(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Option<Pair>, StoreError> {
        self.check()?;
        if is_empty(from, to) {
            return Ok(None);
        }
        let mut range = self.memory.range::<[u8], _>((from, to));
        let in_memory = std::iter::from_fn(|| match direction {
            Direction::Forward => range.next(),
            Direction::Backward => range.next_back(),
        })
        .find_map(|(key, value)| value.as_ref().map(|value| (key, value)));
        // What memory knows, or knows to be removed, the disk is not asked for.
        let known = |key: &[u8]| self.memory.contains_key(key);
        let mut parts = self.on_disk((from, to));
        if direction == Direction::Backward {
            parts.reverse();
        }
        let mut on_disk = None;
        if let Some(disk) = &self.disk {
            for part in parts {
                on_disk = disk.first(part, direction, known).map_err(|error| self.fail(error))?;
                if on_disk.is_some() {
                    break;
                }
            }
        }
        Ok(match (in_memory, on_disk) {
            (Some((key, value)), Some(pair)) => {
                let memory_first = match direction {
                    Direction::Forward => *key < pair.0,
                    Direction::Backward => *key > pair.0,
                };
                Some(if memory_first { (key.clone(), value.clone()) } else { pair })
            }
            (Some((key, value)), None) => Some((key.clone(), value.clone())),
            (None, on_disk) => on_disk,
        })
    }

    /// What a range begins with, in order: about this many bytes of it, at least one pair if there
    /// is one.
    pub fn beginning(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        bytes: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.check()?;
        if is_empty(from, to) {
            return Ok(Vec::new());
        }
        self.merge((from, to), bytes).map_err(|error| self.fail(error))
    }

    fn merge(&self, range: KeyBounds<'_>, bytes_wanted: usize) -> Result<Vec<Pair>, DiskError> {
        let mut in_memory = self.memory.range::<[u8], _>(range).peekable();
        let mut walks = Vec::new();
        if let Some(disk) = &self.disk {
            for part in self.on_disk(range) {
                walks.push(disk.walk(part)?);
            }
        }
        let mut on_disk = walks.into_iter().flatten().peekable();
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_wanted {
            let from_disk = match (in_memory.peek(), on_disk.peek()) {
                (None, None) => break,
                (Some(_), None) => false,
                (None, Some(_)) | (Some(_), Some(Err(_))) => true,
                (Some((memory, _)), Some(Ok((disk, _)))) => disk < *memory,
            };
            let pair = if from_disk {
                on_disk.next().transpose()?
            } else {
                let Some((key, value)) = in_memory.next() else { break };
                // Newer than what the disk has of it.
                on_disk.next_if(|pair| pair.as_ref().is_ok_and(|(disk, _)| disk == key));
                value.as_ref().map(|value| (key.clone(), value.clone()))
            };
            if let Some((key, value)) = pair {
                bytes += entry_bytes(&key, Some(&value));
                pairs.push((key, value));
            }
        }
        Ok(pairs)
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.check()?;
        self.memory_bytes += entry_bytes(&key, value.as_deref());
        if let Some(old) = self.memory.get(&key) {
            self.memory_bytes -= entry_bytes(&key, old.as_deref());
        }
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.changed(&key);
            self.memory.insert(key, value);
            return Ok(());
        }
        self.memory.insert(key, value);
        while self.memory_bytes > self.room.memory_bytes_max {
            self.move_part().map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// Moves a part to the disk; on an error it stays.
    fn move_part(&mut self) -> Result<(), DiskError> {
        let Room { folder, disk_bytes_max, .. } = &self.room;
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => Disk::in_folder(folder, *disk_bytes_max)?,
        };
        let disk = self.disk.insert(disk);
        let wanted = self.room.memory_bytes_max / PARTS;
        let (mut keys, mut bytes) = (Vec::new(), 0);
        for (key, value) in self.memory.range::<[u8], _>((from_on(&self.next), Bound::Unbounded)) {
            bytes += entry_bytes(key, value.as_deref());
            keys.push(key.clone());
            if bytes >= wanted {
                break;
            }
        }
        let part = keys
            .iter()
            .filter_map(|key| self.memory.get(key).map(|value| (key.as_slice(), value.as_deref())));
        disk.write(part)?;
        for key in &keys {
            self.memory.remove(key);
        }
        self.memory_bytes -= bytes;
        // Behind the last, or from the least on again.
        self.next = if bytes >= wanted { keys.pop().unwrap_or_default() } else { Vec::new() };
        Ok(())
    }

    /// The disk, unless what it has of a key was removed.
    fn disk_of(&self, key: &[u8]) -> Option<&Disk> {
        let hidden = self.unsaved.as_ref().is_some_and(|unsaved| unsaved.hides(key));
        self.disk.as_ref().filter(|_| !hidden)
    }

    /// The parts of a range, in order, where the disk holds what is there.
    fn on_disk<'a>(&'a self, range: KeyBounds<'a>) -> Vec<KeyBounds<'a>> {
        self.unsaved.as_ref().map_or_else(|| vec![range], |unsaved| unsaved.visible(range))
    }

    fn check(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn fail(&self, error: DiskError) -> StoreError {
        let failed = || {
            let error = Arc::new(error);
            let failed =
                if self.is_kept() { StoreError::Closed(error) } else { StoreError::Lost(error) };
            tracing::error!("{}", chain(&failed));
            failed
        };
        self.failed.get_or_init(failed).clone()
    }
}

fn from_on(key: &[u8]) -> Bound<&[u8]> {
    Bound::Included(key)
}

fn entry_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len) + ENTRY_OVERHEAD
}
/// Ranges whose start lies behind their end are empty here, where a map would panic.
fn is_empty(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
    }
}

#[cfg(test)]
mod tests;
