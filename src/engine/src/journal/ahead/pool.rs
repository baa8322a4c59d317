//! Images in the order in which the program has read them, within bounds; some have entries on
//! their way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::limits;
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, parse_item};

use crate::journal::ahead::Entering;

#[derive(Default)]
pub struct Pool {
    tables: HashMap<String, HashMap<ItemKey, u64>>,
    held: BTreeMap<u64, Held>,
    entered: BTreeSet<u64>,
    bytes: usize,
    entered_bytes: usize,
    last: u64,
    /// Up to here entries were made, or tried.
    looked_at: u64,
}

pub struct Held {
    table: String,
    key: ItemKey,
    /// JSON, as it came: most images are never looked into.
    text: Box<str>,
    pub entering: Option<Entering>,
}

/// An image for which there could be an entry.
pub struct Candidate {
    /// Its place in the pool.
    pub number: u64,
    pub image: Item,
}

impl Held {
    pub fn image(&self) -> Option<Item> {
        parse_item(&self.text).ok()
    }
}

impl Pool {
    /// Keeps an image. Returns entries that are not needed any more.
    pub fn hold(&mut self, table: &str, key: ItemKey, text: &str) -> Vec<Entering> {
        let mut dropped = Vec::new();
        let known = self.tables.get(table).and_then(|keys| keys.get(&key)).copied();
        dropped.extend(known.and_then(|number| self.remove(number)).and_then(|old| old.entering));
        self.last += 1;
        self.bytes += text.len();
        if !self.tables.contains_key(table) {
            self.tables.insert(table.to_owned(), HashMap::new());
        }
        if let Some(keys) = self.tables.get_mut(table) {
            keys.insert(key.clone(), self.last);
        }
        let held = Held { table: table.to_owned(), key, text: text.into(), entering: None };
        self.held.insert(self.last, held);
        while self.bytes > limits::AHEAD_IMAGES_BYTES_MAX
            && let Some(oldest) = self.held.keys().next().copied()
        {
            dropped.extend(self.remove(oldest).and_then(|old| old.entering));
        }
        dropped
    }

    /// Whether there is one of this key.
    pub fn knows(&self, table: &str, key: &ItemKey) -> bool {
        self.tables.get(table).is_some_and(|keys| keys.contains_key(key))
    }

    /// Takes the one of this key out.
    pub fn take(&mut self, table: &str, key: &ItemKey) -> Option<(u64, Held)> {
        let number = *self.tables.get(table)?.get(key)?;
        // Behind what is written nothing is ahead.
        self.looked_at = self.looked_at.max(number);
        Some((number, self.remove(number)?))
    }

    fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.held.remove(&number)?;
        self.bytes -= held.text.len();
        if self.entered.remove(&number) {
            self.entered_bytes -= held.text.len();
        }
        if let Some(keys) = self.tables.get_mut(&held.table) {
            keys.remove(&held.key);
        }
        Some(held)
    }

    /// How many entries there are whose writes have not come.
    pub fn ahead(&self) -> usize {
        self.entered.len()
    }

    /// Entries far behind the one that is written now: the program has passed them over.
    pub fn skipped_before(&mut self, number: u64) -> Vec<Entering> {
        let far = number.saturating_sub(limits::AHEAD_SKIPPED_MAX);
        let skipped: Vec<u64> = self.entered.range(..far).copied().collect();
        skipped.into_iter().filter_map(|number| self.remove(number)?.entering).collect()
    }

    /// This many of the images of a table that come next. Each is given once.
    pub fn next(&mut self, table: &str, count: usize) -> Vec<Candidate> {
        let mut next = Vec::new();
        let mut bytes = self.entered_bytes;
        for (number, held) in self.held.range(self.looked_at + 1..) {
            if next.len() >= count || bytes > limits::AHEAD_ENTRIES_BYTES_MAX {
                break;
            }
            self.looked_at = *number;
            if held.table == table
                && let Some(image) = held.image()
            {
                bytes += held.text.len();
                next.push(Candidate { number: *number, image });
            }
        }
        next
    }

    /// Notes the entry of an image; gives it back if the image is not there any more.
    pub fn enter(&mut self, number: u64, entering: Entering) -> Option<Entering> {
        let Some(held) = self.held.get_mut(&number) else { return Some(entering) };
        held.entering = Some(entering);
        self.entered.insert(number);
        self.entered_bytes += held.text.len();
        None
    }

    pub fn clear(&mut self) -> Vec<Entering> {
        let held = std::mem::take(self).held;
        held.into_values().filter_map(|held| held.entering).collect()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("held", &self.held.len())
            .field("bytes", &self.bytes)
            .field("ahead", &self.entered.len())
            .finish_non_exhaustive()
    }
}
