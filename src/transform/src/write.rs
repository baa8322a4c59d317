//! One conditional request for what becomes of one item.
//!
//! Every write holds only for an item that still has the attributes that were read to decide it. An
//! attribute that changes is written whole: its condition is its old value, so nothing inside it
//! that somebody else wrote is lost.

use std::collections::BTreeSet;

use dm_dynamodb::schema::{TableSchema, UnfitKey};
use dm_dynamodb::value::{AttributeValue, Item, item_to_folded_json, value_to_folded_json};
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
    /// Appends the placeholder of an attribute's name.
    fn name(&mut self, text: &mut String, name: &str) {
        let known = self.names.iter().find(|(_, known)| **known == *name);
        if let Some((placeholder, _)) = known {
            return text.push_str(placeholder);
        }
        let placeholder = format!("#{}", self.names.len());
        text.push_str(&placeholder);
        self.names.insert(placeholder, name.into());
    }

    /// Appends a new placeholder of a value.
    fn value(&mut self, text: &mut String, value: &AttributeValue) {
        let placeholder = format!(":{}", self.values.len());
        text.push_str(&placeholder);
        self.values.insert(placeholder, value_to_folded_json(value));
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
        let mut text = String::with_capacity(EXPRESSION_BYTES);
        for key in &table.keys.partition {
            separate(&mut text, "", " AND ");
            self.function(&mut text, "attribute_exists", &key.name);
        }
        for attribute in attributes.filter(|attribute| !table.keys.contains(attribute)) {
            separate(&mut text, "", " AND ");
            match before.get(attribute) {
                Some(value) => {
                    self.name(&mut text, attribute);
                    text.push_str(" = ");
                    self.value(&mut text, value);
                }
                None => self.function(&mut text, "attribute_not_exists", attribute),
            }
        }
        text
    }

    fn function(&mut self, text: &mut String, function: &str, attribute: &str) {
        text.push_str(function);
        text.push('(');
        self.name(text, attribute);
        text.push(')');
    }
}

/// Room for an expression as it mostly is.
const EXPRESSION_BYTES: usize = 256;

/// Begins a list of parts, or separates the next part from the one before.
fn separate(text: &mut String, beginning: &str, between: &str) {
    let before = if text.is_empty() { beginning } else { between };
    text.push_str(before);
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
                fits_indexes(tables.table, after)?;
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
        let (mut update, mut removal) = (String::with_capacity(EXPRESSION_BYTES), String::new());
        for (name, value) in after.iter().filter(|(name, value)| before.get(name) != Some(value)) {
            separate(&mut update, "SET ", ", ");
            placeholders.name(&mut update, name);
            update.push_str(" = ");
            placeholders.value(&mut update, value);
        }
        for name in before.keys().filter(|name| !after.contains_key(name)) {
            separate(&mut removal, "REMOVE ", ", ");
            placeholders.name(&mut removal, name);
        }
        if !removal.is_empty() {
            separate(&mut update, "", " ");
            update.push_str(&removal);
        }
        let condition = placeholders.as_read(table, before, self.reads.iter());
        let mut body = keyed(table, before);
        body.insert("UpdateExpression".into(), update.into());
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
        fits_indexes(tables.to, after)?;
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
        let mut is_free = String::new();
        for key in &tables.to.keys.partition {
            separate(&mut is_free, "", " AND ");
            placeholders.function(&mut is_free, "attribute_not_exists", &key.name);
        }
        let mut put = Map::from_iter([
            ("TableName".to_owned(), Value::from(tables.to.name.as_str())),
            ("Item".to_owned(), item_to_folded_json(after)),
            ("ConditionExpression".to_owned(), is_free.into()),
        ]);
        placeholders.add_to(&mut put);
        let body = Map::from_iter([("TransactItems".to_owned(), json!([{"Put": put}, original]))]);
        Ok(Request { operation: "TransactWriteItems", body })
    }
}

/// The table and the key of an item that was read from it.
fn keyed(table: &TableSchema, item: &Item) -> Map<String, Value> {
    let names = table.keys.partition.iter().chain(&table.keys.sort).map(|key| &key.name);
    let attributes = names.filter_map(|name| item.get_key_value(name));
    let key: Map<String, Value> =
        attributes.map(|(name, value)| (name.clone(), value.to_json())).collect();
    let mut body = Map::with_capacity(PARAMETERS_MAX);
    body.insert("TableName".to_owned(), table.name.as_str().into());
    body.insert("Key".to_owned(), key.into());
    body
}

/// Parameters of a request.
const PARAMETERS_MAX: usize = 6;

/// Checks an item against the keys of the table's indexes.
pub(crate) fn fits_indexes(table: &TableSchema, item: &Item) -> Result<(), ItemError> {
    let Some(UnfitKey { attribute, index, error }) = table.unfit_index_key(item) else {
        return Ok(());
    };
    let why = error.message.trim_end_matches('.');
    if why.contains(attribute) && why.contains(index) {
        return Err(unfit(error.message));
    }
    Err(unfit(format!(
        "{attribute} is a key of index {index}: {why}. Leave such items out with filter, or give \
         them another value"
    )))
}

fn fits(checked: Result<(), dm_dynamodb::error::ServiceError>) -> Result<(), ItemError> {
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
                {"AttributeName": "color", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-rank", "Projection": {"ProjectionType": "ALL"},
                    "KeySchema": [{"AttributeName": "rank", "KeyType": "HASH"}],
                },
                {
                    "IndexName": "by-color", "Projection": {"ProjectionType": "ALL"},
                    "KeySchema": [{"AttributeName": "color", "KeyType": "HASH"}],
                },
            ],
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
        let text = error.to_string();
        assert!(text.contains("Type mismatch for Index Key rank"), "{text}");
        let source = json!({"table": "cars", "set": {"color": "repeat"}});
        let long = json!({"id": {"S": "a"}, "repeat": {"S": "x".repeat(2049)}});
        let text = request(&source, &long).unwrap_err().to_string();
        assert!(text.contains("color is a key of index by-color: One or more"), "{text}");
        assert!(text.contains("Leave such items out with filter"), "{text}");
        let source = json!({"table": "cars", "rekey": {"id": "1"}, "to": {"table": "other"}});
        let error = request(&source, &json!({"id": {"S": "a"}})).unwrap_err();
        assert!(error.to_string().contains("Type mismatch for key id"), "{error}");
    }
}
