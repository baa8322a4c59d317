//! TransactWriteItems and TransactGetItems: all actions see one state, and all or none are done.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use crate::limits;
use dm_dynamodb::error::{CancellationReason, ServiceError};
use dm_dynamodb::idempotency;
use dm_dynamodb::parameters::RequestKind;
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_size, item_to_json};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::journal::prepared::{Kind, Parsed};
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, CapacityLevel, TransactionUnits, Units};
use crate::overlay::parameters::{Parameters, unexpected};
use crate::overlay::read::page_request::Shown;
use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;
use crate::overlay::write::calls::{
    add_units, asks_for_collection_metrics, insert_capacities, insert_collections,
};
use crate::overlay::write::item::{Write, Written};

/// Actions of one transaction (DynamoDB API Reference).
const ACTIONS_MAX: usize = 100;

/// The parameter that lists them.
const ACTIONS: &str = "TransactItems";

/// Bytes of all items of one transaction (DynamoDB API Reference: 4 MB).
const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Client request tokens of the last minutes, with the digest of their request.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<String, ([u8; 32], Instant)>);

impl Tokens {
    /// Whether a call with this token was done before; with other parameters it is an error.
    fn is_repeated(&mut self, token: &str, digest: [u8; 32]) -> Result<bool, ServiceError> {
        self.0.retain(|_, (_, at)| at.elapsed() < limits::REMEMBERED_ANSWER_AGE_MAX);
        match self.0.get(token) {
            None => Ok(false),
            Some((known, _)) if *known == digest => Ok(true),
            Some(_) => Err(idempotency::mismatch()),
        }
    }

    fn remember(&mut self, token: &str, digest: [u8; 32]) {
        if self.0.len() < limits::REMEMBERED_TOKENS_MAX {
            self.0.insert(token.to_owned(), (digest, Instant::now()));
        }
    }
}

/// One Get of a TransactGetItems, or one SELECT of an ExecuteTransaction.
pub struct Get {
    /// The table.
    pub table: Arc<Table>,
    /// The item's key.
    pub key: ItemKey,
    /// What is returned of it.
    pub shown: Shown,
}

impl Overlay {
    /// TransactWriteItems.
    pub async fn transact_write(&self, body: &Value) -> Result<Value, Fault> {
        let parameters = Parameters::of(body)?;
        parameters.token()?;
        CapacityLevel::of(parameters)?;
        let metrics = asks_for_collection_metrics(parameters)?;
        let mut writes = self.writes(actions(parameters)?).await?;
        let mut answer = self.write_together(parameters, ACTIONS, &writes).await?;
        if metrics {
            writes.retain(Write::changes);
            insert_collections(&mut answer, &writes);
        }
        Ok(Value::Object(answer))
    }

    /// Carries out all of a transaction's writes, or none. `member` is the parameter that lists them.
    pub async fn write_together(
        &self,
        parameters: Parameters<'_>,
        member: &str,
        writes: &[Write],
    ) -> Result<Map<String, Value>, Fault> {
        let level = CapacityLevel::of(parameters)?;
        refuse_twice(writes.iter().map(|write| (&write.table, &write.key)))?;
        let token = parameters.token()?;
        // Of what the transaction does; how it is answered may differ.
        let digest = idempotency::digest(member, parameters.get(member).unwrap_or(&Value::Null));
        self.look_at_all(writes.iter().map(|write| (&write.table, &write.key))).await?;

        let mut used: Vec<(Arc<Table>, Units)> = Vec::new();
        let kind = match self.commit_once(token, digest, writes)? {
            // The first call did it; this one reads the items, and changes nothing.
            None => {
                self.count_repeated(writes, &mut used)?;
                TransactionUnits::Read
            }
            Some(done) => {
                for (write, written) in writes.iter().zip(done) {
                    let (before, after) = (written.before.as_ref(), written.after.as_ref());
                    let atomicity = Atomicity::Transaction;
                    let units = Units::of_write(&write.table, before, after, atomicity);
                    self.tally().write_units(units.total());
                    add_units(&mut used, &write.table, &units);
                }
                TransactionUnits::Write
            }
        };
        let mut answer = Map::new();
        insert_capacities(&mut answer, &used, level, kind);
        Ok(answer)
    }

    /// The writes of a transaction. What does not fit its table cancels it.
    async fn writes(&self, actions: &[Value]) -> Result<Vec<Write>, Fault> {
        let parsed: Vec<Parsed> = actions.iter().map(parsed).collect::<Result<_, _>>()?;
        let mut writes = Vec::with_capacity(parsed.len());
        for parsed in parsed {
            let table = self.schemas().table_of_items(parsed.table()).await?;
            parsed.check_no_empty_keys(&table.schema)?;
            let (kind, body) = (parsed.kind(), Value::Object(parsed.into_body()));
            let parameters = Parameters::of(&body)?;
            let write = match kind {
                Kind::Check => Write::check(table, parameters),
                Kind::Put => Write::put(table, parameters),
                Kind::Delete => Write::delete(table, parameters),
                Kind::Update => Write::update(table, parameters),
            };
            writes.push(match write {
                Ok(write) => Ok(write),
                Err(Fault::Service(error)) => Err(error),
                Err(other) => return Err(other),
            });
        }
        if writes.iter().any(Result::is_err) {
            let reason = |write: Result<Write, ServiceError>| {
                write.err().map_or_else(CancellationReason::none, CancellationReason::of)
            };
            let reasons = writes.into_iter().map(reason).collect();
            return Err(ServiceError::transaction_canceled(reasons).into());
        }
        Ok(writes.into_iter().flatten().collect())
    }

    /// Evaluates all writes on one state, and keeps them if none fails.
    fn commit(&self, writes: &[Write]) -> Result<Vec<Written>, Fault> {
        let mut state = self.state();
        let (mut done, mut entries) = (Vec::new(), Vec::new());
        let mut reasons = Vec::new();
        for write in writes {
            let entry = state.entry(&write.table, &write.key)?.unwrap_or_default();
            match write.evaluate(entry.now.clone()) {
                Ok(written) => {
                    done.push(written);
                    entries.push(entry);
                    reasons.push(CancellationReason::none());
                }
                Err(error) => reasons.push(CancellationReason::of(error)),
            }
        }
        if done.len() < writes.len() {
            return Err(ServiceError::transaction_canceled(reasons).into());
        }
        let bytes: usize = done.iter().filter_map(|w| w.after.as_ref()).map(item_size).sum();
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(Fault::validation(
                "Transaction item size has exceeded the maximum allowed size",
            ));
        }
        for ((write, written), entry) in writes.iter().zip(&done).zip(entries) {
            if write.changes() {
                let after = entry.written_as(written.after.clone());
                state.put(&write.table, &write.key, Some(&entry), &after)?;
            }
        }
        Ok(done)
    }

    fn count_repeated(
        &self,
        writes: &[Write],
        used: &mut Vec<(Arc<Table>, Units)>,
    ) -> Result<(), Fault> {
        for write in writes {
            let entry = self.state().entry(&write.table, &write.key)?;
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

    /// Carries out all writes, or none; `None` if a call with this token has done it before. Two calls
    /// with one token that come at once are one after the other here.
    fn commit_once(
        &self,
        token: Option<&str>,
        digest: [u8; 32],
        writes: &[Write],
    ) -> Result<Option<Vec<Written>>, Fault> {
        let Some(token) = token else { return self.commit(writes).map(Some) };
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.is_repeated(token, digest)? {
            return Ok(None);
        }
        let done = self.commit(writes)?;
        tokens.remember(token, digest);
        Ok(Some(done))
    }

    /// TransactGetItems.
    pub async fn transact_get(&self, body: &Value) -> Result<Value, Fault> {
        let parameters = Parameters::of(body)?;
        let level = CapacityLevel::of(parameters)?;
        let mut gets = Vec::new();
        for action in actions(parameters)? {
            gets.push(self.get_action(Parameters::of(action)?).await?);
        }
        self.read_together(&gets, level).await
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
                response.insert("Item".into(), item_to_json(&get.shown.of(item)));
            }
            responses.push(Value::Object(response));
        }
        let mut answer = Map::new();
        answer.insert("Responses".into(), responses.into());
        insert_capacities(&mut answer, &used, level, TransactionUnits::Read);
        Ok(Value::Object(answer))
    }

    async fn get_action(&self, action: Parameters<'_>) -> Result<Get, Fault> {
        let parameters = Parameters::of(action.required("Get")?)?;
        let table = self.schemas().table_of_items(parameters.table()?).await?;
        let key = parameters.key(&table)?;
        let projection = parameters.expressions(RequestKind::TransactGet)?.projection;
        if let Some(projection) = &projection {
            projection.check_key_paths(&table.schema)?;
        }
        Ok(Get { table, key, shown: Shown::projected(projection) })
    }
}

/// One action, checked as far as that needs no table.
fn parsed(action: &Value) -> Result<Parsed, Fault> {
    let action = Parameters::of(action)?;
    let kinds = [
        ("ConditionCheck", Kind::Check),
        ("Put", Kind::Put),
        ("Delete", Kind::Delete),
        ("Update", Kind::Update),
    ];
    let given: Vec<_> = kinds.into_iter().filter(|(name, _)| action.get(name).is_some()).collect();
    let [(name, kind)] = given.as_slice() else {
        return Err(Fault::validation(
            "TransactItems can only contain one of Check, Put, Update or Delete",
        ));
    };
    let parameters = action.required(name)?.as_object().ok_or_else(unexpected)?;
    Ok(Parsed::action(*kind, parameters)?)
}

fn actions(parameters: Parameters<'_>) -> Result<&Vec<Value>, Fault> {
    let actions = parameters.required(ACTIONS)?.as_array().ok_or_else(unexpected)?;
    let bound = match actions.len() {
        0 => "greater than or equal to 1",
        1..=ACTIONS_MAX => return Ok(actions),
        _ => "less than or equal to 100",
    };
    Err(Fault::validation(format!(
        "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: \
         Member must have length {bound}"
    )))
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
