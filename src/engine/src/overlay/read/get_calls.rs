//! GetItem and BatchGetItem: keys the overlay knows are answered from it, others by the database.

use std::sync::Arc;

use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::Projection;
use dm_dynamodb::request::{BatchGet, CapacityLevel, Get, TableGet};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_size, write_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::limits::BATCH_GET_BYTES_MAX;
use crate::operation::{Operation, ReadOperation};
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, TransactionUnits, Units};
use crate::overlay::read::page_request::Shown;
use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;
use crate::overlay::write::calls::{add_units, insert_capacities};

/// The items of one table in a batch: those the overlay knows, each after its key as it came, and
/// the keys of the others.
struct Split {
    table: Arc<Table>,
    shown: Shown,
    consistent: bool,
    known: Vec<(Value, Option<Item>)>,
    unknown: Vec<Value>,
}

impl Overlay {
    pub async fn get_one(&self, get: Get, body: &Value) -> Result<Bytes, Fault> {
        let table = self.schemas().table_of_items(&get.table).await?;
        let key = match ItemKey::from_key(&table.schema, &get.key) {
            Ok(key) => key,
            Err(error) => {
                return self.refused_by_both(Operation::GetItem, body, error.into()).await;
            }
        };
        let entry = self.state().entry(&table, &key)?;
        if entry.is_none() && table.upstream {
            return self.forward(ReadOperation::GET_ITEM, body).await;
        }
        let shown = match shown(get.projection, &table) {
            Ok(shown) => shown,
            Err(error) if table.upstream => {
                return self.refused_by_both(Operation::GetItem, body, error.into()).await;
            }
            Err(error) => return Err(error.into()),
        };
        let item = entry.and_then(|entry| entry.now);
        let view = View { table: &table, index: None };
        let bytes = item.as_ref().map_or(0, item_size);
        let units = Units::of_read(view, bytes, get.consistent, Atomicity::Single);
        self.tally().items_read(&table.schema.name, item.is_some().into());
        let mut answer = Map::new();
        if let Some(item) = &item {
            answer.insert("Item".into(), shown.json(item));
        }
        if let Some(capacity) = units.to_json(&table, get.capacity) {
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    pub async fn get_batch(&self, batch: BatchGet, body: &Value) -> Result<Bytes, Fault> {
        let capacity = batch.capacity;
        match self.split_batch(batch, &body["RequestItems"]).await {
            Err(fault @ Fault::Service(_)) => {
                self.refused_by_both(Operation::BatchGetItem, body, fault).await
            }
            Err(fault) => Err(fault),
            Ok(splits) if splits.iter().all(|(_, s)| s.known.is_empty() && s.table.upstream) => {
                self.forward(ReadOperation::BATCH_GET_ITEM, body).await
            }
            Ok(splits) => self.merged_batch(&body["RequestItems"], splits, capacity).await,
        }
    }

    async fn split_batch(
        &self,
        batch: BatchGet,
        asked: &Value,
    ) -> Result<Vec<(String, Split)>, Fault> {
        let mut splits = Vec::new();
        for TableGet { table: name, keys, projection, consistent } in batch.tables {
            let table = self.schemas().table_of_items(&name).await?;
            let shown = shown(projection, &table)?;
            let (known, unknown) = (Vec::new(), Vec::new());
            let mut split = Split { table, shown, consistent, known, unknown };
            for (at, key) in keys.iter().enumerate() {
                let key = ItemKey::from_key(&split.table.schema, key)?;
                let as_it_came = asked[&name]["Keys"][at].clone();
                match self.state().entry(&split.table, &key)? {
                    Some(entry) => split.known.push((as_it_came, entry.now)),
                    None if split.table.upstream => split.unknown.push(as_it_came),
                    None => split.known.push((as_it_came, None)),
                }
            }
            splits.push((name, split));
        }
        Ok(splits)
    }

    async fn merged_batch(
        &self,
        asked: &Value,
        splits: Vec<(String, Split)>,
        level: CapacityLevel,
    ) -> Result<Bytes, Fault> {
        let mut unknown = Map::new();
        for (name, split) in &splits {
            if !split.unknown.is_empty() {
                let mut of_table = asked[name].clone();
                of_table["Keys"] = split.unknown.clone().into();
                unknown.insert(name.clone(), of_table);
            }
        }
        let mut answer = Map::new();
        if !unknown.is_empty() {
            let request = json!({"RequestItems": unknown, "ReturnConsumedCapacity": "TOTAL"});
            answer = self.ask(ReadOperation::BATCH_GET_ITEM, &request).await?;
        }
        let from_database = answer.remove("Responses").unwrap_or_default();
        let capacity_there = answer.remove("ConsumedCapacity").unwrap_or_default();
        let unprocessed = answer.remove("UnprocessedKeys");
        let mut unprocessed = unprocessed.filter(Value::is_object).unwrap_or_else(|| json!({}));
        let mut room = BATCH_GET_BYTES_MAX;
        let mut responses = Map::new();
        let mut used: Vec<(Arc<Table>, Units)> = Vec::new();
        for (name, split) in &splits {
            let mut items: Vec<Value> = Vec::new();
            let mut units = Units::default();
            let view = View { table: &split.table, index: None };
            for (key, item) in &split.known {
                let bytes = item.as_ref().map_or(0, item_size);
                let Some(left) = room.checked_sub(bytes) else {
                    leave(&mut unprocessed[name], &asked[name], key);
                    continue;
                };
                room = left;
                units.add(&Units::of_read(view, bytes, split.consistent, Atomicity::Single));
                items.extend(item.as_ref().map(|item| split.shown.json(item)));
            }
            if let Some(there) = from_database.get(name).and_then(Value::as_array) {
                items.extend(there.iter().cloned());
            }
            units.table += capacity_of(&capacity_there, &split.table.schema.name);
            self.tally().items_read(&split.table.schema.name, items.len() as u64);
            responses.insert(name.clone(), items.into());
            add_units(&mut used, &split.table, &units);
        }
        let mut merged = Map::new();
        merged.insert("Responses".into(), responses.into());
        merged.insert("UnprocessedKeys".into(), unprocessed);
        insert_capacities(&mut merged, &used, level, TransactionUnits::NotOne);
        Ok(Bytes::from(write_json(&Value::Object(merged))))
    }
}

/// Leaves a key of a table to the program's next request. `asked` is what this one asks of it.
fn leave(unprocessed: &mut Value, asked: &Value, key: &Value) {
    if unprocessed.is_null() {
        *unprocessed = asked.clone();
        unprocessed["Keys"] = json!([]);
    }
    if let Some(keys) = unprocessed["Keys"].as_array_mut() {
        keys.push(key.clone());
    }
}

/// What a request with a projection, or without one, shows of the items of a table.
pub fn shown(projection: Option<Projection>, table: &Table) -> Result<Shown, ServiceError> {
    if let Some(projection) = &projection {
        projection.check_key_paths(&table.schema)?;
    }
    Ok(Shown::projected(projection))
}

fn capacity_of(capacities: &Value, table: &str) -> f64 {
    let of_table = |capacity: &&Value| {
        capacity.get("TableName").and_then(Value::as_str).map(dm_dynamodb::table_name::plain_name)
            == Some(table)
    };
    let found = capacities.as_array().into_iter().flatten().find(of_table);
    found.map_or(0.0, crate::layers::metering::consumed_units)
}
