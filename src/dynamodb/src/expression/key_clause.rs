//! One condition on one key attribute.

use super::Comparator;
use crate::value::AttributeValue;

/// A condition on one attribute of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyClause {
    pub name: String,
    pub condition: SortCondition,
}

/// A condition on one attribute, with the values given.
#[derive(Clone, Debug, PartialEq)]
pub enum SortCondition {
    /// `=`, `<`, `<=`, `>` or `>=`; never `<>`.
    Compare(Comparator, AttributeValue),
    Between(AttributeValue, AttributeValue),
    BeginsWith(AttributeValue),
}
