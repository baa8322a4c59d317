//! KeyConditionExpressions: parsed as conditions, then reduced to one clause for each attribute.

use super::condition_parse::parse_condition;
use super::key_condition::{KeyClause, SortCondition};
use super::{Comparator, ExpressionKind, Node, Operand, Placeholders};
use crate::error::ServiceError;
use crate::value::AttributeValue;

type Result<T> = std::result::Result<T, ServiceError>;

pub(crate) fn parse_key_clauses(
    text: &str,
    placeholders: &mut Placeholders,
) -> Result<Vec<KeyClause>> {
    let root = parse_condition(ExpressionKind::KeyCondition, text, placeholders)?;
    let mut clauses = Vec::new();
    collect(root, &mut clauses)?;
    Ok(clauses)
}

fn collect(node: Node, clauses: &mut Vec<KeyClause>) -> Result<()> {
    let clause = match node {
        Node::And(nodes) => {
            return nodes.into_iter().try_for_each(|node| collect(node, clauses));
        }
        Node::Or(_) => return Err(invalid_operator("OR")),
        Node::Not(_) => return Err(invalid_operator("NOT")),
        Node::In { .. } => return Err(invalid_operator("IN")),
        Node::Exists(_) => return Err(invalid_operator("attribute_exists")),
        Node::NotExists(_) => return Err(invalid_operator("attribute_not_exists")),
        Node::Type { .. } => return Err(invalid_operator("attribute_type")),
        Node::Contains { .. } => return Err(invalid_operator("contains")),
        Node::Compare { comparator: Comparator::Ne, .. } => return Err(invalid_operator("<>")),
        Node::Compare { left, comparator, right } => comparison(left, comparator, right)?,
        Node::Between { value, low, high } => {
            let (name, [low, high]) = first_is_key("BETWEEN", &value, [low, high])?;
            KeyClause { name, condition: SortCondition::Between(low, high) }
        }
        Node::BeginsWith { value, prefix } => {
            let (name, [prefix]) = first_is_key("begins_with", &value, [prefix])?;
            KeyClause { name, condition: SortCondition::BeginsWith(prefix) }
        }
    };
    if clauses.iter().any(|other| other.name == clause.name) {
        return Err(ServiceError::validation(
            "KeyConditionExpressions must only contain one condition per key",
        ));
    }
    clauses.push(clause);
    Ok(())
}

/// The attribute may stand on either side.
fn comparison(left: Operand, comparator: Comparator, right: Operand) -> Result<KeyClause> {
    let name = only_name(&[&left, &right])?;
    let (comparator, value) = match (left, right) {
        (_, Operand::Value(value)) => (comparator, value),
        (Operand::Value(value), _) => (comparator.mirrored(), value),
        _ => return Err(invalid_condition(MULTIPLE)),
    };
    Ok(KeyClause { name, condition: SortCondition::Compare(comparator, value) })
}

fn first_is_key<const N: usize>(
    operator: &str,
    key: &Operand,
    values: [Operand; N],
) -> Result<(String, [AttributeValue; N])> {
    if !matches!(key, Operand::Path(_)) {
        return Err(invalid_condition(&format!(
            "{operator} operator must have the key attribute as its first operand"
        )));
    }
    let all: Vec<&Operand> = std::iter::once(key).chain(&values).collect();
    let name = only_name(&all)?;
    let values = values.map(|value| match value {
        Operand::Value(value) => value,
        // Both have been refused.
        Operand::Path(_) | Operand::Size(_) => AttributeValue::Null,
    });
    Ok((name, values))
}

const MULTIPLE: &str = "Multiple attribute names used in one condition";

/// The one top-level attribute among the operands. Looked for from left to right: the first thing
/// that is wrong is what DynamoDB reports.
fn only_name(operands: &[&Operand]) -> Result<String> {
    let mut found = None;
    for operand in operands {
        match operand {
            Operand::Value(_) => {}
            Operand::Size(_) => {
                return Err(ServiceError::validation(
                    "KeyConditionExpressions cannot contain nested operations",
                ));
            }
            Operand::Path(_) if found.is_some() => return Err(invalid_condition(MULTIPLE)),
            Operand::Path(path) if !path.is_top_level() => {
                return Err(ServiceError::validation(
                    "KeyConditionExpressions cannot have conditions on nested attributes",
                ));
            }
            Operand::Path(path) => found = Some(path.root.clone()),
        }
    }
    found.ok_or_else(|| invalid_condition("No key attribute specified"))
}

fn invalid_operator(name: &str) -> ServiceError {
    ServiceError::validation(format!("Invalid operator used in KeyConditionExpression: {name}"))
}

fn invalid_condition(what: &str) -> ServiceError {
    ServiceError::validation(format!("Invalid condition in KeyConditionExpression: {what}"))
}
