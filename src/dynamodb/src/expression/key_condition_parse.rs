//! KeyConditionExpressions: parsed as conditions, then reduced to one clause for each attribute.

use super::key_clause::{KeyClause, SortCondition};
use super::{Comparator, Condition, Node, Operand};
use crate::error::ServiceError;
use crate::value::AttributeValue;

type Result<T> = std::result::Result<T, ServiceError>;

pub(crate) fn key_clauses(condition: Condition) -> Result<Vec<KeyClause>> {
    let mut clauses = Vec::new();
    collect(condition.root, &mut clauses)?;
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

#[cfg(test)]
mod tests {
    use crate::expression::{KeyExpression, Placeholders};
    use serde_json::json;

    fn check(text: &str, expected: &str) {
        let values = json!({":a": {"N": "1"}, ":b": {"N": "2"}, ":s": {"S": "x"}});
        let mut placeholders = Placeholders::from_json(None, Some(&values)).unwrap();
        let found = KeyExpression::parse(text, &mut placeholders);
        let shown = found.map_or_else(|error| error.message, |key| key.clauses.len().to_string());
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn clauses_may_be_joined_in_any_order_and_parentheses() {
        check("a = :a", "1");
        check("(a = :a) AND (:b < b)", "2");
        check("(a = :a AND (b BETWEEN :a AND :b AND begins_with(c, :s)))", "3");
    }

    #[test]
    fn operators_that_no_index_answers_are_refused() {
        for (text, name) in [
            ("a > b and size(b) > c or a > c", "OR"),
            ("a in (b, size(c), d)", "IN"),
            ("attribute_exists(a)", "attribute_exists"),
            ("attribute_not_exists(a)", "attribute_not_exists"),
            ("contains(a.d, b)", "contains"),
            ("not a > b", "NOT"),
            ("a <> b", "<>"),
        ] {
            check(text, &format!("Invalid operator used in KeyConditionExpression: {name}"));
        }
    }

    #[test]
    fn each_clause_compares_one_attribute_with_values() {
        let invalid = "Invalid condition in KeyConditionExpression: ";
        for (text, expected) in [
            (
                ":a between size(b) and size(a)",
                "BETWEEN operator must have the key attribute as its first operand",
            ),
            (
                "begins_with(:s, b)",
                "begins_with operator must have the key attribute as its first operand",
            ),
            ("b > a.b", "Multiple attribute names used in one condition"),
            ("b between c[1] and d", "Multiple attribute names used in one condition"),
            ("begins_with(a, b)", "Multiple attribute names used in one condition"),
            (":b > :a AND a < :b", "No key attribute specified"),
        ] {
            check(text, &format!("{invalid}{expected}"));
        }
        for text in ["size(b) > a", "a > size(b.d)", "a between size(b) and size(a)"] {
            check(text, "KeyConditionExpressions cannot contain nested operations");
        }
        for text in ["b.d > a", "b[0] > :a", "begins_with(a.b, :s)"] {
            check(text, "KeyConditionExpressions cannot have conditions on nested attributes");
        }
        check(
            "b > :a AND b < :b",
            "KeyConditionExpressions must only contain one condition per key",
        );
    }
}
