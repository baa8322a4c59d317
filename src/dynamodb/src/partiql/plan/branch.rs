//! The branches of a WHERE clause, of which one must hold: those of an OR or IN that names a key.

use super::{Result, check_reads, equality, sort_clauses, sort_condition};
use crate::expression::{
    Comparator, Condition, KeyClause, KeyCondition, KeyExpression, Node, Operand, SortCondition,
};
use crate::schema::{KeyAttribute, KeySchema};
use crate::value::AttributeValue;

/// More branches are not compared: their product could be as large as 2 to the power of the
/// statement's length. AWS refuses more than 50 reads of one statement.
const BRANCHES_MAX: usize = 1000;

/// Conditions that must all hold.
pub type Branch<'n> = Vec<Part<'n>>;

#[derive(Clone, Copy)]
pub enum Part<'n> {
    Node(&'n Node),
    /// One of the values of an IN.
    Equal(&'n str, &'n AttributeValue),
}

/// The condition as branches of which one must hold; `None` if they are too many.
pub fn branches<'n>(node: &'n Node, keys: &KeySchema) -> Option<Vec<Branch<'n>>> {
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

    pub fn sort_condition(self, key: &KeyAttribute) -> Option<SortCondition> {
        match self {
            Self::Node(node) => sort_condition(node, key),
            Self::Equal(name, value) => {
                (name == key.name).then(|| SortCondition::Compare(Comparator::Eq, value.clone()))
            }
        }
    }

    /// Whether it says which sort keys are not meant.
    pub fn excludes(self, sort: &[KeyAttribute]) -> bool {
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

/// The partitions that an OR names by its branches (`p = 'a' AND s = 1 OR p = 'b' AND s = 2`);
/// `None` when a branch names none, or with a value that no key has. A partition that several
/// branches name is read once, whole.
pub fn partitions(branches: &[Branch<'_>], keys: &KeySchema) -> Result<Option<Vec<KeyCondition>>> {
    let mut found: Vec<(Vec<KeyClause>, Vec<KeyClause>)> = Vec::new();
    for branch in branches {
        let Some(partition) = partition(branch, keys) else { return Ok(None) };
        if let Some((_, sort)) = found.iter_mut().find(|(known, _)| *known == partition) {
            sort.clear();
            continue;
        }
        let sort_condition = |key: &_| branch.iter().find_map(|part| part.sort_condition(key));
        found.push((partition, sort_clauses(keys, sort_condition)));
    }
    check_reads(found.len())?;
    let query = |(partition, sort): (Vec<KeyClause>, Vec<KeyClause>)| {
        KeyExpression::of([partition, sort].concat()).for_keys(keys).ok()
    };
    Ok(found.into_iter().map(query).collect())
}

/// The equalities that name the partition of a branch, if it names one.
pub fn partition(branch: &Branch<'_>, keys: &KeySchema) -> Option<Vec<KeyClause>> {
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
