//! Members of requests whose types and limits were checked before: what is not there, or was found
//! to be of another type, is as if absent.

use serde_json::{Map, Value};

use crate::error::ServiceError;
use crate::value::{Item, bool_from_json, item_from_json, unfolded, whole_from_json};

type Result<T> = std::result::Result<T, ServiceError>;

/// How much of its consumed capacity a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityLevel {
    None,
    Total,
    /// The sum, and the parts of the table and of each index.
    Indexes,
}

impl CapacityLevel {
    /// What a body's ReturnConsumedCapacity asks for.
    pub fn of(body: &Map<String, Value>) -> Self {
        match text(body, "ReturnConsumedCapacity") {
            Some("INDEXES") => Self::Indexes,
            Some("TOTAL") => Self::Total,
            _ => Self::None,
        }
    }
}

/// A member; null is as if absent.
pub fn given<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

pub fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    given(body, name).and_then(Value::as_str)
}

/// A string that is there: the limits of members were checked.
pub fn string(body: &Map<String, Value>, name: &str) -> String {
    text(body, name).unwrap_or_default().to_owned()
}

/// A truth value; absent is false.
pub fn flag(body: &Map<String, Value>, name: &str) -> Result<bool> {
    given(body, name).map_or(Ok(false), bool_from_json)
}

/// A number of items. One that is too large has no meaning to us: it is rejected.
pub fn count(body: &Map<String, Value>, name: &str) -> Result<Option<u32>> {
    let number = whole(body, name)?.map(u32::try_from).transpose();
    number.map_err(|_| unexpected())
}

pub fn whole(body: &Map<String, Value>, name: &str) -> Result<Option<i64>> {
    given(body, name).map(|number| whole_from_json(number).ok_or_else(unexpected)).transpose()
}

pub fn structure<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    given(body, name).and_then(Value::as_object)
}

/// The strings of a list.
pub fn texts(body: &Map<String, Value>, name: &str) -> Result<Vec<String>> {
    let list = given(body, name).and_then(Value::as_array);
    let text = |text: &Value| text.as_str().map(str::to_owned).ok_or_else(unexpected);
    list.into_iter().flatten().map(text).collect()
}

/// An item or a key that must be there.
pub fn item(body: &Map<String, Value>, name: &str) -> Result<Item> {
    given(body, name).map_or_else(|| Err(missing(name)), item_from_json)
}

/// The structures of a list. Nothing else can stand in one but null, which is rejected: it would be
/// dropped.
pub fn listed<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = Result<&'a Map<String, Value>>> {
    let list = given(body, name).and_then(Value::as_array);
    let structure = |element: &'a Value| element.as_object().ok_or_else(unexpected);
    list.into_iter().flatten().map(structure)
}

/// The members of a map. A folded one has none: it was read already.
pub fn mapped<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let map = given(body, name).filter(|map| unfolded(map).is_none());
    map.and_then(Value::as_object).into_iter().flatten()
}

/// Whether ReturnItemCollectionMetrics asks for sizes.
pub fn collection_metrics(body: &Map<String, Value>) -> bool {
    text(body, "ReturnItemCollectionMetrics") == Some("SIZE")
}

/// Whether the error of a failed condition shows the item.
pub fn shows_on_failure(body: &Map<String, Value>) -> bool {
    text(body, "ReturnValuesOnConditionCheckFailure") == Some("ALL_OLD")
}

pub fn unexpected() -> ServiceError {
    ServiceError::serialization("Unexpected value type in payload")
}

pub fn missing(name: &str) -> ServiceError {
    let (first, rest) = name.split_at(1);
    ServiceError::validation(format!(
        "1 validation error detected: Value null at '{}{rest}' failed to satisfy constraint: \
         Member must not be null",
        first.to_ascii_lowercase()
    ))
}
