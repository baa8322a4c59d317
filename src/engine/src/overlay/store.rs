//! The overlay's memory: an ordered map of bytes. It knows nothing about items.

use std::collections::BTreeMap;
use std::ops::Bound;

/// An ordered map from keys to values.
#[derive(Debug, Default)]
pub struct Store {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Which way a range is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the least key up.
    Forward,
    /// From the greatest key down.
    Backward,
}

impl Store {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.map.get(key).cloned()
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.map.insert(key, value);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &[u8]) {
        self.map.remove(key);
    }

    /// The first key in a range, in this direction, with its value.
    pub fn first(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        if is_empty(from, to) {
            return None;
        }
        let mut range = self.map.range::<[u8], _>((from, to));
        let found = match direction {
            Direction::Forward => range.next(),
            Direction::Backward => range.next_back(),
        };
        found.map(|(key, value)| (key.clone(), value.clone()))
    }
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

/// The least bytes above every key with this prefix; `None` if there are none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_walked_both_ways_and_may_be_empty() {
        let mut store = Store::default();
        for key in ["a", "b", "c"] {
            store.put(key.into(), Vec::new());
        }
        let first = |from, to, direction| store.first(from, to, direction).map(|(key, _)| key);
        let (a, c): (&[u8], &[u8]) = (b"a", b"c");
        assert_eq!(
            first(Bound::Excluded(a), Bound::Unbounded, Direction::Forward),
            Some(b"b".to_vec())
        );
        assert_eq!(
            first(Bound::Included(a), Bound::Excluded(c), Direction::Backward),
            Some(b"b".to_vec())
        );
        assert_eq!(first(Bound::Excluded(c), Bound::Excluded(c), Direction::Forward), None);
        assert_eq!(first(Bound::Included(c), Bound::Included(a), Direction::Forward), None);
    }

    #[test]
    fn the_end_of_a_prefix_is_above_all_its_keys() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
    }
}
