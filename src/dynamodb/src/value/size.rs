//! The size of an item as DynamoDB counts it, for its limit and for capacity.
//!
//! From the Developer Guide, "DynamoDB item sizes and formats". For numbers the guide is only
//! approximate: one byte per two significant digits, and one more.

use super::{AttributeValue, Item, Number};
use crate::error::ServiceError;

/// Most bytes an item can have, names and values together.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;

/// The item's size in bytes: names in UTF-8, and values.
pub fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

/// Refuses what PutItem refuses for its size.
pub fn check_item_size(item: &Item) -> Result<(), ServiceError> {
    if item_size(item) > ITEM_BYTES_MAX { Err(too_large()) } else { Ok(()) }
}

/// Rejects a map or list that is larger than any item by what it contains: its own bytes, which
/// [`AttributeValue::size`] counts, are not part of this limit.
pub(crate) fn check_document_size(value: &AttributeValue) -> Result<(), ServiceError> {
    let own = match value {
        AttributeValue::M(map) => 3 + map.len(),
        AttributeValue::L(list) => 3 + list.len(),
        _ => return Ok(()),
    };
    if value.size() - own > ITEM_BYTES_MAX { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> ServiceError {
    ServiceError::validation("Item size has exceeded the maximum allowed size")
}

impl AttributeValue {
    /// The value's size in bytes, without its name.
    pub fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number_size(*number),
            Self::B(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::M(map) => 3 + map.len() + item_size(map),
            Self::L(list) => 3 + list.len() + list.iter().map(Self::size).sum::<usize>(),
            Self::Ss(set) => set.iter().map(String::len).sum(),
            Self::Ns(set) => set.iter().map(|number| number_size(*number)).sum(),
            Self::Bs(set) => set.iter().map(Vec::len).sum(),
        }
    }
}

/// Digits are stored in pairs aligned to even powers of ten, with a byte for the exponent and, for
/// negative numbers, one that closes them.
fn number_size(number: Number) -> usize {
    if number.is_zero() {
        return 1;
    }
    // A first digit of an even power of ten stands alone in its pair (1, 100, 0.01 …).
    let alone = usize::from(number.magnitude() % 2 == 0);
    let pairs = (number.digit_count() as usize + alone).div_ceil(2);
    1 + pairs + usize::from(number.is_negative())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(value: &Value, expected: usize) {
        assert_eq!(AttributeValue::from_json(value).unwrap().size(), expected, "{value}");
    }

    #[test]
    fn sizes_are_those_of_the_guide() {
        check(&json!({"S": ""}), 0);
        check(&json!({"S": "añ"}), 3);
        check(&json!({"B": "AAEC"}), 3);
        check(&json!({"BOOL": true}), 1);
        check(&json!({"NULL": true}), 1);
        check(&json!({"SS": ["a", "bc"]}), 3);
        check(&json!({"BS": ["AAEC", "AA=="]}), 4);
        check(&json!({"L": []}), 3);
        check(&json!({"L": [{"S": "ab"}, {"BOOL": false}]}), 3 + 2 + 3);
        check(&json!({"M": {}}), 3);
        check(&json!({"M": {"k": {"S": "ab"}}}), 3 + 1 + 3);
    }

    #[test]
    fn numbers_take_a_byte_for_two_digits_and_one_more() {
        for (text, expected) in
            [("0", 1), ("1", 2), ("12", 2), ("100", 2), ("123", 3), ("1234", 3), ("-1", 3)]
        {
            check(&json!({"N": text}), expected);
        }
        check(&json!({"NS": ["1", "12"]}), 4);
    }

    #[test]
    fn the_limit_counts_names_and_values() {
        let mut item = Item::from([("a".to_owned(), AttributeValue::S("x".repeat(409_599)))]);
        assert!(check_item_size(&item).is_ok());
        item.insert("b".to_owned(), AttributeValue::S(String::new()));
        let error = check_item_size(&item).unwrap_err();
        assert_eq!(error.message, "Item size has exceeded the maximum allowed size");
    }
}
