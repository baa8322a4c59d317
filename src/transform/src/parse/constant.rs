//! What is the same for every item: constant expressions, which become their values, and mistakes:
//! arguments of a type that a function never takes, constants without a result, and conditions
//! whose outcome no item decides.

use std::collections::BTreeSet;

use dm_dynamodb::expression::Step;
use dm_dynamodb::value::{AttributeType, AttributeValue, Item, Number};

use crate::ast::{Node, Operator};
use crate::error::{Cause, Mistake};
use crate::evaluate::{self, Context};
use crate::function::{Function, Named, Signature};
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
    Ok(())
}

/// Returns an expression, or its value where that is the same for every item. `at` is where it
/// begins, or the part that decides whether it has a value.
pub(super) fn folded(node: Node, at: usize) -> Result<Node> {
    if !is_constant(&[&node]) {
        return Ok(node);
    }
    let context = Context { item: &Item::new(), now: Number::ZERO };
    match context.value(&node) {
        Ok(value) => Ok(Node::Literal(value.into_owned())),
        Err(cause) => Err(Mistake::new(at, cause.to_string())),
    }
}

/// Whether expressions have the same values for every item and at any time.
fn is_constant(all: &[&Node]) -> bool {
    let mut read = BTreeSet::new();
    for node in all {
        node.reads(&mut read);
    }
    read.is_empty() && !all.iter().any(|node| node.depends_on_now())
}

/// Checks the arguments of a function that has its own node.
pub(super) fn check_special(signature: &Signature, all: &[(Node, usize)]) -> Result<()> {
    use AttributeType::{B, Bs, L, N, Ns, S, Ss};
    let kind = |(node, at): &(Node, usize), types: &[AttributeType], wanted| {
        check_kind(signature.name, node, *at, types, wanted)
    };
    match (signature.named, all) {
        (Named::Split, [text, ..]) => kind(text, &[S], "a string"),
        (Named::Lookup, [_, key, ..]) => kind(key, &[S, N], "a string or a number"),
        (Named::Matches, [text, ..]) => {
            kind(text, &[S], "a string")?;
            check_decided(&[&text.0], text.1)
        }
        (Named::Type, [value, ..]) => check_decided(&[&value.0], value.1),
        (Named::BeginsWith, [value, prefix]) => {
            kind(value, &[S, B], "a string or a binary")?;
            kind(prefix, &[S, B], "a string or a binary")?;
            check_comparable(&value.0, &prefix.0, value.1)?;
            check_decided(&[&value.0, &prefix.0], value.1)
        }
        (Named::Contains, [value, element]) => {
            kind(value, &[S, B, Ss, Ns, Bs, L], "a string, a binary, a set or a list")?;
            check_decided(&[&value.0, &element.0], value.1)
        }
        _ => Ok(()),
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

/// Checks the operands of a condition, the first of which begins at this byte: an item decides it.
/// A quoted name, as in `'status' = 'open'`, would select no item, or every one.
pub(super) fn check_decided(operands: &[&Node], at: usize) -> Result<()> {
    if !is_constant(operands) {
        return Ok(());
    }
    Err(Mistake::new(
        at,
        "this condition reads no attribute, so it holds for all items or for none; the name of an \
         attribute has no quotes or double quotes",
    ))
}

/// Checks that two operands of known types may be equal or in order.
pub(super) fn check_comparable(left: &Node, right: &Node, at: usize) -> Result<()> {
    let (Some(left), Some(right)) = (left.kind(), right.kind()) else { return Ok(()) };
    if left == right {
        return Ok(());
    }
    let (left, right) = (number::in_words(left), number::in_words(right));
    Err(Mistake::new(
        at,
        format!("{left} is compared with {right}, which never match; convert one of them"),
    ))
}

/// Checks that there is something to step into: a map has fields, a list elements.
pub(super) fn check_step(node: &Node, step: &Step, at: usize) -> Result<()> {
    let (kind, lacks) = match step {
        Step::Field(_) => (AttributeType::M, "no fields; a map has"),
        Step::Index(_) => (AttributeType::L, "no elements with a number; a list has"),
    };
    match node.kind() {
        Some(found) if found != kind => {
            Err(Mistake::new(at, format!("{} has {lacks}", number::in_words(found))))
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
