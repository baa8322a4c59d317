//! Bodies of requests and answers as JSON values, with large items and values folded, within a
//! bound of what the rest takes.
//!
//! Where items are follows from the names of members, which are the service model's. Names of
//! tables and attributes, which are anybody's, are members of `RequestItems`, `Responses`,
//! `Expected` and the like, and so are passed by.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::folded::{FOLDED_BYTES_MIN, MARK, folded_if_large};
use super::text::{item_from_text, value_from_text, write_item, write_value};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is no JSON object.
    #[error("it is no JSON object")]
    NoObject,
    /// It has more members and elements than there is room for.
    #[error("it has more members than there is room for")]
    TooMany,
}

/// Memory that one JSON value takes in a tree, and its member's name.
const VALUE_COST: usize = 104;

/// What an object takes besides: room for four members, and their table.
const OBJECT_COST: usize = 400;

/// Reads a body whose tree takes at most this many bytes besides what is folded.
pub fn parse_body(body: &[u8], cost_max: usize) -> Result<Map<String, Value>, ParseError> {
    let mut room = Room { left: cost_max, ended: false };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let seed = In { place: Place::Structure, room: &mut room };
    let read = seed.deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    match read {
        Ok(Value::Object(members)) => Ok(members),
        Err(_) if room.ended => Err(ParseError::TooMany),
        Ok(_) | Err(_) => Err(ParseError::NoObject),
    }
}

struct Room {
    left: usize,
    ended: bool,
}

impl Room {
    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        let Some(left) = self.left.checked_sub(bytes) else {
            self.ended = true;
            return Err(E::custom("too many members"));
        };
        self.left = left;
        Ok(())
    }
}

/// What stands at a place of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Members by the names of the service model.
    Structure,
    /// Tables, each with a structure.
    Tables,
    /// Tables, each with a list of items; or structures in a list.
    Responses,
    /// Attributes, each with an older condition or update.
    Older,
    /// An older condition or update.
    OlderOne,
    /// An item, or a key.
    Item,
    Items,
    /// Placeholders, each with a value.
    Placeholders,
    Value,
    Values,
    /// Nothing that is folded.
    Plain,
}

impl Place {
    fn of_member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Plain, _) => Self::Plain,
            (Self::Older, _) => Self::OlderOne,
            (Self::OlderOne, "Value") | (Self::Placeholders, _) => Self::Value,
            (Self::OlderOne, "AttributeValueList") | (Self::Structure, "Parameters") => {
                Self::Values
            }
            (
                Self::Structure,
                "Item" | "Key" | "Attributes" | "ExclusiveStartKey" | "LastEvaluatedKey",
            ) => Self::Item,
            (Self::Responses, _) | (Self::Structure, "Items" | "Keys") => Self::Items,
            (Self::Structure, "ExpressionAttributeValues") => Self::Placeholders,
            (Self::Structure, "Expected" | "AttributeUpdates") => Self::Older,
            (Self::Structure, "RequestItems" | "UnprocessedItems" | "UnprocessedKeys") => {
                Self::Tables
            }
            (Self::Structure, "Responses") => Self::Responses,
            // Of tables, too: what stands there is a structure.
            _ => Self::Structure,
        }
    }

    fn of_element(self) -> Self {
        match self {
            Self::Items => Self::Item,
            Self::Values => Self::Value,
            Self::Plain => Self::Plain,
            _ => Self::Structure,
        }
    }

    /// A large item or value folded; anything else is read as JSON values.
    fn folded(self, text: &str) -> Option<Value> {
        if text.len() < FOLDED_BYTES_MIN || !text.starts_with('{') {
            return None;
        }
        let mut canonical = Vec::with_capacity(text.len());
        match self {
            Self::Item => write_item(&mut canonical, &item_from_text(text)?),
            Self::Value => write_value(&mut canonical, &value_from_text(text)?),
            _ => return None,
        }
        folded_if_large(canonical)
    }
}

/// A value at a place.
struct In<'r> {
    place: Place,
    room: &'r mut Room,
}

impl<'de> DeserializeSeed<'de> for In<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if ![Place::Item, Place::Value].contains(&self.place) {
            return deserializer.deserialize_any(self);
        }
        let text = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        if let Some(folded) = self.place.folded(text) {
            self.room.take(text.len())?;
            return Ok(folded);
        }
        // It is small; or it is wrong, and is said to be so in DynamoDB's words.
        let seed = In { place: Place::Plain, room: self.room };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        seed.deserialize(&mut deserializer).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for In<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        self.scalar(truth.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.scalar(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.scalar(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.scalar(number.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.room.take(text.len())?;
        self.scalar(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        self.room.take(VALUE_COST)?;
        let (place, mut elements) = (self.place.of_element(), Vec::new());
        while let Some(element) = sequence.next_element_seed(In { place, room: &mut *self.room })? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.room.take(VALUE_COST + OBJECT_COST)?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.room.take(name.len())?;
            let place = self.place.of_member(&name);
            let value = map.next_value_seed(In { place, room: &mut *self.room })?;
            if name == MARK && value.is_string() {
                return Err(A::Error::custom("text where an attribute's value is"));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

impl In<'_> {
    fn scalar<E: Error>(self, value: Value) -> Result<Value, E> {
        self.room.take(VALUE_COST)?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::folded::{unfolded, write_json};
    use serde_json::json;

    const ENOUGH: usize = 1 << 20;

    fn large() -> Value {
        json!({"id": {"S": "a"}, "l": {"L": vec![json!({"M": {"a": {"N": "1"}}}); 100]}})
    }

    /// Which members of a body were folded, as pointers; and it is written as it was.
    fn check(body: &Value, folded: &[&str]) {
        let read = Value::Object(parse_body(body.to_string().as_bytes(), ENOUGH).unwrap());
        for pointer in folded {
            let at = read.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
            assert!(unfolded(at).is_some(), "{pointer} of {body:.100}");
        }
        assert_eq!(String::from_utf8(write_json(&read)).unwrap(), body.to_string());
        let count = read.to_string().matches(r"\u0000folded").count();
        assert_eq!(count, folded.len(), "{body:.100}");
    }

    #[test]
    fn items_and_values_are_folded_wherever_they_stand() {
        let (item, value) = (large(), large()["l"].clone());
        check(&json!({"TableName": "t", "Item": item, "Key": {"id": {"S": "a"}}}), &["/Item"]);
        let batch = json!([{"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": item}}]);
        check(
            &json!({"RequestItems": {"Item": batch, "t": {"Keys": [item]}}}),
            &[
                "/RequestItems/Item/0/PutRequest/Item",
                "/RequestItems/Item/1/DeleteRequest/Key",
                "/RequestItems/t/Keys/0",
            ],
        );
        check(
            &json!({"TransactItems": [{"Put": {"Item": item}},
                {"Update": {"ExpressionAttributeValues": {":a": value, ":b": {"N": "1"}}}}]}),
            &["/TransactItems/0/Put/Item", "/TransactItems/1/Update/ExpressionAttributeValues/:a"],
        );
        check(
            &json!({"Expected": {"Item": {"AttributeValueList": [value]}},
                "AttributeUpdates": {"Key": {"Value": value}}}),
            &["/Expected/Item/AttributeValueList/0", "/AttributeUpdates/Key/Value"],
        );
        check(
            &json!({"Statements": [{"Statement": "s", "Parameters": [value]}]}),
            &["/Statements/0/Parameters/0"],
        );
        check(&json!({"Responses": {"Items": [item]}}), &["/Responses/Items/0"]);
        check(
            &json!({"Responses": [{"Item": item}], "Items": [item]}),
            &["/Responses/0/Item", "/Items/0"],
        );
        check(
            &json!({"__type": "x", "CancellationReasons": [{"Item": item}]}),
            &["/CancellationReasons/0/Item"],
        );
    }

    #[test]
    fn what_is_no_item_stays_as_it_is() {
        let mut wrong = large();
        wrong["l"]["L"][99] = json!({"N": 1});
        check(&json!({"Item": wrong}), &[]);
        check(&json!({"Item": [large()], "Key": "x".repeat(5000), "Items": {"a": 1}}), &[]);
        check(
            &json!({"Tags": [{"Key": "team", "Value": "shop"}], "n": [1, -1, 1.5, null, true]}),
            &[],
        );
        let forged = r#"{"Item":{"\u0000folded":"{}"}}"#.to_owned();
        assert_eq!(parse_body(forged.as_bytes(), ENOUGH), Err(ParseError::NoObject), "{forged}");
        for text in ["", "[]", "{", "null", "{}{}", &"[".repeat(100_000)] {
            assert_eq!(parse_body(text.as_bytes(), ENOUGH), Err(ParseError::NoObject));
        }
    }

    #[test]
    fn a_tree_that_takes_too_much_is_given_up() {
        for text in [
            format!("{{\"X\":[{}0]}}", "0,".repeat(20_000)),
            format!("{{\"X\":[{}{{}}]}}", "{},".repeat(4_000)),
            format!("{{\"Item\":{{\"X\":[{}0]}}}}", "0,".repeat(20_000)),
            format!("{{\"X\":\"{}\"}}", "x".repeat(ENOUGH)),
        ] {
            assert_eq!(parse_body(text.as_bytes(), ENOUGH), Err(ParseError::TooMany), "{text:.40}");
        }
    }
}
