//! BatchWriteItem as single conditional writes: a batch has neither conditions nor old images.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{item_from_json, unfolded, write_json};
use futures::future::join_all;
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::journal::images::Consistency;
use crate::journal::prepared::{Kind, Parsed, Prepared};
use crate::journal::{Journal, Known};

/// Requests of one BatchWriteItem (DynamoDB API Reference).
const BATCH_WRITES_MAX: usize = 25;

/// One request of a batch.
pub struct Part<'a> {
    /// The table as the request names it.
    pub table: &'a str,
    /// The request.
    pub request: &'a Value,
    /// The write it asks for.
    pub prepared: Arc<Prepared>,
}

impl Journal {
    /// BatchWriteItem: everything is checked before anything is written.
    pub(in crate::journal) async fn write_batch(
        &self,
        body: &Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let parts = self.parts(body).await?;
        // What has passed by is not read again.
        let unknown =
            |part: &Part<'_>| !self.ahead.knows(&part.prepared.table.name, &part.prepared.key);
        let images = self.images_of(&parts, unknown, Consistency::Strong).await?;
        let at_once = at_once(&parts);
        let mut all = parts.iter().zip(images);
        let mut results = Vec::with_capacity(parts.len());
        loop {
            let some = all.by_ref().take(at_once);
            let some: Vec<_> =
                some.map(|(part, known)| self.write(&part.prepared, known)).collect();
            if some.is_empty() {
                break;
            }
            results.extend(join_all(some).await);
        }
        let mut left: Map<String, Value> = Map::new();
        let mut units: BTreeMap<String, f64> = BTreeMap::new();
        let (mut done, mut fault): (usize, Option<Fault>) = (0, None);
        for (part, result) in parts.iter().zip(results) {
            match result {
                Ok(written) => {
                    done += 1;
                    let used = written.answer.get("ConsumedCapacity");
                    *units.entry(part.prepared.table.name.clone()).or_default() +=
                        used.map_or(0.0, crate::layers::metering::consumed_units);
                }
                Err(error) => {
                    let requests = left.entry(part.table).or_insert_with(|| json!([]));
                    if let Value::Array(requests) = requests {
                        requests.push(part.request.clone());
                    }
                    if fault.as_ref().is_none_or(|known| weight(known) < weight(&error)) {
                        fault = Some(error);
                    }
                }
            }
        }
        match fault {
            // As DynamoDB does: a batch of which nothing was written is an error. Of one that was
            // written in part, the rest is left: what is wrong with it shows when it comes alone.
            Some(fault) if done == 0 || !fault.is_certain() => Err(match fault {
                Fault::NotJournalled(_) => Fault::Throttled,
                fault => fault,
            }),
            Some(_) | None => Ok(answer(body, left, units)),
        }
    }

    /// What a batch asks for.
    pub(in crate::journal) async fn parts<'a>(
        &self,
        body: &'a Map<String, Value>,
    ) -> Result<Vec<Part<'a>>, Fault> {
        let wrong = || ServiceError::validation("The batch has no requests that could be read");
        let asked = body.get("RequestItems").and_then(Value::as_object).ok_or_else(wrong)?;
        let mut parts: Vec<Part<'a>> = Vec::new();
        for (name, requests) in asked {
            let table = self.images.table(name).await?;
            for request in requests.as_array().ok_or_else(wrong)? {
                let prepared = Arc::new(part(&table, request, body)?);
                let twice = parts.iter().any(|other| {
                    other.prepared.table.name == table.name && other.prepared.key == prepared.key
                });
                if twice {
                    return Err(Fault::validation(
                        "Provided list of item keys contains duplicates",
                    ));
                }
                parts.push(Part { table: name, request, prepared });
            }
        }
        if parts.is_empty() {
            return Err(wrong().into());
        }
        if parts.len() > BATCH_WRITES_MAX {
            return Err(Fault::validation("Too many items requested for the BatchWriteItem call"));
        }
        Ok(parts)
    }

    /// One read for all items of a table. They may change before the single writes: those notice.
    pub(in crate::journal) async fn images_of(
        &self,
        parts: &[Part<'_>],
        wanted: impl Fn(&Part<'_>) -> bool,
        consistency: Consistency,
    ) -> Result<Vec<Known>, Fault> {
        let mut tables: BTreeMap<&str, (&Arc<TableSchema>, Vec<usize>)> = BTreeMap::new();
        for (at, part) in parts.iter().enumerate().filter(|(_, part)| wanted(part)) {
            let table = &part.prepared.table;
            tables.entry(&table.name).or_insert_with(|| (table, Vec::new())).1.push(at);
        }
        let mut images = vec![Known::Nothing; parts.len()];
        for (table, places) in tables.values() {
            let keys: Vec<&ItemKey> = places.iter().map(|at| &parts[*at].prepared.key).collect();
            let read = self.images.read_all_as(table, &keys, consistency).await?;
            for (at, image) in places.iter().zip(read) {
                images[*at] = Known::Read(image);
            }
        }
        Ok(images)
    }
}

/// Which of several faults is the batch's: the one that leaves most to be known.
fn weight(fault: &Fault) -> u8 {
    match fault {
        Fault::Throttled | Fault::NotJournalled(_) => 0,
        fault if fault.is_certain() => 1,
        _ => 2,
    }
}

/// How many of a batch's writes are under way together: all of them, unless their images take much
/// memory.
fn at_once(parts: &[Part<'_>]) -> usize {
    let items = parts.iter().filter_map(|part| part.request.get("PutRequest")?.get("Item"));
    let bytes: usize = items.filter_map(unfolded).map(str::len).sum();
    if bytes < limits::LARGE_BATCH_BYTES { BATCH_WRITES_MAX } else { limits::LARGE_BATCH_AT_ONCE }
}

fn part(
    table: &Arc<TableSchema>,
    request: &Value,
    body: &Map<String, Value>,
) -> Result<Prepared, ServiceError> {
    let (kind, inner) = match (request.get("PutRequest"), request.get("DeleteRequest")) {
        (Some(put), None) => (Kind::Put, put),
        (None, Some(delete)) => (Kind::Delete, delete),
        _ => {
            return Err(ServiceError::validation(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly \
                 one of the supported datatypes",
            ));
        }
    };
    let mut single = inner.as_object().cloned().unwrap_or_default();
    // What a single write may have and a part of a batch may not.
    single.retain(|name, _| ["Item", "Key"].contains(&name.as_str()));
    single.insert("TableName".into(), table.name.as_str().into());
    if let Some(level) = body.get("ReturnConsumedCapacity") {
        single.insert("ReturnConsumedCapacity".into(), level.clone());
    }
    let item = single.get("Item").map(item_from_json).and_then(Result::ok);
    let prepared = Parsed::read(kind, single).and_then(|one| one.against(Arc::clone(table)));
    prepared
        .map_err(|error| item.and_then(|item| table.check_batch_item(&item).err()).unwrap_or(error))
}

fn answer(
    body: &Map<String, Value>,
    left: Map<String, Value>,
    units: BTreeMap<String, f64>,
) -> Bytes {
    let mut answer = Map::new();
    answer.insert("UnprocessedItems".into(), Value::Object(left));
    let level = body.get("ReturnConsumedCapacity").and_then(Value::as_str).unwrap_or("NONE");
    if level != "NONE" {
        let told = units
            .into_iter()
            .map(|(table, units)| json!({"TableName": table, "CapacityUnits": units}))
            .collect();
        answer.insert("ConsumedCapacity".into(), Value::Array(told));
    }
    Bytes::from(write_json(&Value::Object(answer)))
}
