//! The grammar of conditions.
//!
//! Parentheses may hold a condition or an operand, and only what follows tells. So what is read is
//! a [`Part`], judged when it is used: no backtracking, and no input takes more than one pass.

use super::condition_check::{
    check_between, check_distinct, check_in_count, check_ordered, function_node,
};
use super::cursor::{Cursor, Rank, Result};
use super::token::TokenKind;
use super::{Comparator, ExpressionKind, Node, Operand, Path, Placeholders};
use crate::value::AttributeValue;

/// What may stand where a condition or an operand is expected.
enum Part {
    Condition(Node),
    Operand(Operand),
    /// A call that is one or the other, depending on its name and its place.
    Call(Call),
}

/// A function's call.
pub(crate) struct Call {
    pub name: String,
    pub arguments: Vec<Operand>,
}

pub(crate) fn parse_condition(
    kind: ExpressionKind,
    text: &str,
    placeholders: &mut Placeholders,
) -> Result<Node> {
    let mut cursor = Cursor::new(kind, text, placeholders)?;
    let part = any(&mut cursor)?;
    let node = condition(&mut cursor, part)?;
    cursor.finish()?;
    Ok(node)
}

/// Names that are never paths: they join and make up conditions.
fn is_keyword(name: &str) -> bool {
    ["AND", "OR", "NOT", "IN", "BETWEEN"].iter().any(|word| name.eq_ignore_ascii_case(word))
}

fn any(cursor: &mut Cursor) -> Result<Part> {
    joined(cursor, "OR", Node::Or, |cursor| joined(cursor, "AND", Node::And, negation))
}

/// One or more parts with a keyword between them.
fn joined(
    cursor: &mut Cursor,
    word: &str,
    join: fn(Vec<Node>) -> Node,
    inner: fn(&mut Cursor) -> Result<Part>,
) -> Result<Part> {
    let first = inner(cursor)?;
    if !cursor.is_keyword(word) {
        return Ok(first);
    }
    let mut nodes = vec![condition(cursor, first)?];
    while cursor.eat_keyword(word) {
        cursor.count_operator();
        let next = inner(cursor)?;
        nodes.push(condition(cursor, next)?);
    }
    Ok(Part::Condition(join(nodes)))
}

fn negation(cursor: &mut Cursor) -> Result<Part> {
    if !cursor.eat_keyword("NOT") {
        return comparison(cursor);
    }
    cursor.count_operator();
    let part = cursor.descend(negation)?;
    let node = condition(cursor, part)?;
    Ok(Part::Condition(Node::Not(Box::new(node))))
}

/// A part and, if one follows, the operator that makes it a condition.
fn comparison(cursor: &mut Cursor) -> Result<Part> {
    let left = primary(cursor)?;
    let token = cursor.peek();
    let comparator = match token.kind {
        TokenKind::Symbol => Comparator::from_symbol(token.text),
        _ => None,
    };
    let node = if let Some(comparator) = comparator {
        let left = operand(cursor, left)?;
        cursor.advance();
        let right = next_operand(cursor)?;
        check_distinct(cursor, token.text, &left, &right);
        if !matches!(comparator, Comparator::Eq | Comparator::Ne) {
            check_ordered(cursor, token.text, [&left, &right]);
        }
        Node::Compare { left, comparator, right }
    } else if cursor.is_keyword("BETWEEN") {
        let value = operand(cursor, left)?;
        between(cursor, value)?
    } else if cursor.is_keyword("IN") {
        let value = operand(cursor, left)?;
        cursor.advance();
        cursor.expect_symbol("(")?;
        let options = operands(cursor)?;
        check_in_count(cursor, options.len());
        Node::In { value, options }
    } else {
        return Ok(left);
    };
    cursor.count_operator();
    cursor.close_comparison();
    Ok(Part::Condition(node))
}

fn between(cursor: &mut Cursor, value: Operand) -> Result<Node> {
    cursor.advance();
    let low = next_operand(cursor)?;
    cursor.expect_keyword("AND")?;
    let high = next_operand(cursor)?;
    check_ordered(cursor, "BETWEEN", [&value, &low, &high]);
    check_between(cursor, &low, &high);
    Ok(Node::Between { value, low, high })
}

fn primary(cursor: &mut Cursor) -> Result<Part> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::ValueRef => Ok(Part::Operand(Operand::Value(cursor.value()))),
        TokenKind::NameRef => path(cursor),
        TokenKind::Name if is_keyword(token.text) => Err(cursor.syntax_error()),
        TokenKind::Name => {
            let next = cursor.peek_second();
            if next.kind == TokenKind::Symbol && next.text == "(" {
                call(cursor)
            } else {
                path(cursor)
            }
        }
        _ if cursor.is_symbol("(") => parenthesised(cursor),
        _ => Err(cursor.syntax_error()),
    }
}

fn path(cursor: &mut Cursor) -> Result<Part> {
    Ok(Part::Operand(Operand::Path(cursor.path(is_keyword)?)))
}

fn parenthesised(cursor: &mut Cursor) -> Result<Part> {
    let open = cursor.at();
    cursor.expect_symbol("(")?;
    let part = cursor.descend(any)?;
    // Redundant when all that stands inside is another pair.
    if cursor.group == Some((open + 1, cursor.at())) {
        cursor.note(Rank::Parentheses, "The expression has redundant parentheses;");
    }
    cursor.expect_symbol(")")?;
    cursor.group = Some((open, cursor.at()));
    // `(a).b` is a path too.
    match part {
        Part::Operand(Operand::Path(mut path)) => {
            cursor.path_steps(&mut path, is_keyword)?;
            Ok(Part::Operand(Operand::Path(path)))
        }
        other => Ok(other),
    }
}

fn call(cursor: &mut Cursor) -> Result<Part> {
    let name = cursor.peek().text.to_owned();
    cursor.advance();
    cursor.expect_symbol("(")?;
    let arguments = cursor.descend(operands)?;
    cursor.count_operator();
    Ok(Part::Call(Call { name, arguments }))
}

/// Operands with commas between them, up to the closing parenthesis.
fn operands(cursor: &mut Cursor) -> Result<Vec<Operand>> {
    let mut found = vec![next_operand(cursor)?];
    while cursor.eat_symbol(",") {
        found.push(next_operand(cursor)?);
    }
    cursor.expect_symbol(")")?;
    Ok(found)
}

fn next_operand(cursor: &mut Cursor) -> Result<Operand> {
    let part = primary(cursor)?;
    operand(cursor, part)
}

/// The part as an operand: a condition there is a syntax error, a function that gives no value is
/// out of place.
fn operand(cursor: &mut Cursor, part: Part) -> Result<Operand> {
    match part {
        Part::Operand(operand) => Ok(operand),
        Part::Condition(_) => Err(cursor.syntax_error()),
        Part::Call(call) if call.name == "size" => {
            function_node(cursor, &call);
            let inner = call.arguments.into_iter().next();
            let inner = inner.unwrap_or(Operand::Value(AttributeValue::Null));
            Ok(Operand::Size(Box::new(inner)))
        }
        Part::Call(call) => {
            function_node(cursor, &call);
            misused(cursor, &call.name);
            Ok(Operand::Value(AttributeValue::Null))
        }
    }
}

/// The part as a condition: an operand there is a syntax error at what follows it.
fn condition(cursor: &mut Cursor, part: Part) -> Result<Node> {
    match part {
        Part::Condition(node) => Ok(node),
        Part::Operand(_) => Err(cursor.syntax_error()),
        Part::Call(call) => {
            let node = function_node(cursor, &call);
            cursor.close_comparison();
            if call.name == "size" {
                misused(cursor, "size");
            }
            // Whenever there is no node, an error has been noted.
            Ok(node.unwrap_or_else(|| Node::Exists(Path::of(""))))
        }
    }
}

fn misused(cursor: &mut Cursor, name: &str) {
    cursor.note(
        Rank::MisusedFunction,
        format!(
            "The function is not allowed to be used this way in an expression; function: {name}"
        ),
    );
}
