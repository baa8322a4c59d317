//! The journal of a run: for every write what the item was before and what the write made of it.
//!
//! Pure: what an entry is, how it is written as a line of JSON, and what all entries of one key say
//! together. Where lines are kept, and that they are kept before the item changes, is the engine's.
//!
//! An entry holds the whole image before the write, but of what came after only digests: of the
//! whole item, and of each top-level attribute that the write changed. A restore puts values back
//! and only has to recognise what the migration left behind, attribute by attribute.

mod chain;
mod digest;
mod life;
mod line;
mod merge;
mod outcomes;

use std::collections::BTreeMap;
use std::fmt;

pub use chain::MergedKey;
pub use digest::{Digest, DigestError, ItemDigest, RequestDigest, ValueDigest};
pub use life::{Life, Overtaken, Touched, Undone};
pub use line::LineError;
pub use merge::MergedEntry;
pub use outcomes::{Outcome, Outcomes};

use serde::{Deserialize, Serialize};

use crate::value::{AttributeValue, Item};

/// The version of lines that this build writes and the only one it reads.
pub const JOURNAL_VERSION: u32 = 1;

/// Bits of a sequence number that count the records inside one segment.
const RECORD_BITS: u32 = 20;

/// Bits of a sequence number below those that name the part of a run: a record's and a segment's.
const PART_SHIFT: u32 = RECORD_BITS + u32::BITS;

/// Most records of one segment: 2^20, which is far more than its bytes allow.
pub const SEGMENT_RECORDS_MAX: usize = 1 << RECORD_BITS;

/// Where a record stands in its run's journal: later records have larger numbers. For one key the
/// order of the entries is the order of the writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The number of a segment's record, from 0; segments are numbered from 1.
    pub fn new(segment: u32, record: u32) -> Self {
        Self(u64::from(segment) << RECORD_BITS | u64::from(record))
    }

    /// The same place in the journal of one part of a run. No journal has such numbers: they tell
    /// the records of several apart when these are read together.
    #[must_use]
    pub fn in_part(self, part: u32) -> Self {
        Self(self.0 | u64::from(part) << PART_SHIFT)
    }

    /// The part of the run whose journal it is in.
    pub fn part(self) -> u64 {
        self.0 >> PART_SHIFT
    }

    /// The segment it is in, different for the segments of different parts.
    pub fn segment(self) -> u64 {
        self.0 >> RECORD_BITS
    }

    /// Its place in the segment, from 0.
    pub fn record(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX) & (SEGMENT_RECORDS_MAX - 1)
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Written before a write is sent.
    Entry(Entry),
    /// Written some time after writes were answered. Writes of which nothing is said may have
    /// happened or not.
    Settled(Settled),
    /// Segments before this one that were not known to be durable when this one was put. Only they
    /// may be missing, or torn: nothing that is in them was acknowledged by then.
    UnderWay(Vec<u32>),
    /// Written before a call is sent that changes tables themselves. No restore undoes it.
    Control(ControlEntry),
}

impl Record {
    /// Returns the record as one of this part's journal.
    #[must_use]
    pub fn in_part(mut self, part: u32) -> Self {
        match &mut self {
            Self::Entry(entry) => entry.sequence = entry.sequence.in_part(part),
            Self::Control(control) => control.sequence = control.sequence.in_part(part),
            Self::Settled(Settled { written, refused }) => {
                for sequence in written.iter_mut().chain(refused) {
                    *sequence = sequence.in_part(part);
                }
            }
            Self::UnderWay(_) => {}
        }
        self
    }
}

/// A call that is about to create, change or delete tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlEntry {
    /// Its place in the journal.
    pub sequence: Sequence,
    /// The operation's name, as DynamoDB spells it.
    pub operation: String,
    /// The tables that it names; none where it names something else.
    pub tables: Vec<String>,
}

/// What one write is about to do to one item.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// Its place in the journal.
    pub sequence: Sequence,
    pub table: String,
    pub key: Item,
    /// The item as it is before the write; `None` if there is none.
    pub before: Option<Item>,
    /// What will be there afterwards.
    pub after: After,
    /// Nothing made sure that the write met the image: others may have changed the item in between.
    pub unverified: bool,
    /// The transaction that the write is part of.
    pub transaction: Option<TransactionMark>,
}

/// Names a transaction by the program's token, so that a guard that is started again knows it; by
/// one of ours where the program gave none. The items of a transaction have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransactionMark {
    pub token: ValueDigest,
    /// Of what the transaction does.
    pub request: RequestDigest,
}

impl TransactionMark {
    /// Of a token and its request.
    pub fn of(token: &str, request: RequestDigest) -> Self {
        Self { token: ValueDigest::of_value(&token.into()), request }
    }
}

/// What a write leaves behind, in digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The whole item; `None` if there is none afterwards.
    pub item: Option<ItemDigest>,
    /// The top-level attributes that the write changes; `None` for one that it removes.
    pub attributes: BTreeMap<String, Option<ValueDigest>>,
}

/// What became of writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// They were carried out.
    pub written: Vec<Sequence>,
    /// The database refused them, or they were never sent.
    pub refused: Vec<Sequence>,
}

impl Settled {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.refused.is_empty()
    }
}

impl After {
    /// What a write makes of an item.
    pub fn of(before: Option<&Item>, after: Option<&Item>) -> Self {
        let none = Item::new();
        let (old, new) = (before.unwrap_or(&none), after.unwrap_or(&none));
        let mut attributes: BTreeMap<String, Option<ValueDigest>> = old
            .keys()
            .filter(|name| !new.contains_key(name))
            .map(|name| (name.clone(), None))
            .collect();
        for (name, value) in new {
            if old.get(name) != Some(value) {
                attributes.insert(name.clone(), Some(ValueDigest::of_value(value)));
            }
        }
        Self { item: after.map(ItemDigest::of_item), attributes }
    }

    /// Whether the write leaves the item as it was.
    pub fn is_unchanged(&self, before: Option<&Item>) -> bool {
        self.attributes.is_empty() && self.item.is_some() == before.is_some()
    }
}

/// The digest of an attribute's value, or that it is not there.
pub fn digest_of(value: Option<&AttributeValue>) -> Option<ValueDigest> {
    value.map(ValueDigest::of_value)
}

impl fmt::Debug for Entry {
    /// Names and counts only: entries end in logs and in messages of failed tests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("sequence", &self.sequence.0)
            .field("table", &self.table)
            .field("before", &self.before.is_some())
            .field("after", &self.after.item.is_some())
            .field("attributes", &self.after.attributes.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(attributes: &[(&str, i64)]) -> Item {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
    }

    #[test]
    fn a_sequence_tells_its_segment_and_its_place() {
        let last = u32::try_from(SEGMENT_RECORDS_MAX - 1).unwrap();
        let sequence = Sequence::new(7, last);
        assert_eq!((sequence.segment(), sequence.record()), (7, SEGMENT_RECORDS_MAX - 1));
        assert!(sequence < Sequence::new(8, 0));
        let of_part = Sequence::new(u32::MAX, last).in_part(63);
        assert_eq!((of_part.part(), of_part.record()), (63, SEGMENT_RECORDS_MAX - 1));
        assert_ne!(of_part.segment(), Sequence::new(u32::MAX, last).in_part(62).segment());
        assert_eq!(sequence.in_part(0), sequence);
    }

    #[test]
    fn what_a_write_leaves_names_the_attributes_it_changes_and_no_others() {
        let (before, after) =
            (item(&[("id", 1), ("a", 1), ("b", 2)]), item(&[("id", 1), ("b", 3), ("c", 4)]));
        let left = After::of(Some(&before), Some(&after));
        let names: Vec<(&str, bool)> = left
            .attributes
            .iter()
            .map(|(name, digest)| (name.as_str(), digest.is_some()))
            .collect();
        assert_eq!(names, [("a", false), ("b", true), ("c", true)]);
        assert!(!left.is_unchanged(Some(&before)));
        assert!(After::of(Some(&before), Some(&before)).is_unchanged(Some(&before)));
        assert!(After::of(None, None).is_unchanged(None));
        assert!(!After::of(Some(&before), None).is_unchanged(Some(&before)));
    }

    #[test]
    fn an_entry_shows_no_values() {
        let before = item(&[("id", 4711)]);
        let after = After::of(Some(&before), None);
        let sequence = Sequence::new(1, 0);
        let table = "cars".to_owned();
        let entry = Entry {
            sequence,
            table,
            key: before.clone(),
            before: Some(before),
            after,
            unverified: false,
            transaction: None,
        };
        assert!(!format!("{entry:?}").contains("4711"));
    }
}
