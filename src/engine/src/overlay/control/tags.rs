//! A page of a table's tags, as answers list them. Pure.

use dm_dynamodb::request::control::Tags;
use serde_json::{Value, json};

/// Tags of one page of ListTagsOfResource.
const TAGS_OF_A_PAGE: usize = 10;

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
}
