//! What a journaled run has changed so far, per table, in the categories of a dry run: items
//! created, updated, deleted, written and unchanged, and the attributes of those updated. Each item
//! counts once for what it was before the run and what the run has left of it, however often it was
//! written.
//!
//! Keeps digests of the attributes that the run touched, never values: in memory up to a bound, and
//! beyond it on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::limits;
use dm_contract::report::{ItemChange, TableEffect};
use dm_dynamodb::journal::{Entry as JournalEntry, ValueDigest};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{AttributeValue, Item};
use parking_lot::Mutex;

use crate::overlay::state::effect::Effects;
use crate::overlay::state::entry::Entry;
use crate::overlay::state::store::{Room, Store, StoreError};

/// The effects of one run.
#[derive(Debug)]
pub struct JournaledEffects(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    store: Store,
    tables: BTreeMap<String, (u32, Effects)>,
    /// Tables that were counted, also those that were deleted since: the number of the next one.
    numbered: u32,
    /// Set when the store is lost: the counts are those until then.
    lost: Option<StoreError>,
}

impl Default for JournaledEffects {
    fn default() -> Self {
        Self::in_folder(std::env::temp_dir())
    }
}

impl JournaledEffects {
    /// Keeps in this folder what does not fit in memory.
    pub fn in_folder(folder: PathBuf) -> Self {
        let memory_bytes_max = limits::JOURNAL_EFFECTS_MEMORY_BYTES_MAX;
        let room = Room { folder, memory_bytes_max, ..Room::default() };
        Self(Mutex::new(Kept {
            store: Store::new(room),
            tables: BTreeMap::new(),
            numbered: 0,
            lost: None,
        }))
    }

    /// A write was carried out on this image, and left that one.
    pub fn wrote(
        &self,
        table: &TableSchema,
        key: &ItemKey,
        before: Option<&Item>,
        after: Option<&Item>,
    ) {
        let absent = Item::new();
        let (old, new) = (before.unwrap_or(&absent), after.unwrap_or(&absent));
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(name)));
        let changes = names
            .filter(|name| old.get(name) != new.get(name))
            .map(|name| (name, new.get(name).map(digest)));
        let write = Write { before, is_there: after.is_some(), changes };
        self.count(&table.name, key, write);
    }

    /// The same for a write of an earlier guard, of which its journal's entry has the digests.
    pub fn journaled(&self, entry: &JournalEntry, key: &ItemKey) {
        let left = |digest: &ValueDigest| AttributeValue::B(digest.bytes().to_vec());
        let changes = entry.after.attributes.iter();
        let changes = changes.map(|(name, digest)| (name, digest.as_ref().map(left)));
        let is_there = entry.after.item.is_some();
        let write = Write { before: entry.before.as_ref(), is_there, changes };
        self.count(&entry.table, key, write);
    }

    fn count<'a>(&self, table: &str, key: &ItemKey, write: Write<'a, impl Changes<'a>>) {
        let mut kept = self.0.lock();
        if kept.lost.is_some() {
            return;
        }
        if let Err(error) = kept.wrote(table, key.bytes(), write) {
            tracing::warn!(error = &error as &dyn std::error::Error, "counting effects");
            kept.lost = Some(error);
        }
    }

    /// The run has deleted a table: what it had changed of its items is gone with it, as a dry run
    /// counts it. A new table of the name is counted from there.
    pub fn table_deleted(&self, table: &str) {
        self.0.lock().tables.remove(table);
    }

    /// What the run has made of an item, if it has changed it and that is still known.
    pub fn change_of(&self, table: &str, key: &ItemKey) -> Option<ItemChange> {
        let kept = self.0.lock();
        let number = kept.tables.get(table)?.0;
        // A store that cannot be read is found by the next write, which says so.
        let known = kept.store.get(&place(number, key.bytes())).ok()??;
        Entry::decode(&known)?.change()
    }

    /// Items of a table that the run has deleted.
    pub fn deleted(&self, table: &str) -> u64 {
        let kept = self.0.lock();
        kept.tables.get(table).map_or(0, |(_, effects)| effects.report(table).deleted)
    }

    /// What the run has changed so far.
    pub fn tables(&self) -> Vec<TableEffect> {
        let kept = self.0.lock();
        kept.tables.iter().map(|(name, (_, effects))| effects.report(name)).collect()
    }

    /// Why the counts are not those of the whole run, if so.
    pub fn problem(&self) -> Option<String> {
        self.0.lock().lost.as_ref().map(|error| {
            format!(
                "The counts of changed items are incomplete, because the guard could not store \
                 more of them ({error}). The journal is complete."
            )
        })
    }
}

impl Kept {
    fn wrote<'a>(
        &mut self,
        table: &str,
        key: &[u8],
        write: Write<'a, impl Changes<'a>>,
    ) -> Result<(), StoreError> {
        if !self.tables.contains_key(table) {
            if self.tables.len() >= limits::TABLES_COUNTED_MAX {
                return Ok(());
            }
            self.tables.insert(table.to_owned(), (self.numbered, Effects::default()));
            self.numbered = self.numbered.saturating_add(1);
        }
        let Some((number, effects)) = self.tables.get_mut(table) else { return Ok(()) };
        let at = place(*number, key);
        // An entry that cannot be read back is counted as a new one.
        let known = self.store.get(&at)?.and_then(|bytes| Entry::decode(&bytes));
        let next = merged(known.as_ref(), write);
        effects.replace(&known.unwrap_or_default(), &next);
        self.store.put(at, next.encode())
    }
}

/// Where an item's entry is in the store.
fn place(table: u32, key: &[u8]) -> Vec<u8> {
    let mut at = table.to_be_bytes().to_vec();
    at.extend_from_slice(key);
    at
}

/// Attributes that a write changes, with the digests of what it leaves of them.
trait Changes<'a>: Iterator<Item = (&'a String, Option<AttributeValue>)> {}

impl<'a, T: Iterator<Item = (&'a String, Option<AttributeValue>)>> Changes<'a> for T {}

/// One write of an item.
struct Write<'a, C> {
    before: Option<&'a Item>,
    /// Whether there is an item afterwards.
    is_there: bool,
    changes: C,
}

/// An entry after one more write: of each touched attribute the digest before the run, and now.
fn merged<'a>(known: Option<&Entry>, write: Write<'a, impl Changes<'a>>) -> Entry {
    let Write { before, is_there, changes } = write;
    let mut base = known.map_or_else(|| before.map(|_| Item::new()), |entry| entry.base.clone());
    let was = known.and_then(|entry| entry.now.clone());
    let mut now = is_there.then(|| was.clone().unwrap_or_default());
    // Of an item that the run created it only counts that it is there.
    if let Some(base) = &mut base {
        for (name, value) in changes {
            let met = before.and_then(|item| item.get(name)).map(digest);
            let left = was.as_ref().and_then(|was| was.get(name));
            let touched = base.contains_key(name) || left.is_some();
            // An attribute that somebody else changed since the run wrote it counts from there.
            let deleted = known.is_some() && was.is_none();
            if !touched || (!deleted && left != met.as_ref()) {
                set(base, name, met);
            }
            if let Some(now) = &mut now {
                set(now, name, value);
            }
        }
    }
    Entry { base, now, written: true, ..Entry::default() }
}

fn set(item: &mut Item, name: &str, value: Option<AttributeValue>) {
    match value {
        Some(value) => item.insert(name.to_owned(), value),
        None => item.remove(name),
    };
}

fn digest(value: &AttributeValue) -> AttributeValue {
    AttributeValue::B(ValueDigest::of_value(value).bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::journal::{After, Sequence};
    use serde_json::json;

    type Image = Option<Vec<(&'static str, i64)>>;

    fn entry(key: &ItemKey, before: Option<Item>, after: After) -> JournalEntry {
        JournalEntry {
            sequence: Sequence::new(1, 0),
            table: "cars".into(),
            key: key.to_item(),
            before,
            after,
            unverified: false,
            transaction: None,
        }
    }

    /// Runs writes of one item and returns created, updated, deleted, unchanged, and the attributes
    /// added, changed and removed.
    fn check(writes: &[(Image, Image)], counts: [u64; 4], attributes: &[(&str, [u64; 3])]) {
        let described = json!({"Table": {
            "TableName": "cars",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
        }});
        let table = TableSchema::from_json(&described).unwrap();
        let item = |image: &Image| -> Option<Item> {
            let pairs = image.as_ref()?.iter().chain([&("id", 1)]);
            Some(pairs.map(|(name, n)| ((*name).to_owned(), (*n).into())).collect())
        };
        let key = ItemKey::of(&table.keys, &item(&Some(vec![])).unwrap()).unwrap();
        let effects = JournaledEffects::default();
        for (before, after) in writes {
            effects.wrote(&table, &key, item(before).as_ref(), item(after).as_ref());
        }
        let found = effects.tables().remove(0);
        // Writes that change nothing have no entry.
        let by_journal = JournaledEffects::default();
        for (before, after) in writes {
            let (before, after) = (item(before), item(after));
            let left = After::of(before.as_ref(), after.as_ref());
            if !left.is_unchanged(before.as_ref()) {
                by_journal.journaled(&entry(&key, before, left), &key);
            }
        }
        if let Some(journaled) = by_journal.tables().first() {
            assert_eq!(*journaled, found, "as the journal has it: {writes:?}");
        }
        let [created, updated, deleted, unchanged] = counts;
        assert_eq!(
            (found.created, found.updated, found.deleted, found.unchanged),
            (created, updated, deleted, unchanged),
            "{writes:?}"
        );
        let named: Vec<_> = found
            .attributes
            .iter()
            .map(|each| (each.name.as_str(), [each.added, each.changed, each.removed]))
            .collect();
        assert_eq!(named, attributes, "{writes:?}");
        assert_eq!(effects.problem(), None);
    }

    #[test]
    fn an_item_counts_once_for_what_it_was_and_what_is_left_of_it() {
        let (a1, a2) = (Some(vec![("a", 1)]), Some(vec![("a", 2)]));
        let with_b = Some(vec![("a", 2), ("b", 1)]);
        check(&[(None, a1.clone()), (a1.clone(), a2.clone())], [1, 0, 0, 0], &[]);
        check(&[(None, a1.clone()), (a1.clone(), None)], [0, 0, 0, 0], &[]);
        check(&[(a1.clone(), None)], [0, 0, 1, 0], &[]);
        check(&[(None, None)], [0, 0, 0, 0], &[]);
        check(&[(a1.clone(), a1.clone())], [0, 0, 0, 1], &[]);
        check(&[(a1.clone(), a2.clone()), (a2.clone(), a1.clone())], [0, 0, 0, 1], &[]);
        check(
            &[(a1.clone(), a2.clone()), (a2.clone(), with_b.clone())],
            [0, 1, 0, 0],
            &[("a", [0, 1, 0]), ("b", [1, 0, 0])],
        );
        check(&[(with_b.clone(), a2.clone())], [0, 1, 0, 0], &[("b", [0, 0, 1])]);
        check(&[(with_b.clone(), a2.clone()), (a2, with_b)], [0, 0, 0, 1], &[]);
    }

    #[test]
    fn an_item_that_is_deleted_and_put_again_counts_for_the_difference() {
        let (first, last) = (Some(vec![("a", 1), ("b", 1)]), Some(vec![("a", 1), ("b", 2)]));
        check(&[(first.clone(), None), (None, first.clone())], [0, 0, 0, 1], &[]);
        check(&[(first, None), (None, last)], [0, 1, 0, 0], &[("b", [0, 1, 0])]);
    }

    #[test]
    fn what_others_changed_between_two_writes_is_not_the_runs() {
        let image = |a, other| Some(vec![("a", a), ("other", other)]);
        check(
            &[(image(1, 1), image(2, 1)), (image(2, 5), image(3, 5))],
            [0, 1, 0, 0],
            &[("a", [0, 1, 0])],
        );
        // They set the attribute to 7, and the run left it so.
        check(
            &[(image(1, 1), image(2, 1)), (image(7, 1), image(7, 1))],
            [0, 1, 0, 0],
            &[("a", [0, 1, 0])],
        );
        check(
            &[(image(1, 1), image(2, 1)), (image(7, 1), image(8, 1)), (image(8, 1), image(7, 1))],
            [0, 0, 0, 1],
            &[],
        );
    }
}
