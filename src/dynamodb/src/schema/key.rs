//! Keys of items: taken out of an item or a request, checked as DynamoDB checks them, and encoded
//! into bytes that sort as DynamoDB sorts.
//!
//! Neither Display nor Debug shows values: keys are data, and these end in logs.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::{IndexSchema, KeyAttribute, KeySchema, KeyType, TableSchema};
use crate::error::ServiceError;
use crate::value::{AttributeValue, Item};

/// Most bytes of a partition key's value.
pub const PARTITION_KEY_BYTES_MAX: usize = 2048;
/// Most bytes of a sort key's value.
pub const SORT_KEY_BYTES_MAX: usize = 1024;

type Result<T> = std::result::Result<T, ServiceError>;

/// The key of one item in a table, or of its entry in an index. Sorts within a partition as
/// DynamoDB does; partitions are in the order of their bytes, which is not DynamoDB's.
#[derive(Clone)]
pub struct ItemKey {
    attributes: Vec<(String, AttributeValue)>,
    /// The partition key's encoding, then the sort key's; each attribute's is self-delimiting.
    bytes: Vec<u8>,
    partition_len: usize,
}

impl ItemKey {
    /// The key of an item that a program wants to put.
    pub fn from_item(table: &TableSchema, item: &Item) -> Result<Self> {
        for attribute in table.keys.attributes() {
            let name = &attribute.name;
            let value = item.get(name).ok_or_else(|| {
                ServiceError::invalid_parameter(format!("Missing the key {name} in the item"))
            })?;
            let (expected, actual) = (attribute.kind.attribute_type(), value.kind());
            if expected != actual {
                return Err(ServiceError::invalid_parameter(format!(
                    "Type mismatch for key {name} expected: {expected} actual: {actual}"
                )));
            }
        }
        check_key_values(table, item)?;
        Self::of(&table.keys, item).ok_or_else(no_match)
    }

    /// The key of a request's `Key` map.
    pub fn from_key(table: &TableSchema, key: &Item) -> Result<Self> {
        if key.len() != table.keys.attribute_count() {
            return Err(no_match());
        }
        let found = Self::of(&table.keys, key).ok_or_else(no_match)?;
        check_key_values(table, key)?;
        Ok(found)
    }

    /// The key an item has under this schema: `None` when an attribute is missing or of another
    /// type. Checks no sizes.
    pub fn of(schema: &KeySchema, item: &Item) -> Option<Self> {
        let mut key = Self { attributes: Vec::new(), bytes: Vec::new(), partition_len: 0 };
        for attribute in &schema.partition {
            key.push(attribute, item)?;
        }
        key.partition_len = key.bytes.len();
        for attribute in &schema.sort {
            key.push(attribute, item)?;
        }
        Some(key)
    }

    fn push(&mut self, attribute: &KeyAttribute, item: &Item) -> Option<()> {
        let (name, value) = item.get_key_value(&attribute.name)?;
        if value.kind() != attribute.kind.attribute_type() {
            return None;
        }
        encode(value, &mut self.bytes)?;
        self.attributes.push((name.clone(), value.clone()));
        Some(())
    }

    /// Names and values, partition first.
    pub fn attributes(&self) -> &[(String, AttributeValue)] {
        &self.attributes
    }

    /// The value of the key attribute of that name.
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The key as a request's `Key` map.
    pub fn to_item(&self) -> Item {
        self.attributes.iter().cloned().collect()
    }

    /// All of it: equal for equal keys (`1` and `1.0` are equal), sorting as the key does.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The partition key's bytes.
    pub fn partition_bytes(&self) -> &[u8] {
        &self.bytes[..self.partition_len]
    }

    /// The sort key's bytes; empty when the schema has none.
    pub fn sort_bytes(&self) -> &[u8] {
        &self.bytes[self.partition_len..]
    }
}

impl PartialEq for ItemKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ItemKey {}

impl Hash for ItemKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl Ord for ItemKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl PartialOrd for ItemKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.attributes.iter().enumerate() {
            write!(f, "{}{name} ({})", if at == 0 { "" } else { ", " }, value.kind())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemKey({self})")
    }
}

fn no_match() -> ServiceError {
    ServiceError::validation("The provided key element does not match the schema")
}

/// Refuses empty values of the table's key.
pub(super) fn check_not_empty(table: &TableSchema, item: &Item) -> Result<()> {
    for attribute in table.keys.attributes() {
        if let Some(kind) = item.get(&attribute.name).and_then(empty_kind) {
            return Err(ServiceError::validation(format!(
                "One or more parameter values are not valid. The AttributeValue for a key \
                 attribute cannot contain an empty {kind} value. Key: {}",
                attribute.name
            )));
        }
    }
    Ok(())
}

fn check_key_values(table: &TableSchema, item: &Item) -> Result<()> {
    check_not_empty(table, item)?;
    let bytes = |attributes: &[KeyAttribute]| -> usize {
        attributes.iter().filter_map(|key| item.get(&key.name)).map(AttributeValue::size).sum()
    };
    if bytes(&table.keys.partition) > PARTITION_KEY_BYTES_MAX {
        return Err(ServiceError::invalid_parameter(
            "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ));
    }
    if bytes(&table.keys.sort) > SORT_KEY_BYTES_MAX {
        return Err(ServiceError::invalid_parameter(
            "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        ));
    }
    Ok(())
}

/// Refuses an empty value of an index's key.
pub(super) fn check_index_value_not_empty(
    index: &IndexSchema,
    attribute: &KeyAttribute,
    value: &AttributeValue,
) -> Result<()> {
    let Some(kind) = empty_kind(value) else { return Ok(()) };
    Err(ServiceError::validation(format!(
        "One or more parameter values are not valid. A value specified for a secondary index key \
         is not supported. The AttributeValue for a key attribute cannot contain an empty {kind} \
         value. IndexName: {}, IndexKey: {}",
        index.name, attribute.name
    )))
}

/// Refuses a value that cannot be part of an index's key.
pub(super) fn check_index_value(
    index: &IndexSchema,
    attribute: &KeyAttribute,
    value: &AttributeValue,
) -> Result<()> {
    let (name, index_name) = (&attribute.name, &index.name);
    let (expected, actual) = (attribute.kind.attribute_type(), value.kind());
    if expected != actual {
        return Err(ServiceError::invalid_parameter(format!(
            "Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} \
             IndexName: {index_name}"
        )));
    }
    check_index_value_not_empty(index, attribute, value)?;
    let sorts = index.keys.sort.contains(attribute);
    if !sorts && value.size() > PARTITION_KEY_BYTES_MAX {
        return Err(ServiceError::invalid_parameter(
            "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ));
    }
    if sorts && value.size() > SORT_KEY_BYTES_MAX {
        return Err(ServiceError::invalid_parameter(
            "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        ));
    }
    Ok(())
}

pub(super) fn empty_kind(value: &AttributeValue) -> Option<&'static str> {
    match value {
        AttributeValue::S(text) if text.is_empty() => Some("string"),
        AttributeValue::B(bytes) if bytes.is_empty() => Some("binary"),
        _ => None,
    }
}

/// `None` for values that cannot be part of a key.
fn encode(value: &AttributeValue, out: &mut Vec<u8>) -> Option<()> {
    match value {
        AttributeValue::S(text) => encode_bytes(text.as_bytes(), out),
        AttributeValue::B(bytes) => encode_bytes(bytes, out),
        AttributeValue::N(number) => out.extend(number.to_ordered_bytes()),
        _ => return None,
    }
    Some(())
}

/// Zero bytes are escaped, so that two of them can end the value and order is kept.
fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 0]);
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attribute_type().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::item_from_json;
    use serde_json::{Value, json};

    fn table(sort: &str) -> TableSchema {
        TableSchema::from_json(&json!({
            "TableName": "t",
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": sort},
                {"AttributeName": "i", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "gsi", "KeySchema": [{"AttributeName": "i", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
        }))
        .unwrap()
    }

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(item: Value, expected: &str) {
        let found = table("S").check_item(&item_from_json(&item).unwrap());
        let shown = found.map_or_else(|error| error.message, |key| key.to_string());
        assert_eq!(shown, expected, "{item:.200}");
    }

    #[test]
    fn an_items_key_is_checked_in_dynamodbs_words() {
        let invalid = "One or more parameter values were invalid: ";
        let empty = "One or more parameter values are not valid. ";
        let text = |len: usize| json!({"S": "x".repeat(len)});
        check(json!({"p": {"S": "a"}, "s": {"S": "b"}, "x": {"N": "1"}}), "p (S), s (S)");
        for (item, expected) in [
            (json!({"p": {"S": "a"}}), "Missing the key s in the item"),
            (
                json!({"p": {"N": "1"}, "s": {"S": "b"}}),
                "Type mismatch for key p expected: S actual: N",
            ),
            (
                json!({"p": text(2049), "s": {"S": "b"}}),
                "Size of hashkey has exceeded the maximum size limit of2048 bytes",
            ),
            (
                json!({"p": text(2048), "s": text(1025)}),
                "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
            ),
            (
                json!({"p": {"S": "a"}, "s": {"S": "b"}, "i": {"N": "1"}}),
                "Type mismatch for Index Key i Expected: S Actual: N IndexName: gsi",
            ),
        ] {
            check(item, &format!("{invalid}{expected}"));
        }
        check(
            json!({"p": {"S": ""}, "s": {"S": "b"}}),
            &format!(
                "{empty}The AttributeValue for a key attribute cannot contain an empty string \
                 value. Key: p"
            ),
        );
        check(
            json!({"p": {"S": "a"}, "s": {"S": "b"}, "i": {"S": ""}}),
            &format!(
                "{empty}A value specified for a secondary index key is not supported. The \
                 AttributeValue for a key attribute cannot contain an empty string value. \
                 IndexName: gsi, IndexKey: i"
            ),
        );
        check(json!({"p": text(2048), "s": text(1024)}), "p (S), s (S)");
    }

    #[test]
    fn a_requests_key_has_the_keys_attributes_and_no_other() {
        for json in [
            json!({}),
            json!({"p": {"S": "a"}}),
            json!({"p": {"S": "a"}, "x": {"S": "b"}}),
            json!({"p": {"S": "a"}, "s": {"S": "b"}, "x": {"S": "b"}}),
            json!({"p": {"S": "a"}, "s": {"N": "1"}}),
        ] {
            let error = ItemKey::from_key(&table("S"), &item_from_json(&json).unwrap());
            let message = "The provided key element does not match the schema";
            assert_eq!(error.unwrap_err().message, message, "{json}");
        }
    }

    #[test]
    fn bytes_sort_as_dynamodb_sorts() {
        for (kind, ascending) in [
            ("S", vec!["a", "a\u{0}", "a\u{0}b", "a\u{1}", "aa", "b", "é", "\u{ffff}", "😀"]),
            ("N", vec!["-1000", "-1.5", "-1", "0", "0.1", "2", "10", "1000"]),
            ("B", vec!["AA==", "AAA=", "AAE=", "AQ==", "/w=="]),
        ] {
            let keys: Vec<ItemKey> = ascending
                .iter()
                .map(|value| json!({"p": {"S": "x"}, "s": {kind: value}}))
                .map(|json| item_from_json(&json).unwrap())
                .map(|item| ItemKey::from_item(&table(kind), &item).unwrap())
                .collect();
            assert!(keys.is_sorted_by(|left, right| left < right), "{kind}");
            assert!(keys.windows(2).all(|pair| pair[0].sort_bytes() < pair[1].sort_bytes()));
            assert!(
                keys.windows(2)
                    .all(|pair| { pair[0].partition_bytes() == pair[1].partition_bytes() })
            );
        }
    }

    #[test]
    fn equal_keys_are_one_key_and_show_no_values() {
        let key = |number: &str| {
            let item = item_from_json(&json!({"p": {"S": "secret"}, "s": {"N": number}})).unwrap();
            ItemKey::from_key(&table("N"), &item).unwrap()
        };
        assert_eq!(key("1"), key("1.0"));
        assert_eq!(format!("{} {:?}", key("1"), key("1")), "p (S), s (N) ItemKey(p (S), s (N))");
        let whole = key("1").to_item();
        assert_eq!(whole.len(), 2);
        assert_eq!(key("1").get("s"), whole.get("s"));
    }
}
