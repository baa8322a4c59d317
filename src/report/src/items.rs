//! Which items of a difference are listed. A report of a million items lists some thousands: a
//! sample of each kind of change, drawn evenly, so that rare kinds are not lost among frequent
//! ones.
//!
//! The sample is the same each time it is drawn from the same lines.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use dm_contract::report::{CHANGED_ITEM_VERSION, ChangedItem, ItemChange};

mod listed;

pub use listed::{ListedAttribute, ListedItem};

/// Items listed: what a browser filters without a pause, at some MB.
const ITEMS_MAX: usize = 5_000;

/// Bytes of all listed items, about: a page that opens quickly, also on a phone.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Kinds of changes that are sampled each for itself; further ones share a sample by table.
const SHAPES_MAX: usize = 200;

/// Bytes of a line: two images of 400 KB, each character at most six bytes in JSON, and room.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why a difference could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ItemsError {
    /// Where it comes from.
    #[error("reading the difference")]
    Read(#[from] io::Error),
    #[error("line {line} of the difference is not a changed item")]
    Line {
        /// Its number, from 1.
        line: u64,
        source: serde_json::Error,
    },
    /// A line of another version.
    #[error(
        "line {line} of the difference has version {version}, and this program reads version \
         {CHANGED_ITEM_VERSION}"
    )]
    Version {
        /// Its number, from 1.
        line: u64,
        version: u32,
    },
    /// A line without an end.
    #[error("line {0} of the difference is longer than any item")]
    TooLong(u64),
}

/// The items that a report lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// In the order of the difference.
    pub items: Vec<ListedItem>,
    /// Items in the difference.
    pub seen: u64,
    /// Whether keys and values are shown.
    pub values: bool,
}

impl Listing {
    /// Reads a difference line by line; memory is needed for what is listed only.
    pub fn read(mut lines: impl BufRead) -> Result<Self, ItemsError> {
        let mut sampler = Sampler::new();
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
            if read == 0 {
                break;
            }
            if read as u64 == LINE_BYTES_MAX && text.last() != Some(&b'\n') {
                return Err(ItemsError::TooLong(line));
            }
            let item: ChangedItem = serde_json::from_slice(&text)
                .map_err(|source| ItemsError::Line { line, source })?;
            if item.version != CHANGED_ITEM_VERSION {
                return Err(ItemsError::Version { line, version: item.version });
            }
            sampler.add(&item);
        }
        Ok(sampler.finish())
    }

    /// The examples of a report whose difference is not there.
    pub fn of_samples(samples: &[ChangedItem]) -> Self {
        let mut all = Sampler::new();
        for item in samples {
            all.add(item);
        }
        all.finish()
    }

    /// Whether some items of the difference are not listed.
    pub fn is_sampled(&self) -> bool {
        self.seen > self.items.len() as u64
    }
}

/// What is sampled for itself: a table, what happens to its items, and to which attributes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    table: String,
    kind: u8,
    attributes: Option<Vec<String>>,
}

impl Shape {
    fn of(item: &ChangedItem, with_attributes: bool) -> Self {
        let kind = match item.kind {
            ItemChange::Created => 0,
            ItemChange::Updated => 1,
            ItemChange::Deleted => 2,
        };
        // Created and deleted items differ in what they have, which is no other kind of change.
        let named = with_attributes && item.kind == ItemChange::Updated;
        let attributes = named.then(|| item.attributes.keys().cloned().collect());
        Self { table: item.table.clone(), kind, attributes }
    }
}

#[derive(Debug, Default)]
struct Reservoir {
    seen: u64,
    kept: Vec<(u64, ListedItem)>,
}

#[derive(Debug)]
struct Sampler {
    shapes: BTreeMap<Shape, Reservoir>,
    /// Items that each shape may keep.
    share: usize,
    bytes: usize,
    seen: u64,
    kept: usize,
    values: bool,
    random: Random,
}

impl Sampler {
    fn new() -> Self {
        Self {
            shapes: BTreeMap::new(),
            share: ITEMS_MAX,
            bytes: 0,
            seen: 0,
            kept: 0,
            values: false,
            random: Random(1),
        }
    }

    fn add(&mut self, item: &ChangedItem) {
        let at = self.seen;
        self.seen += 1;
        self.values |= item.key.is_some();
        let mut shape = Shape::of(item, true);
        if !self.shapes.contains_key(&shape) && self.shapes.len() >= SHAPES_MAX {
            shape = Shape::of(item, false);
            if !self.shapes.contains_key(&shape) && self.shapes.len() >= ITEMS_MAX {
                return;
            }
        }
        let reservoir = self.shapes.entry(shape).or_default();
        reservoir.seen += 1;
        if reservoir.kept.len() < self.share {
            let listed = ListedItem::of(item);
            self.bytes += listed.bytes();
            self.kept += 1;
            reservoir.kept.push((at, listed));
        } else {
            let place = self.random.below(reservoir.seen);
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if let Some(kept) = reservoir.kept.get_mut(place) {
                let listed = ListedItem::of(item);
                self.bytes = self.bytes + listed.bytes() - kept.1.bytes();
                *kept = (at, listed);
            }
        }
        while (self.kept > ITEMS_MAX || self.bytes > BYTES_MAX) && self.share > 1 {
            self.shrink();
        }
    }

    /// Halves every shape's share. What stays is chosen at random, so it is an even sample still.
    fn shrink(&mut self) {
        self.share = (self.share / 2).max(1);
        for reservoir in self.shapes.values_mut() {
            while reservoir.kept.len() > self.share {
                let place = self.random.below(reservoir.kept.len() as u64);
                let place = usize::try_from(place).unwrap_or_default();
                let (_, dropped) = reservoir.kept.swap_remove(place);
                self.bytes -= dropped.bytes();
                self.kept -= 1;
            }
        }
    }

    fn finish(self) -> Listing {
        let mut kept: Vec<(u64, ListedItem)> =
            self.shapes.into_values().flat_map(|reservoir| reservoir.kept).collect();
        kept.sort_by_key(|(at, _)| *at);
        let items = kept.into_iter().map(|(_, item)| item).collect();
        Listing { items, seen: self.seen, values: self.values }
    }
}

/// Numbers that look random and are the same each time: a linear congruential generator with the
/// multiplier of MMIX, of which the upper half is used.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 32) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use serde_json::json;

    fn sampled(items: impl Iterator<Item = ChangedItem>) -> Listing {
        let mut sampler = Sampler::new();
        items.for_each(|item| sampler.add(&item));
        sampler.finish()
    }

    fn lines(items: &[ChangedItem]) -> Vec<u8> {
        items.iter().flat_map(|item| (json!(item).to_string() + "\n").into_bytes()).collect()
    }

    #[test]
    fn a_short_difference_is_listed_whole_and_in_order() {
        let items: Vec<ChangedItem> = (0..100).map(samples::car).collect();
        let listing = Listing::read(lines(&items).as_slice()).unwrap();
        assert_eq!((listing.seen, listing.items.len()), (100, 100));
        assert!(!listing.is_sampled() && listing.values);
        assert_eq!(listing.items[7], ListedItem::of(&items[7]));
    }

    #[test]
    fn a_long_difference_is_sampled_evenly_and_rare_changes_stay() {
        let rare = |i: u32| match i {
            10_000 => samples::item(json!({
                "kind": "deleted", "key": {"id": {"S": "rare"}}, "attributes": {},
            })),
            _ => samples::car(i),
        };
        let listing = sampled((0..20_000).map(rare));
        assert_eq!(listing.seen, 20_000);
        assert!((1_000..=ITEMS_MAX).contains(&listing.items.len()), "{}", listing.items.len());
        let deleted = |item: &&ListedItem| item.kind == ItemChange::Deleted;
        assert_eq!(listing.items.iter().filter(deleted).count(), 1);
        let numbers: Vec<u32> = listing
            .items
            .iter()
            .filter_map(|item| {
                item.name.text.split('-').nth(1)?.trim_end_matches("\"}").parse().ok()
            })
            .collect();
        let early = numbers.iter().filter(|number| **number < 10_000).count();
        let share = early * 100 / numbers.len();
        assert!((45..=55).contains(&share), "{share} % of the sample are of the first half");
        assert!(numbers.is_sorted(), "in the order of the difference");
        assert_eq!(listing, sampled((0..20_000).map(rare)), "the same each time");
    }

    #[test]
    fn large_items_are_fewer_and_many_shapes_share() {
        let large = |i: u32| {
            let image = |c: &str| -> serde_json::Value {
                (0..40).map(|n| (format!("a{n}"), json!({"S": c.repeat(4_000)}))).collect()
            };
            samples::item(json!({
                "kind": "updated", "key": {"id": {"N": i.to_string()}},
                "attributes": (0..40).map(|n| (format!("a{n}"), "changed")).collect::<BTreeMap<_,
                _>>(),
                "before": image("x"), "after": image("y"),
            }))
        };
        let listing = sampled((0..250).map(large));
        let bytes: usize = listing.items.iter().map(ListedItem::bytes).sum();
        assert!(bytes <= BYTES_MAX && listing.items.len() > 50, "{bytes}");

        let shaped = |i: u32| {
            samples::item(json!({
                "kind": "updated", "keyDigest": format!("sha256:{i}"),
                "attributes": {format!("a{i}"): "added"},
            }))
        };
        let listing = sampled((0..10_000).map(shaped));
        assert!((SHAPES_MAX..=ITEMS_MAX).contains(&listing.items.len()));
        assert!(listing.is_sampled() && !listing.values);
    }

    #[test]
    fn a_line_that_is_no_item_is_named() {
        let mut text = lines(&[samples::car(1)]);
        text.extend_from_slice(b"{}\n");
        let error = Listing::read(text.as_slice()).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        let mut other = samples::car(1);
        other.version = 9;
        let error = Listing::read(lines(&[other]).as_slice()).unwrap_err().to_string();
        assert!(error.contains("line 1 of the difference has version 9"), "{error}");
    }
}
