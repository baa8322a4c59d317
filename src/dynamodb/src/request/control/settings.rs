//! Time to live, point-in-time recovery and tags of a table.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::invalid;
use crate::error::ServiceError;
use crate::request::members::{count, flag, listed, missing, string, structure, text};

/// Tags of one table ("Tagging restrictions in DynamoDB").
const TAGS_MAX: usize = 50;

/// Length of a tag's key, and of its value.
const KEY_LENGTH_MAX: usize = 128;
const VALUE_LENGTH_MAX: usize = 256;

type Result<T> = std::result::Result<T, ServiceError>;

/// Tags by their keys.
pub type Tags = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateTimeToLive {
    /// The table as the request names it.
    pub table: String,
    pub enabled: bool,
    pub attribute: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateBackups {
    /// The table as the request names it.
    pub table: String,
    /// Whether point-in-time recovery is to be on.
    pub enabled: bool,
    /// How far back recovery can go.
    pub days: Option<u32>,
}

impl UpdateTimeToLive {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let none = Map::new();
        let asked = structure(body, "TimeToLiveSpecification").unwrap_or(&none);
        let attribute = text(asked, "AttributeName").unwrap_or_default();
        if attribute.len() > 255 {
            return invalid("AttributeName must be between 1 and 255 bytes long");
        }
        Ok(Self {
            table: string(body, "TableName"),
            enabled: flag(asked, "Enabled")?,
            attribute: attribute.to_owned(),
        })
    }
}

impl UpdateBackups {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let none = Map::new();
        let asked = structure(body, "PointInTimeRecoverySpecification").unwrap_or(&none);
        let days = count(asked, "RecoveryPeriodInDays")?;
        let enabled = flag(asked, "PointInTimeRecoveryEnabled")?;
        if days.is_some() && !enabled {
            return invalid(
                "RecoveryPeriodInDays can be specified only when PointInTimeRecoveryEnabled is \
                 true",
            );
        }
        Ok(Self { table: string(body, "TableName"), enabled, days })
    }
}

/// Reads Tags; none if the request has none.
pub fn tags(body: &Map<String, Value>) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in listed(body, "Tags") {
        let tag = tag?;
        let part = |member| text(tag, member).ok_or_else(|| missing(member));
        let (key, value) = (part("Key")?, part("Value")?);
        if key.is_empty() || key.chars().count() > KEY_LENGTH_MAX {
            return invalid("The length of a tag's key must be between 1 and 128");
        }
        if value.chars().count() > VALUE_LENGTH_MAX {
            return invalid("The length of a tag's value must be at most 256");
        }
        for part in [key, value] {
            if !part.chars().all(is_of_tags) {
                return invalid(
                    "The keys and values of tags can contain letters, white space, numbers and \
                     the characters + - = . _ : / @ only",
                );
            }
        }
        if key.to_lowercase().starts_with("aws:") {
            return invalid("Tag keys starting with 'aws:' are reserved for AWS use");
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return invalid("Tag keys must be unique");
        }
    }
    Ok(tags)
}

/// Whether a tag can contain a character ("Tagging restrictions in DynamoDB").
fn is_of_tags(character: char) -> bool {
    character.is_alphanumeric() || character.is_whitespace() || "+-=._:/@".contains(character)
}

/// Checks how many tags a table has.
pub fn check_tag_count(tags: &Tags) -> Result<()> {
    if tags.len() <= TAGS_MAX {
        return Ok(());
    }
    invalid(format!("The number of tags exceeds the limit of {TAGS_MAX}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tags_have_letters_numbers_and_some_signs() {
        let read = |key: &str, value: &str| {
            let body = json!({"Tags": [{"Key": key, "Value": value}]});
            tags(body.as_object().unwrap())
        };
        for text in ["a", "team 7", "+-=._:/@", "\u{e9}\u{5d0}\u{65e5}"] {
            assert!(read(text, text).is_ok(), "{text}");
        }
        for text in ["hi!", "d%g", "\"hello\"", "a#b", "a\\b", "\u{1f600}"] {
            let of_key = read(text, "v").unwrap_err().message;
            let of_value = read("k", text).unwrap_err().message;
            assert!(of_key.contains("the characters + - = . _ : / @ only"), "{of_key}");
            assert_eq!(of_key, of_value);
        }
        assert!(read("k", "").is_ok());
    }
}
