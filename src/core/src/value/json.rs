//! Attribute values from and to the wire's JSON, checked as DynamoDB checks them.
//!
//! The order of checks decides which message a wrong request gets: first the JSON types of the
//! service model (SerializationException), then the values (ValidationException).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{AttributeType, AttributeValue, Item, NESTING_DEPTH_MAX, Number, NumberError};
use crate::error::ServiceError;

type Result<T> = std::result::Result<T, ServiceError>;

/// An item, a key, or any other map of attribute values.
pub fn item_from_json(json: &Value) -> Result<Item> {
    map_from_json(json, 0)
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
        let mut object = Map::new();
        object.insert(self.kind().as_str().to_owned(), content);
        Value::Object(object)
    }
}

fn map_from_json(json: &Value, depth: usize) -> Result<Item> {
    match json {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| Ok((name.clone(), value_from_json(value, depth)?)))
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
    let object = match json {
        Value::Object(object) => object,
        Value::Array(_) => {
            return Err(ServiceError::serialization(
                "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue",
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
    if members.next().is_some() {
        return Err(ServiceError::validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of \
             the supported datatypes",
        ));
    }
    Ok(value)
}

fn content_from_json(kind: AttributeType, json: &Value, depth: usize) -> Result<AttributeValue> {
    match kind {
        AttributeType::S => Ok(AttributeValue::S(string(json)?.to_owned())),
        AttributeType::N => Ok(AttributeValue::N(number(string(json)?)?)),
        AttributeType::B => Ok(AttributeValue::B(binary(json)?)),
        AttributeType::Bool => Ok(AttributeValue::Bool(boolean(json)?)),
        AttributeType::Null if boolean(json)? => Ok(AttributeValue::Null),
        AttributeType::Null => Err(ServiceError::invalid_parameter(
            "Null attribute value types must have the value of true",
        )),
        AttributeType::M => {
            check_depth(depth)?;
            Ok(AttributeValue::M(map_from_json(json, depth + 1)?))
        }
        AttributeType::L => {
            check_depth(depth)?;
            let values = list(json)?.iter().map(|value| value_from_json(value, depth + 1));
            Ok(AttributeValue::L(values.collect::<Result<_>>()?))
        }
        AttributeType::Ss => string_set(list(json)?).map(AttributeValue::Ss),
        AttributeType::Ns => number_set(list(json)?).map(AttributeValue::Ns),
        AttributeType::Bs => binary_set(list(json)?).map(AttributeValue::Bs),
    }
}

fn check_depth(depth: usize) -> Result<()> {
    if depth >= NESTING_DEPTH_MAX {
        return Err(ServiceError::validation("Nesting Levels have exceeded supported limits"));
    }
    Ok(())
}

fn string(json: &Value) -> Result<&str> {
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
        Self::validation(error.to_string())
    }
}

/// The framework in front of DynamoDB reads some strings as truth values too.
fn boolean(json: &Value) -> Result<bool> {
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

fn binary(json: &Value) -> Result<Vec<u8>> {
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
    let texts = values.iter().map(string).collect::<Result<Vec<_>>>()?;
    if texts.is_empty() {
        return Err(ServiceError::invalid_parameter("An string set  may not be empty"));
    }
    let set: BTreeSet<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    if set.len() < texts.len() {
        let message = format!("Input collection [{}] contains duplicates.", texts.join(", "));
        return Err(ServiceError::invalid_parameter(message));
    }
    Ok(set)
}

fn number_set(values: &[Value]) -> Result<BTreeSet<Number>> {
    let texts = values.iter().map(string).collect::<Result<Vec<_>>>()?;
    if texts.is_empty() {
        return Err(ServiceError::invalid_parameter("An number set  may not be empty"));
    }
    let set = texts.iter().map(|text| number(text)).collect::<Result<BTreeSet<_>>>()?;
    if set.len() < texts.len() {
        return Err(ServiceError::validation("Input collection contains duplicates"));
    }
    Ok(set)
}

fn binary_set(values: &[Value]) -> Result<BTreeSet<Vec<u8>>> {
    if values.is_empty() {
        return Err(ServiceError::invalid_parameter("Binary sets should not be empty"));
    }
    let set = values.iter().map(binary).collect::<Result<BTreeSet<_>>>()?;
    if set.len() < values.len() {
        let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return Err(ServiceError::invalid_parameter(format!(
            "Input collection [{}]of type BS contains duplicates.",
            texts.join(", ")
        )));
    }
    Ok(set)
}

/// What the framework says of a JSON value where the service model has another type.
fn not_convertible(json: &Value, wanted: &str) -> ServiceError {
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
