//! Functions of numbers, and the words for types.

use dm_dynamodb::expression::size as size_of;
use dm_dynamodb::value::{AttributeType, AttributeValue, Number, Rounding};

use crate::error::Cause;
use crate::error::Result;

/// The type of a value in words.
pub(crate) fn kind(value: &AttributeValue) -> &'static str {
    in_words(value.kind())
}

/// A type in words.
pub(crate) fn in_words(kind: AttributeType) -> &'static str {
    match kind {
        AttributeType::S => "a string",
        AttributeType::N => "a number",
        AttributeType::B => "a binary",
        AttributeType::Bool => "a truth value",
        AttributeType::Null => "null",
        AttributeType::M => "a map",
        AttributeType::L => "a list",
        AttributeType::Ss => "a string set",
        AttributeType::Ns => "a number set",
        AttributeType::Bs => "a binary set",
    }
}

/// The number that this function or operator needs.
pub(crate) fn of(what: &'static str, value: &AttributeValue) -> Result<Number> {
    match value {
        AttributeValue::N(number) => Ok(*number),
        other => {
            let joins = what == "+" && matches!(other, AttributeValue::S(_));
            let wanted = if joins { "a number (concat joins strings)" } else { "a number" };
            Err(Cause::wrong_type(what, wanted, kind(other)))
        }
    }
}

/// The whole number next to a number.
pub(crate) fn whole(
    what: &'static str,
    value: &AttributeValue,
    to: Rounding,
) -> Result<AttributeValue> {
    Ok(AttributeValue::N(of(what, value)?.to_multiple(Number::from(1_i64), to)?))
}

/// What the function `size` gives.
pub(crate) fn size(value: &AttributeValue) -> Result<AttributeValue> {
    match size_of(value) {
        Some(size) => Ok(AttributeValue::N(Number::from(size))),
        None => Err(Cause::NoSize(kind(value))),
    }
}
