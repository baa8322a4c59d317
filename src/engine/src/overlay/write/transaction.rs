//! TransactWriteItems and TransactGetItems: all actions see one state, and all or none are done.

use std::collections::HashMap;
use std::sync::Arc;

use crate::limits;
use dm_dynamodb::error::{CancellationReason, ServiceError};
use dm_dynamodb::idempotency::{self, ClientToken};
use dm_dynamodb::item_write::Made;
use dm_dynamodb::request::{CapacityLevel, SingleWrite, TransactGet, TransactWrite};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_size};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, TransactionUnits, Units};
use crate::overlay::read::get_calls::shown;
use crate::overlay::read::page_request::Shown;
use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;
use crate::overlay::write::calls::{add_units, insert_capacities, insert_collections};
use crate::overlay::write::item::Write;

/// Bytes of all items of one transaction (DynamoDB API Reference: 4 MB).
const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Client request tokens of the last minutes, with the digest of their request.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<String, ([u8; 32], Instant)>);

impl Tokens {
    /// Whether a call with this token was done before; with other parameters it is an error.
    fn is_repeated(&mut self, token: &ClientToken) -> Result<bool, ServiceError> {
        self.0.retain(|_, (_, at)| at.elapsed() < limits::REMEMBERED_ANSWER_AGE_MAX);
        match self.0.get(&token.text) {
            None => Ok(false),
            Some((known, _)) if *known == token.digest => Ok(true),
            Some(_) => Err(idempotency::mismatch()),
        }
    }

    fn remember(&mut self, token: &ClientToken) {
        if self.0.len() < limits::REMEMBERED_TOKENS_MAX {
            self.0.insert(token.text.clone(), (token.digest, Instant::now()));
        }
    }
}

/// What the answer to a transaction of writes contains.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub capacity: CapacityLevel,
    /// Whether it contains the metrics of item collections.
    pub collections: bool,
}

/// One Get of a TransactGetItems, or one SELECT of an ExecuteTransaction.
pub struct Get {
    pub table: Arc<Table>,
    pub key: ItemKey,
    /// What is returned of it.
    pub shown: Shown,
}

impl Overlay {
    pub async fn transact_write(&self, request: TransactWrite) -> Result<Value, Fault> {
        let TransactWrite { actions, token, capacity, collection_metrics } = request;
        let writes = self.writes(actions).await?;
        let told = Told { capacity, collections: collection_metrics };
        self.write_together(&writes, token.as_ref(), told).await.map(Value::Object)
    }

    /// Carries out all of a transaction's writes, or none.
    pub async fn write_together(
        &self,
        writes: &[Write],
        token: Option<&ClientToken>,
        told: Told,
    ) -> Result<Map<String, Value>, Fault> {
        refuse_twice(writes.iter().map(Write::place))?;
        self.look_at_all(writes.iter().map(Write::place)).await?;

        let mut answer = Map::new();
        let mut used: Vec<(Arc<Table>, Units)> = Vec::new();
        let kind = match self.commit_once(token, writes)? {
            // The first call did it; this one reads the items, and changes nothing.
            None => {
                self.count_repeated(writes, &mut used)?;
                TransactionUnits::Read
            }
            Some(done) => {
                for (write, units) in writes.iter().zip(done) {
                    self.tally().write_units(units.total());
                    add_units(&mut used, &write.table, &units);
                }
                if told.collections {
                    let changes = writes.iter().filter(|write| write.item.changes());
                    insert_collections(&mut answer, changes);
                }
                TransactionUnits::Write
            }
        };
        insert_capacities(&mut answer, &used, told.capacity, kind);
        Ok(answer)
    }

    /// The writes of a transaction. What does not fit its table cancels it.
    async fn writes(&self, actions: Vec<SingleWrite>) -> Result<Vec<Write>, Fault> {
        let mut writes = Vec::with_capacity(actions.len());
        for action in actions {
            let table = self.schemas().table_of_items(&action.table).await?;
            action.check_no_empty_keys(&table.schema)?;
            writes.push(action.against(&table.schema).map(|item| Write { table, item }));
        }
        all_or_canceled(writes)
    }

    /// Evaluates all writes on one state, and keeps them if none fails. Returns the units of each.
    fn commit(&self, writes: &[Write]) -> Result<Vec<Units>, Fault> {
        let mut state = self.state();
        let (mut made, mut entries) = (Vec::new(), Vec::new());
        for write in writes {
            let entry = state.entry(&write.table, write.key())?.unwrap_or_default();
            made.push(write.item.evaluate(&write.table.schema, entry.now.as_ref()));
            entries.push(entry);
        }
        let made: Vec<Made> = all_or_canceled(made)?;
        let bytes: usize = made.iter().filter_map(|made| made.after.as_ref()).map(item_size).sum();
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(Fault::validation(
                "Transaction item size has exceeded the maximum allowed size",
            ));
        }
        let mut units = Vec::with_capacity(writes.len());
        for ((write, made), entry) in writes.iter().zip(made).zip(entries) {
            let (before, after) = (entry.now.as_ref(), made.after.as_ref());
            units.push(Units::of_write(&write.table, before, after, Atomicity::Transaction));
            if write.item.changes() {
                let after = entry.written_as(made.after);
                state.put(&write.table, write.key(), Some(&entry), &after)?;
            }
        }
        Ok(units)
    }

    fn count_repeated(
        &self,
        writes: &[Write],
        used: &mut Vec<(Arc<Table>, Units)>,
    ) -> Result<(), Fault> {
        for write in writes {
            let entry = self.state().entry(&write.table, write.key())?;
            let bytes = entry.and_then(|entry| entry.now).as_ref().map_or(0, item_size);
            let view = View { table: &write.table, index: None };
            let units = Units::of_read(view, bytes, true, Atomicity::Transaction);
            add_units(used, &write.table, &units);
        }
        Ok(())
    }

    /// Makes sure that the overlay has an entry for each key of several tables.
    pub async fn look_at_all<'w>(
        &self,
        keys: impl Iterator<Item = (&'w Arc<Table>, &'w ItemKey)>,
    ) -> Result<(), Fault> {
        let mut by_table: Vec<(&Arc<Table>, Vec<ItemKey>)> = Vec::new();
        for (table, key) in keys {
            match by_table.iter_mut().find(|(known, _)| Arc::ptr_eq(known, table)) {
                Some((_, keys)) => keys.push(key.clone()),
                None => by_table.push((table, vec![key.clone()])),
            }
        }
        for (table, keys) in by_table {
            self.look_at(table, &keys).await?;
        }
        Ok(())
    }

    /// Carries out all writes, or none; `None` if a call with this token has done it before. Two
    /// calls with one token that come at once are one after the other here.
    fn commit_once(
        &self,
        token: Option<&ClientToken>,
        writes: &[Write],
    ) -> Result<Option<Vec<Units>>, Fault> {
        let Some(token) = token else { return self.commit(writes).map(Some) };
        let mut tokens = self.tokens.lock();
        if tokens.is_repeated(token)? {
            return Ok(None);
        }
        let units = self.commit(writes)?;
        tokens.remember(token);
        Ok(Some(units))
    }

    /// TransactGetItems. A key that does not fit its table cancels it.
    pub async fn transact_get(&self, transaction: TransactGet) -> Result<Value, Fault> {
        let mut gets = Vec::new();
        for get in transaction.gets {
            let table = self.schemas().table_of_items(&get.table).await?;
            let key = ItemKey::from_key(&table.schema, &get.key);
            let shown = shown(get.projection, &table)?;
            gets.push(key.map(|key| Get { table, key, shown }));
        }
        self.read_together(&all_or_canceled(gets)?, transaction.capacity).await
    }

    /// Reads all of a transaction's items as they are at one moment.
    pub async fn read_together(&self, gets: &[Get], level: CapacityLevel) -> Result<Value, Fault> {
        refuse_twice(gets.iter().map(|get| (&get.table, &get.key)))?;
        // Read as a write's base images are: so that all are of one state from then on.
        self.look_at_all(gets.iter().map(|get| (&get.table, &get.key))).await?;
        let items: Vec<Option<Item>> = {
            let state = self.state();
            let item = |get: &Get| {
                Ok::<_, Fault>(state.entry(&get.table, &get.key)?.and_then(|entry| entry.now))
            };
            gets.iter().map(item).collect::<Result<_, _>>()?
        };
        let mut used: Vec<(Arc<Table>, Units)> = Vec::new();
        let mut responses = Vec::new();
        for (get, item) in gets.iter().zip(&items) {
            self.tally().items_read(&get.table.schema.name, item.is_some().into());
            let view = View { table: &get.table, index: None };
            let bytes = item.as_ref().map_or(0, item_size);
            let units = Units::of_read(view, bytes, true, Atomicity::Transaction);
            add_units(&mut used, &get.table, &units);
            let mut response = Map::new();
            if let Some(item) = item {
                response.insert("Item".into(), get.shown.json(item));
            }
            responses.push(Value::Object(response));
        }
        let mut answer = Map::new();
        answer.insert("Responses".into(), responses.into());
        insert_capacities(&mut answer, &used, level, TransactionUnits::Read);
        Ok(Value::Object(answer))
    }
}

/// All of a transaction's parts, or its error with the reason of each.
pub fn all_or_canceled<T>(parts: Vec<Result<T, ServiceError>>) -> Result<Vec<T>, Fault> {
    if parts.iter().all(Result::is_ok) {
        return Ok(parts.into_iter().flatten().collect());
    }
    let reason = |part: Result<T, ServiceError>| {
        part.err().map_or_else(CancellationReason::none, CancellationReason::of)
    };
    let reasons = parts.into_iter().map(reason).collect();
    Err(ServiceError::transaction_canceled(reasons).into())
}

fn refuse_twice<'w>(
    keys: impl Iterator<Item = (&'w Arc<Table>, &'w ItemKey)>,
) -> Result<(), Fault> {
    let mut seen = std::collections::HashSet::new();
    for (table, key) in keys {
        if !seen.insert((table.number, key)) {
            return Err(Fault::validation(
                "Transaction request cannot include multiple operations on one item",
            ));
        }
    }
    Ok(())
}
