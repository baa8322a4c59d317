//! The tables a dry run has met: their schemas, asked from the database once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dm_core::error::ServiceError;
use dm_core::schema::TableSchema;
use serde_json::{Value, json};

use super::state::View;
use crate::fault::Fault;
use crate::operation::ReadOperation;
use crate::tables::plain_name;
use crate::upstream::ReadOnly;

/// A table as the overlay knows it.
#[derive(Debug)]
pub struct Table {
    /// Keys and indexes.
    pub schema: TableSchema,
    /// Told apart from every other table of the run, also from one deleted and created again.
    pub number: u32,
    /// Whether the database has it; else it exists in the overlay only.
    pub upstream: bool,
}

impl Table {
    /// The table and all its indexes.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        let indexes = (0..self.schema.indexes.len()).map(Some);
        std::iter::once(None).chain(indexes).map(|index| View { table: self, index })
    }
}

/// Tables by name.
#[derive(Debug)]
pub struct Schemas {
    upstream: ReadOnly,
    known: Mutex<HashMap<String, Arc<Table>>>,
}

impl Schemas {
    /// Asks this database.
    pub fn new(upstream: ReadOnly) -> Self {
        Self { upstream, known: Mutex::default() }
    }

    /// The table of a name or ARN, or the error DynamoDB's data operations have for it.
    pub async fn table(&self, name_or_arn: &str) -> Result<Arc<Table>, Fault> {
        let name = plain_name(name_or_arn);
        if let Some(table) = self.lock().get(name) {
            return Ok(Arc::clone(table));
        }
        let request = json!({"TableName": name});
        let described = match self.upstream.read(ReadOperation::DESCRIBE_TABLE, &request).await {
            Ok(described) => described,
            Err(fault) if fault.is_upstream("ResourceNotFoundException") => {
                return Err(ServiceError::table_not_found().into());
            }
            Err(fault) => return Err(fault),
        };
        let described: Value = serde_json::from_slice(&described)
            .map_err(|_| Fault::Unavailable("its description of a table is no JSON".into()))?;
        let schema = TableSchema::from_json(&described).map_err(|error| {
            tracing::warn!(%error, "description of a table not understood");
            Fault::refused(
                format!("The guard's dry run does not understand the table's description: {error}"),
                "the table's description is not understood",
            )
        })?;
        Ok(self.add(schema, true))
    }

    fn add(&self, schema: TableSchema, upstream: bool) -> Arc<Table> {
        let mut known = self.lock();
        // Another request may have been quicker.
        if let Some(table) = known.get(&schema.name) {
            return Arc::clone(table);
        }
        let number = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let name = schema.name.clone();
        let table = Arc::new(Table { schema, number, upstream });
        known.insert(name, Arc::clone(&table));
        table
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Table>>> {
        // A map is whole after every statement, so a poisoned lock still holds a good one.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
