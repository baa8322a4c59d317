//! Expressions as trees.

use std::collections::BTreeSet;
use std::sync::Arc;

use dm_dynamodb::expression::{Comparator, Path, Step};
use dm_dynamodb::value::{AttributeType, AttributeValue};
use regex::Regex;

use crate::function::Function;
use crate::lookup::Column;

/// An expression. Those whose value is a truth value are conditions ([`Node::is_condition`]).
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Literal(AttributeValue),
    Path(Path),
    /// A step into the value of another expression: `split(name, ' ')[0]`.
    Step(Box<Node>, Step),
    Negate(Box<Node>),
    Arithmetic {
        operator: Operator,
        left: Box<Node>,
        right: Box<Node>,
    },
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
    IfNotExists {
        path: Path,
        otherwise: Box<Node>,
    },
    If {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Lookup {
        column: Arc<Column>,
        key: Box<Node>,
        otherwise: Option<Box<Node>>,
    },
    Split {
        text: Box<Node>,
        pattern: Regex,
        most: Option<usize>,
    },
    Matches {
        text: Box<Node>,
        pattern: Regex,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare {
        left: Box<Node>,
        comparator: Comparator,
        right: Box<Node>,
    },
    Between {
        value: Box<Node>,
        low: Box<Node>,
        high: Box<Node>,
    },
    In {
        value: Box<Node>,
        options: Vec<Node>,
    },
    Exists(Path),
    NotExists(Path),
    Type {
        value: Box<Node>,
        kind: AttributeType,
    },
    BeginsWith {
        value: Box<Node>,
        prefix: Box<Node>,
    },
    Contains {
        value: Box<Node>,
        element: Box<Node>,
    },
}

/// An operator of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Plus,
    Minus,
    Times,
    Over,
}

impl Operator {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Over => "/",
        }
    }
}

impl Node {
    /// Whether its value is always a truth value, so that AND, OR and NOT take it.
    pub fn is_condition(&self) -> bool {
        match self {
            Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::Compare { .. }
            | Self::Between { .. }
            | Self::In { .. }
            | Self::Exists(_)
            | Self::NotExists(_)
            | Self::Type { .. }
            | Self::BeginsWith { .. }
            | Self::Contains { .. }
            | Self::Matches { .. } => true,
            Self::Literal(_)
            | Self::Path(_)
            | Self::Step(..)
            | Self::Negate(_)
            | Self::Arithmetic { .. }
            | Self::Call { .. }
            | Self::IfNotExists { .. }
            | Self::If { .. }
            | Self::Lookup { .. }
            | Self::Split { .. } => false,
        }
    }

    /// Adds the top-level attributes that the expression reads.
    pub fn reads(&self, found: &mut BTreeSet<String>) {
        if let Self::Path(path)
        | Self::IfNotExists { path, .. }
        | Self::Exists(path)
        | Self::NotExists(path) = self
        {
            found.insert(path.root.clone());
        }
        for inner in self.inner() {
            inner.reads(found);
        }
    }

    /// Whether its value depends on when the run began.
    pub fn depends_on_now(&self) -> bool {
        matches!(self, Self::Call { function: Function::Now, .. })
            || self.inner().into_iter().any(Self::depends_on_now)
    }

    /// The expressions it is made of.
    fn inner(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Path(_) | Self::Exists(_) | Self::NotExists(_) => Vec::new(),
            Self::Step(inner, _) | Self::Negate(inner) | Self::Not(inner) => vec![inner],
            Self::Arithmetic { left, right, .. } | Self::Compare { left, right, .. } => {
                vec![left, right]
            }
            Self::Call { arguments, .. } => arguments.iter().collect(),
            Self::IfNotExists { otherwise, .. } => vec![otherwise],
            Self::If { condition, then, otherwise } => vec![condition, then, otherwise],
            Self::Lookup { key, otherwise, .. } => {
                std::iter::once(key).chain(otherwise).map(|node| &**node).collect()
            }
            Self::Split { text, .. } | Self::Matches { text, .. } => vec![text],
            Self::And(all) | Self::Or(all) => all.iter().collect(),
            Self::Between { value, low, high } => vec![value, low, high],
            Self::In { value, options } => std::iter::once(&**value).chain(options).collect(),
            Self::Type { value, .. } => vec![value],
            Self::BeginsWith { value, prefix } => vec![value, prefix],
            Self::Contains { value, element } => vec![value, element],
        }
    }
}
