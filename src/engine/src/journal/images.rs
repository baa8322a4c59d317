//! What items are now: schemas of tables, and consistent reads of single items, counted as the
//! journal's cost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::table_name::plain_name;
use dm_dynamodb::value::{Item, item_to_json};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::answer_members::Members;
use crate::fault::Fault;
use crate::item_reads::{self, Consistency};
use crate::layers::metering::not_an_object;
use crate::layers::tally::Tally;
use crate::operation::ReadOperation;
use crate::upstream::{ReadOnly, UpstreamCalls};

/// Reads items for the journal.
#[derive(Debug)]
pub struct Images {
    upstream: ReadOnly,
    tally: Arc<Tally>,
    schemas: Mutex<HashMap<String, Arc<TableSchema>>>,
    /// Held while a table is described, so that writes that begin together ask once.
    describing: tokio::sync::Mutex<()>,
    /// Half units: a consistent read costs whole ones, an answer may tell halves.
    half_units: AtomicU64,
}

impl Images {
    pub fn new(upstream: ReadOnly, tally: Arc<Tally>) -> Self {
        let half_units = AtomicU64::new(0);
        let describing = tokio::sync::Mutex::default();
        Self { upstream, tally, schemas: Mutex::default(), describing, half_units }
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
        let known = || self.schemas.lock().get(name).map(Arc::clone);
        if let Some(schema) = known() {
            return Ok(schema);
        }
        let _describing = self.describing.lock().await;
        if let Some(schema) = known() {
            return Ok(schema);
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
        let count = |units| self.count(units);
        item_reads::get_item(&self.upstream, table, key, consistency, count).await
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
        let count = |units| self.count(units);
        let reading = item_reads::get_items(&self.upstream, table, keys, consistency, count);
        let mut found = reading.await?;
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
        let answer = match self.upstream.read(ReadOperation::TRANSACT_GET_ITEMS, &request).await {
            Ok(answer) => answer,
            Err(fault) if fault.is_refusal() => {
                return self.read_one_by_one(keys).await;
            }
            Err(fault) => return Err(fault),
        };
        let members = Members::of(&answer).ok_or_else(not_an_object)?;
        self.count(members.consumed_units());
        let responses = members.get::<Vec<Members<'_>>>("Responses");
        let responses = responses.filter(|found| found.len() == keys.len());
        let responses = responses.ok_or_else(not_an_object)?;
        responses.iter().map(|response| Ok(response.item("Item")?)).collect()
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

    fn count(&self, units: f64) {
        self.tally.read_units(units);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A small count.
        self.half_units.fetch_add((units * 2.0).round().max(0.0) as u64, Ordering::Relaxed);
    }
}
