//! GetItem and BatchGetItem: keys the overlay knows are answered from it, others by the database.

use std::sync::Arc;

use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::Projection;
use dm_dynamodb::parameters::{RequestKind, check_one_kind};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_from_json, item_size, item_to_json, write_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::{Operation, ReadOperation};
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, TransactionUnits, Units};
use crate::overlay::parameters::{Parameters, unexpected};
use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;
use crate::overlay::write::calls::{add_units, insert_capacities};

/// Keys of one BatchGetItem (DynamoDB API Reference).
const BATCH_GET_KEYS_MAX: usize = 100;

/// How the keys of one table are read.
struct HowToRead {
    projection: Option<Projection>,
    consistent: bool,
}

impl HowToRead {
    fn of(parameters: Parameters<'_>, table: &Table) -> Result<Self, Fault> {
        let projection = parameters.expressions(RequestKind::Get)?.projection;
        if let Some(projection) = &projection {
            projection.check_key_paths(&table.schema)?;
        }
        Ok(Self { projection, consistent: parameters.flag("ConsistentRead")? })
    }

    fn shown(&self, item: &Item) -> Value {
        match &self.projection {
            Some(projection) => item_to_json(&projection.apply(item)),
            None => item_to_json(item),
        }
    }
}

/// The keys of one table in a batch: those the overlay knows with what they are, and the others.
struct Split {
    table: Arc<Table>,
    how: HowToRead,
    known: Vec<Option<Item>>,
    unknown: Vec<Value>,
}

impl Overlay {
    /// GetItem.
    pub async fn get_one(&self, body: &Value) -> Result<Bytes, Fault> {
        let parameters = Parameters::of(body)?;
        let table = self.schemas().table_of_items(parameters.table()?).await?;
        let key = match parameters.key(&table) {
            Ok(key) => key,
            Err(error) => {
                return self.refused_by_both(Operation::GetItem, body, error.into()).await;
            }
        };
        let entry = self.state().entry(&table, &key)?;
        let Some(entry) = entry else {
            if table.upstream {
                return self.forward(ReadOperation::GET_ITEM, body).await;
            }
            return self.local_get(parameters, &table, None);
        };
        match self.local_get(parameters, &table, entry.now.as_ref()) {
            Err(fault) if table.upstream => {
                self.refused_by_both(Operation::GetItem, body, fault).await
            }
            result => result,
        }
    }

    fn local_get(
        &self,
        parameters: Parameters<'_>,
        table: &Table,
        item: Option<&Item>,
    ) -> Result<Bytes, Fault> {
        let how = HowToRead::of(parameters, table)?;
        let level = parameters.capacity();
        let view = View { table, index: None };
        let bytes = item.map_or(0, item_size);
        let units = Units::of_read(view, bytes, how.consistent, Atomicity::Single);
        self.tally().items_read(&table.schema.name, item.is_some().into());
        let mut answer = Map::new();
        if let Some(item) = item {
            answer.insert("Item".into(), how.shown(item));
        }
        if let Some(capacity) = units.to_json(table, level) {
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        Ok(Bytes::from(write_json(&Value::Object(answer))))
    }

    /// BatchGetItem.
    pub async fn get_batch(&self, body: &Value) -> Result<Bytes, Fault> {
        match self.split_batch(Parameters::of(body)?).await {
            Err(fault @ Fault::Service(_)) => {
                self.refused_by_both(Operation::BatchGetItem, body, fault).await
            }
            Err(fault) => Err(fault),
            Ok(splits) if splits.iter().all(|(_, s)| s.known.is_empty() && s.table.upstream) => {
                self.forward(ReadOperation::BATCH_GET_ITEM, body).await
            }
            Ok(splits) => self.merged_batch(Parameters::of(body)?, splits).await,
        }
    }

    async fn split_batch(&self, parameters: Parameters<'_>) -> Result<Vec<(String, Split)>, Fault> {
        let asked = parameters.required("RequestItems")?.as_object().ok_or_else(unexpected)?;
        let keys_of =
            |value: &Value| value.get("Keys").and_then(Value::as_array).map_or(0, Vec::len);
        let count: usize = asked.values().map(keys_of).sum();
        if count == 0 || count > BATCH_GET_KEYS_MAX {
            return Err(ServiceError::validation(
                "Too many items requested for the BatchGetItem call",
            )
            .into());
        }
        check_one_kind(asked)?;
        let mut splits = Vec::new();
        for (name, of_table) in asked {
            let of_table = Parameters::of(of_table)?;
            let table = self.schemas().table_of_items(name).await?;
            let how = HowToRead::of(of_table, &table)?;
            let mut split = Split { table, how, known: Vec::new(), unknown: Vec::new() };
            let mut seen: Vec<ItemKey> = Vec::new();
            for json in of_table.required("Keys")?.as_array().ok_or_else(unexpected)? {
                let key = ItemKey::from_key(&split.table.schema, &item_from_json(json)?)?;
                if seen.contains(&key) {
                    return Err(ServiceError::validation(
                        "Provided list of item keys contains duplicates",
                    )
                    .into());
                }
                match self.state().entry(&split.table, &key)? {
                    Some(entry) => split.known.push(entry.now),
                    None if split.table.upstream => split.unknown.push(json.clone()),
                    None => split.known.push(None),
                }
                seen.push(key);
            }
            splits.push((name.clone(), split));
        }
        Ok(splits)
    }

    async fn merged_batch(
        &self,
        parameters: Parameters<'_>,
        splits: Vec<(String, Split)>,
    ) -> Result<Bytes, Fault> {
        let level = parameters.capacity();
        let asked = parameters.required("RequestItems")?;
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
        let mut responses = Map::new();
        let mut used: Vec<(Arc<Table>, Units)> = Vec::new();
        for (name, split) in &splits {
            let mut items: Vec<Value> = Vec::new();
            let mut units = Units::default();
            let view = View { table: &split.table, index: None };
            for item in &split.known {
                let bytes = item.as_ref().map_or(0, item_size);
                let consistent = split.how.consistent;
                units.add(&Units::of_read(view, bytes, consistent, Atomicity::Single));
                items.extend(item.as_ref().map(|item| split.how.shown(item)));
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
        let unprocessed = answer.remove("UnprocessedKeys").unwrap_or_else(|| json!({}));
        merged.insert("UnprocessedKeys".into(), unprocessed);
        insert_capacities(&mut merged, &used, level, TransactionUnits::NotOne);
        Ok(Bytes::from(write_json(&Value::Object(merged))))
    }
}

fn capacity_of(capacities: &Value, table: &str) -> f64 {
    let of_table = |capacity: &&Value| {
        capacity.get("TableName").and_then(Value::as_str).map(crate::tables::plain_name)
            == Some(table)
    };
    let found = capacities.as_array().into_iter().flatten().find(of_table);
    found.map_or(0.0, crate::layers::metering::consumed_units)
}
