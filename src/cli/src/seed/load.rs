//! A seed into a database, by the calls that a client would make.

use std::sync::Arc;

use dm_engine::{Call, Engine, Operation};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{Seed, SeedError, Table};

/// Items written at once: where each is made durable, they share what that takes.
const PUTS_AT_ONCE: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub tables: usize,
    pub items: usize,
}

impl Seed {
    /// Creates the tables and writes their items. On an error a part of them is there.
    pub async fn load(&self, engine: &Arc<Engine>) -> Result<Loaded, SeedError> {
        for table in &self.tables {
            self.create(engine, table).await?;
            let puts = table.items.iter().enumerate();
            let mut puts = futures::stream::iter(puts)
                .map(|(at, item)| self.put(engine, table, at, item))
                .buffer_unordered(PUTS_AT_ONCE);
            while let Some(put) = puts.next().await {
                put?;
            }
        }
        let items = self.tables.iter().map(|table| table.items.len()).sum();
        Ok(Loaded { tables: self.tables.len(), items })
    }

    async fn create(&self, engine: &Arc<Engine>, table: &Table) -> Result<(), SeedError> {
        let created = call(engine, Operation::CreateTable, table.create.clone()).await;
        created.map_err(|why| self.wrong(format!("tables.{}", table.name), why))?;
        let Some(attribute) = &table.time_to_live else { return Ok(()) };
        let request = json!({
            "TableName": table.name,
            "TimeToLiveSpecification": {"Enabled": true, "AttributeName": attribute},
        });
        let set = call(engine, Operation::UpdateTimeToLive, request).await;
        set.map(drop).map_err(|why| self.wrong(format!("tables.{}.timeToLive", table.name), why))
    }

    async fn put(
        &self,
        engine: &Arc<Engine>,
        table: &Table,
        at: usize,
        item: &Value,
    ) -> Result<(), SeedError> {
        let request = json!({"TableName": table.name, "Item": item});
        let put = call(engine, Operation::PutItem, request).await;
        put.map(drop)
            .map_err(|why| self.wrong(format!("tables.{}.{}[{at}]", table.name, table.member), why))
    }

    fn wrong(&self, at: String, why: String) -> SeedError {
        SeedError::Member { file: self.file.clone(), at, why }
    }
}

/// Whether a database has tables; one that does not answer has.
pub async fn has_tables(engine: &Arc<Engine>) -> bool {
    tables(engine).await.map_or(true, |names| !names.is_empty())
}

/// Names of tables: the first page of them.
pub async fn tables(engine: &Arc<Engine>) -> Result<Vec<String>, String> {
    let listed = call(engine, Operation::ListTables, json!({})).await?;
    let names = listed["TableNames"].as_array().ok_or("ListTables returned no names")?;
    Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// One call: its answer, or the words in which it was refused.
pub async fn call(
    engine: &Arc<Engine>,
    operation: Operation,
    body: Value,
) -> Result<Value, String> {
    let Value::Object(body) = body else { return Err("not a request".into()) };
    let answer = engine.handle(Call::new(operation, body)).await;
    let status = answer.status;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if status == 200 {
        return Ok(answer);
    }
    let message = answer.get("message").or_else(|| answer.get("Message")).and_then(Value::as_str);
    Err(message.unwrap_or("the database rejected it").to_owned())
}
