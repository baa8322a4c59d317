//! Whether the ranges that the branches of a WHERE clause read overlap, which AWS refuses. The
//! rules are those that a public suite recorded at AWS in October 2026: a branch that excludes sort
//! keys (`<>`, NOT) may overlap others.

use super::branch::{Branch, partition};
use crate::error::ServiceError;
use crate::expression::{KeyClause, KeyExpression, KeyRange};
use crate::schema::KeySchema;

/// Refuses a condition whose branches each name a partition, two of them with ranges of sort keys
/// that overlap.
pub(super) fn check_no_overlap(
    branches: &[Branch<'_>],
    keys: &KeySchema,
) -> Result<(), ServiceError> {
    // Of tables without sort keys no answer of AWS is known. A SELECT reads a key once.
    if keys.sort.is_empty() {
        return Ok(());
    }
    let mut ranges = Vec::new();
    for branch in branches {
        let Some(partition) = partition(branch, keys) else { return Ok(()) };
        if !branch.iter().any(|part| part.excludes(&keys.sort)) {
            ranges.extend(range(branch, &partition, keys));
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
    use super::super::branch::branches;
    use super::*;
    use crate::expression::Condition;
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

    fn found(condition: &Condition, keys: &KeySchema) -> Result<(), ServiceError> {
        check_no_overlap(&branches(&condition.root, keys).unwrap(), keys)
    }

    fn check(overlaps: bool, conditions: &[&str]) {
        for condition in conditions {
            let text = format!("SELECT * FROM t WHERE {condition}");
            let Ok(Statement::Select(select)) = Statement::parse(&text, &[]) else {
                panic!("{text}");
            };
            let found = found(&select.condition.unwrap(), &keys());
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
        found(&select.condition.unwrap(), &keys).unwrap();
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
