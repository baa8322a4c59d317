//! Whether an item meets a condition.
//!
//! What is missing or of the wrong type makes a comparison false, never an error; only `<>` is true
//! of what is missing.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Comparator, Condition, Node, Operand};
use crate::value::{AttributeValue, Item, Number};

impl Condition {
    /// Whether the item meets it. An item that is not there is one without attributes.
    pub fn matches(&self, item: &Item) -> bool {
        self.root.matches(item)
    }
}

impl Node {
    fn matches(&self, item: &Item) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.matches(item)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(item)),
            Self::Not(node) => !node.matches(item),
            Self::Compare { left, comparator, right } => {
                comparator.holds(left.get(item).as_deref(), right.get(item).as_deref())
            }
            Self::Between { value, low, high } => {
                let value = value.get(item);
                Comparator::Ge.holds(value.as_deref(), low.get(item).as_deref())
                    && Comparator::Le.holds(value.as_deref(), high.get(item).as_deref())
            }
            Self::In { value, options } => {
                let value = value.get(item);
                let equals = |option: &Operand| {
                    Comparator::Eq.holds(value.as_deref(), option.get(item).as_deref())
                };
                options.iter().any(equals)
            }
            Self::Exists(path) => path.get(item).is_some(),
            Self::NotExists(path) => path.get(item).is_none(),
            Self::Type { value, kind } => {
                value.get(item).is_some_and(|value| value.kind() == *kind)
            }
            Self::BeginsWith { value, prefix } => match (value.get(item), prefix.get(item)) {
                (Some(value), Some(prefix)) => begins_with(&value, &prefix),
                _ => false,
            },
            Self::Contains { value, element } => match (value.get(item), element.get(item)) {
                (Some(value), Some(element)) => contains(&value, &element),
                _ => false,
            },
        }
    }
}

impl Comparator {
    /// Whether it holds between two values, of which any may be missing.
    pub fn holds(self, left: Option<&AttributeValue>, right: Option<&AttributeValue>) -> bool {
        let (Some(left), Some(right)) = (left, right) else {
            return self == Self::Ne;
        };
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left.order(right).is_some_and(Ordering::is_lt),
            Self::Le => left.order(right).is_some_and(Ordering::is_le),
            Self::Gt => left.order(right).is_some_and(Ordering::is_gt),
            Self::Ge => left.order(right).is_some_and(Ordering::is_ge),
        }
    }
}

impl Operand {
    /// Its value for this item, if it has one.
    fn get<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, AttributeValue>> {
        match self {
            Self::Path(path) => path.get(item).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Size(inner) => {
                let size = size(&*inner.get(item)?)?;
                Some(Cow::Owned(AttributeValue::N(Number::from(size))))
            }
        }
    }
}

/// What the function `size` gives. Strings are counted as Java counts them, in UTF-16 units.
pub fn size(value: &AttributeValue) -> Option<u64> {
    let size = match value {
        AttributeValue::S(text) => text.encode_utf16().count(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Ss(set) => set.len(),
        AttributeValue::Ns(set) => set.len(),
        AttributeValue::Bs(set) => set.len(),
        AttributeValue::L(list) => list.len(),
        AttributeValue::M(map) => map.len(),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => return None,
    };
    u64::try_from(size).ok()
}

/// Whether a string or binary begins with another of its type.
pub fn begins_with(value: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (value, prefix) {
        (AttributeValue::S(value), AttributeValue::S(prefix)) => value.starts_with(prefix.as_str()),
        (AttributeValue::B(value), AttributeValue::B(prefix)) => value.starts_with(prefix),
        _ => false,
    }
}

/// Whether a string or binary contains another, or a set or list an element.
pub fn contains(value: &AttributeValue, element: &AttributeValue) -> bool {
    match (value, element) {
        (AttributeValue::S(value), AttributeValue::S(part)) => value.contains(part.as_str()),
        (AttributeValue::B(value), AttributeValue::B(part)) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::Ss(set), AttributeValue::S(element)) => set.contains(element),
        (AttributeValue::Ns(set), AttributeValue::N(element)) => set.contains(element),
        (AttributeValue::Bs(set), AttributeValue::B(element)) => set.contains(element),
        (AttributeValue::L(list), element) => list.contains(element),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{ExpressionKind, Placeholders};
    use crate::value::item_from_json;
    use serde_json::json;

    fn check(text: &str, expected: bool) {
        let item = item_from_json(&json!({
            "s": {"S": "hello"}, "e": {"S": ""}, "emoji": {"S": "😀"},
            "n": {"N": "10"}, "b": {"B": "AAEC"}, "t": {"BOOL": true}, "nil": {"NULL": true},
            "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2.0"]}, "bs": {"BS": ["AAEC"]},
            "l": {"L": [{"N": "1"}, {"S": "x"}, {"L": []}]},
            "m": {"M": {"k": {"N": "1"}, "deep": {"M": {"x": {"S": "y"}}}}},
        }))
        .unwrap();
        let values = json!({
            ":ten": {"N": "10.0"}, ":nine": {"N": "9"}, ":one": {"N": "1"}, ":two": {"N": "2"},
            ":hello": {"S": "hello"}, ":he": {"S": "he"}, ":ell": {"S": "ell"}, ":a": {"S": "a"},
            ":b": {"B": "AAEC"}, ":b1": {"B": "AQ=="}, ":b0": {"B": "AA=="},
            ":true": {"BOOL": true},
            ":nil": {"NULL": true}, ":ss": {"SS": ["b", "a"]}, ":list": {"L": []}, ":x": {"S": "x"},
            ":N": {"S": "N"}, ":SS": {"S": "SS"}, ":NULL": {"S": "NULL"}, ":z": {"S": "z"},
            ":five": {"N": "5"}, ":three": {"N": "3"}, ":zero": {"N": "0"}, ":empty": {"S": ""},
        });
        let mut placeholders = Placeholders::from_json(None, Some(&values)).unwrap();
        let condition = Condition::parse(ExpressionKind::Filter, text, &mut placeholders);
        assert_eq!(condition.unwrap().matches(&item), expected, "{text}");
    }

    #[test]
    fn comparisons_are_by_value_and_type() {
        for (text, expected) in [
            ("n = :ten", true),
            ("n <> :ten", false),
            ("n > :nine", true),
            ("n < :nine", false),
            ("n >= :ten AND n <= :ten", true),
            (":nine < n", true),
            ("s = :hello", true),
            ("s > :a", true),
            ("s > :nine", false),
            ("s <> :nine", true),
            ("b = :b", true),
            ("b > :b0", true),
            ("t = :true", true),
            ("nil = :nil", true),
            ("ss = :ss", true),
            ("l[0] = m.k", true),
            ("l[2] = :list", true),
            ("m.deep.x = :x", false),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn what_is_missing_is_unequal_and_nothing_else() {
        for (text, expected) in [
            ("absent = :a", false),
            ("absent <> :a", true),
            ("absent < :a", false),
            ("absent >= :a", false),
            ("NOT absent = :a", true),
            ("absent = nowhere", false),
            ("absent <> nowhere", true),
            ("absent BETWEEN :one AND :two", false),
            ("absent IN (:a)", false),
            ("m.x.y = :a", false),
            ("l[9] = :a", false),
            ("contains(absent, :a)", false),
            ("size(absent) > :zero", false),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn ranges_and_lists_of_options() {
        for (text, expected) in [
            ("n BETWEEN :nine AND :ten", true),
            ("n BETWEEN :one AND :nine", false),
            ("s BETWEEN :a AND :z", true),
            ("s BETWEEN :one AND :two", false),
            (":five BETWEEN :one AND n", true),
            ("n IN (:a, :nine, :ten)", true),
            ("n IN (:a, :nine)", false),
            ("s IN (e, s2, :hello)", true),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn functions_answer_as_documented() {
        for (text, expected) in [
            ("attribute_exists(m.deep.x)", true),
            ("attribute_exists(l[3])", false),
            ("attribute_not_exists(absent)", true),
            ("attribute_not_exists(nil)", false),
            ("attribute_type(n, :N)", true),
            ("attribute_type(ss, :SS)", true),
            ("attribute_type(nil, :NULL)", true),
            ("attribute_type(s, :N)", false),
            ("attribute_type(absent, :N)", false),
            ("begins_with(s, :he)", true),
            ("begins_with(s, :ell)", false),
            ("begins_with(s, :empty)", true),
            ("begins_with(b, :b0)", true),
            ("begins_with(n, :he)", false),
            ("contains(s, :ell)", true),
            ("contains(s, :z)", false),
            ("contains(s, :one)", false),
            ("contains(b, :b1)", true),
            ("contains(ss, :a)", true),
            ("contains(ss, :z)", false),
            ("contains(ns, :two)", true),
            ("contains(bs, :b)", true),
            ("contains(l, :x)", true),
            ("contains(l, :list)", true),
            ("contains(l, :two)", false),
            ("contains(m, :x)", false),
            ("contains(:hello, s)", true),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn size_counts_what_its_operand_is_made_of() {
        for (text, expected) in [
            ("size(s) = :five", true),
            ("size(e) = :zero", true),
            ("size(emoji) = :two", true),
            ("size(b) = :three", true),
            ("size(ss) = :two", true),
            ("size(ns) = :two", true),
            ("size(bs) = :one", true),
            ("size(l) = :three", true),
            ("size(m) = :two", true),
            ("size(n) >= :zero", false),
            ("size(t) >= :zero", false),
            ("size(:hello) = :five", true),
            ("size(s) BETWEEN :one AND :ten", true),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn and_or_not_join_as_everywhere() {
        for (text, expected) in [
            ("s = :a OR s = :hello AND n = :ten", true),
            ("(s = :a OR s = :hello) AND n = :nine", false),
            ("NOT s = :a AND NOT n = :nine", true),
            ("NOT (s = :hello AND n = :ten)", false),
        ] {
            check(text, expected);
        }
    }
}
