//! The answer to a transaction that was carried out before under its token. It reads the items and
//! writes nothing, so its capacity is what the read consumes (API Reference, TransactWriteItems,
//! `ClientRequestToken`).

use std::collections::BTreeMap;

use bytes::Bytes;
use dm_dynamodb::request::CapacityLevel;
use dm_dynamodb::value::{Item, item_size};
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::journal::Journal;
use crate::journal::transaction::Asked;

/// Bytes that a read unit pays for; a transaction's read costs two units (Developer Guide, "Read
/// and write operations consumption").
const READ_UNIT_BYTES: usize = 4096;

impl Journal {
    /// Returns the answer, and reads the items only if the request asks for capacity.
    pub(in crate::journal) async fn done_again(&self, asked: &Asked<'_>) -> Result<Bytes, Fault> {
        if CapacityLevel::of(asked.body) == CapacityLevel::None {
            return Ok(Bytes::from_static(b"{}"));
        }
        Ok(answer(asked, &self.images_of_actions(asked.actions).await?))
    }
}

/// Returns the answer of items that were read, one for each action.
pub(in crate::journal) fn answer(asked: &Asked<'_>, items: &[Option<Item>]) -> Bytes {
    let level = CapacityLevel::of(asked.body);
    if level == CapacityLevel::None {
        return Bytes::from_static(b"{}");
    }
    let tables = asked.actions.iter().map(|action| action.prepared().table.name.as_str());
    let mut units: BTreeMap<&str, usize> = BTreeMap::new();
    for (table, item) in tables.zip(items) {
        let bytes = item.as_ref().map_or(0, item_size);
        *units.entry(table).or_default() += 2 * bytes.div_ceil(READ_UNIT_BYTES).max(1);
    }
    let capacity: Value =
        units.into_iter().map(|(table, units)| consumed(table, units, level)).collect();
    Bytes::from(Value::Object(Map::from_iter([("ConsumedCapacity".into(), capacity)])).to_string())
}

fn consumed(table: &str, units: usize, level: CapacityLevel) -> Value {
    let units = u32::try_from(units).map_or(f64::MAX, f64::from);
    let sums = ["CapacityUnits", "ReadCapacityUnits"].map(|name| (name.into(), units.into()));
    let mut consumed = Map::from_iter(sums);
    if level == CapacityLevel::Indexes {
        consumed.insert("Table".into(), Value::Object(consumed.clone()));
    }
    consumed.insert("TableName".into(), table.into());
    Value::Object(consumed)
}
