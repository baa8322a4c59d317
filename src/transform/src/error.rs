//! What is wrong with a transform, and what stands in the way of one item.

use dm_dynamodb::value::NumberError;

/// The field of a mistake that no single field has.
pub(crate) const WHOLE: &str = "transform";

/// A mistake in a transform's declaration: which field, where in its text, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SpecError {
    /// The field's path, from the transform inwards: `set.price`.
    pub field: String,
    /// The column in the field's text, from 1, where the field holds an expression.
    pub column: Option<usize>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl std::fmt::Display for SpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column {
            Some(column) => write!(f, "{}, column {column}: {}", self.field, self.message),
            None => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

impl SpecError {
    /// Says the same with the field's path in the whole spec: `spec.transform.set.price, column 5:
    /// …`.
    pub fn in_spec(&self) -> String {
        match self.field.as_str() {
            WHOLE => format!("spec.{self}"),
            _ => format!("spec.{WHOLE}.{self}"),
        }
    }
}

/// A mistake in one expression, before its field is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Byte at which it begins.
    pub at: usize,
    pub message: String,
}

impl Mistake {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// Adds what to write instead, if that is known.
    pub fn with(mut self, hint: Option<&str>) -> Self {
        if let Some(hint) = hint {
            self.message.push_str("; ");
            self.message.push_str(hint);
        }
        self
    }

    /// The mistake as one of this field, whose text it is in.
    pub fn within(self, field: impl Into<String>, text: &str) -> SpecError {
        let before = text.get(..self.at).unwrap_or(text);
        SpecError {
            field: field.into(),
            column: Some(before.chars().count() + 1),
            message: self.message,
        }
    }
}

/// Why a transform cannot change one item. The message names attributes and types, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {cause}")]
pub struct ItemError {
    /// The field of the transform that failed.
    pub field: String,
    pub cause: Cause,
}

/// Why an expression has no value for one item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// A path leads nowhere.
    #[error("{0} is missing")]
    Missing(String),
    /// An expression that is only the name of an attribute, and the item has none of this name.
    #[error("{0} is missing; if a string is meant, write \"'{0}'\" with both quotes")]
    Word(String),
    /// A value has another type than the function or operator takes.
    #[error("{what} needs {wanted}, not {found}{of}", of = of(.path.as_deref()))]
    Type {
        /// The function or operator.
        what: &'static str,
        /// The types it takes.
        wanted: &'static str,
        /// The type it got.
        found: &'static str,
        /// Where the item has that value, if the operand is a path.
        path: Option<String>,
    },
    /// A value of a type that has no size. DynamoDB's own `size` has no result then.
    #[error("size needs a string, a binary, a set, a list or a map, not {0}")]
    NoSize(&'static str),
    /// A number that DynamoDB cannot hold.
    #[error("{error}{advice}", error = .0, advice = advice(.0))]
    Number(#[from] NumberError),
    /// A value that does not fit what is done with it.
    #[error("{0}")]
    Unfit(String),
    /// A lookup without a row and without a default.
    #[error("{0} has no row for the key, and lookup has no default")]
    NoRow(String),
}

fn advice(error: &NumberError) -> &'static str {
    match error {
        NumberError::DivisionByZero => {
            "; exclude such items with filter, or choose with if(condition, a, b)"
        }
        _ => "",
    }
}

fn of(path: Option<&str>) -> String {
    path.map(|path| format!(" ({path})")).unwrap_or_default()
}

impl Cause {
    pub(crate) fn wrong_type(
        what: &'static str,
        wanted: &'static str,
        found: &'static str,
    ) -> Self {
        Self::Type { what, wanted, found, path: None }
    }

    /// Adds where the item has the operand of the wrong type.
    pub(crate) fn of_operand(self, shown: impl FnOnce(&'static str) -> Option<String>) -> Self {
        match self {
            Self::Type { what, wanted, found, path: None } => {
                Self::Type { what, wanted, found, path: shown(found) }
            }
            other => other,
        }
    }

    /// Whether a condition takes the operand for missing, as DynamoDB does, instead of failing. A
    /// value of the wrong type in arithmetic or in a function of this language is there, so it
    /// fails the item: as an absence it would make `<>` and `NOT` true.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Word(_) | Self::NoSize(_))
    }
}

/// What comes of one item, or why nothing does.
pub(crate) type Result<T> = std::result::Result<T, Cause>;
