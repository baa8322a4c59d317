//! What DynamoDB checks of a condition before it looks at any item: functions and their operands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::condition_call::Call;
use super::cursor::{Cursor, Rank};
use super::function::{UPDATE_FUNCTIONS, operands_of};
use super::{IN_OPERANDS_MAX, Node, Operand, Path};
use crate::value::{AttributeType, AttributeValue};

/// The node of a function's call; what is wrong with the call is noted, and then there may be none.
pub(crate) fn function_node(cursor: &mut Cursor, call: &Call) -> Option<Node> {
    let name = call.name.as_str();
    let Some(expected) = operands_of(name) else {
        let wrong = if UPDATE_FUNCTIONS.contains(&name) {
            "The function is not allowed in a condition expression"
        } else {
            "Invalid function name"
        };
        cursor.note(Rank::UnknownFunction, format!("{wrong}; function: {name}"));
        return None;
    };
    if call.arguments.len() != expected {
        cursor.note(
            Rank::OperandCount,
            format!(
                "Incorrect number of operands for operator or function; operator or function: \
                 {name}, number of operands: {}",
                call.arguments.len()
            ),
        );
        return None;
    }
    match call.arguments.as_slice() {
        [only] => one_operand(cursor, name, only),
        // Of one function with both mistakes AWS names this one.
        [first, second] => match same_paths(name, first, second) {
            Some(same) => {
                cursor.note(Rank::Distinct, same);
                None
            }
            None => two_operands(cursor, name, first, second),
        },
        _ => None,
    }
}

fn one_operand(cursor: &mut Cursor, name: &str, operand: &Operand) -> Option<Node> {
    if name == "size" {
        let unfit = [AttributeType::N, AttributeType::Bool, AttributeType::Null];
        if let Some(kind) = operand.known_kind().filter(|kind| unfit.contains(kind)) {
            wrong_type(cursor, name, kind.as_str());
        }
        return None;
    }
    let Operand::Path(path) = operand else {
        cursor.note(Rank::OperandType, needs_path(name));
        return None;
    };
    Some(match name {
        "attribute_exists" => Node::Exists(path.clone()),
        _ => Node::NotExists(path.clone()),
    })
}

fn two_operands(
    cursor: &mut Cursor,
    name: &str,
    first: &Operand,
    second: &Operand,
) -> Option<Node> {
    match name {
        "begins_with" => {
            let textual = [AttributeType::S, AttributeType::B];
            for operand in [first, second] {
                if let Some(kind) = operand.known_kind().filter(|kind| !textual.contains(kind)) {
                    wrong_type(cursor, name, kind.as_str());
                }
            }
            Some(Node::BeginsWith { value: first.clone(), prefix: second.clone() })
        }
        "contains" => Some(Node::Contains { value: first.clone(), element: second.clone() }),
        _ => {
            let kind = type_operand(cursor, second)?;
            Some(Node::Type { value: first.clone(), kind })
        }
    }
}

/// The second operand of attribute_type: a string that names a type.
fn type_operand(cursor: &mut Cursor, operand: &Operand) -> Option<AttributeType> {
    let Operand::Value(AttributeValue::S(name)) = operand else {
        let any = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}";
        wrong_type(
            cursor,
            "attribute_type",
            operand.known_kind().map_or(any, AttributeType::as_str),
        );
        return None;
    };
    let kind = AttributeType::from_name(name);
    if kind.is_none() {
        cursor.note(
            Rank::OperandType,
            format!(
                "Invalid attribute type name found; type: {name}, valid types: \
                 {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
            ),
        );
    }
    kind
}

fn wrong_type(cursor: &mut Cursor, name: &str, kind: &str) {
    cursor.note(
        Rank::OperandType,
        format!(
            "Incorrect operand type for operator or function; operator or function: {name}, \
             operand type: {kind}"
        ),
    );
}

/// A path compared with itself is rejected.
pub(crate) fn check_distinct(cursor: &mut Cursor, name: &str, first: &Operand, second: &Operand) {
    if let Some(same) = same_paths(name, first, second) {
        cursor.note(Rank::Distinct, same);
    }
}

/// What is wrong where a function's operand is not a path.
pub(crate) fn needs_path(name: &str) -> String {
    format!("Operator or function requires a document path; operator or function: {name}")
}

/// What is wrong where two operands are one path.
pub(crate) fn same_paths(name: &str, first: &Operand, second: &Operand) -> Option<String> {
    let (Operand::Path(first), Operand::Path(second)) = (first, second) else { return None };
    same_path(name, first, second)
}

/// What is wrong where the first operand is a path, and another one the same.
pub(crate) fn same_path(name: &str, first: &Path, second: &Path) -> Option<String> {
    (first == second).then(|| {
        format!(
            "The first operand must be distinct from the remaining operands for this operator or \
             function; operator: {name}, first operand: {first}"
        )
    })
}

/// Only strings, numbers and binaries have an order.
pub(crate) fn check_ordered<const N: usize>(
    cursor: &mut Cursor,
    name: &str,
    operands: [&Operand; N],
) {
    let ordered = [AttributeType::S, AttributeType::N, AttributeType::B];
    for operand in operands {
        if let Some(kind) = operand.known_kind().filter(|kind| !ordered.contains(kind)) {
            wrong_type(cursor, name, kind.as_str());
        }
    }
}

/// Bounds that are both given must be of one type and in order.
pub(crate) fn check_between(cursor: &mut Cursor, low: &Operand, high: &Operand) {
    if let Some(wrong) = wrong_bounds(low, high) {
        cursor.note(Rank::OperandType, wrong);
    }
}

/// What is wrong with two bounds that are both given.
pub(crate) fn wrong_bounds(low: &Operand, high: &Operand) -> Option<String> {
    let (Operand::Value(low), Operand::Value(high)) = (low, high) else { return None };
    let problem = if low.kind() != high.kind() {
        "requires same data type for lower and upper bounds"
    } else if low.order(high).is_some_and(std::cmp::Ordering::is_gt) {
        "requires upper bound to be greater than or equal to lower bound"
    } else {
        return None;
    };
    Some(format!(
        "The BETWEEN operator {problem}; lower bound operand: AttributeValue: {{{}}}, upper bound \
         operand: AttributeValue: {{{}}}",
        shown(low),
        shown(high)
    ))
}

pub(crate) fn check_in_count(cursor: &mut Cursor, count: usize) {
    if count > IN_OPERANDS_MAX {
        cursor.note(
            Rank::OperandCount,
            format!(
                "The IN operator is provided with too many operands; number of operands: {count}"
            ),
        );
    }
}

/// A value as these messages show it, such as `N:12`.
fn shown(value: &AttributeValue) -> String {
    let content = match value {
        AttributeValue::S(text) => text.clone(),
        AttributeValue::N(number) => number.to_string(),
        AttributeValue::B(bytes) => STANDARD.encode(bytes),
        AttributeValue::Bool(truth) => truth.to_string(),
        AttributeValue::Null => "true".to_owned(),
        other => other.to_json()[other.kind().as_str()].to_string(),
    };
    format!("{}:{content}", value.kind())
}

#[cfg(test)]
mod tests {
    use crate::expression::{Condition, ExpressionKind, Placeholders};
    use serde_json::json;

    fn check(text: &str, expected: &str) {
        let names = json!({"#a": "a"});
        let values = json!({
            ":s": {"S": "x"}, ":n": {"N": "1"}, ":m": {"M": {}}, ":bool": {"BOOL": true},
            ":null": {"NULL": true}, ":set": {"NS": ["1"]}, ":two": {"N": "2"}, ":b": {"B": "YQ=="},
        });
        let mut placeholders = Placeholders::from_json(Some(&names), Some(&values)).unwrap();
        let error = Condition::parse(ExpressionKind::Condition, text, &mut placeholders);
        let message = error.unwrap_err().message;
        assert_eq!(message, format!("Invalid ConditionExpression: {expected}"), "{text}");
    }

    #[test]
    fn functions_take_so_many_operands() {
        for (text, name, count) in [
            ("attribute_exists(a, b)", "attribute_exists", 2),
            ("attribute_type(a)", "attribute_type", 1),
            ("begins_with(a, size(b), c)", "begins_with", 3),
            ("contains(a)", "contains", 1),
            ("size(a, b) > c", "size", 2),
        ] {
            check(
                text,
                &format!(
                    "Incorrect number of operands for operator or function; operator or function: \
                     {name}, number of operands: {count}"
                ),
            );
        }
    }

    #[test]
    fn given_values_must_be_of_a_type_the_function_takes() {
        for (text, name, kind) in [
            ("begins_with(a, :n)", "begins_with", "N"),
            ("begins_with(:m, a)", "begins_with", "M"),
            ("begins_with(a, size(b))", "begins_with", "N"),
            ("attribute_type(a, :n)", "attribute_type", "N"),
            ("attribute_type(a, b)", "attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"),
            ("size(:n) > a", "size", "N"),
            ("size(:bool) > a", "size", "BOOL"),
            ("size(:null) > a", "size", "NULL"),
            ("a < :m", "<", "M"),
            (":set >= a", ">=", "NS"),
            ("a BETWEEN :bool AND :bool", "BETWEEN", "BOOL"),
        ] {
            check(
                text,
                &format!(
                    "Incorrect operand type for operator or function; operator or function: \
                     {name}, operand type: {kind}"
                ),
            );
        }
        check(
            "attribute_type(a, :s)",
            "Invalid attribute type name found; type: x, valid types: \
             {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        );
        check(
            "attribute_exists(:s)",
            "Operator or function requires a document path; operator or function: attribute_exists",
        );
    }

    #[test]
    fn a_path_is_not_compared_with_itself() {
        for (text, name, path) in [
            ("contains(x.y[1].a, x.y[1].#a)", "contains", "[x, y, [1], a]"),
            ("#a <> a", "<>", "[a]"),
            ("begins_with(a, a)", "begins_with", "[a]"),
            ("attribute_type(x[1].#a, x[1].a)", "attribute_type", "[x, [1], a]"),
            ("a IN (b, (#a))", "IN", "[a]"),
            ("a BETWEEN b AND a", "BETWEEN", "[a]"),
            ("NOT x[0] BETWEEN x[0] AND x[1]", "BETWEEN", "[x, [0]]"),
        ] {
            check(
                text,
                &format!(
                    "The first operand must be distinct from the remaining operands for this \
                     operator or function; operator: {name}, first operand: {path}"
                ),
            );
        }
    }

    #[test]
    fn bounds_are_of_one_type_and_in_order() {
        check(
            "a BETWEEN :n AND :s",
            "The BETWEEN operator requires same data type for lower and upper bounds; lower bound \
             operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:x}",
        );
        check(
            "a BETWEEN :two AND :n",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
             lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: \
             {N:1}",
        );
    }

    #[test]
    fn in_takes_a_hundred_operands() {
        let list = |count: usize| format!("a IN ({})", vec!["b"; count].join(","));
        let mut none = Placeholders::default();
        assert!(Condition::parse(ExpressionKind::Condition, &list(100), &mut none).is_ok());
        check(
            &list(101),
            "The IN operator is provided with too many operands; number of operands: 101",
        );
    }
}
