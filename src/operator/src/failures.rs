//! How often the reconciles of each object have failed in a row: its backoff follows from it.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use kube::Resource;
use kube::runtime::reflector::{Lookup, ObjectRef};
use parking_lot::Mutex;

use crate::limits;

/// Failures in a row, by object.
pub struct Failures<K>(Mutex<HashMap<ObjectRef<K>, u32>>)
where
    K: Lookup,
    K::DynamicType: Eq + Hash;

impl<K> Default for Failures<K>
where
    K: Lookup,
    K::DynamicType: Eq + Hash,
{
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Failures<K>
where
    K: Resource,
    K::DynamicType: Clone + Eq + Hash + Default,
{
    /// Counts one more of an object, and returns how many that makes.
    pub fn one_more(&self, of: ObjectRef<K>) -> u32 {
        let mut failures = self.0.lock();
        let count = failures.entry(of).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    /// Resets an object that succeeded, or is gone.
    pub fn forget(&self, of: &ObjectRef<K>) {
        self.0.lock().remove(of);
    }
}

/// Returns the wait after this many failures in a row, from 1.
pub fn backoff(failures: u32) -> Duration {
    let doubled = limits::BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(limits::BACKOFF_MAX)
}
