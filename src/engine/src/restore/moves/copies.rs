//! Which created items may be copies of missing ones, in memory that is bounded whatever the run
//! wrote. A value here is one of any attribute, keys included, by a hash of its digest: a copy may
//! have it under another name.

use std::collections::{HashMap, HashSet};

use dm_dynamodb::journal::{MergedEntry, Sequence, ValueDigest};
use dm_dynamodb::value::Item;

use crate::limits::{MOVED_COPIES_MAX, MOVED_VALUE_ITEMS_MAX, MOVED_VALUES_MAX};
use crate::restore::partitions::hash;

/// What is known of the missing items.
#[derive(Debug, Default)]
pub struct Missing {
    items: Vec<MissingItem>,
    /// By transactions that wrote missing items, whether one also created an item.
    transactions: HashMap<u64, bool>,
    /// Missing items by the largest of their attributes, which is the least likely to be that of
    /// other items, too.
    largest: HashMap<u64, Vec<usize>>,
    values: HashMap<u64, Value>,
    /// Values and attributes of all items.
    size: usize,
    /// Whether every created item may be a copy: there are too many missing to compare, or a table
    /// is missing.
    any: bool,
    /// When the run created items, until they are compared.
    created: Vec<Sequence>,
    /// Created items that were written next to the deletion of an item whose copy nothing else
    /// shows.
    nearest: HashSet<Sequence>,
}

/// A missing item and what is known of its copies.
#[derive(Debug)]
struct MissingItem {
    last: Sequence,
    transactions: Vec<u64>,
    /// Its attributes besides its key: names and values.
    attributes: Vec<u64>,
    /// How many values it has, its key's included.
    values: usize,
    /// Whether a transaction or all its attributes show its copy.
    has_copy: bool,
    /// The most of its values that a created item has.
    in_common: usize,
    /// How many created items have as many.
    alike: usize,
}

/// A value of missing items.
#[derive(Debug, Default)]
struct Value {
    /// The missing items that have it, up to one more than [`MOVED_VALUE_ITEMS_MAX`].
    items: Vec<usize>,
    /// How many created items have it.
    created: usize,
    /// How many items had it that the run deleted, missing ones included.
    deleted: usize,
}

impl Missing {
    /// Takes note of an item that could not be recreated, and what it was.
    pub fn add(&mut self, entry: &MergedEntry, item: &Item) {
        let others = item.iter().filter(|(name, _)| !entry.key.contains_key(name));
        let largest = others.clone().max_by_key(|(_, value)| value.size());
        // Of an item with a key alone nothing is lost: its key is taken.
        let Some((name, value)) = largest else { return };
        let largest = attribute(name, &ValueDigest::of_value(value));
        let values: HashSet<u64> = values_of(item).collect();
        let attributes: Vec<u64> =
            others.map(|(name, value)| attribute(name, &ValueDigest::of_value(value))).collect();
        self.size += values.len() + attributes.len();
        self.any |= self.size > MOVED_VALUES_MAX;
        if self.any {
            return;
        }
        let at = self.items.len();
        let transactions: Vec<u64> = entry.transactions.iter().map(hash).collect();
        self.transactions.extend(transactions.iter().map(|one| (*one, false)));
        self.largest.entry(largest).or_default().push(at);
        for value in &values {
            let items = &mut self.values.entry(*value).or_default().items;
            if items.len() <= MOVED_VALUE_ITEMS_MAX {
                items.push(at);
            }
        }
        self.items.push(MissingItem {
            last: entry.last(),
            transactions,
            attributes,
            values: values.len(),
            has_copy: false,
            in_common: 0,
            alike: 0,
        });
    }

    /// Takes note that a whole table is missing, of whose items nothing is known.
    pub fn add_table(&mut self) {
        self.any = true;
    }

    pub fn must_compare(&self) -> bool {
        !self.items.is_empty() && !self.any
    }

    /// Takes in an entry of the run.
    pub fn compare(&mut self, entry: &MergedEntry) {
        match entry.first() {
            None => self.compare_created(entry),
            Some(first) if entry.left_nothing() => {
                let values: HashSet<u64> = values_of(first).collect();
                for value in values {
                    if let Some(known) = self.values.get_mut(&value) {
                        known.deleted += 1;
                    }
                }
            }
            Some(_) => {}
        }
    }

    fn compare_created(&mut self, entry: &MergedEntry) {
        if entry.left_nothing() {
            return;
        }
        self.created.push(entry.last());
        for transaction in entry.transactions.iter().map(hash) {
            if let Some(has_created) = self.transactions.get_mut(&transaction) {
                *has_created = true;
            }
        }
        for at in self.whole(entry) {
            self.items[at].has_copy = true;
        }
        let values = values_left(entry);
        for value in &values {
            if let Some(known) = self.values.get_mut(value) {
                known.created += 1;
            }
        }
        for (at, count) in self.in_common(&values) {
            let item = &mut self.items[at];
            if count > item.in_common {
                (item.in_common, item.alike) = (count, 0);
            }
            item.alike += usize::from(count == item.in_common);
        }
    }

    /// All entries were compared.
    pub fn compared(&mut self) {
        self.created.sort_unstable();
        let created = std::mem::take(&mut self.created);
        for item in &mut self.items {
            let is_created = |one: &u64| self.transactions.get(one).copied().unwrap_or(false);
            item.has_copy |= item.transactions.iter().any(is_created);
            let is_shown = item.in_common * 2 >= item.values && item.alike <= MOVED_COPIES_MAX;
            if !item.has_copy && !is_shown {
                self.nearest.extend(nearest(&created, item.last));
            }
        }
    }

    /// Whether a created item may be the copy of one that is missing.
    pub fn may_be(&self, entry: &MergedEntry) -> bool {
        if self.any || self.nearest.contains(&entry.last()) {
            return true;
        }
        if self.items.is_empty() {
            return false;
        }
        let mut transactions = entry.transactions.iter().map(hash);
        if transactions.any(|one| self.transactions.contains_key(&one)) {
            return true;
        }
        let values = values_left(entry);
        !self.whole(entry).is_empty() || self.has_telling(&values) || self.is_most_alike(&values)
    }

    /// The missing items all of whose attributes besides the key a created item has.
    fn whole(&self, entry: &MergedEntry) -> Vec<usize> {
        let all: HashSet<u64> = entry.left().map(|(name, of)| attribute(name, of)).collect();
        let items = all.iter().filter_map(|one| self.largest.get(one)).flatten().copied();
        let has_all = |at: &usize| self.items[*at].attributes.iter().all(|one| all.contains(one));
        items.filter(has_all).collect()
    }

    /// Whether one of the values belongs to a missing item and to no other item that the run
    /// deleted, and few created items have it.
    fn has_telling(&self, values: &HashSet<u64>) -> bool {
        values.iter().filter_map(|value| self.values.get(value)).any(|value| {
            let is_telling = value.deleted <= 1 && value.created <= MOVED_COPIES_MAX;
            is_telling && value.items.iter().any(|at| !self.items[*at].has_copy)
        })
    }

    /// Whether few created items have as many values of a missing item, and none has more.
    fn is_most_alike(&self, values: &HashSet<u64>) -> bool {
        self.in_common(values).into_iter().any(|(at, count)| {
            let item = &self.items[at];
            !item.has_copy && item.alike <= MOVED_COPIES_MAX && count == item.in_common
        })
    }

    /// How many of these values each missing item has, besides those that too many have.
    fn in_common(&self, values: &HashSet<u64>) -> HashMap<usize, usize> {
        let mut counts = HashMap::new();
        for value in values.iter().filter_map(|value| self.values.get(value)) {
            if value.items.len() <= MOVED_VALUE_ITEMS_MAX {
                value.items.iter().for_each(|at| *counts.entry(*at).or_default() += 1);
            }
        }
        counts
    }
}

/// The created items that were written last before a deletion, and first after it.
fn nearest(created: &[Sequence], deletion: Sequence) -> impl Iterator<Item = Sequence> {
    let at = created.partition_point(|one| *one < deletion);
    let from = at.saturating_sub(MOVED_COPIES_MAX);
    let to = created.len().min(at + MOVED_COPIES_MAX);
    created[from..to].iter().copied()
}

fn values_of(item: &Item) -> impl Iterator<Item = u64> {
    item.values().map(|value| hash(&ValueDigest::of_value(value)))
}

/// The values that the run left in an item that it created.
fn values_left(entry: &MergedEntry) -> HashSet<u64> {
    entry.left().map(|(_, value)| hash(value)).collect()
}

fn attribute(name: &str, value: &ValueDigest) -> u64 {
    hash(&(name, value))
}
