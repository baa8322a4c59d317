//! WHERE clauses.

use super::cursor::{Cursor, Result};
use super::literal::{is_literal, literal};
use super::token::TokenKind;
use crate::error::ServiceError;
use crate::expression::{
    Comparator, Condition, IN_OPERANDS_MAX, Node, Operand, Path, same_paths, wrong_bounds,
};
use crate::value::{AttributeType, AttributeValue};

/// A condition, which follows WHERE.
pub(super) fn condition(cursor: &mut Cursor) -> Result<Condition> {
    Ok(Condition { root: any(cursor)? })
}

fn any(cursor: &mut Cursor) -> Result<Node> {
    joined(cursor, "OR", Node::Or, |cursor| joined(cursor, "AND", Node::And, negation))
}

fn joined(
    cursor: &mut Cursor,
    word: &str,
    join: fn(Vec<Node>) -> Node,
    inner: fn(&mut Cursor) -> Result<Node>,
) -> Result<Node> {
    let first = inner(cursor)?;
    if !cursor.is_word(word) {
        return Ok(first);
    }
    let mut nodes = vec![first];
    while cursor.eat_word(word) {
        cursor.count_operator()?;
        nodes.push(inner(cursor)?);
    }
    Ok(join(nodes))
}

fn negation(cursor: &mut Cursor) -> Result<Node> {
    if cursor.eat_word("NOT") {
        cursor.count_operator()?;
        return Ok(Node::Not(Box::new(cursor.descend(negation)?)));
    }
    if cursor.eat_symbol("(") {
        let inner = cursor.descend(any)?;
        cursor.expect_symbol(")")?;
        return Ok(inner);
    }
    comparison(cursor)
}

fn comparison(cursor: &mut Cursor) -> Result<Node> {
    cursor.count_operator()?;
    if let Some(node) = function(cursor)? {
        return compared_with_truth(cursor, node);
    }
    let left = operand(cursor)?;
    let token = cursor.peek();
    if token.kind == TokenKind::Symbol {
        let text = if token.text == "!=" { "<>" } else { token.text };
        let comparator = Comparator::from_symbol(text).ok_or_else(|| cursor.unexpected())?;
        cursor.advance();
        let right = operand(cursor)?;
        check_distinct(text, &left, &right)?;
        if !matches!(comparator, Comparator::Eq | Comparator::Ne) {
            check_ordered(text, [&left, &right])?;
        }
        return Ok(Node::Compare { left, comparator, right });
    }
    if cursor.eat_word("BETWEEN") {
        let low = operand(cursor)?;
        cursor.expect_word("AND")?;
        let high = operand(cursor)?;
        check_ordered("BETWEEN", [&left, &low, &high])?;
        [&low, &high].into_iter().try_for_each(|one| check_distinct("BETWEEN", &left, one))?;
        reject(wrong_bounds(&low, &high))?;
        return Ok(Node::Between { value: left, low, high });
    }
    if cursor.eat_word("IN") {
        let options = options(cursor)?;
        options.iter().try_for_each(|option| check_distinct("IN", &left, option))?;
        return Ok(Node::In { value: left, options });
    }
    cursor.expect_word("IS")?;
    is(cursor, left)
}

/// A function that is a condition, or `= true` or `= false` behind it.
fn compared_with_truth(cursor: &mut Cursor, node: Node) -> Result<Node> {
    if !cursor.eat_symbol("=") {
        return Ok(node);
    }
    match operand(cursor)? {
        Operand::Value(AttributeValue::Bool(true)) => Ok(node),
        Operand::Value(AttributeValue::Bool(false)) => Ok(Node::Not(Box::new(node))),
        _ => Err(cursor.unexpected()),
    }
}

fn reject(wrong: Option<String>) -> Result<()> {
    wrong.map_or(Ok(()), |wrong| Err(ServiceError::validation(wrong)))
}

fn check_distinct(name: &str, first: &Operand, second: &Operand) -> Result<()> {
    reject(same_paths(name, first, second))
}

/// Only strings, numbers and binaries have an order.
fn check_ordered<const N: usize>(name: &str, operands: [&Operand; N]) -> Result<()> {
    let ordered = [AttributeType::S, AttributeType::N, AttributeType::B];
    let mut kinds = operands.into_iter().filter_map(Operand::known_kind);
    match kinds.find(|kind| !ordered.contains(kind)) {
        Some(kind) => Err(incorrect_type(name, kind.as_str())),
        None => Ok(()),
    }
}

pub(super) fn incorrect_type(name: &str, kind: &str) -> ServiceError {
    ServiceError::validation(format!(
        "Incorrect operand type for operator or function; operator or function: {name}, operand \
         type: {kind}"
    ))
}

/// The names of types that IS takes.
const TYPES: [(&str, AttributeType); 9] = [
    ("NULL", AttributeType::Null),
    ("BOOLEAN", AttributeType::Bool),
    ("BOOL", AttributeType::Bool),
    ("BLOB", AttributeType::B),
    ("STRING", AttributeType::S),
    ("NUMERIC", AttributeType::N),
    ("STRUCT", AttributeType::M),
    ("TUPLE", AttributeType::M),
    ("LIST", AttributeType::L),
];

/// `IS [NOT] MISSING` or `IS [NOT]` a type.
fn is(cursor: &mut Cursor, value: Operand) -> Result<Node> {
    let negated = cursor.eat_word("NOT");
    let of_type = TYPES.iter().find(|(word, _)| cursor.eat_word(word));
    let node = if let Some((_, kind)) = of_type {
        Node::Type { value, kind: *kind }
    } else {
        cursor.expect_word("MISSING")?;
        let Operand::Path(path) = value else { return Err(cursor.unexpected()) };
        Node::NotExists(path)
    };
    Ok(match node {
        Node::NotExists(path) if negated => Node::Exists(path),
        node if negated => Node::Not(Box::new(node)),
        node => node,
    })
}

/// A path, a value, or `size(path)`.
fn operand(cursor: &mut Cursor) -> Result<Operand> {
    if cursor.is_word("size") && is_call(cursor) {
        cursor.advance();
        cursor.advance();
        let path = cursor.path()?;
        cursor.expect_symbol(")")?;
        return Ok(Operand::Size(Box::new(Operand::Path(path))));
    }
    if cursor.eat_symbol("(") {
        let inner = cursor.descend(operand)?;
        cursor.expect_symbol(")")?;
        return Ok(inner);
    }
    if is_literal(cursor) {
        return literal(cursor).map(Operand::Value);
    }
    cursor.path().map(Operand::Path)
}

fn is_call(cursor: &Cursor) -> bool {
    let next = cursor.look(1);
    next.kind == TokenKind::Symbol && next.text == "("
}

/// `[a, b]` or `(a, b)`.
fn options(cursor: &mut Cursor) -> Result<Vec<Operand>> {
    let end = match cursor.peek().text {
        "[" => "]",
        "(" => ")",
        // A parameter may be the whole list.
        _ if cursor.is_symbol("?") => {
            return match literal(cursor)? {
                AttributeValue::L(list) => {
                    check_count(list.len())?;
                    Ok(list.into_iter().map(Operand::Value).collect())
                }
                _ => Err(cursor.unexpected()),
            };
        }
        _ => return Err(cursor.unexpected()),
    };
    cursor.advance();
    let mut found = vec![operand(cursor)?];
    while cursor.eat_symbol(",") {
        found.push(operand(cursor)?);
    }
    cursor.expect_symbol(end)?;
    check_count(found.len())?;
    Ok(found)
}

fn check_count(count: usize) -> Result<()> {
    if count <= IN_OPERANDS_MAX {
        return Ok(());
    }
    Err(ServiceError::validation(format!(
        "The IN operator is provided with too many operands; number of operands: {count}"
    )))
}

/// A function that is a condition, if one stands here.
fn function(cursor: &mut Cursor) -> Result<Option<Node>> {
    let token = cursor.peek();
    if token.kind != TokenKind::Word || !is_call(cursor) {
        return Ok(None);
    }
    let name = token.text.to_ascii_lowercase();
    match name.as_str() {
        "begins_with"
        | "contains"
        | "attribute_type"
        | "attribute_exists"
        | "attribute_not_exists" => {}
        "size" => return Ok(None),
        _ => {
            return Err(ServiceError::validation(format!(
                "Invalid function name; function: {}",
                token.text
            )));
        }
    }
    cursor.advance();
    cursor.advance();
    let path = cursor.path()?;
    let node = match name.as_str() {
        "attribute_exists" => Node::Exists(path),
        "attribute_not_exists" => Node::NotExists(path),
        _ => {
            cursor.expect_symbol(",")?;
            two_operands(cursor, &name, path)?
        }
    };
    cursor.expect_symbol(")")?;
    Ok(Some(node))
}

fn two_operands(cursor: &mut Cursor, name: &str, path: Path) -> Result<Node> {
    let value = Operand::Path(path);
    let second = operand(cursor)?;
    check_distinct(name, &value, &second)?;
    match (name, second.known_kind()) {
        ("begins_with", Some(kind)) if !matches!(kind, AttributeType::S | AttributeType::B) => {
            Err(incorrect_type(name, kind.as_str()))
        }
        ("begins_with", _) => Ok(Node::BeginsWith { value, prefix: second }),
        ("contains", _) => Ok(Node::Contains { value, element: second }),
        (_, kind) => {
            let Operand::Value(AttributeValue::S(type_name)) = &second else {
                return Err(incorrect_type(name, kind.map_or("path", AttributeType::as_str)));
            };
            let kind = AttributeType::from_name(type_name).ok_or_else(|| {
                ServiceError::validation(format!(
                    "Invalid attribute type name found; type: {type_name}, valid types: \
                     {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
                ))
            })?;
            Ok(Node::Type { value, kind })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::item_from_json;
    use serde_json::json;

    fn check(text: &str, expected: &str) {
        let item = item_from_json(&json!({
            "a": {"N": "5"}, "s": {"S": "hello"}, "nil": {"NULL": true}, "ss": {"SS": ["x"]},
            "m": {"M": {"k": {"L": [{"S": "v"}]}}}, "data": {"BOOL": true},
        }))
        .unwrap();
        let parameters = [AttributeValue::from("hello")];
        let used = text.matches('?').count();
        let mut cursor = Cursor::new(text, &parameters[..used]).unwrap();
        let found = condition(&mut cursor).and_then(|found| cursor.finish().map(|()| found));
        let shown = match found {
            Ok(condition) => condition.matches(&item).to_string(),
            Err(error) => error.message,
        };
        assert_eq!(shown, expected, "{text:.100}");
    }

    #[test]
    fn conditions_mean_what_they_say() {
        for (text, expected) in [
            ("a = 5", "true"),
            ("5.0 = a", "true"),
            ("a > 5 OR s = ?", "true"),
            ("a > 5 OR s = 'x' AND a = 5", "false"),
            ("NOT (a > 5) AND NOT s = 'x'", "true"),
            ("a != 5", "false"),
            ("a <> 6", "true"),
            ("absent <> 6", "true"),
            ("a BETWEEN 1 AND 5", "true"),
            ("a IN [1, 5]", "true"),
            ("a IN (1, 2)", "false"),
            ("\"data\" = true", "true"),
            ("m.k[0] = 'v'", "true"),
            ("\"m\".\"k\"[0] = 'v'", "true"),
            ("absent IS MISSING", "true"),
            ("a IS NOT MISSING", "true"),
            ("nil IS NULL", "true"),
            ("a IS NULL", "false"),
            ("a IS NOT NULL", "true"),
            ("a IS NUMERIC AND s IS STRING AND m IS STRUCT", "true"),
            ("m.k IS NOT LIST", "false"),
            ("begins_with(\"s\", 'he')", "true"),
            ("BEGINS_WITH(s, 'x')", "false"),
            ("contains(s, 'ell')", "true"),
            ("contains(\"ss\", 'x') AND size(s) = 5", "true"),
            ("attribute_type(a, 'N')", "true"),
            ("(a = 5 AND ((s = 'hello')))", "true"),
            ("data IS BOOL AND a IS NOT BOOL", "true"),
            ("attribute_exists(a) = true AND attribute_exists(absent) = false", "true"),
            ("contains(s, 'ell') = false", "false"),
            ("a = 5 -- as it was\n AND /* not 'x' */ s = 'hello'", "true"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn operands_that_cannot_be_meant_are_rejected() {
        for (text, name, path) in [
            ("a = a", "=", "a"),
            ("a < a", "<", "a"),
            ("a IN [1, a]", "IN", "a"),
            ("a BETWEEN a AND 9", "BETWEEN", "a"),
            ("NOT a BETWEEN 9 AND a", "BETWEEN", "a"),
            ("contains(m.k, m.k)", "contains", "m.k"),
            ("begins_with(s, s)", "begins_with", "s"),
        ] {
            check(
                text,
                &format!(
                    "The first operand must be distinct from the remaining operands for this \
                     operator or function; operator: {name}, first operand: [{}]",
                    path.replace('.', ", ")
                ),
            );
        }
        let bounds = "lower bound operand: AttributeValue: {N:5}, upper bound operand: \
                      AttributeValue: {N:1}";
        check(
            "NOT (a BETWEEN 5 AND 1)",
            &format!(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower \
                 bound; {bounds}"
            ),
        );
        let bounds = "lower bound operand: AttributeValue: {N:1}, upper bound operand: \
                      AttributeValue: {S:x}";
        check(
            "a BETWEEN 1 AND 'x'",
            &format!(
                "The BETWEEN operator requires same data type for lower and upper bounds; {bounds}"
            ),
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        check("what(a)", "Invalid function name; function: what");
        check(
            "begins_with(a, 5)",
            "Incorrect operand type for operator or function; operator or function: begins_with, \
             operand type: N",
        );
        check(
            "a < true",
            "Incorrect operand type for operator or function; operator or function: <, operand \
             type: BOOL",
        );
        let list = vec!["1"; 101].join(",");
        check(
            &format!("a IN [{list}]"),
            "The IN operator is provided with too many operands; number of operands: 101",
        );
        let long = vec!["a=1"; 301].join(" AND ");
        check(&long, "The expression contains too many operators; operator count: 301");
        for text in
            ["a", "a =", "= 5", "a IN 5", "a IS", "a LIKE 'x'", "(a = 1", "a = 1 b", "5 IS MISSING"]
        {
            let mut cursor = Cursor::new(text, &[]).unwrap();
            let found = condition(&mut cursor).and_then(|_| cursor.finish());
            let message = found.unwrap_err().message;
            assert!(message.starts_with("Statement wasn't well formed"), "{text}: {message}");
        }
    }

    #[test]
    fn hostile_input_gets_an_error_and_no_more() {
        let deep = "Statement wasn't well formed, can't be processed: The statement is nested too \
                    deeply";
        for text in ["(".repeat(8_000), "NOT ".repeat(2_000), format!("a = {}", "(".repeat(8_000))]
        {
            check(&text, deep);
        }
    }
}
