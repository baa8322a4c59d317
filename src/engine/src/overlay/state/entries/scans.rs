//! What a dry run remembers of scans and queries under way: where their pages ended, and which
//! insertions came after a scan began.
//!
//! A scan has no name: a page belongs to the one whose page ended at the key that it starts behind.

use std::collections::{HashMap, VecDeque};

use dm_dynamodb::value::Item;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::limits;
use crate::overlay::state::direction::Direction;
use crate::overlay::state::entries::{Entry, From, State, as_slice, damaged};
use crate::overlay::state::table::{Place, View};

/// Bytes of an insertion's number behind its table's key.
const NUMBER_BYTES: usize = size_of::<u64>();

/// Which of both sources of a page an item, and so a start key, is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The database's items, which come first.
    Base,
    Insertion,
}

/// What a page is one of. A scan's pages are remembered apart: a program may send any number of
/// queries between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    Query,
    Scan,
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEnd {
    /// What its last item was of.
    pub source: Source,
    /// How many insertions there had been when the scan began.
    pub began: u64,
    /// Behind which place the scan's insertions begin, if it began behind a key that no item has.
    pub behind: Option<Place>,
}

/// The ends of the last pages.
#[derive(Debug, Default)]
pub struct PageEnds {
    known: HashMap<[u8; 16], PageEnd>,
    oldest_first: VecDeque<[u8; 16]>,
}

impl State {
    /// How many insertions there have been: of those to come, each has a number at least as high.
    pub fn insertions(&self) -> u64 {
        self.insertions
    }

    /// What is stored for one more insertion at a place.
    pub(in crate::overlay::state::entries) fn numbered(&mut self, place: &Place) -> Vec<u8> {
        let stored = stored(place, self.insertions);
        self.insertions += 1;
        stored
    }

    /// A page ends with the item at this place.
    pub fn page_ends(&mut self, view: View<'_>, kind: PageKind, place: &Place, end: PageEnd) {
        let name = name_of(view, place);
        let ends = match kind {
            PageKind::Query => &mut self.query_ends,
            PageKind::Scan => &mut self.scan_ends,
        };
        if ends.known.insert(name, end).is_none() {
            ends.oldest_first.push_back(name);
        }
        if ends.oldest_first.len() > limits::REMEMBERED_PAGE_ENDS_MAX
            && let Some(oldest) = ends.oldest_first.pop_front()
        {
            ends.known.remove(&oldest);
        }
    }

    /// The page that ended at this place, if one did.
    pub fn page_ended(&self, view: View<'_>, kind: PageKind, place: &Place) -> Option<PageEnd> {
        let ends = match kind {
            PageKind::Query => &self.query_ends,
            PageKind::Scan => &self.scan_ends,
        };
        ends.known.get(&name_of(view, place)).cloned()
    }

    /// About this many bytes of the insertions of a view behind a place, with their numbers, at
    /// least one if there is one. Their items are not read.
    pub fn insertions_from(
        &self,
        view: View<'_>,
        from: &From,
        bytes: usize,
    ) -> Result<Vec<(Place, u64)>, Fault> {
        self.check_current(view.table)?;
        let (low, high) = view.bounds(None, from, Direction::Forward);
        let pairs = self.store.beginning(as_slice(&low), as_slice(&high), bytes)?;
        pairs.iter().map(|(key, stored)| numbered_place(view, key, stored)).collect()
    }

    /// The item of an insertion; `None` if it is no more.
    pub fn inserted(&self, view: View<'_>, place: &Place) -> Result<Option<Item>, Fault> {
        let entry = self.entry_at(view.table, &place.table_key)?;
        let stands = |entry: &Entry| view.insertion(entry).as_ref() == Some(place);
        Ok(entry.filter(stands).and_then(|entry| entry.now))
    }

    /// As if no item could be read any more.
    #[cfg(test)]
    pub(in crate::overlay) fn lose_entries(&mut self) {
        let keys = self.store.beginning(
            std::ops::Bound::Included(&[super::ENTRY]),
            std::ops::Bound::Excluded(&[super::INSERTION]),
            usize::MAX,
        );
        for (key, _) in keys.unwrap() {
            self.store.remove(&key).unwrap();
        }
    }

    /// What the overlay itself tells of a start key: whose item is there, if one is.
    pub fn source_at(view: View<'_>, entry: &Entry, place: &Place) -> Option<Source> {
        if view.base_is_at(entry, place) {
            Some(Source::Base)
        } else {
            (view.insertion(entry).as_ref() == Some(place)).then_some(Source::Insertion)
        }
    }
}

/// What is stored for an insertion of this number.
pub(in crate::overlay::state::entries) fn stored(place: &Place, number: u64) -> Vec<u8> {
    [place.table_key.as_slice(), &number.to_be_bytes()].concat()
}

/// An insertion of a view, as stored.
pub(in crate::overlay::state::entries) fn numbered_place(
    view: View<'_>,
    key: &[u8],
    stored: &[u8],
) -> Result<(Place, u64), Fault> {
    let (table_key, number) = parts(stored).ok_or_else(damaged)?;
    let view_key = key
        .strip_prefix(view.prefix().as_slice())
        .and_then(|key| key.strip_suffix(table_key))
        .ok_or_else(damaged)?
        .to_vec();
    Ok((Place { view_key, table_key: table_key.to_vec() }, number))
}

/// An insertion's table key and number, as stored.
fn parts(stored: &[u8]) -> Option<(&[u8], u64)> {
    let (table_key, number) = stored.split_at_checked(stored.len().checked_sub(NUMBER_BYTES)?)?;
    Some((table_key, u64::from_be_bytes(number.try_into().ok()?)))
}

fn name_of(view: View<'_>, place: &Place) -> [u8; 16] {
    let digest = Sha256::digest(view.stored(place));
    let mut name = [0; 16];
    name.copy_from_slice(&digest[..16]);
    name
}
