//! Reads of single items by their keys, for the overlay and the journal: what is there before a
//! write. Whoever reads counts the units.

use std::collections::{BTreeMap, HashMap};

use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, item_to_json, parse_item};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::answer_members::Members;
use crate::fault::Fault;
use crate::layers::metering::not_an_object;
use crate::operation::ReadOperation;
use crate::upstream::{Backoff, ReadOnly};

/// Keys of one BatchGetItem (DynamoDB API Reference).
pub const BATCH_GET_KEYS_MAX: usize = 100;

/// How new what is read has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// The newest: a unit per 4 KB.
    Strong,
    /// Perhaps an older one: half of that.
    Eventual,
}

/// One item.
pub async fn get_item(
    reader: &ReadOnly,
    table: &TableSchema,
    key: &ItemKey,
    consistency: Consistency,
    count_units: impl FnOnce(f64),
) -> Result<Option<Item>, Fault> {
    let request = json!({
        "TableName": table.name,
        "Key": item_to_json(&key.to_item()),
        "ConsistentRead": consistency == Consistency::Strong,
        "ReturnConsumedCapacity": "TOTAL",
    });
    let answer = reader.read(ReadOperation::GET_ITEM, &request).await?;
    let members = Members::of(&answer).ok_or_else(not_an_object)?;
    count_units(members.consumed_units());
    Ok(members.item("Item")?)
}

/// Several items of one table; keys without an item are left out.
pub async fn get_items(
    reader: &ReadOnly,
    table: &TableSchema,
    keys: &[&ItemKey],
    consistency: Consistency,
    count_units: impl Fn(f64),
) -> Result<HashMap<ItemKey, Item>, Fault> {
    if let [key] = keys {
        let item = get_item(reader, table, key, consistency, count_units).await?;
        return Ok(item.map(|item| ((*key).clone(), item)).into_iter().collect());
    }
    let mut found = HashMap::with_capacity(keys.len());
    for part in keys.chunks(BATCH_GET_KEYS_MAX) {
        let mut asked = whole_request(table, part, consistency);
        let mut backoff = Backoff::begin();
        loop {
            let request = json!({"RequestItems": asked, "ReturnConsumedCapacity": "TOTAL"});
            let answer = reader.read(ReadOperation::BATCH_GET_ITEM, &request).await?;
            let members = Members::of(&answer).ok_or_else(not_an_object)?;
            count_units(members.consumed_units());
            for item in responses(&members, &table.name) {
                let item = parse_item(item.get())?;
                let key = ItemKey::of(&table.keys, &item).ok_or_else(|| {
                    Fault::Unavailable("it returned an item without its key".into())
                })?;
                found.insert(key, item);
            }
            match members.get::<Map<String, Value>>("UnprocessedKeys") {
                Some(left) if !left.is_empty() => asked = Value::Object(left),
                Some(_) | None => break,
            }
            // Each answer has some of the keys, so this ends later than with a single throttle.
            if !backoff.pause_within(reader.times().call).await {
                return Err(Fault::Throttled);
            }
        }
    }
    Ok(found)
}

fn whole_request(table: &TableSchema, keys: &[&ItemKey], consistency: Consistency) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| item_to_json(&key.to_item())).collect();
    let strong = consistency == Consistency::Strong;
    json!({ &table.name: {"Keys": keys, "ConsistentRead": strong} })
}

fn responses<'a>(members: &Members<'a>, table: &str) -> Vec<&'a RawValue> {
    let responses: Option<BTreeMap<String, Vec<&RawValue>>> = members.get("Responses");
    responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::upstream::mock::{Answer, credentials, database};
    use dm_dynamodb::value::item_from_json;
    use parking_lot::Mutex;
    use tokio::time::Instant;

    fn cars() -> TableSchema {
        TableSchema::from_json(&json!({"Table": {"TableName": "cars",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}}))
        .unwrap()
    }

    fn key(id: &str) -> ItemKey {
        ItemKey::from_key(&cars(), &item_from_json(&json!({"id": {"S": id}})).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_throttled_batch_is_read_to_its_end_with_pauses() {
        let plan = database(|number, _| {
            let found = json!({"id": {"S": number.to_string()}});
            let left: Vec<Value> =
                (number + 1..6).map(|n| json!({"id": {"S": n.to_string()}})).collect();
            let left = if left.is_empty() { json!({}) } else { json!({"cars": {"Keys": left}}) };
            let capacity = json!([{"TableName": "cars", "CapacityUnits": 0.5}]);
            Answer::new(
                200,
                &json!({"Responses": {"cars": [found]}, "UnprocessedKeys": left,
                    "ConsumedCapacity": capacity}),
            )
        })
        .await;
        let reader = ReadOnly::new(&plan, credentials()).unwrap();
        let keys: Vec<ItemKey> = (0..6).map(|n| key(&n.to_string())).collect();
        let keys: Vec<&ItemKey> = keys.iter().collect();
        let (begun, units) = (Instant::now(), Mutex::new(0.0));
        let count = |used: f64| *units.lock() += used;
        let found = get_items(&reader, &cars(), &keys, Consistency::Strong, count).await.unwrap();
        assert!(keys.iter().all(|key| found.contains_key(*key)));
        // Five pauses from 25 ms on, each at least half of its length.
        let least = limits::UPSTREAM_BACKOFF_FIRST * 31 / 2;
        assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
        assert_eq!((reader.calls().reads, reader.calls().read_throttles), (6, 5));
        assert!((*units.lock() - 3.0).abs() < 1e-9);
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_an_error_and_no_absent_item() {
        for (answer, expected) in [
            (json!([]), "not a JSON object"),
            (json!({"Item": {"id": {"S": 1}}}), "SerializationException"),
            (json!({"Item": {"id": {"X": "a"}}}), "ValidationException"),
        ] {
            let told = answer.clone();
            let plan = database(move |_, _| Answer::new(200, &told)).await;
            let reader = ReadOnly::new(&plan, credentials()).unwrap();
            let found = get_item(&reader, &cars(), &key("a"), Consistency::Strong, |_| {}).await;
            let error = found.unwrap_err().to_string();
            assert!(error.contains(expected), "{answer}: {error}");
        }
    }
}
