//! Tags of tables, as requests give them and answers list them. Pure.

use dm_dynamodb::error::ServiceError;
use serde_json::{Value, json};

use crate::overlay::control::keys::list;
use crate::overlay::control::parameters::{Parameters, unexpected};
use crate::overlay::control::words::invalid;
use crate::overlay::state::table::Tags;

/// Tags of one table ("Tagging restrictions in DynamoDB").
const TAGS_MAX: usize = 50;

/// Tags of one page of ListTagsOfResource.
const TAGS_OF_A_PAGE: usize = 10;

/// Length of a tag's key, and of its value.
const KEY_LENGTH_MAX: usize = 128;
const VALUE_LENGTH_MAX: usize = 256;

type Result<T> = std::result::Result<T, ServiceError>;

/// A request's Tags; none if it has none.
pub fn of_request(parameters: Parameters<'_>) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in list(parameters, "Tags")? {
        let tag = Parameters::of(tag)?;
        let text = |name: &str| -> Result<String> {
            Ok(tag.required(name)?.as_str().ok_or_else(unexpected)?.to_owned())
        };
        let (key, value) = (text("Key")?, text("Value")?);
        let key_length = key.chars().count();
        if key_length == 0 || key_length > KEY_LENGTH_MAX {
            return Err(invalid("The length of a tag's key must be between 1 and 128"));
        }
        if value.chars().count() > VALUE_LENGTH_MAX {
            return Err(invalid("The length of a tag's value must be at most 256"));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys starting with 'aws:' are reserved for AWS use"));
        }
        if tags.insert(key, value).is_some() {
            return Err(invalid("Tag keys must be unique"));
        }
    }
    Ok(tags)
}

/// A table has no more tags than it may.
pub fn check_count(tags: &Tags) -> Result<()> {
    if tags.len() <= TAGS_MAX {
        return Ok(());
    }
    Err(invalid(format!("The number of tags exceeds the limit of {TAGS_MAX}")))
}

/// The tag keys of UntagResource.
pub fn keys_of_request(parameters: Parameters<'_>) -> Result<Vec<String>> {
    parameters.required("TagKeys")?;
    list(parameters, "TagKeys")?
        .iter()
        .map(|key| key.as_str().map(str::to_owned).ok_or_else(unexpected))
        .collect()
}

/// A page of tags; its token is the key it ended with.
pub fn page(tags: &Tags, token: Option<&str>) -> Value {
    let behind: Vec<_> =
        tags.iter().filter(|(key, _)| token.is_none_or(|token| key.as_str() > token)).collect();
    let shown = &behind[..behind.len().min(TAGS_OF_A_PAGE)];
    let tag = |(key, value): &(&String, &String)| json!({"Key": key, "Value": value});
    let mut answer = json!({"Tags": shown.iter().map(tag).collect::<Value>()});
    if let (true, Some((last, _))) = (behind.len() > shown.len(), shown.last()) {
        answer["NextToken"] = last.as_str().into();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_paged_by_their_keys() {
        let tags: Tags = (0..12).map(|i| (format!("k{i:02}"), "v".to_owned())).collect();
        let first = page(&tags, None);
        assert_eq!(first["Tags"].as_array().unwrap().len(), 10);
        let second = page(&tags, first["NextToken"].as_str());
        assert_eq!(second["Tags"].as_array().unwrap().len(), 2);
        assert!(second.get("NextToken").is_none());
    }

    #[test]
    fn tags_have_limits() {
        let of = |key: &str, value: &str| {
            let request = json!({"Tags": [{"Key": key, "Value": value}]});
            of_request(Parameters::of(&request).unwrap())
        };
        assert!(of("team", "shop").is_ok());
        for (key, value) in
            [("", "x"), ("aws:x", "y"), (&"k".repeat(129), ""), ("k", &"v".repeat(257))]
        {
            assert!(of(key, value).is_err(), "{key} {value}");
        }
        let many: Tags = (0..51).map(|i| (i.to_string(), String::new())).collect();
        assert!(check_count(&many).is_err());
    }
}
