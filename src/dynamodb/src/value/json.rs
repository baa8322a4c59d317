//! Attribute values from and to the wire's JSON, checked as DynamoDB checks them.
//!
//! The order of checks decides which message a wrong request gets: first the JSON types of the
//! service model (SerializationException), then the values (ValidationException).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::folded::unfolded;
use super::text::{item_from_text, value_from_text};
use super::{
    AttributeType, AttributeValue, Item, NESTING_DEPTH_MAX, Number, NumberError, check_name,
};
use crate::error::ServiceError;

type Result<T> = std::result::Result<T, ServiceError>;

/// An item, a key, or any other map of attribute values.
pub fn item_from_json(json: &Value) -> Result<Item> {
    map_from_json(json, 0)
}

/// Reads the text of an item; of one that is wrong, DynamoDB's error.
pub fn parse_item(text: &str) -> Result<Item> {
    if let Some(item) = item_from_text(text) {
        return Ok(item);
    }
    let json: Value = serde_json::from_str(text)
        .map_err(|error| ServiceError::serialization(error.to_string()))?;
    item_from_json(&json)
}

/// The item on the wire.
pub fn item_to_json(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), value.to_json())).collect::<Map<_, _>>().into()
}

impl AttributeValue {
    /// The value of `{"S": "…"}` and the like.
    pub fn from_json(json: &Value) -> Result<Self> {
        value_from_json(json, 0)
    }

    /// `{"S": "…"}` and the like.
    pub fn to_json(&self) -> Value {
        let content = match self {
            Self::S(text) => text.clone().into(),
            Self::N(number) => number.to_string().into(),
            Self::B(bytes) => STANDARD.encode(bytes).into(),
            Self::Bool(truth) => (*truth).into(),
            Self::Null => true.into(),
            Self::M(map) => item_to_json(map),
            Self::L(list) => list.iter().map(Self::to_json).collect::<Vec<_>>().into(),
            Self::Ss(set) => set.iter().cloned().collect::<Vec<_>>().into(),
            Self::Ns(set) => set.iter().map(Number::to_string).collect::<Vec<_>>().into(),
            Self::Bs(set) => set.iter().map(|b| STANDARD.encode(b)).collect::<Vec<_>>().into(),
        };
        let mut object = Map::with_capacity(1);
        object.insert(self.kind().as_str().to_owned(), content);
        Value::Object(object)
    }
}

fn map_from_json(json: &Value, depth: usize) -> Result<Item> {
    if let Some(item) = unfolded(json).and_then(item_from_text) {
        return Ok(item);
    }
    match json {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| {
                let value = value_from_json(value, depth)?;
                check_name(name)?;
                Ok((name.clone(), value))
            })
            .collect(),
        Value::Array(_) => Err(ServiceError::serialization(
            "Unrecognized collection type java.util.Map<java.lang.String, \
             com.amazonaws.dynamodb.v20120810.AttributeValue>",
        )),
        _ => Err(ServiceError::serialization("Unexpected field type")),
    }
}

/// `depth` is how many lists and maps this value stands in.
fn value_from_json(json: &Value, depth: usize) -> Result<AttributeValue> {
    check_depth(depth)?;
    if let Some(value) = unfolded(json).and_then(value_from_text) {
        return Ok(value);
    }
    let object = match json {
        Value::Object(object) => object,
        Value::Array(_) => {
            return Err(ServiceError::serialization(
                "Unrecognized collection type class \
                 com.amazonaws.dynamodb.v20120810.AttributeValue",
            ));
        }
        _ => return Err(ServiceError::serialization("Unexpected value type in payload")),
    };
    // Members the service model does not know, and nulls, are as if they were not there.
    let mut members = object
        .iter()
        .filter(|(_, content)| !content.is_null())
        .filter_map(|(name, content)| AttributeType::from_name(name).map(|kind| (kind, content)));
    let (kind, content) = members.next().ok_or_else(|| {
        ServiceError::validation(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        )
    })?;
    let value = content_from_json(kind, content, depth)?;
    // Each content is checked before their number is.
    let others = members
        .map(|(kind, content)| content_from_json(kind, content, depth))
        .collect::<Result<Vec<_>>>()?;
    if !others.is_empty() {
        return Err(ServiceError::validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of \
             the supported datatypes",
        ));
    }
    Ok(value)
}

fn content_from_json(kind: AttributeType, json: &Value, depth: usize) -> Result<AttributeValue> {
    match kind {
        AttributeType::S => Ok(AttributeValue::S(string_from_json(json)?.to_owned())),
        AttributeType::N => Ok(AttributeValue::N(number(string_from_json(json)?)?)),
        AttributeType::B => Ok(AttributeValue::B(binary_from_json(json)?)),
        AttributeType::Bool => Ok(AttributeValue::Bool(bool_from_json(json)?)),
        AttributeType::Null if bool_from_json(json)? => Ok(AttributeValue::Null),
        AttributeType::Null => Err(ServiceError::invalid_value(
            "Null attribute value types must have the value of true",
        )),
        AttributeType::M => Ok(AttributeValue::M(map_from_json(json, depth + 1)?)),
        AttributeType::L => {
            let values = list(json)?.iter().map(|value| value_from_json(value, depth + 1));
            Ok(AttributeValue::L(values.collect::<Result<_>>()?))
        }
        AttributeType::Ss => string_set(list(json)?).map(AttributeValue::Ss),
        AttributeType::Ns => number_set(list(json)?).map(AttributeValue::Ns),
        AttributeType::Bs => binary_set(list(json)?).map(AttributeValue::Bs),
    }
}

/// The item counts as the first level, so a value may stand in one list or map less than that.
fn check_depth(depth: usize) -> Result<()> {
    if depth >= NESTING_DEPTH_MAX {
        return Err(ServiceError::validation(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested \
             levels beyond supported limit",
        ));
    }
    Ok(())
}

pub(crate) fn string_from_json(json: &Value) -> Result<&str> {
    match json {
        Value::String(text) => Ok(text),
        other => Err(not_convertible(other, "String")),
    }
}

fn number(text: &str) -> Result<Number> {
    Number::parse(text).map_err(ServiceError::from)
}

impl From<NumberError> for ServiceError {
    fn from(error: NumberError) -> Self {
        Self::request(error.to_string())
    }
}

/// A number as the framework in front of DynamoDB reads one that must be whole: it drops fractions.
pub fn whole_from_json(json: &Value) -> Option<i64> {
    // Out of range means out of bounds: the cast saturates.
    #[allow(clippy::cast_possible_truncation)]
    json.as_i64().or_else(|| json.as_f64().map(|number| number.floor() as i64))
}

/// The framework in front of DynamoDB reads some strings as truth values too.
pub(crate) fn bool_from_json(json: &Value) -> Result<bool> {
    match json {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) => match text.to_ascii_uppercase().as_str() {
            "TRUE" | "1" | "YES" => Ok(true),
            "FALSE" | "0" | "NO" => Ok(false),
            _ => Err(ServiceError::serialization("Unexpected token received from parser")),
        },
        other => Err(not_convertible(other, "Boolean")),
    }
}

pub(crate) fn binary_from_json(json: &Value) -> Result<Vec<u8>> {
    let text = match json {
        Value::String(text) => text,
        Value::Array(_) => {
            let message = "Unrecognized collection type class java.nio.ByteBuffer";
            return Err(ServiceError::serialization(message));
        }
        Value::Object(_) => return Err(not_convertible(json, "Blob")),
        _ => {
            let message = "only base-64-encoded strings are convertible to bytes";
            return Err(ServiceError::serialization(message));
        }
    };
    if !text.len().is_multiple_of(4) {
        return Err(ServiceError::serialization(format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
            text.len()
        )));
    }
    STANDARD
        .decode(text)
        .map_err(|_| ServiceError::serialization("Invalid last non-pad Base64 character dectected"))
}

fn list(json: &Value) -> Result<&[Value]> {
    match json {
        Value::Array(values) => Ok(values),
        Value::Object(_) => Err(not_convertible(json, "List")),
        _ => Err(ServiceError::serialization("Unexpected field type")),
    }
}

fn string_set(values: &[Value]) -> Result<BTreeSet<String>> {
    let texts = values.iter().map(string_from_json).collect::<Result<Vec<_>>>()?;
    if texts.is_empty() {
        return Err(ServiceError::invalid_value("An string set  may not be empty"));
    }
    let set: BTreeSet<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    if set.len() < texts.len() {
        let message = format!("Input collection [{}] contains duplicates.", texts.join(", "));
        return Err(ServiceError::invalid_value(message));
    }
    Ok(set)
}

fn number_set(values: &[Value]) -> Result<BTreeSet<Number>> {
    let texts = values.iter().map(string_from_json).collect::<Result<Vec<_>>>()?;
    if texts.is_empty() {
        return Err(ServiceError::invalid_value("An number set  may not be empty"));
    }
    let set = texts.iter().map(|text| number(text)).collect::<Result<BTreeSet<_>>>()?;
    if set.len() < texts.len() {
        return Err(ServiceError::request("Input collection contains duplicates"));
    }
    Ok(set)
}

fn binary_set(values: &[Value]) -> Result<BTreeSet<Vec<u8>>> {
    if values.is_empty() {
        return Err(ServiceError::invalid_value("Binary sets should not be empty"));
    }
    let set = values.iter().map(binary_from_json).collect::<Result<BTreeSet<_>>>()?;
    if set.len() < values.len() {
        let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return Err(ServiceError::invalid_value(format!(
            "Input collection [{}]of type BS contains duplicates.",
            texts.join(", ")
        )));
    }
    Ok(set)
}

/// What the framework says of a JSON value where the service model has another type.
pub(crate) fn not_convertible(json: &Value, wanted: &str) -> ServiceError {
    let found = match json {
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Null => "NULL_VALUE",
        Value::Array(_) => {
            let message = format!("Unrecognized collection type class java.lang.{wanted}");
            return ServiceError::serialization(message);
        }
        Value::Object(_) => {
            let message = "Start of structure or map found where not expected";
            return ServiceError::serialization(message);
        }
    };
    ServiceError::serialization(format!("{found} cannot be converted to {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use serde_json::json;

    fn check(json: &Value, expected: &str) {
        let error = AttributeValue::from_json(json).unwrap_err();
        assert_eq!(error.message, expected, "{json:.100}");
    }

    const EMPTY: &str =
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";

    #[test]
    fn every_type_comes_back_as_it_went() {
        for json in [
            json!({"S": ""}),
            json!({"S": "añ😀"}),
            json!({"N": "-1.5"}),
            json!({"B": ""}),
            json!({"B": "AAEC"}),
            json!({"BOOL": false}),
            json!({"NULL": true}),
            json!({"L": [{"S": "a"}, {"M": {}}]}),
            json!({"M": {"a": {"L": []}, "b": {"NULL": true}}}),
            json!({"SS": ["a", "b"]}),
            json!({"NS": ["-2", "1", "10"]}),
            json!({"BS": ["AA==", "AAEC"]}),
        ] {
            assert_eq!(AttributeValue::from_json(&json).unwrap().to_json(), json);
        }
    }

    #[test]
    fn what_is_equal_reads_as_equal() {
        for (left, right) in [
            (json!({"N": "1.0"}), json!({"N": "1"})),
            (json!({"SS": ["b", "a"]}), json!({"SS": ["a", "b"]})),
            (json!({"NS": ["1e1", "2"]}), json!({"NS": ["2.00", "10"]})),
            (json!({"BOOL": "true"}), json!({"BOOL": true})),
            (json!({"S": "a", "N": null, "X": 1}), json!({"S": "a"})),
        ] {
            let read = |json| AttributeValue::from_json(json).unwrap();
            assert_eq!(read(&left), read(&right));
        }
    }

    #[test]
    fn exactly_one_type_is_wanted() {
        check(&json!({}), EMPTY);
        check(&json!({"S": null}), EMPTY);
        check(&json!({"X": "a"}), EMPTY);
        check(&json!({"L": [{}]}), EMPTY);
        check(&json!({"M": {"a": {"a": ""}}}), EMPTY);
        check(
            &json!({"S": "a", "N": "1"}),
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of \
             the supported datatypes",
        );
        check(&json!({"S": "a", "N": ""}), "The parameter cannot be converted to a numeric value");
    }

    #[test]
    fn sets_are_neither_empty_nor_hold_anything_twice() {
        let invalid = "One or more parameter values were invalid: ";
        for (json, expected) in [
            (json!({"SS": []}), "An string set  may not be empty"),
            (json!({"NS": []}), "An number set  may not be empty"),
            (json!({"BS": []}), "Binary sets should not be empty"),
            (json!({"SS": ["a", "a"]}), "Input collection [a, a] contains duplicates."),
            (
                json!({"BS": ["Yg==", "Yg=="]}),
                "Input collection [Yg==, Yg==]of type BS contains duplicates.",
            ),
            (json!({"NULL": false}), "Null attribute value types must have the value of true"),
        ] {
            check(&json, &format!("{invalid}{expected}"));
        }
        check(&json!({"NS": ["1", "1.0"]}), "Input collection contains duplicates");
        check(
            &json!({"NS": ["1", "b"]}),
            "The parameter cannot be converted to a numeric value: b",
        );
    }

    #[test]
    fn other_json_types_are_serialization_errors() {
        for (json, expected) in [
            (json!("x"), "Unexpected value type in payload"),
            (
                json!([]),
                "Unrecognized collection type class \
                 com.amazonaws.dynamodb.v20120810.AttributeValue",
            ),
            (json!({"S": 1}), "NUMBER_VALUE cannot be converted to String"),
            (json!({"N": 1.5}), "DECIMAL_VALUE cannot be converted to String"),
            (json!({"S": true}), "TRUE_VALUE cannot be converted to String"),
            (json!({"S": []}), "Unrecognized collection type class java.lang.String"),
            (json!({"S": {}}), "Start of structure or map found where not expected"),
            (json!({"BOOL": 0}), "NUMBER_VALUE cannot be converted to Boolean"),
            (json!({"BOOL": "maybe"}), "Unexpected token received from parser"),
            (json!({"B": 1}), "only base-64-encoded strings are convertible to bytes"),
            (
                json!({"B": "abc"}),
                "Base64 encoded length is expected a multiple of 4 bytes but found: 3",
            ),
            (json!({"B": "ab=="}), "Invalid last non-pad Base64 character dectected"),
            (json!({"SS": "a"}), "Unexpected field type"),
            (json!({"L": {}}), "Start of structure or map found where not expected"),
            (
                json!({"M": []}),
                "Unrecognized collection type java.util.Map<java.lang.String, \
                 com.amazonaws.dynamodb.v20120810.AttributeValue>",
            ),
        ] {
            check(&json, expected);
            let error = AttributeValue::from_json(&json).unwrap_err();
            assert_eq!(error.code, ErrorCode::Serialization);
        }
    }

    #[test]
    fn values_stand_in_at_most_31_lists_and_maps() {
        let nested = |levels: usize| {
            (0..levels).fold(json!({"S": "x"}), |inner, level| match level % 2 {
                0 => json!({"L": [inner]}),
                _ => json!({"M": {"k": inner}}),
            })
        };
        assert_eq!(AttributeValue::from_json(&nested(31)).unwrap().levels(), 32);
        for levels in [32, 33, 60] {
            check(
                &nested(levels),
                "Nesting Levels have exceeded supported limits: Attributes in the item have \
                 nested levels beyond supported limit",
            );
        }
    }
}
