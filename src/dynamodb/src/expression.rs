//! DynamoDB's expressions: parsed and checked once, then evaluated on any number of items.
//!
//! Parsing and evaluation are pure and never panic, whatever the input: expressions are at most
//! [`EXPRESSION_BYTES_MAX`] long, and nesting is bounded.
//!
//! Messages and the order of checks are DynamoDB's, as far as they are known: syntax first, then
//! what a whole expression means. Documented differences are in docs/reference/differences.md.

mod condition;
mod condition_call;
mod condition_check;
mod condition_match;
mod condition_parse;
mod cursor;
mod function;
mod key_clause;
mod key_condition;
mod key_condition_parse;
mod key_range;
mod outline;
mod path;
mod placeholder;
mod projection;
#[cfg(test)]
mod random_tests;
mod reserved;
mod token;
mod update;
mod update_apply;
mod update_parse;
mod update_roots;

pub use condition::{Comparator, Condition};
pub use condition_match::{begins_with, contains, size};
pub use key_clause::SortCondition;
pub use key_condition::{KeyCondition, KeyExpression};
pub use key_range::{KeyRange, after_prefix};
pub use outline::Outline;
pub use path::{Path, PathRelation, Step, relation};
pub use placeholder::Placeholders;
pub use projection::Projection;
pub use reserved::is_reserved;
pub use update::{Update, UpdateOutcome};

pub(crate) use condition::{Node, Operand};
pub(crate) use condition_check::{needs_path, same_path, same_paths, wrong_bounds};
pub(crate) use key_clause::KeyClause;
pub(crate) use update::{Action, SetValue, Target, Words};

use crate::error::ServiceError;

/// Most bytes of one expression (Developer Guide, "Service quotas": 4 KB).
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Most operators and functions in one expression.
pub const OPERATORS_MAX: usize = 300;
/// Most bytes of the names and values of all placeholders of a request (Developer Guide, "Service
/// quotas": 2 MB).
pub const SUBSTITUTED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most bytes of a placeholder's own name, such as `#name` (Developer Guide, "Service quotas").
pub const PLACEHOLDER_BYTES_MAX: usize = 255;
/// Most bytes of one expression with what its placeholders stand for, each use counted.
/// Undocumented; DynamoDB Local, whose expressions are AWS's own code, rejects more.
pub const EXPANDED_BYTES_MAX: usize = 1024 * 1024;
/// Most operands of one IN.
pub const IN_OPERANDS_MAX: usize = 100;
/// How deep parentheses and functions may stand in each other inside one operand. Our own bound, so
/// that no input exhausts the stack; DynamoDB bounds only the length and the operators.
pub const DEPTH_MAX: usize = 64;
/// Most elements of one document path.
pub const PATH_ELEMENTS_MAX: usize = 32;

/// Which parameter of a request an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionKind {
    Condition,
    Filter,
    KeyCondition,
    Projection,
    Update,
}

impl ExpressionKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Condition => "ConditionExpression",
            Self::Filter => "FilterExpression",
            Self::KeyCondition => "KeyConditionExpression",
            Self::Projection => "ProjectionExpression",
            Self::Update => "UpdateExpression",
        }
    }

    pub(crate) fn invalid(self, message: impl std::fmt::Display) -> ServiceError {
        ServiceError::request(format!("Invalid {}: {message}", self.name()))
    }
}
