//! Plain JSON as DynamoDB's. Numbers keep all their digits: they are never read as floating point.

use dm_dynamodb::value::{AttributeValue, Item, Number, item_to_json};
use serde_json::Value;
use serde_json::value::RawValue;

use super::unique::Unique;

/// What is wrong inside of an item.
#[derive(Debug)]
pub struct PlainError {
    /// Where, as `.color[0]`.
    pub at: String,
    pub why: String,
}

type Result<T> = std::result::Result<T, PlainError>;

/// An item in DynamoDB's JSON.
pub fn item(raw: &RawValue) -> Result<Value> {
    if !raw.get().starts_with('{') {
        return Err(wrong("an item is an object"));
    }
    let item = item_to_json(&map(raw)?);
    // What holds for a whole item, such as its depth, is checked with it.
    match dm_dynamodb::value::item_from_json(&item) {
        Ok(_) => Ok(item),
        Err(error) => Err(wrong(error.message)),
    }
}

fn map(raw: &RawValue) -> Result<Item> {
    let Unique(members) = parsed::<Unique<&RawValue>>(raw)?;
    members
        .into_iter()
        .map(|(name, raw)| match value(raw) {
            Ok(value) => Ok((name, value)),
            Err(error) => Err(inside(format!(".{name}"), error)),
        })
        .collect()
}

fn value(raw: &RawValue) -> Result<AttributeValue> {
    Ok(match raw.get().bytes().next().unwrap_or_default() {
        b'"' => AttributeValue::S(parsed(raw)?),
        b'{' => AttributeValue::M(map(raw)?),
        b'[' => {
            let elements: Vec<&RawValue> = parsed(raw)?;
            let elements = elements
                .into_iter()
                .enumerate()
                .map(|(at, raw)| value(raw).map_err(|error| inside(format!("[{at}]"), error)));
            AttributeValue::L(elements.collect::<Result<_>>()?)
        }
        b't' | b'f' => AttributeValue::Bool(parsed(raw)?),
        b'n' => AttributeValue::Null,
        _ => AttributeValue::N(Number::parse(raw.get()).map_err(|error| wrong(error.to_string()))?),
    })
}

fn parsed<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Result<T> {
    serde_json::from_str(raw.get()).map_err(|error| wrong(error.to_string()))
}

fn wrong(why: impl Into<String>) -> PlainError {
    PlainError { at: String::new(), why: why.into() }
}

fn inside(place: String, error: PlainError) -> PlainError {
    PlainError { at: place + &error.at, ..error }
}
