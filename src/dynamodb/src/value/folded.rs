//! Large items and values as text inside of a JSON value. As a tree a list of small maps takes
//! seventy times its text, and a request of 5 MB would take 350 MB; folded it takes 5.
//!
//! A folded value is written by us of a value that was read, never the bytes received: so what was
//! checked and what is sent cannot be read differently. It is unfolded where values are read
//! ([`super::item_from_json`]) and where JSON is written ([`write_json`]); nothing in between looks
//! into items.

use serde_json::{Map, Value};

use super::text::{write_item, write_value};
use super::{AttributeValue, Item};

/// Text from which on it is folded. Smaller ones are quicker as values.
pub const FOLDED_BYTES_MIN: usize = 1024;

/// The one member of a folded value. No client can send it ([`super::parse`]), and in an attribute
/// of this name there is an object, and not text.
pub(super) const MARK: &str = "\u{0}folded";

/// The item on the wire, folded if it is large.
pub fn item_to_folded_json(item: &Item) -> Value {
    let mut text = Vec::new();
    write_item(&mut text, item);
    folded_if_large(text).unwrap_or_else(|| super::item_to_json(item))
}

/// The value on the wire, folded if it is a large list, map or set: others take no more as JSON
/// values.
pub fn value_to_folded_json(value: &AttributeValue) -> Value {
    use AttributeValue::{B, Bool, N, Null, S};
    if matches!(value, S(_) | N(_) | B(_) | Bool(_) | Null) {
        return value.to_json();
    }
    let mut text = Vec::new();
    write_value(&mut text, value);
    folded_if_large(text).unwrap_or_else(|| value.to_json())
}

/// The text of an item or a value, folded if it is large enough.
pub(super) fn folded_if_large(mut text: Vec<u8>) -> Option<Value> {
    if text.len() < FOLDED_BYTES_MIN {
        return None;
    }
    text.shrink_to_fit();
    let mut folded = Map::new();
    folded.insert(MARK.to_owned(), String::from_utf8(text).ok()?.into());
    Some(Value::Object(folded))
}

/// The text of a folded value.
pub fn unfolded(json: &Value) -> Option<&str> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    object.get(MARK)?.as_str()
}

/// Writes a value as JSON, what is folded in it too.
pub fn write_json(json: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, json);
    out
}

/// Writes an object of these members.
pub fn write_members<'m>(members: impl Iterator<Item = (&'m str, &'m Value)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(FOLDED_BYTES_MIN);
    append_members(&mut out, members);
    out
}

fn append_members<'m>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'m str, &'m Value)>) {
    out.push(b'{');
    for (at, (name, value)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        // Nothing fails to be written into memory.
        let _ = serde_json::to_writer(&mut *out, name);
        out.push(b':');
        append(out, value);
    }
    out.push(b'}');
}

fn append(out: &mut Vec<u8>, json: &Value) {
    if let Some(text) = unfolded(json) {
        return out.extend_from_slice(text.as_bytes());
    }
    match json {
        Value::Object(members) => {
            append_members(out, members.iter().map(|(name, value)| (name.as_str(), value)));
        }
        Value::Array(elements) => {
            out.push(b'[');
            for (at, value) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                append(out, value);
            }
            out.push(b']');
        }
        scalar => {
            let _ = serde_json::to_writer(out, scalar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{item_from_json, item_to_json};
    use serde_json::json;

    #[test]
    fn a_folded_item_reads_and_is_written_as_what_it_stands_for() {
        let large =
            json!({"id": {"S": "a"}, "l": {"L": vec![json!({"M": {"a": {"N": "1"}}}); 100]}});
        let item = item_from_json(&large).unwrap();
        let folded = item_to_folded_json(&item);
        assert!(unfolded(&folded).is_some());
        assert_eq!(item_from_json(&folded).unwrap(), item);
        let request = json!({"TableName": "t", "n": [1, 2.5, null, true], "Item": folded});
        let plain = json!({"TableName": "t", "n": [1, 2.5, null, true], "Item": large});
        assert_eq!(String::from_utf8(write_json(&request)).unwrap(), plain.to_string());
        let value = AttributeValue::L(vec![AttributeValue::M(item.clone())]);
        let folded = value_to_folded_json(&value);
        assert!(unfolded(&folded).is_some());
        assert_eq!(AttributeValue::from_json(&folded).unwrap(), value);
    }

    #[test]
    fn small_ones_and_attributes_of_that_name_are_not_folded() {
        let small = item_from_json(&json!({"id": {"S": "a"}})).unwrap();
        assert_eq!(item_to_folded_json(&small), item_to_json(&small));
        let named = json!({MARK: {"S": "x"}});
        assert_eq!(item_to_json(&item_from_json(&named).unwrap()), named);
        assert_eq!(write_json(&named), named.to_string().into_bytes());
    }
}
