//! Answers of reads that hold whole items, and what is in them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use dm_dynamodb::request::WholeItems;
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::table_name::plain_name;
use dm_dynamodb::value::{AttributeValue, Item};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer_members::Members;

/// A read whose answer holds whole items.
#[derive(Debug)]
pub enum Reading {
    One(String),
    /// A page of items of one table.
    Page(String),
    /// Items of these tables.
    Batch(Vec<String>),
}

/// An answer and what was asked.
#[derive(Debug)]
pub struct Page {
    pub reading: Reading,
    pub answer: Bytes,
}

type Items<'a> = Vec<&'a RawValue>;

impl Reading {
    pub fn of(asked: WholeItems<'_>) -> Self {
        match asked {
            WholeItems::One(table) => Self::One(plain_name(table).to_owned()),
            WholeItems::Page(table) => Self::Page(plain_name(table).to_owned()),
            WholeItems::Batch(tables) => {
                Self::Batch(tables.into_iter().map(str::to_owned).collect())
            }
        }
    }
}

impl Page {
    /// The items of each table.
    pub fn items(&self) -> Vec<(String, Items<'_>)> {
        let Some(members) = Members::of(&self.answer) else { return Vec::new() };
        match &self.reading {
            Reading::One(table) => {
                vec![(table.clone(), members.get("Item").into_iter().collect())]
            }
            Reading::Page(table) => {
                vec![(table.clone(), members.get("Items").unwrap_or_default())]
            }
            Reading::Batch(tables) => {
                let mut answered: BTreeMap<String, Items<'_>> =
                    members.get("Responses").unwrap_or_default();
                let mut items = |name: &String| answered.remove(name).unwrap_or_default();
                tables.iter().map(|name| (plain_name(name).to_owned(), items(name))).collect()
            }
        }
    }
}

/// Gives each item with its key to somebody; what they return, together.
pub fn held<T>(
    table: &TableSchema,
    items: Items<'_>,
    mut hold: impl FnMut(ItemKey, &str) -> Vec<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for item in items {
        if let Some(key) = key(table, item) {
            all.extend(hold(key, item.get()));
        }
    }
    all
}

/// The key of an item, without decoding the rest.
fn key(table: &TableSchema, item: &RawValue) -> Option<ItemKey> {
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(item.get()).ok()?;
    let mut key = Item::new();
    for attribute in table.keys.attributes() {
        let value: Value =
            serde_json::from_str(members.get(attribute.name.as_str())?.get()).ok()?;
        key.insert(attribute.name.clone(), AttributeValue::from_json(&value).ok()?);
    }
    ItemKey::of(&table.keys, &key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;
    use dm_dynamodb::request::Outline;
    use serde_json::json;

    fn reads(operation: Operation, body: &Value) -> bool {
        Outline::of(operation, body.as_object().unwrap()).whole_items().is_some()
    }

    #[test]
    fn only_answers_with_whole_items_are_kept() {
        assert!(reads(Operation::Scan, &json!({"TableName": "t", "FilterExpression": "a = :a"})));
        assert!(reads(Operation::Query, &json!({"TableName": "t", "Select": "ALL_ATTRIBUTES"})));
        assert!(reads(Operation::GetItem, &json!({"TableName": "t"})));
        for parts in [
            json!({"TableName": "t", "ProjectionExpression": "a"}),
            json!({"TableName": "t", "AttributesToGet": ["a"]}),
            json!({"TableName": "t", "IndexName": "i"}),
            json!({"TableName": "t", "Select": "COUNT"}),
        ] {
            assert!(!reads(Operation::Scan, &parts), "{parts}");
        }
        assert!(!reads(Operation::TransactGetItems, &json!({})));
    }

    #[test]
    fn items_are_found_with_their_keys_and_as_they_came() {
        let table = json!({
            "TableName": "t",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        let table = TableSchema::from_json(&table).unwrap();
        let answer =
            r#"{"Responses":{"t":[{"id": {"S":"\u0061"}, "n":{"N":"1"}},{"n":{}}],"u":[]}}"#;
        let body = json!({"RequestItems": {"t": {"Keys": []}, "u": {"ProjectionExpression": "a"}}});
        let asked = Outline::of(Operation::BatchGetItem, body.as_object().unwrap());
        let reading = Reading::of(asked.whole_items().unwrap());
        let page = Page { reading, answer: Bytes::from_static(answer.as_bytes()) };
        let mut items = page.items();
        assert_eq!(items.len(), 1);
        let found =
            held(&table, items.remove(0).1, |key, text| vec![(key.to_item(), text.to_owned())]);
        let key = Item::from([("id".to_owned(), "a".into())]);
        assert_eq!(found, [(key, r#"{"id": {"S":"\u0061"}, "n":{"N":"1"}}"#.to_owned())]);
    }
}
