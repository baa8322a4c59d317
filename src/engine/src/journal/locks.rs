//! One write at a time for each key of a run: so entries of one key are in the order of their
//! writes, and the program's own writes do not make each other prepare again.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::limits;
use tokio::sync::{Mutex, MutexGuard};

/// Locks, fewer than keys: some keys share one.
#[derive(Debug)]
pub struct KeyLocks(Vec<Mutex<()>>);

impl Default for KeyLocks {
    fn default() -> Self {
        Self((0..limits::JOURNAL_KEY_LOCKS).map(|_| Mutex::default()).collect())
    }
}

impl KeyLocks {
    /// Waits until these keys, each with its table, are ours. Always in one order, so that two who
    /// want several never wait for each other.
    pub async fn lock<'k>(
        &self,
        keys: impl Iterator<Item = (&'k str, &'k [u8])>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let places: BTreeSet<usize> = keys.map(|key| self.place(key)).collect();
        let mut held = Vec::with_capacity(places.len());
        for place in places {
            held.push(self.0[place].lock().await);
        }
        held
    }

    fn place(&self, key: (&str, &[u8])) -> usize {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        usize::try_from(hasher.finish() % self.0.len() as u64).unwrap_or(0)
    }
}
