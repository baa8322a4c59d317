//! JSON types: what a request's body must be made of, whatever its values. AWS's front end checks
//! all of it before anything else; its words for each wrong type are those of that front end.

use serde_json::{Map, Value};

use super::model::{ATTRIBUTE_VALUE, Member, Shape};
use crate::error::ServiceError;
use crate::value::{binary_from_json, bool_from_json, not_convertible, string_from_json, unfolded};

type Result<T> = std::result::Result<T, ServiceError>;

/// Where a value stands: the words for a wrong type depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A member of a structure.
    Member,
    /// An element of a list, or a value of a map.
    Element,
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Attribute values are left to who reads them.
    Members,
    Values,
}

/// What the front end says of a list in a list or a map in a list that is neither.
const NO_CLASS: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot \
                        be cast to class java.lang.Class \
                        (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and \
                        java.lang.Class are in module java.base of loader 'bootstrap')";

/// Checks the members of a body or a structure. Unknown members, and nulls, are as if absent.
pub fn check(members: &[Member], body: &Map<String, Value>, depth: Depth) -> Result<()> {
    for member in members {
        if let Some(value) = body.get(member.name).filter(|value| !value.is_null()) {
            check_shape(&member.shape, value, Place::Member, depth)?;
        }
    }
    Ok(())
}

fn check_shape(shape: &Shape, value: &Value, place: Place, depth: Depth) -> Result<()> {
    match shape {
        Shape::Text(_) => string_from_json(value).map(drop),
        Shape::Flag => bool_from_json(value).map(drop),
        Shape::Whole(..) if value.is_number() => Ok(()),
        Shape::Whole(kind, _) => Err(not_convertible(value, kind)),
        Shape::Attribute if depth == Depth::Members => Ok(()),
        Shape::Attribute => check_attribute(value, place),
        Shape::List(element, _) => {
            check_list(value, place, |value| check_shape(element, value, Place::Element, depth))
        }
        Shape::Map(kind, content, _) => check_map(kind, value, place, |value| {
            check_shape(content, value, Place::Element, depth)
        }),
        Shape::Structure(kind, members) => check(members, structure(kind, value, place)?, depth),
    }
}

fn check_list(
    value: &Value,
    place: Place,
    mut each: impl FnMut(&Value) -> Result<()>,
) -> Result<()> {
    match (value, place) {
        (Value::Array(values), _) => {
            values.iter().filter(|value| !value.is_null()).try_for_each(&mut each)
        }
        (Value::Object(_), _) => Err(not_convertible(value, "List")),
        (_, Place::Member) => Err(ServiceError::serialization("Unexpected field type")),
        (_, Place::Element) => Err(ServiceError::serialization(NO_CLASS)),
    }
}

fn check_map(
    kind: &str,
    value: &Value,
    place: Place,
    mut each: impl FnMut(&Value) -> Result<()>,
) -> Result<()> {
    // What is folded was read as what stands here.
    if unfolded(value).is_some() {
        return Ok(());
    }
    match (value, place) {
        (Value::Object(values), _) => {
            values.values().filter(|value| !value.is_null()).try_for_each(&mut each)
        }
        (Value::Array(_), _) => Err(ServiceError::serialization(format!(
            "Unrecognized collection type java.util.Map<java.lang.String, {kind}>"
        ))),
        (_, Place::Member) => Err(ServiceError::serialization("Unexpected field type")),
        (_, Place::Element) => Err(ServiceError::serialization(NO_CLASS)),
    }
}

fn structure<'v>(kind: &str, value: &'v Value, place: Place) -> Result<&'v Map<String, Value>> {
    match (value, place) {
        (Value::Object(members), _) => Ok(members),
        (Value::Array(_), _) => Err(ServiceError::serialization(format!(
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.{kind}"
        ))),
        (_, Place::Member) => Err(ServiceError::serialization("Unexpected field type")),
        (_, Place::Element) => Err(ServiceError::serialization("Unexpected value type in payload")),
    }
}

fn check_attribute(value: &Value, place: Place) -> Result<()> {
    if unfolded(value).is_some() {
        return Ok(());
    }
    let members = structure("AttributeValue", value, place)?;
    for (kind, content) in members.iter().filter(|(_, content)| !content.is_null()) {
        match kind.as_str() {
            "S" | "N" => string_from_json(content).map(drop)?,
            "B" => binary_from_json(content).map(drop)?,
            "BOOL" | "NULL" => bool_from_json(content).map(drop)?,
            "SS" | "NS" => {
                check_list(content, Place::Member, |text| string_from_json(text).map(drop))?;
            }
            "BS" => check_list(content, Place::Member, |bytes| binary_from_json(bytes).map(drop))?,
            "L" => {
                check_list(content, Place::Member, |value| check_attribute(value, Place::Element))?;
            }
            "M" => check_map(ATTRIBUTE_VALUE, content, Place::Member, |value| {
                check_attribute(value, Place::Element)
            })?,
            _ => {}
        }
    }
    Ok(())
}
