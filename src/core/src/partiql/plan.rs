//! What a statement's WHERE clause says of keys: which item is written, which items are read.

use super::{Delete, Select, UpdateStatement};
use crate::error::ServiceError;
use crate::expression::{
    Comparator, Condition, KeyClause, KeyCondition, KeyExpression, Node, Operand, SortCondition,
};
use crate::schema::{ItemKey, KeyAttribute, KeySchema, TableSchema};
use crate::value::{AttributeValue, Item};

type Result<T> = std::result::Result<T, ServiceError>;

/// What a SELECT reads. Of what is read, only what meets its whole condition is returned.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadPlan {
    /// These partitions, or ranges of them, one after another.
    Queries(Vec<KeyCondition>),
    /// Everything: no partition key is given.
    Scan,
}

impl Select {
    /// What is to be read of the table or index with this key.
    pub fn plan(&self, keys: &KeySchema) -> Result<ReadPlan> {
        let parts = self.condition.as_ref().map(|condition| conjuncts(&condition.root));
        let parts = parts.unwrap_or_default();
        let sort = sort_clauses(&parts, keys);
        let query = |clauses: Vec<KeyClause>| {
            let clauses = clauses.into_iter().chain(sort.iter().cloned()).collect();
            KeyExpression { clauses }.for_keys(keys)
        };
        let queries: Option<Vec<KeyCondition>> = partitions(&parts, keys)
            .map(|partitions| partitions.into_iter().map(query).collect())
            .transpose()?;
        self.check_order(keys, queries.is_some())?;
        Ok(queries.map_or(ReadPlan::Scan, ReadPlan::Queries))
    }

    /// The key of the one item that EXISTS checks, and the condition it must meet.
    pub fn key(&self, table: &TableSchema) -> Result<(ItemKey, Option<Condition>)> {
        full_key(self.condition.as_ref(), table)
    }

    fn check_order(&self, keys: &KeySchema, has_partition: bool) -> Result<()> {
        if self.order.is_empty() {
            return Ok(());
        }
        if self.condition.is_none() {
            return Err(ServiceError::validation(
                "Must have WHERE clause in the statement when using ORDER BY clause.",
            ));
        }
        if !has_partition {
            return Err(ServiceError::validation(
                "Must have at least one non-optional hash key condition in WHERE clause when using \
                 ORDER BY clause.",
            ));
        }
        match self.order.iter().find(|(name, _)| !keys.contains(name)) {
            Some((name, _)) => Err(ServiceError::validation(format!(
                "Variable reference {name} in ORDER BY clause must be part of the primary key"
            ))),
            None => Ok(()),
        }
    }
}

impl UpdateStatement {
    /// The key of the item, and what else it must meet.
    pub fn key(&self, table: &TableSchema) -> Result<(ItemKey, Option<Condition>)> {
        full_key(self.condition.as_ref(), table)
    }
}

impl Delete {
    /// The key of the item, and what else it must meet.
    pub fn key(&self, table: &TableSchema) -> Result<(ItemKey, Option<Condition>)> {
        full_key(self.condition.as_ref(), table)
    }
}

/// The equalities with all key attributes, outside any OR and NOT, and the rest of the condition.
fn full_key(
    condition: Option<&Condition>,
    table: &TableSchema,
) -> Result<(ItemKey, Option<Condition>)> {
    let mut key = Item::new();
    let mut rest = Vec::new();
    for part in condition.map(|condition| conjuncts(&condition.root)).unwrap_or_default() {
        match equality(part) {
            Some((name, value)) if table.keys.contains(name) && !key.contains_key(name) => {
                key.insert(name.to_owned(), value.clone());
            }
            _ => rest.push(part.clone()),
        }
    }
    if key.len() < table.keys.attribute_count() {
        return Err(ServiceError::validation(
            "Where clause does not contain a mandatory equality on all key attributes",
        ));
    }
    let rest = (!rest.is_empty()).then_some(Condition { root: Node::And(rest) });
    Ok((ItemKey::from_key(table, &key)?, rest))
}

/// What must all hold, outside any OR and NOT.
fn conjuncts(node: &Node) -> Vec<&Node> {
    match node {
        Node::And(nodes) => nodes.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

fn equality(node: &Node) -> Option<(&str, &AttributeValue)> {
    match node {
        Node::Compare { left, comparator: Comparator::Eq, right } => {
            attribute_and_value(left, right).or_else(|| attribute_and_value(right, left))
        }
        _ => None,
    }
}

fn attribute_and_value<'n>(
    path: &'n Operand,
    value: &'n Operand,
) -> Option<(&'n str, &'n AttributeValue)> {
    match (path, value) {
        (Operand::Path(path), Operand::Value(value)) if path.is_top_level() => {
            Some((&path.root, value))
        }
        _ => None,
    }
}

/// The values a key attribute may have: of an equality, or of an IN.
fn values<'n>(parts: &[&'n Node], key: &KeyAttribute) -> Option<Vec<&'n AttributeValue>> {
    parts.iter().find_map(|part| match part {
        Node::In { value: Operand::Path(path), options }
            if path.is_top_level() && path.root == key.name =>
        {
            options
                .iter()
                .map(|option| match option {
                    Operand::Value(value) => Some(value),
                    Operand::Path(_) | Operand::Size(_) => None,
                })
                .collect()
        }
        part => equality(part).filter(|(name, _)| *name == key.name).map(|(_, value)| vec![value]),
    })
}

/// Every partition the condition allows, as the equalities that name it; `None` when some part of
/// the partition key is not given. Each partition once.
fn partitions(parts: &[&Node], keys: &KeySchema) -> Option<Vec<Vec<KeyClause>>> {
    let mut found: Vec<Vec<KeyClause>> = vec![Vec::new()];
    for key in &keys.partition {
        let mut values = values(parts, key)?;
        let mut seen = Vec::new();
        values.retain(|value| {
            let new = !seen.contains(value);
            seen.push(value);
            new
        });
        found = found
            .iter()
            .flat_map(|clauses| {
                values.iter().map(|value| {
                    let condition = SortCondition::Compare(Comparator::Eq, (*value).clone());
                    let clause = KeyClause { name: key.name.clone(), condition };
                    clauses.iter().cloned().chain([clause]).collect()
                })
            })
            .collect();
    }
    Some(found)
}

/// Conditions on the sort attributes that a query can take: equalities, then at most one range.
fn sort_clauses(parts: &[&Node], keys: &KeySchema) -> Vec<KeyClause> {
    let mut found = Vec::new();
    for key in &keys.sort {
        let condition = parts.iter().find_map(|part| sort_condition(part, key));
        let Some(condition) = condition else { break };
        let is_equality = matches!(condition, SortCondition::Compare(Comparator::Eq, _));
        found.push(KeyClause { name: key.name.clone(), condition });
        if !is_equality {
            break;
        }
    }
    found
}

fn sort_condition(node: &Node, key: &KeyAttribute) -> Option<SortCondition> {
    let is_key = |operand: &Operand| {
        operand.path().is_some_and(|path| path.is_top_level() && path.root == key.name)
            && matches!(operand, Operand::Path(_))
    };
    let fits = |value: &AttributeValue| value.kind() == key.kind.attribute_type();
    match node {
        Node::Compare { left, comparator, right } if *comparator != Comparator::Ne => {
            let (comparator, operand) = if is_key(left) {
                (*comparator, right)
            } else if is_key(right) {
                (comparator.mirrored(), left)
            } else {
                return None;
            };
            match operand {
                Operand::Value(value) if fits(value) => {
                    Some(SortCondition::Compare(comparator, value.clone()))
                }
                _ => None,
            }
        }
        Node::Between { value, low: Operand::Value(low), high: Operand::Value(high) }
            if is_key(value) && fits(low) && fits(high) =>
        {
            Some(SortCondition::Between(low.clone(), high.clone()))
        }
        Node::BeginsWith { value, prefix: Operand::Value(prefix) }
            if is_key(value) && fits(prefix) =>
        {
            Some(SortCondition::BeginsWith(prefix.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partiql::Statement;
    use serde_json::json;

    fn table() -> TableSchema {
        TableSchema::from_json(&json!({
            "TableName": "t",
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "N"},
            ],
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
        }))
        .unwrap()
    }

    fn check_plan(clause: &str, expected: &str) {
        let text = format!("SELECT * FROM t {clause}");
        let Ok(Statement::Select(select)) = Statement::parse(&text, &[]) else { panic!("{text}") };
        let shown = match select.plan(&table().keys) {
            Ok(ReadPlan::Scan) => "scan".to_owned(),
            Ok(ReadPlan::Queries(queries)) => {
                let sorts = queries.iter().filter(|query| query.sort().next().is_some()).count();
                format!("{} queries, {sorts} with a range", queries.len())
            }
            Err(error) => error.message,
        };
        assert_eq!(shown, expected, "{clause}");
    }

    fn check_key(clause: &str, expected: &str) {
        let text = format!("DELETE FROM t WHERE {clause}");
        let Ok(Statement::Delete(delete)) = Statement::parse(&text, &[]) else { panic!("{text}") };
        let shown = match delete.key(&table()) {
            Ok((key, rest)) => format!("{key}{}", if rest.is_some() { " and more" } else { "" }),
            Err(error) => error.message,
        };
        assert_eq!(shown, expected, "{clause}");
    }

    #[test]
    fn reads_are_queries_when_the_partition_is_given() {
        for (clause, expected) in [
            ("", "scan"),
            ("WHERE s = 1", "scan"),
            ("WHERE p = 'a' OR p = 'b'", "scan"),
            ("WHERE NOT p = 'a'", "scan"),
            ("WHERE p > 'a'", "scan"),
            ("WHERE p = 'a'", "1 queries, 0 with a range"),
            ("WHERE 'a' = p AND s > 1", "1 queries, 1 with a range"),
            ("WHERE p = 'a' AND (s BETWEEN 1 AND 2 AND x = 1)", "1 queries, 1 with a range"),
            ("WHERE p = 'a' AND s <> 1", "1 queries, 0 with a range"),
            ("WHERE p = 'a' AND s = 'x'", "1 queries, 0 with a range"),
            ("WHERE p IN ['a', 'b', 'a'] AND s = 1", "2 queries, 2 with a range"),
        ] {
            check_plan(clause, expected);
        }
    }

    #[test]
    fn a_key_of_another_type_is_refused() {
        check_plan(
            "WHERE p = 1",
            "One or more parameter values were invalid: Condition parameter type does not match \
             schema type",
        );
    }

    #[test]
    fn order_is_by_key_within_partitions() {
        check_plan("WHERE p = 'a' ORDER BY s DESC", "1 queries, 0 with a range");
        check_plan(
            "ORDER BY s",
            "Must have WHERE clause in the statement when using ORDER BY clause.",
        );
        check_plan(
            "WHERE s = 1 ORDER BY s",
            "Must have at least one non-optional hash key condition in WHERE clause when using \
             ORDER BY clause.",
        );
        check_plan(
            "WHERE p = 'a' ORDER BY x",
            "Variable reference x in ORDER BY clause must be part of the primary key",
        );
    }

    #[test]
    fn writes_name_their_whole_key() {
        check_key("p = 'a' AND s = 1", "p (S), s (N)");
        check_key("s = 1 AND (p = 'a' AND x = 2)", "p (S), s (N) and more");
        check_key("p = 'a' AND s = 1 AND p = 'b'", "p (S), s (N) and more");
        let missing = "Where clause does not contain a mandatory equality on all key attributes";
        check_key("p = 'a'", missing);
        check_key("p = 'a' AND s > 1", missing);
        check_key("p = 'a' AND s = 1 OR p = 'a' AND s = 2", missing);
        check_key("p = 'a' AND s = '1'", "The provided key element does not match the schema");
    }
}
