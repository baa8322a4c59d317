//! Base images: what the database has for a key, read consistently, once, before the first write.

use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_from_json, item_to_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::ReadOperation;
use crate::overlay::Overlay;
use crate::overlay::state::entry::Entry;
use crate::overlay::state::table::Table;
use crate::upstream::Backoff;

/// Keys of one BatchGetItem (DynamoDB API Reference).
const BATCH_GET_KEYS_MAX: usize = 100;

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
        for keys in unknown.chunks(BATCH_GET_KEYS_MAX) {
            let images = match keys {
                [key] => self.read_one(table, key).await?.into_iter().collect(),
                keys => self.read_batch(table, keys).await?,
            };
            let mut state = self.state();
            for key in keys {
                if !state.knows(table, key)? {
                    let base = images.iter().find(|(found, _)| found == *key);
                    let base = base.map(|(_, item)| item.clone());
                    state.put(table, key, None, &Entry::unchanged(base))?;
                }
            }
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
        Ok(self.read_one(table, key).await?.map(|(_, item)| item))
    }

    /// An item as the database has it, with its key.
    pub async fn read_one(
        &self,
        table: &Table,
        key: &ItemKey,
    ) -> Result<Option<(ItemKey, Item)>, Fault> {
        let request = json!({
            "TableName": table.schema.name,
            "Key": item_to_json(&key.to_item()),
            "ConsistentRead": true,
            "ReturnConsumedCapacity": "TOTAL",
        });
        let answer = self.ask(ReadOperation::GET_ITEM, &request).await?;
        let item = answer.get("Item").map(|item| image(table, item)).transpose()?;
        Ok(item)
    }

    async fn read_batch(
        &self,
        table: &Table,
        keys: &[&ItemKey],
    ) -> Result<Vec<(ItemKey, Item)>, Fault> {
        let keys: Vec<Value> = keys.iter().map(|key| item_to_json(&key.to_item())).collect();
        let mut asked = json!({ &table.schema.name: {"Keys": keys, "ConsistentRead": true} });
        let mut images = Vec::new();
        let mut backoff = Backoff::begin();
        loop {
            let request = json!({"RequestItems": asked, "ReturnConsumedCapacity": "TOTAL"});
            let answer = self.ask(ReadOperation::BATCH_GET_ITEM, &request).await?;
            let found = answer.get("Responses").and_then(|all| all.get(&table.schema.name));
            for item in found.and_then(Value::as_array).into_iter().flatten() {
                images.push(image(table, item)?);
            }
            match answer.get("UnprocessedKeys").and_then(Value::as_object) {
                Some(left) if !left.is_empty() => asked = Value::Object(left.clone()),
                Some(_) | None => return Ok(images),
            }
            // Each answer has some of the keys, so this ends later than with a single throttle.
            if !backoff.pause_within(self.upstream().times().call).await {
                return Err(Fault::Throttled);
            }
        }
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

fn image(table: &Table, item: &Value) -> Result<(ItemKey, Item), Fault> {
    let item = item_from_json(item)?;
    let key = ItemKey::of(&table.schema.keys, &item)
        .ok_or_else(|| Fault::Unavailable("it returned an item without its key".into()))?;
    Ok((key, item))
}
