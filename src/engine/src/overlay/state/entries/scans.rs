//! What a dry run remembers of scans and queries under way: where their pages ended, and which
//! insertions came after a scan began.
//!
//! A scan has no name: a page belongs to the one whose page ended at the key that it starts behind.

use std::collections::{HashMap, VecDeque};

use crate::limits;
use sha2::{Digest as _, Sha256};

use crate::overlay::state::entries::{Entry, State};
use crate::overlay::state::table::{Place, View};

/// Bytes of an insertion's number behind its table's key.
const NUMBER_BYTES: usize = size_of::<u64>();

/// Which of both sources of a page an item, and so a start key, is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The database's items, which come first.
    Base,
    /// The overlay's insertions.
    Insertion,
}

/// What a page is one of. A scan's pages are remembered apart: a program may send any number of
/// queries between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Of a query.
    Query,
    /// Of a scan.
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

/// An insertion's table key and number, as stored.
pub(in crate::overlay::state::entries) fn parts(stored: &[u8]) -> Option<(&[u8], u64)> {
    let (table_key, number) = stored.split_at_checked(stored.len().checked_sub(NUMBER_BYTES)?)?;
    Some((table_key, u64::from_be_bytes(number.try_into().ok()?)))
}

fn name_of(view: View<'_>, place: &Place) -> [u8; 16] {
    let digest = Sha256::digest(view.stored(place));
    let mut name = [0; 16];
    name.copy_from_slice(&digest[..16]);
    name
}
