//! PutItem, UpdateItem, DeleteItem and BatchWriteItem: writes that stand alone.

use std::sync::Arc;

use dm_dynamodb::error::{ErrorCode, ServiceError};
use dm_dynamodb::partiql::Returning;
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, item_from_json, item_to_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, CapacityLevel, TransactionUnits, Units};
use crate::overlay::parameters::{Parameters, unexpected};
use crate::overlay::state::table::Table;
use crate::overlay::write::item::{Write, Written};

/// Requests of one BatchWriteItem (DynamoDB API Reference).
const BATCH_WRITES_MAX: usize = 25;

/// Which image of the item a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnValues {
    /// No image.
    None,
    /// The item as it was.
    AllOld,
    /// The places an update names, as they were.
    UpdatedOld,
    /// The item as it is now.
    AllNew,
    /// The places an update names, as they are now.
    UpdatedNew,
}

impl ReturnValues {
    fn of(operation: Operation, parameters: Parameters<'_>) -> Result<Self, ServiceError> {
        let choices = [
            ("NONE", Self::None),
            ("ALL_OLD", Self::AllOld),
            ("UPDATED_OLD", Self::UpdatedOld),
            ("ALL_NEW", Self::AllNew),
            ("UPDATED_NEW", Self::UpdatedNew),
        ];
        let listed = "ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW";
        let chosen = parameters.choice("ReturnValues", &choices, listed)?.unwrap_or(Self::None);
        let any =
            operation == Operation::UpdateItem || [Self::None, Self::AllOld].contains(&chosen);
        if any {
            Ok(chosen)
        } else {
            Err(ServiceError::validation("Return values set to invalid value"))
        }
    }

    /// What a statement's RETURNING says.
    pub fn of_statement(returning: Option<Returning>) -> Self {
        match returning {
            None => Self::None,
            Some(Returning::AllOld) => Self::AllOld,
            Some(Returning::AllNew) => Self::AllNew,
            Some(Returning::ModifiedOld) => Self::UpdatedOld,
            Some(Returning::ModifiedNew) => Self::UpdatedNew,
        }
    }

    /// That image, if there is one and anything in it.
    pub fn image(self, written: &Written) -> Option<Item> {
        let image = match (self, &written.outcome) {
            (Self::AllOld, _) => written.before.clone(),
            (Self::AllNew, _) => written.after.clone(),
            (Self::UpdatedOld, Some(outcome)) => {
                written.before.as_ref().map(|before| outcome.updated_old(before))
            }
            (Self::UpdatedNew, Some(outcome)) => Some(outcome.updated_new()),
            (Self::None, _) | (Self::UpdatedOld | Self::UpdatedNew, None) => None,
        };
        image.filter(|image| !image.is_empty())
    }
}

impl Overlay {
    /// PutItem, UpdateItem or DeleteItem.
    pub async fn write_one(&self, operation: Operation, body: &Value) -> Result<Value, Fault> {
        let parameters = Parameters::of(body)?;
        let table = self.schemas().table_of_items(parameters.table()?).await?;
        let level = CapacityLevel::of(parameters)?;
        let returned = ReturnValues::of(operation, parameters)?;
        let metrics = asks_for_collection_metrics(parameters)?;
        let write = match operation {
            Operation::PutItem => Write::put(Arc::clone(&table), parameters)?,
            Operation::UpdateItem => Write::update(Arc::clone(&table), parameters)?,
            _ => Write::delete(Arc::clone(&table), parameters)?,
        };
        let (written, units) = self.write_single(&write).await?;
        let mut answer = Map::new();
        if let Some(image) = returned.image(&written) {
            answer.insert("Attributes".into(), item_to_json(&image));
        }
        if let Some(capacity) = units.to_json(&table, level) {
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        if metrics && table.schema.has_local_indexes() {
            answer.insert("ItemCollectionMetrics".into(), collection_metrics(&table, &write.key));
        }
        Ok(Value::Object(answer))
    }

    /// One write that stands alone, and the units it would use.
    pub async fn write_single(&self, write: &Write) -> Result<(Written, Units), Fault> {
        self.look_at(&write.table, std::slice::from_ref(&write.key)).await?;
        self.carry_out(write)
    }

    /// Evaluates a write of an item that was looked at on the merged view, and keeps what it makes.
    pub fn carry_out(&self, write: &Write) -> Result<(Written, Units), Fault> {
        let mut state = self.state();
        let known = state.entry(&write.table, &write.key)?.unwrap_or_default();
        let written = write.evaluate(known.now.clone()).inspect_err(|error| {
            // It costs what writing the item as it is would ("Conditional writes", Developer Guide).
            if error.code == ErrorCode::ConditionalCheckFailed {
                let now = known.now.as_ref();
                let units = Units::of_write(&write.table, now, now, Atomicity::Single);
                self.tally().write_units(units.total());
            }
        })?;
        let after = known.written_as(written.after.clone());
        state.put(&write.table, &write.key, Some(&known), &after)?;
        let (before, after) = (written.before.as_ref(), written.after.as_ref());
        let units = Units::of_write(&write.table, before, after, Atomicity::Single);
        self.tally().write_units(units.total());
        Ok((written, units))
    }

    /// BatchWriteItem: everything is checked before anything is changed.
    pub async fn write_batch(&self, body: &Value) -> Result<Value, Fault> {
        let parameters = Parameters::of(body)?;
        let level = CapacityLevel::of(parameters)?;
        let metrics = asks_for_collection_metrics(parameters)?;
        let writes = self.batch_writes(parameters).await?;
        self.look_at_all(writes.iter().map(|write| (&write.table, &write.key))).await?;
        let mut used: Vec<(Arc<Table>, Units)> = Vec::new();
        for write in &writes {
            let (_, units) = self.carry_out(write)?;
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

    async fn batch_writes(&self, parameters: Parameters<'_>) -> Result<Vec<Write>, Fault> {
        let asked = parameters.required("RequestItems")?.as_object().ok_or_else(unexpected)?;
        let count: usize = asked.values().filter_map(Value::as_array).map(Vec::len).sum();
        if asked.is_empty() || count == 0 {
            return Err(ServiceError::validation(
                "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy \
                 constraint: Member must have length greater than or equal to 1",
            )
            .into());
        }
        if count > BATCH_WRITES_MAX {
            return Err(ServiceError::validation(
                "Too many items requested for the BatchWriteItem call",
            )
            .into());
        }
        let mut writes: Vec<Write> = Vec::new();
        for (name, requests) in asked {
            let table = self.schemas().table_of_items(name).await?;
            for request in requests.as_array().ok_or_else(unexpected)? {
                let (key, item) = batch_request(&table.schema, Parameters::of(request)?)?;
                let twice = |other: &Write| Arc::ptr_eq(&other.table, &table) && other.key == key;
                if writes.iter().any(twice) {
                    return Err(ServiceError::validation(
                        "Provided list of item keys contains duplicates",
                    )
                    .into());
                }
                writes.push(Write::of_batch(Arc::clone(&table), key, item));
            }
        }
        Ok(writes)
    }
}

fn batch_request(
    schema: &TableSchema,
    request: Parameters<'_>,
) -> Result<(ItemKey, Option<Item>), ServiceError> {
    match (request.get("PutRequest"), request.get("DeleteRequest")) {
        (Some(put), None) => {
            let item = item_from_json(Parameters::of(put)?.required("Item")?)?;
            Ok((schema.check_batch_item(&item)?, Some(item)))
        }
        (None, Some(delete)) => {
            let key = item_from_json(Parameters::of(delete)?.required("Key")?)?;
            Ok((ItemKey::from_key(schema, &key)?, None))
        }
        (Some(_), Some(_)) | (None, None) => Err(ServiceError::validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of \
             the supported datatypes",
        )),
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
pub fn insert_collections(answer: &mut Map<String, Value>, writes: &[Write]) {
    let mut told: Map<String, Value> = Map::new();
    for write in writes.iter().filter(|write| write.table.schema.has_local_indexes()) {
        let one = collection_metrics(&write.table, &write.key);
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

/// Whether a write is to tell of its item collections.
pub fn asks_for_collection_metrics(parameters: Parameters<'_>) -> Result<bool, ServiceError> {
    let choices = [("SIZE", true), ("NONE", false)];
    let asks = parameters.choice("ReturnItemCollectionMetrics", &choices, "SIZE, NONE")?;
    Ok(asks.unwrap_or(false))
}

/// The size of an item collection is an estimate at DynamoDB too, given as a range of a gigabyte.
fn collection_metrics(table: &Table, key: &ItemKey) -> Value {
    let partition: Item = key
        .attributes()
        .iter()
        .filter(|(name, _)| table.schema.keys.partition.iter().any(|part| part.name == *name))
        .cloned()
        .collect();
    json!({"ItemCollectionKey": item_to_json(&partition), "SizeEstimateRangeGB": [0.0, 1.0]})
}
