//! Items from and to JSON text, without a tree of JSON values between them: that takes up to
//! seventy times the text. What is read here is exactly right; for DynamoDB's words on anything
//! else see `json`.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{AttributeType, AttributeValue, Item, NESTING_DEPTH_MAX, Number, check_name};

/// The item of a text; `None` where anything is not as an item is written.
pub fn item_from_text(text: &str) -> Option<Item> {
    read(text, Map { depth: 0 })
}

/// The value of a text such as `{"S": "…"}`.
pub fn value_from_text(text: &str) -> Option<AttributeValue> {
    read(text, One { depth: 0 })
}

fn read<'de, T: DeserializeSeed<'de>>(text: &'de str, seed: T) -> Option<T::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer).ok()?;
    deserializer.end().is_ok().then_some(value)
}

/// Appends an item's text.
pub fn write_item(out: &mut Vec<u8>, item: &Item) {
    // Nothing fails to be written into memory.
    let _ = serde_json::to_writer(out, &ItemText(item));
}

/// Appends a value's text.
pub fn write_value(out: &mut Vec<u8>, value: &AttributeValue) {
    // As above.
    let _ = serde_json::to_writer(out, &ValueText(value));
}

/// An item that is written as its text.
pub struct ItemText<'a>(pub &'a Item);

/// A value that is written as its text.
struct ValueText<'a>(&'a AttributeValue);

impl Serialize for ItemText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, ValueText(value))))
    }
}

impl Serialize for ValueText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let kind = self.0.kind().as_str();
        match self.0 {
            AttributeValue::S(text) => map.serialize_entry(kind, text)?,
            AttributeValue::N(number) => map.serialize_entry(kind, &number.to_string())?,
            AttributeValue::B(bytes) => map.serialize_entry(kind, &STANDARD.encode(bytes))?,
            AttributeValue::Bool(truth) => map.serialize_entry(kind, truth)?,
            AttributeValue::Null => map.serialize_entry(kind, &true)?,
            AttributeValue::M(item) => map.serialize_entry(kind, &ItemText(item))?,
            AttributeValue::L(list) => map.serialize_entry(kind, &All(list, ValueText))?,
            AttributeValue::Ss(set) => map.serialize_entry(kind, set)?,
            AttributeValue::Ns(set) => map.serialize_entry(kind, &All(set, Number::to_string))?,
            AttributeValue::Bs(set) => {
                map.serialize_entry(kind, &All(set, |bytes| STANDARD.encode(bytes)))?;
            }
        }
        map.end()
    }
}

/// The elements of a list or set, each written as this makes it.
struct All<'a, C, F>(&'a C, F);

impl<'a, C, T: 'a, W: Serialize, F: Fn(&'a T) -> W> Serialize for All<'a, C, F>
where
    &'a C: IntoIterator<Item = &'a T>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.into_iter().map(&self.1))
    }
}

/// The content of a map, in this many others.
struct Map {
    depth: usize,
}

/// One value, in this many maps and lists.
struct One {
    depth: usize,
}

/// The content of a list.
struct List {
    depth: usize,
}

/// The name of a type.
struct Kind;

impl<'de> DeserializeSeed<'de> for Map {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Map {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut pairs = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            right::<_, A::Error>(check_name(&name).ok())?;
            pairs.push((name, map.next_value_seed(One { depth: self.depth })?));
        }
        Ok(pairs.into_iter().collect())
    }
}

impl<'de> DeserializeSeed<'de> for One {
    type Value = AttributeValue;

    fn deserialize<D: Deserializer<'de>>(self, of: D) -> Result<AttributeValue, D::Error> {
        of.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute's value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeValue, A::Error> {
        if self.depth >= NESTING_DEPTH_MAX {
            return Err(A::Error::custom("nested too deep"));
        }
        let kind = map.next_key_seed(Kind)?.ok_or_else(|| A::Error::custom("no type"))?;
        let depth = self.depth + 1;
        let value = match kind {
            AttributeType::S => AttributeValue::S(map.next_value()?),
            AttributeType::N => {
                AttributeValue::N(right::<_, A::Error>(number(&map.next_value::<String>()?))?)
            }
            AttributeType::B => {
                AttributeValue::B(right::<_, A::Error>(binary(&map.next_value::<String>()?))?)
            }
            AttributeType::Bool => AttributeValue::Bool(map.next_value()?),
            AttributeType::Null if map.next_value()? => AttributeValue::Null,
            AttributeType::Null => return Err(A::Error::custom("no null")),
            AttributeType::M => AttributeValue::M(map.next_value_seed(Map { depth })?),
            AttributeType::L => AttributeValue::L(map.next_value_seed(List { depth })?),
            AttributeType::Ss => AttributeValue::Ss(set::<_, A::Error>(map.next_value()?, Some)?),
            AttributeType::Ns => {
                AttributeValue::Ns(set::<_, A::Error>(map.next_value()?, |text| number(&text))?)
            }
            AttributeType::Bs => {
                AttributeValue::Bs(set::<_, A::Error>(map.next_value()?, |text| binary(&text))?)
            }
        };
        match map.next_key_seed(Kind)? {
            None => Ok(value),
            Some(_) => Err(A::Error::custom("two types")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for List {
    type Value = Vec<AttributeValue>;

    fn deserialize<D: Deserializer<'de>>(self, of: D) -> Result<Self::Value, D::Error> {
        of.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List {
    type Value = Vec<AttributeValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(One { depth: self.depth })? {
            values.push(value);
        }
        values.shrink_to_fit();
        Ok(values)
    }
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = AttributeType;

    fn deserialize<D: Deserializer<'de>>(self, of: D) -> Result<AttributeType, D::Error> {
        of.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Kind {
    type Value = AttributeType;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<AttributeType, E> {
        AttributeType::from_name(name).ok_or_else(|| E::custom("no type"))
    }
}

fn right<T, E: Error>(value: Option<T>) -> Result<T, E> {
    value.ok_or_else(|| E::custom("not as it is written"))
}

fn number(text: &str) -> Option<Number> {
    Number::parse(text).ok()
}

fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Neither empty nor with anything twice.
fn set<T: Ord, E: Error>(
    texts: Vec<String>,
    one: impl Fn(String) -> Option<T>,
) -> Result<BTreeSet<T>, E> {
    let count = texts.len();
    let set = texts.into_iter().map(one).collect::<Option<BTreeSet<T>>>();
    right(set.filter(|set| count > 0 && set.len() == count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{item_from_json, item_to_json};
    use serde_json::{Value, json};

    fn items() -> Vec<Value> {
        let deep = (0..31).fold(json!({"S": "deep"}), |inner, _| json!({"L": [inner]}));
        vec![
            json!({}),
            json!({"~": {"S": ""}, "b": {"S": "\u{0}\"\\ü𝄞\u{2028}"}, "a": {"N": "-1.50"}}),
            json!({"b": {"B": "AAEC"}, "e": {"B": ""}, "t": {"BOOL": true}, "f": {"BOOL": false}}),
            json!({"n": {"NULL": true}, "m": {"M": {"b": {"M": {}}, "a": {"L": []}}}, "d": deep}),
            json!({"s": {"SS": ["b", "a", ""]}, "n": {"NS": ["2", "10", "-1"]},
                "b": {"BS": ["AA==", ""]}}),
        ]
    }

    #[test]
    fn text_and_json_say_the_same() {
        for json in items() {
            let item = item_from_json(&json).unwrap();
            assert_eq!(item_from_text(&json.to_string()).as_ref(), Some(&item));
            let mut text = Vec::new();
            write_item(&mut text, &item);
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text, item_to_json(&item).to_string());
            assert_eq!(item_from_text(&text), Some(item));
        }
    }

    #[test]
    fn what_json_refuses_or_reads_in_another_way_is_left_to_it() {
        let deep = (0..32).fold(json!({"S": "x"}), |inner, _| json!({"L": [inner]}));
        for json in [
            json!({"S": 1}),
            json!({"S": null}),
            json!({"N": "x"}),
            json!({"B": "abc"}),
            json!({"BOOL": "true"}),
            json!({"NULL": false}),
            json!({"SS": []}),
            json!({"NS": ["1", "1.0"]}),
            json!({"S": "a", "N": "1"}),
            json!({"M": {"": {"S": "a"}}}),
            json!({"L": [{"M": {"n".repeat(65_536): {"S": "a"}}}]}),
            json!({"X": "a"}),
            json!({}),
            json!([]),
            json!("x"),
            deep,
        ] {
            assert_eq!(value_from_text(&json.to_string()), None, "{json:.60}");
        }
        for text in ["", "{", "[]", "{}x", r#"{"a":{"S":"a"}"#] {
            assert_eq!(item_from_text(text), None, "{text}");
        }
        // Of two members of one name the later counts, as in JSON values.
        let twice = r#"{"a":{"S":"1"},"b":{"S":"x"},"a":{"S":"2"}}"#;
        let read = item_from_json(&serde_json::from_str(twice).unwrap()).ok();
        assert_eq!(item_from_text(twice), read);
    }
}
