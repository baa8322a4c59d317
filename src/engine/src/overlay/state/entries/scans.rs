//! What a dry run remembers of scans under way: where their pages ended, and which insertions came
//! after they began.
//!
//! A scan has no name: a page belongs to the one whose page ended at the key that it starts behind.

use std::collections::{HashMap, VecDeque};

use crate::limits;
use sha2::{Digest as _, Sha256};

use crate::overlay::state::entries::{Entry, State};
use crate::overlay::state::table::{Place, View};

/// Bytes of an insertion's number behind its table's key.
const NUMBER_BYTES: usize = size_of::<u64>();

/// Which of both sources of a scan an item, and so a start key, is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The database's items, which come first.
    Base,
    /// The overlay's insertions.
    Insertion,
}

/// Where a page of a scan ended.
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
        let mut stored = place.table_key.clone();
        stored.extend_from_slice(&self.insertions.to_be_bytes());
        self.insertions += 1;
        stored
    }

    /// A page of a scan ends with the item at this place.
    pub fn page_ends(&mut self, view: View<'_>, place: &Place, end: PageEnd) {
        let name = name_of(view, place);
        let ends = &mut self.page_ends;
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
    pub fn page_ended(&self, view: View<'_>, place: &Place) -> Option<PageEnd> {
        self.page_ends.known.get(&name_of(view, place)).cloned()
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
