//! One conditional request for what becomes of one item.
//!
//! Every write holds only for an item that still has the attributes that were read to decide it. An
//! attribute that changes is written whole: its condition is its old value, so nothing inside it
//! that somebody else wrote is lost.

use std::collections::BTreeSet;

use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{
    AttributeValue, Item, item_to_folded_json, item_to_json, value_to_folded_json,
};
use serde_json::{Map, Value, json};

use crate::error::{Cause, ItemError};
use crate::limits::MOVED_ATTRIBUTES_MAX;
use crate::transform::{Evaluation, Transform};

/// A request: DynamoDB's name of its operation, and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The operation.
    pub operation: &'static str,
    pub body: Map<String, Value>,
}

/// The tables of a transform.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'s> {
    /// The table whose items change.
    pub table: &'s TableSchema,
    /// The one that the items go to; the same, if they stay.
    pub to: &'s TableSchema,
}

/// Names and values of one expression's placeholders.
#[derive(Default)]
struct Placeholders {
    names: Map<String, Value>,
    values: Map<String, Value>,
}

impl Placeholders {
    fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().find(|(_, known)| **known == *name);
        if let Some((placeholder, _)) = known {
            return placeholder.clone();
        }
        let placeholder = format!("#{}", self.names.len());
        self.names.insert(placeholder.clone(), name.into());
        placeholder
    }

    fn value(&mut self, value: &AttributeValue) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), value_to_folded_json(value));
        placeholder
    }

    fn add_to(self, body: &mut Map<String, Value>) {
        for (parameter, all) in
            [("ExpressionAttributeNames", self.names), ("ExpressionAttributeValues", self.values)]
        {
            if !all.is_empty() {
                body.insert(parameter.into(), all.into());
            }
        }
    }

    /// The condition that the item exists and has these attributes as they were read.
    fn as_read<'a>(
        &mut self,
        table: &TableSchema,
        before: &Item,
        attributes: impl Iterator<Item = &'a String>,
    ) -> String {
        let mut all: Vec<String> = table
            .keys
            .partition
            .iter()
            .map(|key| format!("attribute_exists({})", self.name(&key.name)))
            .collect();
        for attribute in attributes.filter(|attribute| !table.keys.contains(attribute)) {
            let name = self.name(attribute);
            all.push(match before.get(attribute) {
                Some(value) => format!("{name} = {}", self.value(value)),
                None => format!("attribute_not_exists({name})"),
            });
        }
        all.join(" AND ")
    }
}

impl Transform {
    /// Returns the request that makes of an item what [`Transform::evaluate`] says, if one is
    /// needed.
    pub fn request(
        &self,
        tables: Tables<'_>,
        before: &Item,
        evaluation: &Evaluation,
    ) -> Result<Option<Request>, ItemError> {
        Ok(match evaluation {
            Evaluation::Skipped | Evaluation::Unchanged => None,
            Evaluation::Update(after) => {
                fits(tables.table.check_index_keys(after))?;
                Some(self.update(tables.table, before, after))
            }
            Evaluation::Delete => {
                let body = Self::bound(tables.table, before, &self.reads);
                Some(Request { operation: "DeleteItem", body })
            }
            Evaluation::Move(after) => Some(self.moving(tables, before, after)?),
        })
    }

    /// Returns the request that deletes an item whose new place already holds what it becomes.
    pub fn deletion(&self, tables: Tables<'_>, before: &Item) -> Request {
        let attributes = before.keys().cloned().collect();
        let body = Self::bound(tables.table, before, &attributes);
        Request { operation: "DeleteItem", body }
    }

    fn update(&self, table: &TableSchema, before: &Item, after: &Item) -> Request {
        let mut placeholders = Placeholders::default();
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for name in names.into_iter().filter(|name| before.get(name) != after.get(name)) {
            let placeholder = placeholders.name(name);
            match after.get(name) {
                Some(value) => set.push(format!("{placeholder} = {}", placeholders.value(value))),
                None => removed.push(placeholder),
            }
        }
        let clauses = [("SET", set), ("REMOVE", removed)];
        let clauses = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<String> =
            clauses.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect();
        let condition = placeholders.as_read(table, before, self.reads.iter());
        let mut body = keyed(table, before);
        body.insert("UpdateExpression".into(), clauses.join(" ").into());
        body.insert("ConditionExpression".into(), condition.into());
        placeholders.add_to(&mut body);
        Request { operation: "UpdateItem", body }
    }

    /// The key of an item and the condition that it has these attributes as they were read.
    fn bound(
        table: &TableSchema,
        before: &Item,
        attributes: &BTreeSet<String>,
    ) -> Map<String, Value> {
        let mut placeholders = Placeholders::default();
        let condition = placeholders.as_read(table, before, attributes.iter());
        let mut body = keyed(table, before);
        body.insert("ConditionExpression".into(), condition.into());
        placeholders.add_to(&mut body);
        body
    }

    /// Puts the item under its new key, if that is free, and deletes the old one, or checks that it
    /// is still what was copied: all or nothing.
    fn moving(
        &self,
        tables: Tables<'_>,
        before: &Item,
        after: &Item,
    ) -> Result<Request, ItemError> {
        fits(tables.to.check_item(after).map(drop))?;
        let attributes: BTreeSet<String> = before.keys().chain(&self.reads).cloned().collect();
        if attributes.len() > MOVED_ATTRIBUTES_MAX {
            let count = attributes.len();
            return Err(unfit(format!(
                "an item with {count} attributes cannot move; the condition of its deletion holds \
                 {MOVED_ATTRIBUTES_MAX}"
            )));
        }
        let original = Self::bound(tables.table, before, &attributes);
        let original = if self.keep_original {
            json!({"ConditionCheck": original})
        } else {
            json!({"Delete": original})
        };
        let mut placeholders = Placeholders::default();
        let names: Vec<String> =
            tables.to.keys.partition.iter().map(|key| placeholders.name(&key.name)).collect();
        let free: Vec<String> =
            names.iter().map(|name| format!("attribute_not_exists({name})")).collect();
        let mut put = Map::from_iter([
            ("TableName".to_owned(), Value::from(tables.to.name.as_str())),
            ("Item".to_owned(), item_to_folded_json(after)),
            ("ConditionExpression".to_owned(), free.join(" AND ").into()),
        ]);
        placeholders.add_to(&mut put);
        let body = Map::from_iter([("TransactItems".to_owned(), json!([{"Put": put}, original]))]);
        Ok(Request { operation: "TransactWriteItems", body })
    }
}

/// The table and the key of an item that was read from it.
fn keyed(table: &TableSchema, item: &Item) -> Map<String, Value> {
    let key = ItemKey::of(&table.keys, item).map(|key| key.to_item()).unwrap_or_default();
    Map::from_iter([
        ("TableName".to_owned(), Value::from(table.name.as_str())),
        ("Key".to_owned(), item_to_json(&key)),
    ])
}

pub(crate) fn fits(checked: Result<(), dm_dynamodb::error::ServiceError>) -> Result<(), ItemError> {
    checked.map_err(|error| unfit(error.message))
}

fn unfit(message: String) -> ItemError {
    ItemError { field: "transform".into(), cause: Cause::Unfit(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Files, Source};
    use dm_dynamodb::value::{Number, item_from_json};

    fn table(name: &str) -> TableSchema {
        TableSchema::from_json(&json!({
            "TableName": name,
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "rank", "AttributeType": "N"},
            ],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-rank", "Projection": {"ProjectionType": "ALL"},
                "KeySchema": [{"AttributeName": "rank", "KeyType": "HASH"}],
            }],
        }))
        .unwrap()
    }

    fn request(source: &Value, item: &Value) -> Result<Option<Request>, ItemError> {
        let source: Source = serde_json::from_value(source.clone()).unwrap();
        let transform = Transform::parse(&source, &Files::default()).unwrap();
        let (cars, to) = (table("cars"), table(transform.to.as_deref().unwrap_or("cars")));
        let before = item_from_json(item).unwrap();
        let evaluation = transform.evaluate(&before, Number::ZERO)?;
        transform.request(Tables { table: &cars, to: &to }, &before, &evaluation)
    }

    #[test]
    fn an_update_is_bound_to_what_was_read() {
        let found = request(
            &json!({
                "table": "cars", "filter": "attribute_not_exists(price)",
                "set": {"price": "weight * 2"}, "remove": ["m.old"],
            }),
            &json!({
                "id": {"S": "a"}, "weight": {"N": "10"}, "other": {"S": "x"},
                "m": {"M": {"old": {"N": "1"}}},
            }),
        );
        let found = found.unwrap().unwrap();
        assert_eq!(found.operation, "UpdateItem");
        assert_eq!(
            Value::from(found.body),
            json!({
                "TableName": "cars",
                "Key": {"id": {"S": "a"}},
                "UpdateExpression": "SET #0 = :0, #1 = :1",
                "ConditionExpression":
                    "attribute_exists(#2) AND #0 = :2 AND attribute_not_exists(#1) AND #3 = :3",
                "ExpressionAttributeNames": {"#0": "m", "#1": "price", "#2": "id", "#3": "weight"},
                "ExpressionAttributeValues": {
                    ":0": {"M": {}}, ":1": {"N": "20"}, ":2": {"M": {"old": {"N": "1"}}},
                    ":3": {"N": "10"},
                },
            })
        );
    }

    #[test]
    fn a_move_is_one_transaction_bound_to_the_whole_item() {
        let source = json!({
            "table": "cars", "filter": "attribute_exists(id)",
            "rekey": {"id": "concat('x#', id)"}, "to": {"table": "other"},
        });
        let found = request(&source, &json!({"id": {"S": "a"}, "n": {"N": "1"}})).unwrap().unwrap();
        assert_eq!(found.operation, "TransactWriteItems");
        assert_eq!(
            found.body["TransactItems"],
            json!([
                {"Put": {
                    "TableName": "other",
                    "Item": {"id": {"S": "x#a"}, "n": {"N": "1"}},
                    "ConditionExpression": "attribute_not_exists(#0)",
                    "ExpressionAttributeNames": {"#0": "id"},
                }},
                {"Delete": {
                    "TableName": "cars",
                    "Key": {"id": {"S": "a"}},
                    "ConditionExpression": "attribute_exists(#0) AND #1 = :0",
                    "ExpressionAttributeNames": {"#0": "id", "#1": "n"},
                    "ExpressionAttributeValues": {":0": {"N": "1"}},
                }},
            ])
        );
    }

    #[test]
    fn what_the_table_would_reject_fails_before_it_is_sent() {
        let source = json!({"table": "cars", "set": {"rank": "'high'"}});
        let error = request(&source, &json!({"id": {"S": "a"}})).unwrap_err();
        assert!(error.to_string().contains("Type mismatch for Index Key rank"), "{error}");
        let source = json!({"table": "cars", "rekey": {"id": "1"}, "to": {"table": "other"}});
        let error = request(&source, &json!({"id": {"S": "a"}})).unwrap_err();
        assert!(error.to_string().contains("Type mismatch for key id"), "{error}");
    }
}
