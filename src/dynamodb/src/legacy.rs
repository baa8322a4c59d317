//! The older parameters, from before expressions, translated into the same conditions and updates.
//!
//! They name top-level attributes only, and any name is a name: `a.b` is not a path here.

mod condition;
mod update;

use serde_json::{Map, Value};

pub use condition::{FilterKind, expected, filter, key_conditions};
pub use update::attribute_updates;

use crate::error::ServiceError;
use crate::expression::{Path, Projection};
use crate::value::check_name;

type Result<T> = std::result::Result<T, ServiceError>;

pub fn attributes_to_get(json: &Value) -> Result<Projection> {
    let names = json
        .as_array()
        .ok_or_else(|| ServiceError::serialization("Unexpected field type"))?
        .iter()
        .map(crate::value::string_from_json)
        .collect::<Result<Vec<_>>>()?;
    if names.is_empty() {
        return Err(constraint(
            "'[]'",
            "attributesToGet",
            "Member must have length greater than or equal to 1",
        ));
    }
    for (at, name) in names.iter().enumerate() {
        // DynamoDB Local reads a name that is too long, and finds no attribute.
        if name.is_empty() {
            check_name(name)?;
        }
        if names[..at].contains(name) {
            return Err(ServiceError::invalid_parameter(format!(
                "Duplicate value in attribute name: {name}"
            )));
        }
    }
    Ok(Projection::of(names.into_iter().map(Path::of).collect()))
}

/// What the framework says of a value outside its model.
fn constraint(value: &str, place: &str, what: &str) -> ServiceError {
    ServiceError::validation(format!(
        "1 validation error detected: Value {value} at '{place}' failed to satisfy constraint: \
         {what}"
    ))
}

/// The members of a map of structures, such as ScanFilter.
fn structures<'a>(json: &'a Value, kind: &str) -> Result<Vec<(&'a str, &'a Map<String, Value>)>> {
    let object = match json {
        Value::Object(object) => object,
        Value::Array(_) => {
            return Err(ServiceError::serialization(format!(
                "Unrecognized collection type java.util.Map<java.lang.String, \
                 com.amazonaws.dynamodb.v20120810.{kind}>"
            )));
        }
        _ => return Err(ServiceError::serialization("Unexpected field type")),
    };
    object
        .iter()
        .map(|(name, member)| match member {
            Value::Object(structure) => check_name(name).map(|()| (name.as_str(), structure)),
            Value::Array(_) => Err(ServiceError::serialization(format!(
                "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.{kind}"
            ))),
            _ => Err(ServiceError::serialization("Unexpected value type in payload")),
        })
        .collect()
}

/// A structure's member; null is as if absent.
fn member<'a>(structure: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    structure.get(name).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(json: &Value, expected: &str) {
        let shown = match attributes_to_get(json) {
            Ok(projection) => projection.paths().iter().map(Path::to_string).collect(),
            Err(error) => error.message,
        };
        assert_eq!(shown, expected, "{json}");
    }

    #[test]
    fn attributes_to_get_are_names_not_paths() {
        check(&json!(["a", "b.c", "data"]), "[a][b.c][data]");
        check(
            &json!(["a", "b", "a"]),
            "One or more parameter values were invalid: Duplicate value in attribute name: a",
        );
        check(
            &json!([]),
            "1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy \
             constraint: Member must have length greater than or equal to 1",
        );
        check(&json!(["a", ""]), "Empty attribute name");
        let long = "n".repeat(65_536);
        check(&json!([long]), &format!("[{long}]"));
        check(&json!("a"), "Unexpected field type");
        check(&json!([1]), "NUMBER_VALUE cannot be converted to String");
    }
}
