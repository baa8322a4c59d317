//! The type that an expression always has, as far as it is known before any item is read.

use dm_dynamodb::value::{AttributeType, AttributeValue};

use crate::ast::Node;
use crate::function::Function;

impl Node {
    /// Returns the type of every value that the expression can have; none if that depends on the
    /// item.
    pub fn kind(&self) -> Option<AttributeType> {
        match self {
            Self::Literal(value) => Some(value.kind()),
            Self::Negate(_) | Self::Arithmetic { .. } => Some(AttributeType::N),
            Self::Call { function, .. } => of_function(*function),
            Self::Split { .. } => Some(AttributeType::L),
            Self::If { then, otherwise, .. } => {
                then.kind().filter(|kind| otherwise.kind() == Some(*kind))
            }
            Self::Path(_) | Self::Step(..) | Self::IfNotExists { .. } | Self::Lookup { .. } => None,
            condition => condition.is_condition().then_some(AttributeType::Bool),
        }
    }

    /// Whether it is a string or binary without content, which no key may be.
    pub fn is_empty_literal(&self) -> bool {
        match self {
            Self::Literal(AttributeValue::S(text)) => text.is_empty(),
            Self::Literal(AttributeValue::B(bytes)) => bytes.is_empty(),
            _ => false,
        }
    }
}

fn of_function(function: Function) -> Option<AttributeType> {
    match function {
        Function::Concat
        | Function::Lower
        | Function::Upper
        | Function::Trim
        | Function::Replace
        | Function::Substring
        | Function::PadLeft
        | Function::String
        | Function::Json
        | Function::Iso8601
        | Function::Hash
        | Function::Uuid5 => Some(AttributeType::S),
        Function::RoundTo
        | Function::Floor
        | Function::Ceil
        | Function::Abs
        | Function::Number
        | Function::Epoch
        | Function::Now
        | Function::Size => Some(AttributeType::N),
        Function::List | Function::ListAppend => Some(AttributeType::L),
        Function::Map => Some(AttributeType::M),
        Function::Set | Function::Union | Function::Difference | Function::ParseJson => None,
    }
}
