//! The keys that meet a key condition, as bytes between two bounds: the keys of a range are
//! together in the order of [`ItemKey::bytes`], so that a reader can begin at the first of them.

use super::Comparator;
use super::key_clause::{KeyClause, SortCondition};
use crate::schema::{ItemKey, KeySchema};
use crate::value::{AttributeValue, Item};

/// Bytes that end an encoded string or binary value.
const TERMINATOR_BYTES: usize = 2;

/// Bounds of keys as [`ItemKey::bytes`] has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The least bytes of a key in the range.
    pub from: Vec<u8>,
    /// The least bytes above every key in the range; `None` if no bytes are.
    pub until: Option<Vec<u8>>,
}

impl KeyRange {
    /// Keys that begin with these bytes.
    fn prefix(bytes: Vec<u8>) -> Self {
        Self { until: after_prefix(&bytes), from: bytes }
    }

    /// Keys of a partition that meet the clauses: all but the last are equalities. `None` if a
    /// value cannot be part of the key.
    pub(super) fn of(keys: &KeySchema, partition: &Item, sort: &[KeyClause]) -> Option<Self> {
        // Bytes of the partition, the equalities before the last clause, and a value of that one.
        let bytes = |last: Option<&AttributeValue>| {
            let mut values = partition.clone();
            let mut mentioned = sort.len() - usize::from(!sort.is_empty());
            for clause in &sort[..mentioned] {
                let SortCondition::Compare(_, value) = &clause.condition else { return None };
                values.insert(clause.name.clone(), value.clone());
            }
            if let (Some(value), Some(clause)) = (last, sort.last()) {
                values.insert(clause.name.clone(), value.clone());
                mentioned += 1;
            }
            let sort = keys.sort.get(..mentioned)?.to_vec();
            let schema = KeySchema { partition: keys.partition.clone(), sort };
            Some(ItemKey::of(&schema, &values)?.bytes().to_vec())
        };
        let whole = Self::prefix(bytes(None)?);
        let Some(clause) = sort.last() else { return Some(whole) };
        let above = |value| Some(after_prefix(&bytes(Some(value))?));
        Some(match &clause.condition {
            SortCondition::Compare(Comparator::Eq, value) => Self::prefix(bytes(Some(value))?),
            SortCondition::Compare(Comparator::Lt, value) => {
                Self { until: bytes(Some(value)), ..whole }
            }
            SortCondition::Compare(Comparator::Le, value) => Self { until: above(value)?, ..whole },
            SortCondition::Compare(Comparator::Gt, value) => Self { from: above(value)??, ..whole },
            SortCondition::Compare(Comparator::Ge, value) => {
                Self { from: bytes(Some(value))?, ..whole }
            }
            SortCondition::Compare(Comparator::Ne, _) => whole,
            SortCondition::Between(low, high) => {
                Self { from: bytes(Some(low))?, until: above(high)? }
            }
            SortCondition::BeginsWith(prefix) => {
                let mut bytes = bytes(Some(prefix))?;
                bytes.truncate(bytes.len().saturating_sub(TERMINATOR_BYTES));
                Self::prefix(bytes)
            }
        })
    }
}

/// The least bytes above every key with this prefix; `None` if there are none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{KeyAttribute, KeyType};
    use crate::value::item_from_json;
    use serde_json::json;

    fn attribute(name: &str, kind: KeyType) -> KeyAttribute {
        KeyAttribute { name: name.to_owned(), kind }
    }

    /// Holds a condition on `t`, the second of two sort attributes, against each value.
    fn check(kind: KeyType, condition: &SortCondition, values: &[AttributeValue]) {
        let keys = KeySchema {
            partition: vec![attribute("p", KeyType::S)],
            sort: vec![attribute("s", KeyType::S), attribute("t", kind)],
        };
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let equals = SortCondition::Compare(Comparator::Eq, text("s"));
        let clause = |name: &str, condition: &SortCondition| KeyClause {
            name: name.to_owned(),
            condition: condition.clone(),
        };
        let partition = Item::from([("p".to_owned(), text("p"))]);
        let clauses = [clause("s", &equals), clause("t", condition)];
        let range = KeyRange::of(&keys, &partition, &clauses).unwrap();
        for (p, s) in [("p", "s"), ("p", "r"), ("p", "t"), ("o", "s"), ("q", "s")] {
            for value in values {
                let item = Item::from([
                    ("p".to_owned(), text(p)),
                    ("s".to_owned(), text(s)),
                    ("t".to_owned(), value.clone()),
                ]);
                let key = ItemKey::of(&keys, &item).unwrap();
                let within = key.bytes() >= range.from.as_slice()
                    && range.until.as_deref().is_none_or(|until| key.bytes() < until);
                let expected = (p, s) == ("p", "s") && condition.holds(value);
                assert_eq!(within, expected, "{p} {s} {value:?} {condition:?}");
            }
        }
    }

    #[test]
    fn a_range_has_exactly_the_keys_that_meet_its_condition() {
        let texts = ["\0", "a", "a\0", "a\0b", "aa", "ab", "b", "\u{7f}", "\u{10ffff}"];
        let texts = texts.map(|text| AttributeValue::S(text.to_owned()));
        let numbers = ["-15", "-1.5", "-1", "0", "0.01", "1", "1.1", "1.11", "10", "99", "1e20"];
        let numbers =
            numbers.map(|n| item_from_json(&json!({"n": {"N": n}})).unwrap()["n"].clone());
        for (kind, values) in [(KeyType::S, &texts[..]), (KeyType::N, &numbers[..])] {
            for value in values {
                for comparator in
                    [Comparator::Eq, Comparator::Lt, Comparator::Le, Comparator::Gt, Comparator::Ge]
                {
                    check(kind, &SortCondition::Compare(comparator, value.clone()), values);
                }
                if kind == KeyType::S {
                    check(kind, &SortCondition::BeginsWith(value.clone()), values);
                }
                for high in values {
                    let between = SortCondition::Between(value.clone(), high.clone());
                    check(kind, &between, values);
                }
            }
        }
    }

    #[test]
    fn the_bytes_above_a_prefix_are_the_least() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
    }
}
