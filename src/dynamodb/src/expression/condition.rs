//! Conditions and filters as trees, whichever way they were written: as an expression, in the older
//! parameters, or as a WHERE clause.

use std::fmt;

use super::condition_parse::parse_condition;
use super::{ExpressionKind, Path, Placeholders};
use crate::error::ServiceError;
use crate::schema::{KeySchema, TableSchema};
use crate::value::{AttributeType, AttributeValue};

/// A condition on one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub(crate) root: Node,
}

/// A comparison's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// One node of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare { left: Operand, comparator: Comparator, right: Operand },
    Between { value: Operand, low: Operand, high: Operand },
    In { value: Operand, options: Vec<Operand> },
    Exists(Path),
    NotExists(Path),
    Type { value: Operand, kind: AttributeType },
    BeginsWith { value: Operand, prefix: Operand },
    Contains { value: Operand, element: Operand },
}

/// What a comparison or function works on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Path(Path),
    Value(AttributeValue),
    Size(Box<Operand>),
}

impl Comparator {
    pub(crate) fn from_symbol(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Self::Eq,
            "<>" => Self::Ne,
            "<" => Self::Lt,
            "<=" => Self::Le,
            ">" => Self::Gt,
            ">=" => Self::Ge,
            _ => return None,
        })
    }

    /// The comparator that says the same with its sides exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            Self::Eq | Self::Ne => self,
        }
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        })
    }
}

impl Condition {
    /// Parses a ConditionExpression or a FilterExpression (`kind` says which, for messages).
    pub fn parse(
        kind: ExpressionKind,
        text: &str,
        placeholders: &mut Placeholders,
    ) -> Result<Self, ServiceError> {
        Ok(Self { root: parse_condition(kind, text, placeholders)? })
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { root: Node::And(vec![self.root, other.root]) }
    }

    /// Every path the condition looks at.
    pub fn paths(&self) -> Vec<&Path> {
        let mut found = Vec::new();
        self.root.collect_paths(&mut found);
        found
    }

    /// Refuses a Query's filter that looks at the keys of what is queried. `filter` is how messages
    /// name it.
    pub fn check_filters_no_keys(
        &self,
        filter: &str,
        keys: &KeySchema,
    ) -> Result<(), ServiceError> {
        let paths = self.paths();
        match keys.attributes().find(|key| paths.iter().any(|path| path.root == key.name)) {
            Some(key) => Err(ServiceError::validation(format!(
                "{filter} can only contain non-primary key attributes: Primary key attribute: {}",
                key.name
            ))),
            None => Ok(()),
        }
    }

    /// Refuses paths that go into key attributes, which are scalars.
    pub fn check_key_paths(&self, table: &TableSchema) -> Result<(), ServiceError> {
        check_key_paths(self.paths().into_iter(), table)
    }
}

/// Refuses paths that go into the key attributes of a table or its indexes.
pub(crate) fn check_key_paths<'a>(
    paths: impl Iterator<Item = &'a Path>,
    table: &TableSchema,
) -> Result<(), ServiceError> {
    for path in paths.filter(|path| !path.is_top_level()) {
        let kind = if table.keys.contains(&path.root) {
            "Key"
        } else if table.indexes.iter().any(|index| index.keys.contains(&path.root)) {
            "IndexKey"
        } else {
            continue;
        };
        return Err(ServiceError::validation(format!(
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not \
             allowed: {kind}: {}",
            path.root
        )));
    }
    Ok(())
}

impl Node {
    fn collect_paths<'a>(&'a self, found: &mut Vec<&'a Path>) {
        match self {
            Self::And(nodes) | Self::Or(nodes) => {
                for node in nodes {
                    node.collect_paths(found);
                }
            }
            Self::Not(node) => node.collect_paths(found),
            Self::Compare { left, right, .. } => {
                found.extend(left.path().into_iter().chain(right.path()));
            }
            Self::Between { value, low, high } => {
                found.extend([value, low, high].into_iter().filter_map(Operand::path));
            }
            Self::In { value, options } => {
                found.extend(
                    value.path().into_iter().chain(options.iter().filter_map(Operand::path)),
                );
            }
            Self::Exists(path) | Self::NotExists(path) => found.push(path),
            Self::Type { value, .. } => found.extend(value.path()),
            Self::BeginsWith { value, prefix: other }
            | Self::Contains { value, element: other } => {
                found.extend(value.path().into_iter().chain(other.path()));
            }
        }
    }
}

impl Operand {
    /// The path in it, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Value(_) => None,
            Self::Size(inner) => inner.path(),
        }
    }

    /// Its type, where that is known without an item.
    pub(crate) fn known_kind(&self) -> Option<AttributeType> {
        match self {
            Self::Path(_) => None,
            Self::Value(value) => Some(value.kind()),
            Self::Size(_) => Some(AttributeType::N),
        }
    }
}
