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
    pub(crate) fn holds(
        self,
        left: Option<&AttributeValue>,
        right: Option<&AttributeValue>,
    ) -> bool {
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
fn size(value: &AttributeValue) -> Option<u64> {
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

pub(crate) fn begins_with(value: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (value, prefix) {
        (AttributeValue::S(value), AttributeValue::S(prefix)) => value.starts_with(prefix.as_str()),
        (AttributeValue::B(value), AttributeValue::B(prefix)) => value.starts_with(prefix),
        _ => false,
    }
}

fn contains(value: &AttributeValue, element: &AttributeValue) -> bool {
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
