//! Attributes by name, in the order of their names: an item, or the content of a map.
//!
//! A sorted vector. Maps in documents are mostly small, and a node of a B-tree takes 900 bytes
//! where one attribute takes 80: a list of small maps would cost forty times its JSON.

use std::fmt;

use super::AttributeValue;

/// One item: its top-level attributes, or the content of a map, ordered by name.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Item(Vec<(String, AttributeValue)>);

type Pair = (String, AttributeValue);

/// Attributes in the order of their names.
pub type Iter<'a> =
    std::iter::Map<std::slice::Iter<'a, Pair>, fn(&'a Pair) -> (&'a String, &'a AttributeValue)>;

fn split((name, value): &Pair) -> (&String, &AttributeValue) {
    (name, value)
}

impl Item {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many attributes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        // Mostly in order, as when one is copied.
        match self.0.last() {
            Some((last, _)) if last.as_str() < name => Err(self.0.len()),
            _ => self.0.binary_search_by(|(other, _)| other.as_str().cmp(name)),
        }
    }

    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// An attribute, with its name as it is here.
    pub fn get_key_value(&self, name: &str) -> Option<(&String, &AttributeValue)> {
        self.find(name).ok().map(|at| split(&self.0[at]))
    }

    /// An attribute's value, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut AttributeValue> {
        self.find(name).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether there is such an attribute.
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Sets an attribute; its value before.
    pub fn insert(&mut self, name: String, value: AttributeValue) -> Option<AttributeValue> {
        match self.find(&name) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Removes an attribute; its value.
    pub fn remove(&mut self, name: &str) -> Option<AttributeValue> {
        self.find(name).ok().map(|at| self.0.remove(at).1)
    }

    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(split)
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &String> + ExactSizeIterator {
        self.0.iter().map(|(name, _)| name)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &AttributeValue> + ExactSizeIterator {
        self.0.iter().map(|(_, value)| value)
    }

    /// Keeps these attributes only.
    pub fn retain(&mut self, mut keep: impl FnMut(&String, &mut AttributeValue) -> bool) {
        self.0.retain_mut(|(name, value)| keep(name, value));
    }
}

/// Panics if there is no such attribute, like the maps of the standard library.
impl std::ops::Index<&str> for Item {
    type Output = AttributeValue;

    fn index(&self, name: &str) -> &AttributeValue {
        self.get(name).expect("no such attribute")
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Of two attributes of one name the later counts.
impl FromIterator<Pair> for Item {
    fn from_iter<I: IntoIterator<Item = Pair>>(pairs: I) -> Self {
        let mut all: Vec<Pair> = pairs.into_iter().collect();
        if !all.is_sorted_by(|(one, _), (next, _)| one < next) {
            all.reverse();
            all.sort_by(|(one, _), (other, _)| one.cmp(other));
            all.dedup_by(|(next, _), (one, _)| next == one);
        }
        all.shrink_to_fit();
        Self(all)
    }
}

impl<const N: usize> From<[Pair; N]> for Item {
    fn from(pairs: [Pair; N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl Extend<Pair> for Item {
    fn extend<I: IntoIterator<Item = Pair>>(&mut self, pairs: I) {
        *self = std::mem::take(&mut self.0).into_iter().chain(pairs).collect();
    }
}

impl IntoIterator for Item {
    type Item = Pair;
    type IntoIter = std::vec::IntoIter<Pair>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Item {
    type Item = (&'a String, &'a AttributeValue);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_is_a_map_in_the_order_of_its_names() {
        let names = ["b", "", "aa", "b", "é", "a", "aa", "~"];
        let pairs = || names.iter().zip(0_i64..).map(|(name, n)| ((*name).to_owned(), n.into()));
        let expected: BTreeMap<String, AttributeValue> = pairs().collect();
        let collected: Item = pairs().collect();
        let mut inserted = Item::new();
        for (name, value) in pairs() {
            inserted.insert(name, value);
        }
        let mut extended = Item::new();
        extended.extend(pairs());
        for item in [collected, inserted, extended] {
            assert!(item.iter().eq(expected.iter()), "{item:?}");
            assert!(item.keys().eq(expected.keys()) && item.values().eq(expected.values()));
            for name in names {
                assert_eq!(item.get(name), expected.get(name));
            }
            assert!(!item.contains_key("c") && item.get("zz").is_none());
            let mut less = item.clone();
            assert_eq!(less.remove("aa"), expected.get("aa").cloned());
            assert_eq!((less.remove("aa"), less.len()), (None, expected.len() - 1));
        }
    }
}
