//! BatchWriteItem as single conditional writes: a batch has neither conditions nor old images.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::request::{self, BATCH_WRITES_MAX, BatchWrite, CapacityLevel};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{unfolded, write_json};
use futures::stream::{self, StreamExt as _};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::item_reads::Consistency;
use crate::journal::consumed::Consumed;
use crate::journal::prepared::Prepared;
use crate::journal::{Journal, Known};

/// One request of a batch.
pub struct Part<'a> {
    /// The table as the request names it.
    pub table: &'a str,
    pub request: &'a Value,
    /// The write it asks for.
    pub prepared: Arc<Prepared>,
}

impl Journal {
    /// BatchWriteItem: everything is checked before anything is written.
    pub(in crate::journal) async fn write_batch(
        &self,
        batch: BatchWrite,
        body: &Map<String, Value>,
    ) -> Result<Bytes, Fault> {
        let level = batch.capacity;
        let parts = self.parts(batch, body).await?;
        // What has passed by is not read again.
        let unknown = |part: &Part<'_>| {
            !self.ahead.knows(&part.prepared.table.name, &part.prepared.write.key)
        };
        let images = self.images_of(&parts, unknown, Consistency::Strong).await?;
        let at_once = at_once(&parts);
        let writes = parts.iter().zip(images);
        let writes: Vec<_> =
            writes.map(|(part, known)| self.write(&part.prepared, known)).collect();
        // Each future is woken alone: `join_all` would poll all of them whenever one is ready.
        let results: Vec<_> = stream::iter(writes).buffered(at_once).collect().await;
        let mut left: Map<String, Value> = Map::new();
        let mut units = Consumed::default();
        let (mut done, mut fault): (usize, Option<Fault>) = (0, None);
        for (part, result) in parts.iter().zip(results) {
            match result {
                Ok(written) => {
                    done += 1;
                    units.add(written.answer.get("ConsumedCapacity").cloned());
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
                Fault::NotJournaled(_) => Fault::Throttled,
                fault => fault,
            }),
            Some(_) | None => Ok(answer(level, left, units)),
        }
    }

    /// What a batch asks for, with the part of the body that each write stands in.
    pub(in crate::journal) async fn parts<'a>(
        &self,
        batch: BatchWrite,
        body: &'a Map<String, Value>,
    ) -> Result<Vec<Part<'a>>, Fault> {
        let asked = body.get("RequestItems").and_then(Value::as_object);
        let level = body.get("ReturnConsumedCapacity");
        let mut parts: Vec<Part<'a>> = Vec::new();
        // The decoded batch has the order of its body.
        for ((name, requests), (_, writes)) in asked.into_iter().flatten().zip(batch.tables) {
            let table = self.images.table(name).await?;
            for (part, write) in requests.as_array().into_iter().flatten().zip(writes) {
                let prepared = Prepared::of_part(write, Arc::clone(&table), part, level)?;
                let twice = parts.iter().any(|other| {
                    let other = &other.prepared;
                    other.table.name == table.name && other.write.key == prepared.write.key
                });
                if twice {
                    return Err(request::duplicate_keys().into());
                }
                parts.push(Part { table: name, request: part, prepared: Arc::new(prepared) });
            }
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
            let keys: Vec<&ItemKey> =
                places.iter().map(|at| &parts[*at].prepared.write.key).collect();
            let read = self.images.read_all_as(table, &keys, consistency).await?;
            for (at, image) in places.iter().zip(read) {
                images[*at] = Known::Read(image);
            }
        }
        Ok(images)
    }
}

/// Which of several faults becomes the batch's: the one that leaves the most unknown.
fn weight(fault: &Fault) -> u8 {
    match fault {
        Fault::Throttled | Fault::Limited | Fault::NotJournaled(_) => 0,
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

fn answer(level: CapacityLevel, left: Map<String, Value>, units: Consumed) -> Bytes {
    let mut answer = Map::new();
    answer.insert("UnprocessedItems".into(), Value::Object(left));
    if level != CapacityLevel::None {
        answer.insert("ConsumedCapacity".into(), units.into_json());
    }
    Bytes::from(write_json(&Value::Object(answer)))
}
