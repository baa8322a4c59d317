//! Derives from a statement's WHERE clause which item is written, or which items are read.

mod branch;
mod overlap;

use super::no_item::NoItem;
use super::{Delete, PARTITIONS_MAX, Select, UpdateStatement};
use crate::error::ServiceError;
use crate::expression::{
    Comparator, Condition, KeyClause, KeyCondition, KeyExpression, Node, Operand, SortCondition,
};
use crate::schema::{ItemKey, KeyAttribute, KeySchema, TableSchema};
use crate::value::{AttributeValue, Item};

use branch::branches;
use overlap::check_no_overlap;

type Result<T> = std::result::Result<T, ServiceError>;

/// The key of the one item that a statement is about, and the condition it must meet.
type KeyAndRest = (ItemKey, Option<Condition>);

/// What a SELECT reads. Of what is read, only what meets its whole condition is returned.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadPlan {
    /// These partitions, or ranges of them, one after another.
    Queries {
        /// In the order in which they are read.
        partitions: Vec<KeyCondition>,
        /// Whether each is read from its last sort key to its first.
        descends: bool,
    },
    /// Everything: no partition key is given.
    Scan,
}

impl Select {
    /// What is to be read of the table or index with this key.
    pub fn plan(&self, keys: &KeySchema) -> Result<ReadPlan> {
        let parts = self.condition.as_ref().map(|condition| conjuncts(&condition.root));
        let parts = parts.unwrap_or_default();
        check_key_types(&parts, keys)?;
        let sort_condition = |key: &_| parts.iter().find_map(|part| sort_condition(part, key));
        let sort = sort_clauses(keys, sort_condition);
        let query = |clauses: Vec<KeyClause>| {
            let clauses = clauses.into_iter().chain(sort.iter().cloned()).collect();
            KeyExpression::of(clauses).for_keys(keys)
        };
        let mut partitions: Option<Vec<KeyCondition>> = partitions(&parts, keys)?
            .map(|partitions| partitions.into_iter().map(query).collect())
            .transpose()?;
        let condition = self.condition.as_ref();
        let branches = condition.and_then(|condition| branches(&condition.root, keys));
        if let (None, Some(branches)) = (&partitions, &branches) {
            partitions = branch::partitions(branches, keys)?;
        }
        self.check_order(keys, partitions.is_some())?;
        if let Some(branches) = &branches {
            check_no_overlap(branches, keys)?;
        }
        let Some(mut partitions) = partitions else { return Ok(ReadPlan::Scan) };
        partitions.sort_by(|one, other| one.partition_bytes().cmp(other.partition_bytes()));
        if self.descends(&keys.partition) {
            partitions.reverse();
        }
        Ok(ReadPlan::Queries { partitions, descends: self.descends(&keys.sort) })
    }

    /// Whether the first of these attributes that ORDER BY names descends.
    fn descends(&self, attributes: &[KeyAttribute]) -> bool {
        let named = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
        self.order.iter().find(|(name, _)| named(name)).is_some_and(|(_, descends)| *descends)
    }

    /// The key of the one item that EXISTS checks, and the condition it must meet.
    pub fn key(&self, table: &TableSchema) -> std::result::Result<KeyAndRest, NoItem> {
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
    pub fn key(&self, table: &TableSchema) -> std::result::Result<KeyAndRest, NoItem> {
        full_key(self.condition.as_ref(), table)
    }
}

impl Delete {
    /// The key of the item, and what else it must meet.
    pub fn key(&self, table: &TableSchema) -> std::result::Result<KeyAndRest, NoItem> {
        full_key(self.condition.as_ref(), table)
    }
}

/// The key that a statement must give, and what else it says.
fn full_key(
    condition: Option<&Condition>,
    table: &TableSchema,
) -> std::result::Result<KeyAndRest, NoItem> {
    let found = key_and_rest(condition, table).map_err(NoItem::Unnamed)?;
    let (key, rest) = found.ok_or_else(|| {
        NoItem::unnamed("Where clause does not contain a mandatory equality on all key attributes")
    })?;
    for part in condition.map(|condition| conjuncts(&condition.root)).unwrap_or_default() {
        let Some((name, value)) = equality(part) else { continue };
        if key.get(name).is_some_and(|given| given != value) {
            return Err(NoItem::unnamed(&format!(
                "Multiple conditions on same key {name}. Only single item Update/Insert/Delete \
                 are supported"
            )));
        }
    }
    Ok((ItemKey::from_key(table, &key).map_err(NoItem::Unfit)?, rest))
}

/// The equalities with all key attributes, outside any OR and NOT, and the rest of the condition;
/// `None` when some key attribute is not given.
pub(super) fn key_and_rest(
    condition: Option<&Condition>,
    table: &TableSchema,
) -> Result<Option<(Item, Option<Condition>)>> {
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
        return Ok(None);
    }
    for attribute in table.keys.attributes() {
        if key.get(&attribute.name).is_some_and(|value| !fits(value, attribute)) {
            return Err(wrong_key_type(attribute));
        }
    }
    let rest = (!rest.is_empty()).then_some(Condition { root: Node::And(rest) });
    Ok(Some((key, rest)))
}

/// The key attributes that a condition compares with a value, outside any OR and NOT.
pub(super) fn named_key(condition: Option<&Condition>, table: &TableSchema) -> Item {
    let parts = condition.map(|condition| conjuncts(&condition.root)).unwrap_or_default();
    let named = parts.into_iter().filter_map(equality);
    let keys = named.filter(|(name, _)| table.keys.contains(name));
    keys.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

fn fits(value: &AttributeValue, key: &KeyAttribute) -> bool {
    value.kind() == key.kind.attribute_type()
}

pub(super) fn wrong_key_type(key: &KeyAttribute) -> ServiceError {
    ServiceError::validation(format!(
        "Key attribute's data type should match its data type in table's schema: Key {}",
        key.name
    ))
}

/// Refuses to compare a key attribute with a value that it cannot have.
fn check_key_types(parts: &[&Node], keys: &KeySchema) -> Result<()> {
    for key in keys.attributes() {
        let is_key = |operand: &Operand| {
            let Operand::Path(path) = operand else { return false };
            path.is_top_level() && path.root == key.name
        };
        for part in parts {
            let others: Vec<&Operand> = match part {
                Node::Compare { left, right, .. } if is_key(left) => vec![right],
                Node::Compare { left, right, .. } if is_key(right) => vec![left],
                Node::Between { value, low, high } if is_key(value) => vec![low, high],
                Node::In { value, options } if is_key(value) => options.iter().collect(),
                _ => Vec::new(),
            };
            let wrong =
                |operand: &&Operand| matches!(operand, Operand::Value(value) if !fits(value, key));
            if others.iter().any(wrong) {
                return Err(wrong_key_type(key));
            }
        }
    }
    Ok(())
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

/// The values a key attribute may have: of an equality, of an IN, or of such joined by OR.
fn values<'n>(parts: &[&'n Node], key: &KeyAttribute) -> Option<Vec<&'n AttributeValue>> {
    parts.iter().find_map(|part| values_of(part, key))
}

fn values_of<'n>(part: &'n Node, key: &KeyAttribute) -> Option<Vec<&'n AttributeValue>> {
    match part {
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
        Node::Or(nodes) => {
            let each: Option<Vec<_>> = nodes.iter().map(|node| values_of(node, key)).collect();
            Some(each?.concat())
        }
        part => equality(part).filter(|(name, _)| *name == key.name).map(|(_, value)| vec![value]),
    }
}

/// Every partition the condition allows, as the equalities that name it; `None` when some part of
/// the partition key is not given. Each partition once.
fn partitions(parts: &[&Node], keys: &KeySchema) -> Result<Option<Vec<Vec<KeyClause>>>> {
    let mut found: Vec<Vec<KeyClause>> = vec![Vec::new()];
    for key in &keys.partition {
        let Some(mut values) = values(parts, key) else { return Ok(None) };
        // Of an OR: elsewhere they are refused.
        if !values.iter().all(|value| fits(value, key)) {
            return Ok(None);
        }
        let mut seen = Vec::new();
        values.retain(|value| {
            let new = !seen.contains(value);
            seen.push(value);
            new
        });
        check_reads(found.len() * values.len())?;
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
    Ok(Some(found))
}

fn check_reads(count: usize) -> Result<()> {
    if count <= PARTITIONS_MAX {
        return Ok(());
    }
    Err(ServiceError::validation("Too many decomposed read operations for a given query."))
}

/// Conditions on the sort attributes that a query can take: equalities, then at most one range.
fn sort_clauses(
    keys: &KeySchema,
    condition_on: impl Fn(&KeyAttribute) -> Option<SortCondition>,
) -> Vec<KeyClause> {
    let mut found = Vec::new();
    for key in &keys.sort {
        let Some(condition) = condition_on(key) else { break };
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
            Ok(ReadPlan::Queries { partitions, descends }) => {
                let sorts = partitions.iter().filter(|query| query.sort().next().is_some()).count();
                let backward = if descends { ", backward" } else { "" };
                format!("{} queries, {sorts} with a range{backward}", partitions.len())
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
            Err(error) => ServiceError::from(error).message,
        };
        assert_eq!(shown, expected, "{clause}");
    }

    #[test]
    fn reads_are_queries_when_the_partition_is_given() {
        for (clause, expected) in [
            ("", "scan"),
            ("WHERE s = 1", "scan"),
            ("WHERE p = 'a' OR x = 'b'", "scan"),
            ("WHERE p = 'a' OR p IN ['b']", "2 queries, 0 with a range"),
            ("WHERE NOT p = 'a'", "scan"),
            ("WHERE p > 'a'", "scan"),
            ("WHERE p = 'a'", "1 queries, 0 with a range"),
            ("WHERE 'a' = p AND s > 1", "1 queries, 1 with a range"),
            ("WHERE p = 'a' AND (s BETWEEN 1 AND 2 AND x = 1)", "1 queries, 1 with a range"),
            ("WHERE p = 'a' AND s <> 1", "1 queries, 0 with a range"),
            ("WHERE p IN ['a', 'b'] AND s = 1", "2 queries, 2 with a range"),
            ("WHERE p = 'a' AND s = 1 OR p = 'b' AND s = 2", "2 queries, 2 with a range"),
            ("WHERE p = 'a' AND s = 1 OR p = 'b'", "2 queries, 1 with a range"),
            ("WHERE p = 'a' AND s = 1 OR p = 'a' AND s = 2", "1 queries, 0 with a range"),
            ("WHERE (p = 'a' OR p = 'b') AND s > 1 OR p = 'c'", "3 queries, 2 with a range"),
            ("WHERE p = 'a' OR p = 1", "scan"),
            ("WHERE p = 'a' AND s = 1 OR s = 2", "scan"),
            ("WHERE p = 'a' AND s = 1 OR p = 1 AND s = 2", "scan"),
            ("WHERE p = 'a' AND p = 'b' OR p = 'c' AND s = 1", "scan"),
        ] {
            check_plan(clause, expected);
        }
    }

    #[test]
    fn a_key_of_another_type_is_refused() {
        let wrong = |key: &str| {
            format!(
                "Key attribute's data type should match its data type in table's schema: Key {key}"
            )
        };
        check_plan("WHERE p = 1", &wrong("p"));
        check_plan("WHERE p IN ['a', 1]", &wrong("p"));
        check_plan("WHERE p = 'a' AND s = 'x'", &wrong("s"));
        check_plan("WHERE s BETWEEN 'w' AND 'x'", &wrong("s"));
        check_key("p = 'a' AND s = '1'", &wrong("s"));
    }

    #[test]
    fn no_more_partitions_are_read_than_dynamodb_reads() {
        let list = |count: u32| {
            let values: Vec<String> = (0..count).map(|value| format!("'{value}'")).collect();
            format!("WHERE p IN [{}]", values.join(", "))
        };
        check_plan(&list(50), "50 queries, 0 with a range");
        let too_many = "Too many decomposed read operations for a given query.";
        check_plan(&list(51), too_many);
        let branches: Vec<String> =
            (0..51).map(|value| format!("p = '{value}' AND s = 1")).collect();
        check_plan(&format!("WHERE {}", branches.join(" OR ")), too_many);
    }

    #[test]
    fn partitions_are_read_in_the_order_of_their_keys() {
        let partitions = |clause: &str| -> Vec<AttributeValue> {
            let text = format!("SELECT * FROM t WHERE p IN ['b', 'c', 'a'] {clause}");
            let Ok(Statement::Select(select)) = Statement::parse(&text, &[]) else { panic!() };
            let Ok(ReadPlan::Queries { partitions, .. }) = select.plan(&table().keys) else {
                panic!("{text}")
            };
            partitions.iter().map(|query| query.partition()[0].1.clone()).collect()
        };
        let values = |names: [&str; 3]| names.map(AttributeValue::from).to_vec();
        assert_eq!(partitions(""), values(["a", "b", "c"]));
        assert_eq!(partitions("ORDER BY s DESC"), values(["a", "b", "c"]));
        assert_eq!(partitions("ORDER BY s, p DESC"), values(["c", "b", "a"]));
    }

    #[test]
    fn order_is_by_key_within_partitions() {
        check_plan("WHERE p = 'a' ORDER BY s DESC", "1 queries, 0 with a range, backward");
        check_plan("WHERE p = 'a' ORDER BY p DESC", "1 queries, 0 with a range");
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
        check_key("p = 'a' AND s = 1 AND p = 'a'", "p (S), s (N) and more");
        let twice = "Multiple conditions on same key p. Only single item Update/Insert/Delete are \
                     supported";
        check_key("p = 'a' AND s = 1 AND p = 'b'", twice);
        check_key("p = '' AND s = 1 AND p = 'b'", twice);
        let missing = "Where clause does not contain a mandatory equality on all key attributes";
        check_key("p = 'a'", missing);
        check_key("p = 'a' AND s > 1", missing);
        check_key("p = 'a' AND s = 1 OR p = 'a' AND s = 2", missing);
    }
}
