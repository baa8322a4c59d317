//! Whether an item meets a condition, by DynamoDB's rules: an operand that is missing or of another
//! type makes a comparison false, and only `<>` is true of it. An operand that cannot be calculated
//! fails the item.

use std::borrow::Cow;

use dm_dynamodb::expression::{Comparator, begins_with, contains};
use dm_dynamodb::value::AttributeValue;

use crate::ast::Node;
use crate::error::Cause;
use crate::error::Result;
use crate::evaluate::Context;

/// Two values that are compared.
type Pair<'v> = (Cow<'v, AttributeValue>, Cow<'v, AttributeValue>);

impl<'i> Context<'i> {
    /// Whether the condition holds.
    pub fn holds(self, node: &Node) -> Result<bool> {
        Ok(match node {
            Node::And(nodes) => {
                for node in nodes {
                    if !self.holds(node)? {
                        return Ok(false);
                    }
                }
                true
            }
            Node::Or(nodes) => {
                for node in nodes {
                    if self.holds(node)? {
                        return Ok(true);
                    }
                }
                false
            }
            Node::Not(node) => !self.holds(node)?,
            Node::Compare { left, comparator, right } => {
                let (left, right) = (self.present(left)?, self.present(right)?);
                comparator.holds(left.as_deref(), right.as_deref())
            }
            Node::Between { value, low, high } => {
                let (value, low, high) =
                    (self.present(value)?, self.present(low)?, self.present(high)?);
                Comparator::Ge.holds(value.as_deref(), low.as_deref())
                    && Comparator::Le.holds(value.as_deref(), high.as_deref())
            }
            Node::In { value, options } => {
                let value = self.present(value)?;
                for option in options {
                    if Comparator::Eq.holds(value.as_deref(), self.present(option)?.as_deref()) {
                        return Ok(true);
                    }
                }
                false
            }
            Node::Exists(path) => path.get(self.item).is_some(),
            Node::NotExists(path) => path.get(self.item).is_none(),
            Node::Type { value, kind } => {
                self.present(value)?.is_some_and(|value| value.kind() == *kind)
            }
            Node::BeginsWith { value, prefix } => self
                .both(value, prefix)?
                .is_some_and(|(value, prefix)| begins_with(&value, &prefix)),
            Node::Contains { value, element } => self
                .both(value, element)?
                .is_some_and(|(value, element)| contains(&value, &element)),
            Node::Matches { text, pattern } => match self.present(text)? {
                Some(value) => pattern.is_match(self.text("matches", text, &value)?),
                None => false,
            },
            // The parser lets no other node stand where a condition is.
            _ => matches!(&*self.value(node)?, AttributeValue::Bool(true)),
        })
    }

    /// The value of an operand, unless something it needs is missing.
    fn present<'n: 'v, 'v>(self, node: &'n Node) -> Result<Option<Cow<'v, AttributeValue>>>
    where
        'i: 'v,
    {
        match self.value(node) {
            Ok(value) => Ok(Some(value)),
            Err(cause) if cause.is_absence() => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    fn both<'n: 'v, 'v>(
        self,
        left: &'n Node,
        right: &'n Node,
    ) -> std::result::Result<Option<Pair<'v>>, Cause>
    where
        'i: 'v,
    {
        Ok(self.present(left)?.zip(self.present(right)?))
    }
}
