//! PutItem, UpdateItem, DeleteItem and BatchWriteItem: writes that stand alone.

use std::sync::Arc;

use dm_dynamodb::error::ErrorCode;
use dm_dynamodb::request::{self, BatchWrite, CapacityLevel, SingleWrite};
use dm_dynamodb::value::{Item, item_to_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, TransactionUnits, Units};
use crate::overlay::state::table::Table;
use crate::overlay::write::item::Write;

/// What a write came to.
#[derive(Debug)]
pub struct Written {
    /// The image that its answer shows.
    pub image: Option<Item>,
    /// The units it would use.
    pub units: Units,
}

impl Overlay {
    /// PutItem, UpdateItem or DeleteItem.
    pub async fn write_one(&self, request: SingleWrite) -> Result<Value, Fault> {
        let table = self.schemas().table_of_items(&request.table).await?;
        let (level, metrics) = (request.capacity, request.collection_metrics);
        let item = request.against(&table.schema)?;
        let write = Write { table, item };
        let written = self.write_single(&write).await?;
        let mut answer = Map::new();
        if let Some(image) = &written.image {
            answer.insert("Attributes".into(), item_to_json(image));
        }
        if let Some(capacity) = written.units.to_json(&write.table, level) {
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        if metrics && write.table.schema.has_local_indexes() {
            answer.insert("ItemCollectionMetrics".into(), collection_metrics(&write));
        }
        Ok(Value::Object(answer))
    }

    /// One write that stands alone.
    pub async fn write_single(&self, write: &Write) -> Result<Written, Fault> {
        self.look_at(&write.table, std::slice::from_ref(write.key())).await?;
        self.carry_out(write)
    }

    /// Evaluates a write of an item that was looked at on the merged view, and keeps what it makes.
    pub fn carry_out(&self, write: &Write) -> Result<Written, Fault> {
        let (table, key) = write.place();
        let mut state = self.state();
        let known = state.entry(table, key)?.unwrap_or_default();
        let before = known.now.as_ref();
        let made = write.item.evaluate(&table.schema, before).inspect_err(|error| {
            // It costs what writing the item as it is would ("Conditional writes", Developer
            // Guide).
            if error.code == ErrorCode::ConditionalCheckFailed {
                let units = Units::of_write(table, before, before, Atomicity::Single);
                self.tally().write_units(units.total());
            }
        })?;
        let image = write.item.image(before, &made);
        let units = Units::of_write(table, before, made.after.as_ref(), Atomicity::Single);
        state.put(table, key, Some(&known), &known.written_as(made.after))?;
        self.tally().write_units(units.total());
        Ok(Written { image, units })
    }

    /// BatchWriteItem: everything is checked before anything is changed.
    pub async fn write_batch(&self, batch: BatchWrite) -> Result<Value, Fault> {
        let (level, metrics) = (batch.capacity, batch.collection_metrics);
        let writes = self.batch_writes(batch).await?;
        self.look_at_all(writes.iter().map(Write::place)).await?;
        let mut used: Vec<(Arc<Table>, Units)> = Vec::new();
        for write in &writes {
            let Written { units, .. } = self.carry_out(write)?;
            add_units(&mut used, &write.table, &units);
        }
        let mut answer = Map::new();
        answer.insert("UnprocessedItems".into(), json!({}));
        insert_capacities(&mut answer, &used, level, TransactionUnits::NotOne);
        if metrics {
            insert_collections(&mut answer, &writes);
        }
        Ok(Value::Object(answer))
    }

    async fn batch_writes(&self, batch: BatchWrite) -> Result<Vec<Write>, Fault> {
        let mut writes: Vec<Write> = Vec::new();
        for (name, parts) in batch.tables {
            let table = self.schemas().table_of_items(&name).await?;
            for part in parts {
                let item = part.against(&table.schema)?;
                let twice =
                    |other: &Write| Arc::ptr_eq(&other.table, &table) && *other.key() == item.key;
                if writes.iter().any(twice) {
                    return Err(request::duplicate_keys().into());
                }
                writes.push(Write { table: Arc::clone(&table), item });
            }
        }
        Ok(writes)
    }
}

/// Adds units to the sum of a table.
pub fn add_units(used: &mut Vec<(Arc<Table>, Units)>, table: &Arc<Table>, units: &Units) {
    match used.iter_mut().find(|(known, _)| Arc::ptr_eq(known, table)) {
        Some((_, sum)) => sum.add(units),
        None => used.push((Arc::clone(table), units.clone())),
    }
}

/// Puts the capacities of several tables into an answer, if they are wanted.
pub fn insert_capacities(
    answer: &mut Map<String, Value>,
    used: &[(Arc<Table>, Units)],
    level: CapacityLevel,
    transaction: TransactionUnits,
) {
    let told = used.iter().filter_map(|(table, units)| units.to_json_of(transaction, table, level));
    let told: Vec<Value> = told.collect();
    if !told.is_empty() {
        answer.insert("ConsumedCapacity".into(), Value::Array(told));
    }
}

/// Puts the item collections that writes were in into an answer, each once, by table.
pub fn insert_collections<'w>(
    answer: &mut Map<String, Value>,
    writes: impl IntoIterator<Item = &'w Write>,
) {
    let mut told: Map<String, Value> = Map::new();
    for write in writes.into_iter().filter(|write| write.table.schema.has_local_indexes()) {
        let one = collection_metrics(write);
        let of_table = told.entry(write.table.schema.name.clone()).or_insert_with(|| json!([]));
        if let Value::Array(known) = of_table
            && !known.contains(&one)
        {
            known.push(one);
        }
    }
    if !told.is_empty() {
        answer.insert("ItemCollectionMetrics".into(), told.into());
    }
}

/// The size of an item collection is an estimate at DynamoDB too, given as a range of a gigabyte.
fn collection_metrics(write: &Write) -> Value {
    let (table, key) = write.place();
    let partition: Item = key
        .attributes()
        .iter()
        .filter(|(name, _)| table.schema.keys.partition.iter().any(|part| part.name == *name))
        .cloned()
        .collect();
    json!({"ItemCollectionKey": item_to_json(&partition), "SizeEstimateRangeGB": [0.0, 1.0]})
}
