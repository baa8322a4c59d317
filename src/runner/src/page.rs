//! A page of a scan, of which one item after the other is read. As JSON values, a page of 1 MB with
//! small items takes forty times its bytes; as text it takes them once.

use dm_dynamodb::value::{Item, parse_item};
use dm_engine::Operation;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::request::RequestError;

/// An answer to a scan.
#[derive(Debug, Deserialize)]
pub(crate) struct ScanPage<'a> {
    /// Its items, as they were sent.
    #[serde(borrow, rename = "Items")]
    pub items: Vec<&'a RawValue>,
    /// The key after it; none behind the last page of a segment.
    #[serde(default, rename = "LastEvaluatedKey")]
    pub next: Option<Value>,
}

impl<'a> ScanPage<'a> {
    /// Splits an answer into its items. An answer that cannot be read is an error: taken for an
    /// empty page, it would end the segment.
    pub fn of(answer: &'a [u8]) -> Result<Self, RequestError> {
        serde_json::from_slice(answer).map_err(|_| not_understood(Operation::Scan, "its answer"))
    }
}

pub(crate) fn item(raw: &RawValue, operation: Operation) -> Result<Item, RequestError> {
    parse_item(raw.get()).map_err(|error| not_understood(operation, error.message))
}

/// The error of an answer that DynamoDB does not give.
pub(crate) fn not_understood(operation: Operation, what: impl Into<String>) -> RequestError {
    RequestError::Run {
        operation: operation.name(),
        name: "an answer that is not understood".into(),
        message: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::value::item_from_json;
    use serde_json::json;

    #[test]
    fn a_page_is_split_and_its_items_are_read_one_by_one() {
        let answer = br#"{"Count":2,"Items":[{"id": {"S":"a"}},{"id":{"S":1}}],"ScannedCount":2,
            "LastEvaluatedKey":{"id":{"S":"b"}}}"#;
        let page = ScanPage::of(answer).unwrap();
        assert_eq!(page.next, Some(json!({"id": {"S": "b"}})));
        let [first, second] = page.items.as_slice() else { panic!("{page:?}") };
        let expected = item_from_json(&json!({"id": {"S": "a"}})).unwrap();
        assert_eq!(item(first, Operation::Scan).unwrap(), expected);
        assert!(item(second, Operation::Scan).is_err());
    }

    #[test]
    fn the_last_page_has_no_key_and_what_is_no_page_is_an_error() {
        let last = ScanPage::of(br#"{"Items":[],"Count":0}"#).unwrap();
        assert!(last.items.is_empty() && last.next.is_none());
        for answer in ["", "[]", "{", r#"{"Items":7}"#] {
            let error = ScanPage::of(answer.as_bytes()).unwrap_err().to_string();
            assert_eq!(
                error, "Scan failed with an answer that is not understood: its answer",
                "{answer}"
            );
        }
    }
}
