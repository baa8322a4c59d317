//! What is wrong with a call or an operation for every item: arguments of a type that it never
//! takes, and constants without a result.

use dm_dynamodb::value::{AttributeType, AttributeValue, Item, Number};

use crate::ast::{Node, Operator};
use crate::error::{Cause, Mistake};
use crate::evaluate::{self, Context};
use crate::function::Function;
use crate::parse::Result;
use crate::{number, text, time};

/// Checks the arguments of a call, with the bytes at which they begin.
pub(super) fn check_call(
    name: &'static str,
    function: Function,
    all: &[(Node, usize)],
) -> Result<()> {
    for (place, (node, at)) in all.iter().enumerate() {
        if let Some((types, wanted)) = function.takes(place) {
            check_kind(name, node, *at, types, wanted)?;
        }
        if let Node::Literal(value) = node {
            check_literal(name, function, place, value)
                .map_err(|cause| Mistake::new(*at, cause.to_string()))?;
        }
    }
    let literals: Option<Vec<Node>> = all
        .iter()
        .map(|(node, _)| matches!(node, Node::Literal(_)).then(|| node.clone()))
        .collect();
    let (Some(literals), Some((_, at))) = (literals, all.first()) else { return Ok(()) };
    let context = Context { item: &Item::new(), now: Number::ZERO };
    match context.call(function, &literals) {
        Ok(_) => Ok(()),
        Err(cause) => Err(Mistake::new(*at, cause.to_string())),
    }
}

/// Checks that an expression whose type is known has one of these types.
pub(super) fn check_kind(
    name: &'static str,
    node: &Node,
    at: usize,
    types: &[AttributeType],
    wanted: &'static str,
) -> Result<()> {
    match node.kind() {
        Some(kind) if !types.contains(&kind) => {
            let cause = Cause::wrong_type(name, wanted, number::in_words(kind));
            Err(Mistake::new(at, cause.to_string()))
        }
        _ => Ok(()),
    }
}

/// Checks an operand of arithmetic.
pub(super) fn check_operand(operator: Operator, node: &Node, at: usize) -> Result<()> {
    let joins = operator == Operator::Plus && node.kind() == Some(AttributeType::S);
    let wanted = if joins { "a number (concat joins strings)" } else { "a number" };
    check_kind(operator.symbol(), node, at, &[AttributeType::N], wanted)
}

/// What a divisor may not be.
pub(super) fn check_divisor(operator: Operator, node: &Node, at: usize) -> Result<()> {
    match node {
        Node::Literal(AttributeValue::N(number))
            if operator == Operator::Over && *number == Number::ZERO =>
        {
            Err(Mistake::new(at, "a division by zero has no result"))
        }
        _ => Ok(()),
    }
}

/// What a constant may not be, whatever the other arguments are.
fn check_literal(
    name: &'static str,
    function: Function,
    place: usize,
    value: &AttributeValue,
) -> std::result::Result<(), Cause> {
    match (function, place) {
        (Function::Substring, 1 | 2) | (Function::PadLeft, 1) => text::count(name, value).map(drop),
        (Function::Replace, 1) | (Function::PadLeft, 2) => text::filled(name, value).map(drop),
        (Function::RoundTo, 1) if *value == AttributeValue::N(Number::ZERO) => {
            Err(Cause::Unfit("round_to needs a step other than 0".into()))
        }
        (Function::Epoch | Function::Iso8601, 1) => time::offset(text::of(name, value)?).map(drop),
        (Function::Uuid5, 0) => evaluate::namespace(value).map(drop),
        _ => Ok(()),
    }
}
