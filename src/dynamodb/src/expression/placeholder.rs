//! ExpressionAttributeNames and ExpressionAttributeValues of one request.
//!
//! All expressions of a request are parsed with the same placeholders, so that what none of them
//! uses can be refused at the end, as DynamoDB does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::token::is_word;
use super::{PLACEHOLDER_BYTES_MAX, SUBSTITUTED_BYTES_MAX};
use crate::error::{ErrorCode, ServiceError};
use crate::value::{AttributeValue, check_document_size, check_name};

/// The names and values expressions may refer to, and which of them were.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    used_names: BTreeSet<String>,
    used_values: BTreeSet<String>,
}

type Result<T> = std::result::Result<T, ServiceError>;

impl Placeholders {
    /// Reads a request's two parameters; null is as if absent.
    pub fn from_json(names: Option<&Value>, values: Option<&Value>) -> Result<Self> {
        let mut placeholders = Self::default();
        if let Some(names) = members(names, "java.lang.String")? {
            placeholders.read_names(names)?;
        }
        if let Some(values) = members(values, ATTRIBUTE_VALUE)? {
            placeholders.read_values(values)?;
        }
        placeholders.check_size()?;
        Ok(placeholders)
    }

    /// Rejects more than the service holds of names and values, those that no expression uses
    /// included.
    fn check_size(&self) -> Result<()> {
        let names: usize = self.names.iter().map(|(key, name)| key.len() + name.len()).sum();
        let values: usize = self.values.iter().map(|(key, value)| key.len() + value.size()).sum();
        let what = if names > SUBSTITUTED_BYTES_MAX {
            "ExpressionAttributeNames"
        } else if values > SUBSTITUTED_BYTES_MAX {
            "ExpressionAttributeValues"
        } else if names + values > SUBSTITUTED_BYTES_MAX {
            "Combined size of ExpressionAttributeNames and ExpressionAttributeValues"
        } else {
            return Ok(());
        };
        Err(ServiceError::validation(format!("{what} exceeds max size")))
    }

    fn read_names(&mut self, names: &serde_json::Map<String, Value>) -> Result<()> {
        if names.is_empty() {
            return Err(ServiceError::request(format!("{NAMES} must not be empty")));
        }
        for (key, name) in names {
            check_key(NAMES, '#', key)?;
            let name = name
                .as_str()
                .ok_or_else(|| ServiceError::serialization("Unexpected value type in payload"))?;
            check_name(name).map_err(|error| invalid(NAMES, key, error))?;
            self.names.insert(key.clone(), name.to_owned());
        }
        Ok(())
    }

    fn read_values(&mut self, values: &serde_json::Map<String, Value>) -> Result<()> {
        if values.is_empty() {
            return Err(ServiceError::request(format!("{VALUES} must not be empty")));
        }
        for key in values.keys() {
            check_key(VALUES, ':', key)?;
        }
        for (key, value) in values {
            let value = AttributeValue::from_json(value)
                .and_then(|value| check_document_size(&value).map(|()| value))
                .map_err(|error| invalid(VALUES, key, error))?;
            self.values.insert(key.clone(), value);
        }
        Ok(())
    }

    /// What `#name` stands for; it counts as used.
    pub(crate) fn name(&mut self, placeholder: &str) -> Option<String> {
        let name = self.names.get(placeholder)?;
        self.used_names.insert(placeholder.to_owned());
        Some(name.clone())
    }

    /// What `:value` stands for; it counts as used.
    pub(crate) fn value(&mut self, placeholder: &str) -> Option<AttributeValue> {
        let value = self.values.get(placeholder)?;
        self.used_values.insert(placeholder.to_owned());
        Some(value.clone())
    }

    /// Refuses what no expression used.
    pub fn check_all_used(&self) -> Result<()> {
        check_used(NAMES, self.names.keys(), &self.used_names)?;
        check_used(VALUES, self.values.keys(), &self.used_values)
    }
}

const NAMES: &str = "ExpressionAttributeNames";
const VALUES: &str = "ExpressionAttributeValues";
const ATTRIBUTE_VALUE: &str = "com.amazonaws.dynamodb.v20120810.AttributeValue";

fn members<'a>(
    json: Option<&'a Value>,
    element: &str,
) -> Result<Option<&'a serde_json::Map<String, Value>>> {
    match json {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(Value::Array(_)) => Err(ServiceError::serialization(format!(
            "Unrecognized collection type java.util.Map<java.lang.String, {element}>"
        ))),
        Some(_) => Err(ServiceError::serialization("Unexpected field type")),
    }
}

/// The error of one name or value, in the words of the parameter that it is in.
fn invalid(parameter: &str, key: &str, error: ServiceError) -> ServiceError {
    match error.code {
        ErrorCode::Validation | ErrorCode::RequestValidation => {
            let what = error.message;
            let message = format!("{parameter} contains invalid value: {what} for key {key}");
            ServiceError { message, ..error }
        }
        _ => error,
    }
}

fn check_key(parameter: &str, sign: char, key: &str) -> Result<()> {
    if key.len() > PLACEHOLDER_BYTES_MAX {
        // The size is shown of names only.
        let size = if sign == '#' { format!(" size of key: {}", key.len()) } else { String::new() };
        return Err(ServiceError::validation(format!(
            "{parameter} contains invalid key: The expression attribute map contains a key that is \
             too long;{size}"
        )));
    }
    let word = key.strip_prefix(sign).unwrap_or_default();
    if !word.is_empty() && word.bytes().all(is_word) {
        return Ok(());
    }
    Err(ServiceError::validation(format!(
        "{parameter} contains invalid key: Syntax error; key: \"{key}\""
    )))
}

fn check_used<'a>(
    parameter: &str,
    all: impl Iterator<Item = &'a String>,
    used: &BTreeSet<String>,
) -> Result<()> {
    let unused: Vec<&str> = all.filter(|key| !used.contains(*key)).map(String::as_str).collect();
    if unused.is_empty() {
        return Ok(());
    }
    Err(ServiceError::request(format!(
        "Value provided in {parameter} unused in expressions: keys: {{{}}}",
        unused.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(names: Value, values: Value, expected: &str) {
        let found = Placeholders::from_json(Some(&names), Some(&values))
            .and_then(|placeholders| placeholders.check_all_used());
        assert_eq!(found.unwrap_err().message, expected);
    }

    #[test]
    fn keys_and_values_are_checked_in_dynamodbs_words() {
        check(json!({}), json!(null), "ExpressionAttributeNames must not be empty");
        check(json!(null), json!({}), "ExpressionAttributeValues must not be empty");
        for key in ["a", "#", "#a-b", ":a", ""] {
            let message = format!(
                "ExpressionAttributeNames contains invalid key: Syntax error; key: \"{key}\""
            );
            check(json!({key: "x"}), json!(null), &message);
        }
        check(
            json!(null),
            json!({":a": {"N": "x"}}),
            "ExpressionAttributeValues contains invalid value: The parameter cannot be converted \
             to a numeric value: x for key :a",
        );
        check(json!("x"), json!(null), "Unexpected field type");
        check(
            json!({"#a": ""}),
            json!(null),
            "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a",
        );
        check(
            json!(null),
            json!({":a": {"M": {"": {"S": "x"}}}}),
            "ExpressionAttributeValues contains invalid value: Empty attribute name for key :a",
        );
    }

    #[test]
    fn placeholders_have_at_most_255_bytes() {
        let long = "The expression attribute map contains a key that is too long;";
        let (fits, name, value) = (format!("#{}", "a".repeat(254)), "#".to_owned(), ":".to_owned());
        let rest = "a".repeat(255);
        assert!(Placeholders::from_json(Some(&json!({fits: "x"})), None).is_ok());
        check(
            json!({name + &rest: "x"}),
            json!(null),
            &format!("ExpressionAttributeNames contains invalid key: {long} size of key: 256"),
        );
        check(
            json!(null),
            json!({value + &rest: {"S": "x"}}),
            &format!("ExpressionAttributeValues contains invalid key: {long}"),
        );
    }

    #[test]
    fn all_names_and_values_together_have_at_most_2_mb() {
        let names = |bytes: usize| {
            let name = |at: usize| (format!("#{at:02}"), json!("n".repeat(bytes / 32 - 3)));
            Value::Object((0..32).map(name).collect())
        };
        let values = |bytes: usize| json!({":v": {"S": "v".repeat(bytes - 2)}});
        let (all, half) = (SUBSTITUTED_BYTES_MAX, SUBSTITUTED_BYTES_MAX / 2);
        for (names, values) in [
            (names(all - 64), json!(null)),
            (json!(null), values(all)),
            (names(half), values(half)),
        ] {
            assert!(Placeholders::from_json(Some(&names), Some(&values)).is_ok());
        }
        check(names(all + 32), json!(null), "ExpressionAttributeNames exceeds max size");
        check(json!(null), values(all + 1), "ExpressionAttributeValues exceeds max size");
        check(
            names(half),
            values(half + 1),
            "Combined size of ExpressionAttributeNames and ExpressionAttributeValues exceeds max \
             size",
        );
        check(
            json!(null),
            json!({":v": {"L": [{"S": "v".repeat(409_601)}]}}),
            "ExpressionAttributeValues contains invalid value: Item size has exceeded the maximum \
             allowed size for key :v",
        );
    }

    #[test]
    fn what_no_expression_used_is_refused() {
        check(
            json!({"#b": "x", "#a": "y"}),
            json!({":v": {"S": ""}}),
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}",
        );
        check(
            json!(null),
            json!({":v": {"S": ""}}),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}",
        );
        let names = json!({"#a": "x"});
        let mut placeholders = Placeholders::from_json(Some(&names), None).unwrap();
        assert_eq!(placeholders.name("#a").as_deref(), Some("x"));
        assert_eq!(placeholders.name("#b"), None);
        assert!(placeholders.check_all_used().is_ok());
    }
}
