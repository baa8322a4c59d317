//! What earlier guards of a run, or of its part, have changed: read from their journal, so that a
//! guard that continues a transform counts for all of them. What became of the last writes of a
//! guard that was killed is found out by reading their items.

use std::collections::{BTreeMap, HashMap};

use dm_contract::report::ItemChange;
use dm_dynamodb::journal::{After, Entry, ItemDigest, Record, Sequence, ValueDigest};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::Item;
use futures::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;

use crate::archive::ledger;
use crate::fault::Fault;
use crate::journal::effects::JournaledEffects;
use crate::journal::writer::Settlement;
use crate::journal::{Journal, JournalReader};
use crate::limits;

/// What is in the journal of earlier guards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    pub entries: u64,
    pub segments: u64,
    /// Bytes in the archive.
    pub bytes: u64,
}

type Entries = BTreeMap<Sequence, (Entry, ItemKey)>;

/// Entries of earlier guards of which nobody knows what became of their writes: not more than were
/// under way when those were killed.
#[derive(Debug, Default)]
pub struct InDoubt(Mutex<Entries>);

/// Entries of which it is not known yet what became of their writes.
#[derive(Debug, Default)]
struct Open {
    entries: Entries,
    /// The last one of each item.
    last: HashMap<(String, Vec<u8>), Sequence>,
}

impl Journal {
    /// Counts what earlier guards have changed, once. If they have journaled anything, this guard
    /// takes their locks first: only then nobody adds to the journal.
    pub(crate) async fn take_up(&self) -> Result<Earlier, Fault> {
        self.earlier.get_or_try_init(|| Box::pin(self.read_earlier())).await.copied()
    }

    async fn read_earlier(&self) -> Result<Earlier, Fault> {
        let own = self.run.own_name();
        let open = async || {
            let reader = JournalReader::open(&self.archive, &own).await;
            reader.map_err(|error| self.unreadable(&error))
        };
        if open().await?.is_empty() {
            return Ok(Earlier::default());
        }
        let tables = ledger::tables(&self.archive, &own).await;
        let tables: Vec<String> =
            tables.map_err(|error| self.unreachable(&error))?.into_keys().collect();
        // The leases of all locks run out during the same wait.
        self.hold_presence(&tables).await?;
        self.begun().await?;
        for table in &tables {
            self.tables.hold(table).await?;
        }
        let reader = open().await?;
        let (entries, open) = self.read_writes(&reader).await?;
        *self.in_doubt.0.lock() = open;
        self.find_out().await?;
        let (segments, bytes) = (u64::from(reader.segments()), reader.bytes());
        Ok(Earlier { entries, segments, bytes })
    }

    /// Counts the writes that are known to have been carried out. Returns how many entries there
    /// are, and those of the other writes.
    async fn read_writes(&self, reader: &JournalReader) -> Result<(u64, Entries), Fault> {
        let mut segments = futures::stream::iter(1..=reader.segments())
            .map(|segment| reader.segment(segment))
            .buffered(limits::RESTORE_READS_AHEAD);
        let (mut entries, mut open) = (0, Open::default());
        while let Some(segment) =
            segments.try_next().await.map_err(|error| self.unreadable(&error))?
        {
            for record in segment.records {
                match record {
                    Record::Entry(entry) => {
                        entries += 1;
                        let table = self.images.table(&entry.table).await?;
                        open.add(&self.effects, &table, entry);
                    }
                    Record::Settled(settled) => {
                        for sequence in settled.written {
                            open.written(&self.effects, sequence);
                        }
                        for sequence in settled.refused {
                            open.entries.remove(&sequence);
                        }
                    }
                    Record::UnderWay(_) | Record::Control(_) => {}
                }
            }
        }
        Ok((entries, open.entries))
    }

    /// Reads the items of writes that are in doubt. A write of a guard that was killed may still be
    /// on its way, so those that are not found are looked for again when the transform meets their
    /// items, and at its end.
    pub(crate) async fn find_out(&self) -> Result<(), Fault> {
        let keys: Vec<(String, ItemKey)> = {
            let doubts = self.in_doubt.0.lock();
            doubts.values().map(|(entry, key)| (entry.table.clone(), key.clone())).collect()
        };
        let read = async |(table, key): (String, ItemKey)| {
            let table = self.images.table(&table).await?;
            let now = self.images.read(&table, &key).await?;
            Ok::<_, Fault>((table, key, now))
        };
        let mut found =
            futures::stream::iter(keys).map(read).buffered(limits::IN_DOUBT_READS_AT_ONCE);
        while let Some((table, key, now)) = found.try_next().await? {
            self.meets(&table.name, &key, now.as_ref());
        }
        Ok(())
    }

    /// Returns what the run has made of an item that is now like this.
    pub(crate) fn change_of(&self, table: &TableSchema, item: &Item) -> Option<ItemChange> {
        let key = ItemKey::of(&table.keys, item)?;
        self.meets(&table.name, &key, Some(item));
        self.effects.change_of(&table.name, &key)
    }

    /// Counts the writes in doubt that leave the item in its current state.
    fn meets(&self, table: &str, key: &ItemKey, now: Option<&Item>) {
        let mut doubts = self.in_doubt.0.lock();
        doubts.retain(|sequence, (entry, of)| {
            let is_found = of == key && entry.table == table && was_left(&entry.after, now);
            if is_found {
                self.effects.journaled(entry, of);
                self.settle(Some(*sequence), Settlement::Written);
            }
            !is_found
        });
    }
}

impl InDoubt {}

impl Open {
    fn add(&mut self, effects: &JournaledEffects, table: &TableSchema, entry: Entry) {
        // An entry of a table whose key is another by now is of no item that can be found.
        let Some(key) = ItemKey::of(&table.keys, &entry.key) else { return };
        let at = (entry.table.clone(), key.bytes().to_vec());
        let before = self.last.insert(at, entry.sequence);
        // The next write of an item met what the one before has left, if that was carried out. If
        // it met something else, the one before may still have been carried out after it.
        if let Some(before) = before
            && let Some((earlier, _)) = self.entries.get(&before)
            && was_left(&earlier.after, entry.before.as_ref())
        {
            self.written(effects, before);
        }
        self.entries.insert(entry.sequence, (entry, key));
    }

    fn written(&mut self, effects: &JournaledEffects, sequence: Sequence) {
        if let Some((entry, key)) = self.entries.remove(&sequence) {
            effects.journaled(&entry, &key);
        }
    }
}

/// Whether an item is as a write leaves it, in the attributes that it changes.
fn was_left(after: &After, now: Option<&Item>) -> bool {
    match (&after.item, now) {
        (None, None) => true,
        (Some(left), Some(item)) => {
            let as_left = |(name, left): (&String, &Option<ValueDigest>)| {
                item.get(name).map(ValueDigest::of_value) == *left
            };
            *left == ItemDigest::of_item(item) || after.attributes.iter().all(as_left)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Image = Option<i64>;

    fn table() -> TableSchema {
        let described = json!({"Table": {
            "TableName": "cars",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
        }});
        TableSchema::from_json(&described).unwrap()
    }

    fn item(image: Image) -> Option<Item> {
        let pairs = [("id", 1), ("price", image?)];
        Some(pairs.into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect())
    }

    fn entry(record: u32, before: Image, after: Image) -> Entry {
        let (before, after) = (item(before), item(after));
        let key = Item::from_iter([("id".to_owned(), 1.into())]);
        Entry {
            sequence: Sequence::new(1, record),
            table: "cars".into(),
            key,
            after: After::of(before.as_ref(), after.as_ref()),
            before,
            unverified: false,
            transaction: None,
        }
    }

    #[test]
    fn a_write_was_carried_out_if_its_item_is_as_it_leaves_it() {
        for (before, after, now, expected) in [
            (Some(1), Some(2), Some(2), true),
            (Some(1), Some(2), Some(1), false),
            (Some(1), Some(2), None, false),
            (Some(1), None, None, true),
            (Some(1), None, Some(1), false),
            (None, Some(2), Some(2), true),
            (None, Some(2), None, false),
        ] {
            let found = was_left(&entry(0, before, after).after, item(now).as_ref());
            assert_eq!(found, expected, "{before:?} {after:?} {now:?}");
        }
        // What others add to the item does not matter.
        let mut more = item(Some(2)).unwrap();
        more.insert("color".into(), "red".into());
        assert!(was_left(&entry(0, Some(1), Some(2)).after, Some(&more)));
    }

    #[test]
    fn the_next_write_of_an_item_says_what_became_of_the_one_before() {
        // What the second write met, the entries in doubt, and what is known to be updated.
        for (met, in_doubt, updated) in [(Some(2), vec![1], 1), (Some(1), vec![0, 1], 0)] {
            let (mut open, effects) = (Open::default(), JournaledEffects::default());
            open.add(&effects, &table(), entry(0, Some(1), Some(2)));
            open.add(&effects, &table(), entry(1, met, Some(3)));
            let left: Vec<usize> = open.entries.keys().map(|sequence| sequence.record()).collect();
            assert_eq!(left, in_doubt, "{met:?}");
            let found: u64 = effects.tables().iter().map(|table| table.updated).sum();
            assert_eq!(found, updated, "{met:?}");
            open.written(&effects, Sequence::new(1, 1));
            assert_eq!(effects.tables()[0].updated, 1, "an item counts once");
        }
    }
}
