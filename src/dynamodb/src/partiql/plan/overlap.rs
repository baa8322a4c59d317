//! Whether the ranges that the branches of a WHERE clause read overlap, which AWS refuses. The
//! rules are those that a public suite recorded at AWS in October 2026: only an OR or IN that names
//! a key is a branch; a branch that excludes sort keys (`<>`, NOT) may overlap others.

use super::{equality, sort_condition};
use crate::error::ServiceError;
use crate::expression::{
    Comparator, Condition, KeyClause, KeyExpression, KeyRange, Node, Operand, SortCondition,
};
use crate::schema::{KeyAttribute, KeySchema};
use crate::value::AttributeValue;

/// More branches are not compared: their product could be as large as 2 to the power of the
/// statement's length. AWS refuses more than 50 reads of one statement.
const BRANCHES_MAX: usize = 1000;

/// Conditions that must all hold.
type Branch<'n> = Vec<Part<'n>>;

#[derive(Clone, Copy)]
enum Part<'n> {
    Node(&'n Node),
    /// One of the values of an IN.
    Equal(&'n str, &'n AttributeValue),
}

/// Refuses a condition whose branches each name a partition, two of them with ranges of sort keys
/// that overlap.
pub(super) fn check_no_overlap(
    condition: &Condition,
    keys: &KeySchema,
) -> Result<(), ServiceError> {
    // Of tables without sort keys no answer of AWS is known. A SELECT reads a key once.
    if keys.sort.is_empty() {
        return Ok(());
    }
    let Some(branches) = branches(&condition.root, keys) else { return Ok(()) };
    let mut ranges = Vec::new();
    for branch in branches {
        let Some(partition) = partition(&branch, keys) else { return Ok(()) };
        if !branch.iter().any(|part| part.excludes(&keys.sort)) {
            ranges.extend(range(&branch, &partition, keys));
        }
    }
    ranges.retain(|range| range.until.as_ref().is_none_or(|until| range.from < *until));
    ranges.sort_unstable_by(|one, other| one.from.cmp(&other.from));
    let overlap = ranges
        .windows(2)
        .any(|pair| pair[0].until.as_ref().is_none_or(|until| pair[1].from < *until));
    if overlap {
        return Err(ServiceError::validation(
            "Overlapping conditions with range keys are not supported in where clause",
        ));
    }
    Ok(())
}

/// The condition as branches of which one must hold; `None` if they are too many.
fn branches<'n>(node: &'n Node, keys: &KeySchema) -> Option<Vec<Branch<'n>>> {
    let found = match node {
        Node::And(nodes) => {
            let mut all: Vec<Branch<'n>> = vec![Vec::new()];
            for node in nodes {
                let more = branches(node, keys)?;
                if all.len() * more.len() > BRANCHES_MAX {
                    return None;
                }
                let joined =
                    |one: &Branch<'n>| more.iter().map(|more| [&one[..], more].concat()).collect();
                all = all.iter().flat_map::<Vec<_>, _>(joined).collect();
            }
            all
        }
        Node::Or(nodes) if names_key(node, keys) => {
            let each: Option<Vec<_>> = nodes.iter().map(|node| branches(node, keys)).collect();
            each?.concat()
        }
        Node::In { .. } if names_key(node, keys) => {
            options(node)?.into_iter().map(|(name, value)| vec![Part::Equal(name, value)]).collect()
        }
        other => vec![vec![Part::Node(other)]],
    };
    (found.len() <= BRANCHES_MAX).then_some(found)
}

fn options(node: &Node) -> Option<Vec<(&str, &AttributeValue)>> {
    let Node::In { value: Operand::Path(path), options } = node else { return None };
    let found = options.iter().map(|option| match option {
        Operand::Value(value) => Some((path.root.as_str(), value)),
        Operand::Path(_) | Operand::Size(_) => None,
    });
    found.collect()
}

/// Whether a range of keys follows from the condition, or from a part of it.
fn names_key(node: &Node, keys: &KeySchema) -> bool {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(|node| names_key(node, keys)),
        Node::In { value: Operand::Path(path), .. } => {
            path.is_top_level() && keys.contains(&path.root) && options(node).is_some()
        }
        other => {
            let is_partition = |name: &str| keys.partition.iter().any(|key| key.name == name);
            equality(other).is_some_and(|(name, _)| is_partition(name))
                || keys.sort.iter().any(|key| sort_condition(other, key).is_some())
        }
    }
}

impl<'n> Part<'n> {
    fn equality(self) -> Option<(&'n str, &'n AttributeValue)> {
        match self {
            Self::Node(node) => equality(node),
            Self::Equal(name, value) => Some((name, value)),
        }
    }

    fn sort_condition(self, key: &KeyAttribute) -> Option<SortCondition> {
        match self {
            Self::Node(node) => sort_condition(node, key),
            Self::Equal(name, value) => {
                (name == key.name).then(|| SortCondition::Compare(Comparator::Eq, value.clone()))
            }
        }
    }

    /// Whether it says which sort keys are not meant.
    fn excludes(self, sort: &[KeyAttribute]) -> bool {
        let is_sort = |node: &Node| {
            let condition = Condition { root: node.clone() };
            condition.paths().iter().any(|path| sort.iter().any(|key| key.name == path.root))
        };
        match self {
            Self::Node(
                node @ (Node::Not(_) | Node::Compare { comparator: Comparator::Ne, .. }),
            ) => is_sort(node),
            Self::Node(_) | Self::Equal(..) => false,
        }
    }
}

/// The equalities that name the partition of a branch, if it names one.
fn partition(branch: &Branch<'_>, keys: &KeySchema) -> Option<Vec<KeyClause>> {
    let clause = |key: &KeyAttribute| {
        let mut values = branch.iter().filter_map(|part| part.equality());
        let (_, value) = values.find(|(name, _)| *name == key.name)?;
        if values.any(|(name, other)| name == key.name && other != value) {
            return None;
        }
        let condition = SortCondition::Compare(Comparator::Eq, value.clone());
        Some(KeyClause { name: key.name.clone(), condition })
    };
    keys.partition.iter().map(clause).collect()
}

/// The keys that a branch reads; `None` if a value does not fit its key.
fn range(branch: &Branch<'_>, partition: &[KeyClause], keys: &KeySchema) -> Option<KeyRange> {
    let range_of = |sort: Option<KeyClause>| {
        let clauses = partition.iter().cloned().chain(sort).collect();
        Some(KeyExpression::of(clauses).for_keys(keys).ok()?.range().clone())
    };
    let mut range = range_of(None)?;
    let Some(key) = keys.sort.first() else { return Some(range) };
    for condition in branch.iter().filter_map(|part| part.sort_condition(key)) {
        let other = range_of(Some(KeyClause { name: key.name.clone(), condition }))?;
        range.from = range.from.max(other.from);
        range.until = match (range.until, other.until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partiql::Statement;
    use crate::schema::TableSchema;
    use serde_json::json;

    fn keys() -> KeySchema {
        let table = TableSchema::from_json(&json!({
            "TableName": "t",
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
        }));
        table.unwrap().keys
    }

    fn check(overlaps: bool, conditions: &[&str]) {
        for condition in conditions {
            let text = format!("SELECT * FROM t WHERE {condition}");
            let Ok(Statement::Select(select)) = Statement::parse(&text, &[]) else {
                panic!("{text}");
            };
            let found = check_no_overlap(&select.condition.unwrap(), &keys());
            assert_eq!(found.is_err(), overlaps, "{condition}: {found:?}");
        }
    }

    #[test]
    fn branches_that_read_a_key_twice_are_refused() {
        check(
            true,
            &[
                "p = 'a' AND s = '1' OR p = 'a' AND s > '0'",
                "p = 'a' AND (s = '1' OR s > '0')",
                "p = 'a' AND (s > '0' OR s < '5')",
                "p = 'a' AND (s BETWEEN '1' AND '3' OR begins_with(s, '2'))",
                "p = 'a' AND (s = '1' OR x = 'one')",
                "p = 'a' AND x = '1' OR p = 'a' AND s = '2'",
                "p = 'a' AND x <> '1' OR p = 'a' AND s = '2'",
                "(p = 'a' AND x = '1') OR (p = 'a' AND x = '2')",
                "p = 'a' OR p = 'a'",
                "p IN ['a', 'a']",
                "p = 'a' AND s IN ['1', '2', '1']",
                "p IN ['a', 'b'] AND (s <= '2' OR s >= '2')",
            ],
        );
    }

    #[test]
    fn a_table_without_sort_keys_has_no_ranges_that_overlap() {
        let keys = KeySchema { sort: Vec::new(), ..keys() };
        let statement = Statement::parse("SELECT * FROM t WHERE p IN ['a', 'a'] OR p = 'a'", &[]);
        let Ok(Statement::Select(select)) = statement else { panic!("no SELECT") };
        check_no_overlap(&select.condition.unwrap(), &keys).unwrap();
    }

    #[test]
    fn branches_that_are_disjoint_or_exclude_sort_keys_are_read() {
        check(
            false,
            &[
                "p = 'a'",
                "p = 'a' AND s > '0' AND s > '1'",
                "p = 'a' AND (s = '1' OR s = '2')",
                "p = 'a' AND (s < '2' OR s >= '2')",
                "p = 'a' AND s IN ['1', '2']",
                "p = 'a' AND s > '0' OR p = 'b' AND s > '0'",
                "p IN ['a', 'b'] AND s > '0'",
                "p = 'a' AND (x = '1' OR x = '2')",
                "p = 'a' AND NOT s = '1' OR p = 'a' AND s = '2'",
                "p = 'a' AND s <> '1' OR p = 'a' AND s = '2'",
                "p = 'a' AND NOT begins_with(s, 'x') OR p = 'a' AND s = '2'",
                "p = 'a' AND NOT s IN ['1', '3'] OR p = 'a' AND s = '2'",
                "p = 'a' OR p = 'a' AND NOT s = '1'",
                "s = '1' OR s > '0'",
                "p = 'a' AND s = '1' OR x = '1'",
            ],
        );
    }
}
