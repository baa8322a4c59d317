//! What items are now: schemas of tables, and consistent reads of single items, counted as the
//! journal's cost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::table_name::plain_name;
use dm_dynamodb::value::{Item, item_from_json, item_to_json};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::layers::metering::consumed_units;
use crate::layers::tally::Tally;
use crate::operation::ReadOperation;
use crate::upstream::{Backoff, ReadOnly, UpstreamCalls};

/// Keys of one BatchGetItem (DynamoDB API Reference).
pub const BATCH_GET_KEYS_MAX: usize = 100;

/// How new what is read has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// The newest: a unit per 4 KB.
    Strong,
    /// Perhaps an older one: half of that.
    Eventual,
}

/// Reads items for the journal.
#[derive(Debug)]
pub struct Images {
    upstream: ReadOnly,
    tally: Arc<Tally>,
    schemas: Mutex<HashMap<String, Arc<TableSchema>>>,
    /// Half units: a consistent read costs whole ones, an answer may tell halves.
    half_units: AtomicU64,
}

impl Images {
    pub fn new(upstream: ReadOnly, tally: Arc<Tally>) -> Self {
        let half_units = AtomicU64::new(0);
        Self { upstream, tally, schemas: Mutex::default(), half_units }
    }

    /// Read units that the journal has used.
    pub fn read_units(&self) -> f64 {
        let half_units = self.half_units.load(Ordering::Relaxed);
        f64::from(u32::try_from(half_units).unwrap_or(u32::MAX)) / 2.0
    }

    /// The connection that it reads by.
    pub fn reader(&self) -> &ReadOnly {
        &self.upstream
    }

    /// What was sent to the database so far.
    pub fn calls(&self) -> UpstreamCalls {
        self.upstream.calls()
    }

    /// The table of a name or ARN.
    pub async fn table(&self, name_or_arn: &str) -> Result<Arc<TableSchema>, Fault> {
        let name = plain_name(name_or_arn);
        if let Some(schema) = self.schemas.lock().get(name) {
            return Ok(Arc::clone(schema));
        }
        let request = json!({"TableName": name});
        let described = match self.upstream.read(ReadOperation::DESCRIBE_TABLE, &request).await {
            Ok(described) => described,
            Err(fault) if fault.is_upstream("ResourceNotFoundException") => {
                return Err(ServiceError::table_not_found().into());
            }
            Err(fault) => return Err(fault),
        };
        let schema = serde_json::from_slice(&described)
            .ok()
            .and_then(|described: Value| TableSchema::from_json(&described).ok())
            .map(Arc::new)
            .ok_or_else(|| {
                Fault::refused(
                    "The guard does not understand the table's description, so it cannot journal \
                     writes to it.",
                    "the table's description is not understood",
                )
            })?;
        let mut schemas = self.schemas.lock();
        if schemas.len() < limits::TABLES_COUNTED_MAX {
            schemas.insert(name.to_owned(), Arc::clone(&schema));
        }
        Ok(schema)
    }

    /// What is known of tables.
    pub fn for_each_table(&self, mut see: impl FnMut(&TableSchema)) {
        self.schemas.lock().values().for_each(|schema| see(schema));
    }

    /// Tables may have changed.
    pub fn forget_tables(&self) {
        self.schemas.lock().clear();
    }

    /// One item in its current state.
    pub async fn read(&self, table: &TableSchema, key: &ItemKey) -> Result<Option<Item>, Fault> {
        self.read_as(table, key, Consistency::Strong).await
    }

    pub async fn read_as(
        &self,
        table: &TableSchema,
        key: &ItemKey,
        consistency: Consistency,
    ) -> Result<Option<Item>, Fault> {
        let request = json!({
            "TableName": table.name,
            "Key": item_to_json(&key.to_item()),
            "ConsistentRead": consistency == Consistency::Strong,
            "ReturnConsumedCapacity": "TOTAL",
        });
        let answer = self.ask(ReadOperation::GET_ITEM, &request).await?;
        Ok(answer.get("Item").map(item_from_json).transpose()?)
    }

    /// Several items of one table as they are now, in the order of their keys.
    pub async fn read_all(
        &self,
        table: &TableSchema,
        keys: &[&ItemKey],
    ) -> Result<Vec<Option<Item>>, Fault> {
        self.read_all_as(table, keys, Consistency::Strong).await
    }

    /// Several items of one table, in the order of their keys.
    pub async fn read_all_as(
        &self,
        table: &TableSchema,
        keys: &[&ItemKey],
        consistency: Consistency,
    ) -> Result<Vec<Option<Item>>, Fault> {
        if let [key] = keys {
            return Ok(vec![self.read_as(table, key, consistency).await?]);
        }
        let mut found: HashMap<ItemKey, Item> = HashMap::new();
        for part in keys.chunks(BATCH_GET_KEYS_MAX) {
            self.read_part(table, part, consistency, &mut found).await?;
        }
        Ok(keys.iter().map(|key| found.remove(*key)).collect())
    }

    /// Items of any tables as they are at one moment, in the order of their keys. More bytes than a
    /// transaction may have are read one after the other.
    pub async fn read_together(
        &self,
        keys: &[(&TableSchema, &ItemKey)],
    ) -> Result<Vec<Option<Item>>, Fault> {
        let gets: Vec<Value> = keys
            .iter()
            .map(|(table, key)| {
                json!({"Get": {"TableName": table.name, "Key": item_to_json(&key.to_item())}})
            })
            .collect();
        let request = json!({"TransactItems": gets, "ReturnConsumedCapacity": "TOTAL"});
        let answer = match self.ask(ReadOperation::TRANSACT_GET_ITEMS, &request).await {
            Ok(answer) => answer,
            Err(fault) if fault.is_refusal() => {
                return self.read_one_by_one(keys).await;
            }
            Err(fault) => return Err(fault),
        };
        let responses = answer.get("Responses").and_then(Value::as_array);
        let responses = responses.filter(|found| found.len() == keys.len());
        let found = responses.ok_or_else(crate::layers::metering::not_an_object)?.iter();
        found.map(|response| Ok(response.get("Item").map(item_from_json).transpose()?)).collect()
    }

    async fn read_one_by_one(
        &self,
        keys: &[(&TableSchema, &ItemKey)],
    ) -> Result<Vec<Option<Item>>, Fault> {
        let mut images = Vec::with_capacity(keys.len());
        for (table, key) in keys {
            images.push(self.read(table, key).await?);
        }
        Ok(images)
    }

    async fn read_part(
        &self,
        table: &TableSchema,
        keys: &[&ItemKey],
        consistency: Consistency,
        found: &mut HashMap<ItemKey, Item>,
    ) -> Result<(), Fault> {
        let asked: Vec<Value> = keys.iter().map(|key| item_to_json(&key.to_item())).collect();
        let strong = consistency == Consistency::Strong;
        let mut asked = json!({ &table.name: {"Keys": asked, "ConsistentRead": strong} });
        let mut backoff = Backoff::begin();
        loop {
            let request = json!({"RequestItems": asked, "ReturnConsumedCapacity": "TOTAL"});
            let answer = self.ask(ReadOperation::BATCH_GET_ITEM, &request).await?;
            let items = answer.get("Responses").and_then(|all| all.get(&table.name));
            for item in items.and_then(Value::as_array).into_iter().flatten() {
                let item = item_from_json(item)?;
                if let Some(key) = ItemKey::of(&table.keys, &item) {
                    found.insert(key, item);
                }
            }
            match answer.get("UnprocessedKeys").and_then(Value::as_object) {
                Some(left) if !left.is_empty() => asked = Value::Object(left.clone()),
                Some(_) | None => return Ok(()),
            }
            // Each answer has some of the keys, so this ends later than with a single throttle.
            if !backoff.pause_within(self.upstream.times().call).await {
                return Err(Fault::Throttled);
            }
        }
    }

    async fn ask(
        &self,
        operation: ReadOperation,
        request: &Value,
    ) -> Result<Map<String, Value>, Fault> {
        let answer = self.upstream.read(operation, request).await?;
        let answer = crate::layers::metering::members(&answer)?;
        let units = answer.get("ConsumedCapacity").map_or(0.0, consumed_units);
        self.tally.read_units(units);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A small count.
        self.half_units.fetch_add((units * 2.0).round().max(0.0) as u64, Ordering::Relaxed);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::mock::{Answer, credentials, database};
    use tokio::time::Instant;

    #[tokio::test]
    async fn a_throttled_batch_is_read_to_its_end_with_pauses() {
        let plan = database(|number, _| {
            let found = json!({"id": {"S": number.to_string()}});
            let left: Vec<Value> =
                (number + 1..6).map(|n| json!({"id": {"S": n.to_string()}})).collect();
            let left = if left.is_empty() { json!({}) } else { json!({"cars": {"Keys": left}}) };
            Answer::new(200, &json!({"Responses": {"cars": [found]}, "UnprocessedKeys": left}))
        })
        .await;
        let reader = ReadOnly::new(&plan, credentials()).unwrap();
        let images = Images::new(reader, Arc::default());
        let table = TableSchema::from_json(&json!({"Table": {"TableName": "cars",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}}));
        let table = table.unwrap();
        let key = |n: u32| {
            let item = item_from_json(&json!({"id": {"S": n.to_string()}})).unwrap();
            ItemKey::from_key(&table, &item).unwrap()
        };
        let keys: Vec<ItemKey> = (0..6).map(key).collect();
        let begun = Instant::now();
        let found = images.read_all(&table, &keys.iter().collect::<Vec<_>>()).await.unwrap();
        assert!(found.iter().all(Option::is_some));
        // Five pauses from 25 ms on, each at least half of its length.
        assert!(
            begun.elapsed() >= limits::UPSTREAM_BACKOFF_FIRST * 31 / 2,
            "{:?}",
            begun.elapsed()
        );
        assert_eq!((images.calls().reads, images.calls().read_throttles), (6, 5));
    }
}
