//! Base images: what the database has for a key, read consistently, once, before the first write.

use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::Item;
use serde_json::{Map, Value};

use crate::call::ReadItem;
use crate::fault::Fault;
use crate::item_reads::{self, Consistency};
use crate::operation::ReadOperation;
use crate::overlay::Overlay;
use crate::overlay::state::entry::Entry;
use crate::overlay::state::table::Table;

impl Overlay {
    /// Makes sure that the overlay has an entry for each key. An entry that comes up in the
    /// meantime stays: the first image wins.
    pub async fn look_at(&self, table: &Table, keys: &[ItemKey]) -> Result<(), Fault> {
        if !table.upstream {
            return Ok(());
        }
        let mut unknown: Vec<&ItemKey> = Vec::new();
        {
            let state = self.state();
            for key in keys {
                if !state.knows(table, key)? && !unknown.contains(&key) {
                    unknown.push(key);
                }
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let count = |units| self.tally().read_units(units);
        let (reader, schema) = (self.upstream(), &table.schema);
        let reading = item_reads::get_items(reader, schema, &unknown, Consistency::Strong, count);
        let mut images = reading.await?;
        for key in unknown {
            self.keep_first(table, key, images.remove(key))?;
        }
        Ok(())
    }

    /// Takes an item for what the database has, unless the overlay has looked at it before.
    pub async fn know(&self, read: ReadItem) -> Result<(), Fault> {
        let table = self.schemas().table_of_items(&read.table).await?;
        let Some(key) = ItemKey::of(&table.schema.keys, &read.item) else { return Ok(()) };
        if table.upstream { self.keep_first(&table, &key, Some(read.item)) } else { Ok(()) }
    }

    /// Keeps what the database has for a key, unless there is an entry for it.
    fn keep_first(&self, table: &Table, key: &ItemKey, base: Option<Item>) -> Result<(), Fault> {
        let mut state = self.state();
        if !state.knows(table, key)? {
            state.put(table, key, None, &Entry::unchanged(base))?;
        }
        Ok(())
    }

    /// An item as the program sees it. A read alone does not keep what the database has.
    pub async fn item_now(&self, table: &Table, key: &ItemKey) -> Result<Option<Item>, Fault> {
        if let Some(entry) = self.state().entry(table, key)? {
            return Ok(entry.now);
        }
        if !table.upstream {
            return Ok(None);
        }
        self.read_one(table, key).await
    }

    /// An item as the database has it.
    pub async fn read_one(&self, table: &Table, key: &ItemKey) -> Result<Option<Item>, Fault> {
        let count = |units| self.tally().read_units(units);
        let (reader, table) = (self.upstream(), &table.schema);
        item_reads::get_item(reader, table, key, Consistency::Strong, count).await
    }

    /// Sends a read and counts its units.
    pub async fn ask(
        &self,
        operation: ReadOperation,
        request: &Value,
    ) -> Result<Map<String, Value>, Fault> {
        let answer = self.upstream().read(operation, request).await?;
        let answer = crate::layers::metering::members(&answer)?;
        self.count_units(answer.get("ConsumedCapacity"));
        Ok(answer)
    }
}
