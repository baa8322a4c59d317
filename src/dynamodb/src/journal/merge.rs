//! What all entries of one key say together: how it was before the run, and what the run left.
//!
//! The first image of the run wins, attribute by attribute: an attribute that others changed before
//! the run touched it counts as it was then. The last value the run wrote wins. Where nobody knows
//! whether a write was carried out, what it would have left counts beside what was there before it;
//! and where a later entry shows that it was neither, it counts as not carried out.

use std::collections::BTreeMap;

use super::{Entry, ItemDigest, Outcome, Sequence, ValueDigest};
use crate::value::{AttributeValue, Item};

/// One key's entries of a run, merged.
#[derive(Clone, PartialEq)]
pub struct MergedEntry {
    /// The table's name.
    pub table: String,
    /// The item's key.
    pub key: Item,
    /// The item before the run's first write of it.
    pub before: Option<Item>,
    /// What the run may have left: mostly one; several where the outcome of writes is in doubt.
    pub afters: Vec<Option<ItemDigest>>,
    /// The attributes that the run changed.
    pub attributes: BTreeMap<String, Touched>,
    /// Whether nothing made sure that a write met its image, so that others may have changed the
    /// item between the two.
    pub unverified: bool,
    /// Whether several parts of the run wrote the item, and nothing tells in which order: then it
    /// is not known how it was before the run, nor what the run left.
    pub order_unknown: bool,
    /// Whether any write is known to have been carried out.
    is_known: bool,
    last: Sequence,
}

/// One attribute that a run changed.
#[derive(Clone, PartialEq)]
pub struct Touched {
    /// Its value before the run's first write of it.
    pub before: Option<AttributeValue>,
    /// What the run may have left, as [`MergedEntry::afters`].
    pub afters: Vec<Option<ValueDigest>>,
    /// Whether any write of it is known to have been carried out.
    is_known: bool,
}

impl MergedEntry {
    /// Of a key's first entry; `None` if its write was refused.
    pub fn begin(entry: Entry, outcome: Outcome) -> Option<Self> {
        let mut merged = Self {
            table: entry.table.clone(),
            key: entry.key.clone(),
            before: entry.before.clone(),
            afters: vec![entry.before.as_ref().map(ItemDigest::of_item)],
            attributes: BTreeMap::new(),
            unverified: false,
            order_unknown: false,
            is_known: false,
            last: entry.sequence,
        };
        match outcome {
            Outcome::Refused => None,
            Outcome::Written | Outcome::InDoubt => {
                merged.take_in(entry, outcome);
                Some(merged)
            }
        }
    }

    /// Takes in the key's next entry, in the order of their sequence.
    pub fn add(&mut self, entry: Entry, outcome: Outcome) {
        debug_assert!(entry.sequence > self.last, "entries come in their order");
        if outcome != Outcome::Refused {
            self.take_in(entry, outcome);
        }
    }

    fn take_in(&mut self, entry: Entry, outcome: Outcome) {
        self.last = entry.sequence;
        self.unverified |= entry.unverified;
        if !self.is_known {
            let met = entry.before.as_ref().map(ItemDigest::of_item);
            if !self.afters.contains(&met) {
                self.before.clone_from(&entry.before);
                self.afters = vec![met];
            }
        }
        self.is_known |= outcome == Outcome::Written;
        keep(&mut self.afters, entry.after.item, outcome);
        for (name, after) in entry.after.attributes {
            let before = entry.before.as_ref().and_then(|item| item.get(&name));
            let new = || Touched {
                before: before.cloned(),
                afters: vec![before.map(ValueDigest::of_value)],
                is_known: false,
            };
            let touched = self.attributes.entry(name).or_insert_with(new);
            if !touched.is_known && !touched.left(before) {
                *touched = new();
            }
            touched.is_known |= outcome == Outcome::Written;
            keep(&mut touched.afters, after, outcome);
        }
    }

    /// Whether the run left no item, as far as anybody knows.
    pub fn left_nothing(&self) -> bool {
        self.afters.iter().all(Option::is_none)
    }
}

impl Touched {
    /// Whether this is a value that the run may have left.
    pub fn left(&self, value: Option<&AttributeValue>) -> bool {
        self.afters.contains(&value.map(ValueDigest::of_value))
    }
}

/// What is known to have been written replaces everything before it; what is in doubt joins it.
fn keep<T: PartialEq>(afters: &mut Vec<T>, after: T, outcome: Outcome) {
    if outcome == Outcome::Written {
        afters.clear();
    }
    if !afters.contains(&after) {
        afters.push(after);
    }
}

impl std::fmt::Debug for MergedEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergedEntry")
            .field("table", &self.table)
            .field("before", &self.before.is_some())
            .field("afters", &self.afters.len())
            .field("attributes", &self.attributes.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{After, digest_of};

    fn item(price: Option<i64>, color: &str) -> Item {
        let mut item =
            Item::from([("id".to_owned(), "a".into()), ("color".to_owned(), color.into())]);
        item.extend(price.map(|price| ("price".to_owned(), price.into())));
        item
    }

    /// Merges writes, each from one image to another.
    fn merged(writes: &[(Option<Item>, Option<Item>, Outcome)]) -> Option<MergedEntry> {
        let mut merged: Option<MergedEntry> = None;
        for (record, (before, after, outcome)) in (0..).zip(writes) {
            let entry = Entry {
                sequence: Sequence::new(1, record),
                table: "cars".into(),
                key: Item::from([("id".to_owned(), "a".into())]),
                before: before.clone(),
                after: After::of(before.as_ref(), after.as_ref()),
                unverified: false,
                transaction: None,
            };
            match &mut merged {
                None => merged = MergedEntry::begin(entry, *outcome),
                Some(merged) => merged.add(entry, *outcome),
            }
        }
        merged
    }

    fn price(merged: &MergedEntry) -> (Option<AttributeValue>, Vec<Option<ValueDigest>>) {
        let touched = &merged.attributes["price"];
        (touched.before.clone(), touched.afters.clone())
    }

    fn digest(price: i64) -> Option<ValueDigest> {
        digest_of(Some(&price.into()))
    }

    #[test]
    fn the_first_image_and_the_last_value_win_and_what_others_did_between_is_not_touched() {
        let merged = merged(&[
            (Some(item(None, "red")), Some(item(Some(1), "red")), Outcome::Written),
            (Some(item(Some(5), "blue")), Some(item(Some(2), "blue")), Outcome::Written),
        ])
        .unwrap();
        assert_eq!(price(&merged), (None, vec![digest(2)]));
        assert_eq!(merged.attributes.len(), 1);
        assert_eq!(merged.before, Some(item(None, "red")));
    }

    #[test]
    fn a_write_in_doubt_leaves_two_possibilities_until_one_is_known_again() {
        let (first, second) = (
            (Some(item(None, "red")), Some(item(Some(1), "red")), Outcome::Written),
            (Some(item(Some(1), "red")), Some(item(Some(2), "red")), Outcome::InDoubt),
        );
        let in_doubt = merged(&[first.clone(), second.clone()]).unwrap();
        assert_eq!(price(&in_doubt), (None, vec![digest(1), digest(2)]));
        let third = (Some(item(Some(2), "red")), Some(item(Some(3), "red")), Outcome::Written);
        assert_eq!(price(&merged(&[first, second, third]).unwrap()), (None, vec![digest(3)]));
    }

    #[test]
    fn what_a_later_entry_shows_as_neither_before_nor_after_a_write_in_doubt_was_others() {
        let (doubt, later) = (
            (Some(item(Some(1), "red")), Some(item(Some(2), "red")), Outcome::InDoubt),
            (Some(item(Some(5), "blue")), Some(item(Some(3), "blue")), Outcome::Written),
        );
        let merged_of = |writes: &[_]| merged(writes).unwrap();
        let others = merged_of(&[doubt.clone(), later]);
        assert_eq!(price(&others), (Some(5.into()), vec![digest(3)]));
        assert_eq!(others.before, Some(item(Some(5), "blue")));
        let ours = (Some(item(Some(2), "red")), Some(item(Some(3), "red")), Outcome::Written);
        let ours = merged_of(&[doubt, ours]);
        assert_eq!(price(&ours), (Some(1.into()), vec![digest(3)]));
        assert_eq!(ours.before, Some(item(Some(1), "red")));
    }

    #[test]
    fn refused_writes_say_nothing() {
        let refused = (Some(item(None, "red")), Some(item(Some(1), "red")), Outcome::Refused);
        assert!(merged(std::slice::from_ref(&refused)).is_none());
        let written = (Some(item(None, "blue")), Some(item(Some(2), "blue")), Outcome::Written);
        let later = merged(&[refused.clone(), written, refused]).unwrap();
        assert_eq!(later.before, Some(item(None, "blue")));
        assert_eq!(price(&later), (None, vec![digest(2)]));
    }

    #[test]
    fn a_deleted_item_leaves_nothing_and_a_created_one_had_nothing_before() {
        let deleted = merged(&[(Some(item(None, "red")), None, Outcome::Written)]).unwrap();
        assert!(deleted.left_nothing());
        let created = merged(&[(None, Some(item(None, "red")), Outcome::Written)]).unwrap();
        assert_eq!((created.before.clone(), created.left_nothing()), (None, false));
        let both = merged(&[
            (None, Some(item(None, "red")), Outcome::Written),
            (Some(item(None, "red")), None, Outcome::InDoubt),
        ])
        .unwrap();
        assert_eq!(both.afters.len(), 2);
    }
}
