//! Reads the parameters of calls about tables with the checks and words of the service's front end:
//! JSON types first, then what the service model says of single values.

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::value::whole_from_json;
use serde_json::{Map, Value};

type Result<T> = std::result::Result<T, ServiceError>;

/// The parameters of one request, or of one structure in it.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a>(&'a Map<String, Value>);

impl<'a> Parameters<'a> {
    /// Of a value that must be an object.
    pub fn of(value: &'a Value) -> Result<Self> {
        value.as_object().map(Self).ok_or_else(unexpected)
    }

    /// A parameter; null is as if absent.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The names of all parameters that are there.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str())
    }

    /// A parameter that must be there.
    pub fn required(self, name: &str) -> Result<&'a Value> {
        self.get(name).ok_or_else(|| {
            ServiceError::validation(format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: \
                 Member must not be null",
                member(name)
            ))
        })
    }

    pub fn text(self, name: &str) -> Result<Option<&'a str>> {
        self.get(name).map(|value| value.as_str().ok_or_else(unexpected)).transpose()
    }

    /// A truth value; absent is false.
    pub fn flag(self, name: &str) -> Result<bool> {
        self.get(name).map_or(Ok(false), |value| value.as_bool().ok_or_else(unexpected))
    }

    /// A whole number of at least this, and at most this where there is a bound.
    pub fn whole(self, name: &str, at_least: u32, at_most: Option<u32>) -> Result<Option<u32>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = whole_from_json(value).ok_or_else(unexpected)?;
        let outside = |bound: &str, limit: u32| {
            ServiceError::validation(format!(
                "1 validation error detected: Value '{number}' at '{}' failed to satisfy \
                 constraint: Member must have value {bound} than or equal to {limit}",
                member(name)
            ))
        };
        match u32::try_from(number) {
            Ok(number) if number >= at_least => match at_most {
                Some(limit) if number > limit => Err(outside("less", limit)),
                Some(_) | None => Ok(Some(number)),
            },
            Ok(_) => Err(outside("greater", at_least)),
            Err(_) if number < 0 => Err(outside("greater", at_least)),
            Err(_) => Err(outside("less", at_most.unwrap_or(u32::MAX))),
        }
    }

    /// One of some words; `listed` is how the service lists them in its message.
    pub fn choice<T: Copy>(
        self,
        name: &str,
        choices: &[(&str, T)],
        listed: &str,
    ) -> Result<Option<T>> {
        let Some(word) = self.text(name)? else { return Ok(None) };
        let found = choices.iter().find(|(choice, _)| *choice == word);
        found.map(|(_, chosen)| Some(*chosen)).ok_or_else(|| {
            ServiceError::validation(format!(
                "1 validation error detected: Value '{word}' at '{}' failed to satisfy \
                 constraint: Member must satisfy enum value set: [{listed}]",
                member(name)
            ))
        })
    }
}

/// A value is of another JSON type than the service model says.
pub fn unexpected() -> ServiceError {
    ServiceError::serialization("Unexpected value type in payload")
}

/// A parameter as the service model spells it inside messages.
fn member(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_types_are_serialization_errors_and_wrong_values_validation_errors() {
        let value = json!({"A": 1, "B": "x", "N": null, "L": -1});
        let parameters = Parameters::of(&value).unwrap();
        assert_eq!(parameters.text("A").unwrap_err().code.name(), "SerializationException");
        assert_eq!(parameters.text("N"), Ok(None));
        assert_eq!(parameters.whole("A", 1, None), Ok(Some(1)));
        assert_eq!(
            parameters.whole("L", 1, None).unwrap_err().message,
            "1 validation error detected: Value '-1' at 'l' failed to satisfy constraint: Member \
             must have value greater than or equal to 1"
        );
        assert_eq!(parameters.choice("B", &[("x", 7)], "x"), Ok(Some(7)));
        assert!(parameters.choice("B", &[("y", 7)], "y").is_err());
    }
}
