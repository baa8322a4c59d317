//! The grammar of conditions.
//!
//! Parentheses may hold a condition or an operand, and only what follows tells. So what is read is
//! a [`Part`], judged when it is used: no backtracking. Conditions in conditions are kept on a
//! stack of our own, so that no nesting exhausts the thread's; operands nest little, and are
//! capped.

use super::condition_call::Call;
use super::condition_check::{
    check_between, check_distinct, check_in_count, check_ordered, function_node,
};
use super::cursor::{Cursor, Result};
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

/// One pair of parentheses that is still open, or the whole expression.
struct Level {
    /// Which token opened it.
    open: usize,
    /// What is joined by OR so far.
    any: Vec<Node>,
    /// What is joined by AND since the last OR.
    all: Vec<Node>,
    /// NOTs before the part that is being read.
    nots: usize,
}

pub(crate) fn parse_condition(
    kind: ExpressionKind,
    text: &str,
    placeholders: &mut Placeholders,
) -> Result<Node> {
    let mut cursor = Cursor::new(kind, text, placeholders)?;
    let node = whole(&mut cursor)?;
    cursor.finish()?;
    Ok(node)
}

/// Names that are never paths: they join and make up conditions.
fn is_keyword(name: &str) -> bool {
    ["AND", "OR", "NOT", "IN", "BETWEEN"].iter().any(|word| name.eq_ignore_ascii_case(word))
}

fn whole(cursor: &mut Cursor) -> Result<Node> {
    let mut outer = Vec::new();
    let mut level = Level::new(0);
    loop {
        while cursor.eat_keyword("NOT") {
            cursor.count_operator();
            level.nots += 1;
        }
        let open = cursor.at();
        if cursor.eat_symbol("(") {
            outer.push(std::mem::replace(&mut level, Level::new(open)));
            continue;
        }
        let mut part = atom(cursor)?;
        loop {
            part = comparison(cursor, part)?;
            if level.goes_on(cursor, &mut part)? {
                break;
            }
            part = level.close(cursor, part)?;
            let Some(before) = outer.pop() else { return condition(cursor, part) };
            part = after_parentheses(cursor, level.open, part)?;
            level = before;
        }
    }
}

impl Level {
    fn new(open: usize) -> Self {
        Self { open, any: Vec::new(), all: Vec::new(), nots: 0 }
    }

    /// Takes the part in when AND or OR follows it.
    fn goes_on(&mut self, cursor: &mut Cursor, part: &mut Part) -> Result<bool> {
        let is_and = cursor.is_keyword("AND");
        if !is_and && !cursor.is_keyword("OR") {
            return Ok(false);
        }
        let part = std::mem::replace(part, nothing());
        self.take(cursor, part)?;
        if !is_and {
            self.end_all();
        }
        cursor.advance();
        cursor.count_operator();
        Ok(true)
    }

    fn take(&mut self, cursor: &mut Cursor, part: Part) -> Result<()> {
        let mut node = condition(cursor, part)?;
        for _ in 0..std::mem::take(&mut self.nots) {
            node = Node::Not(Box::new(node));
        }
        self.all.push(node);
        Ok(())
    }

    fn end_all(&mut self) {
        self.any.extend(one_or(std::mem::take(&mut self.all), Node::And));
    }

    /// The level with its last part: that part itself, when it is all there is.
    fn close(&mut self, cursor: &mut Cursor, part: Part) -> Result<Part> {
        if self.nots == 0 && self.any.is_empty() && self.all.is_empty() {
            return Ok(part);
        }
        self.take(cursor, part)?;
        self.end_all();
        let node = one_or(std::mem::take(&mut self.any), Node::Or);
        Ok(node.map_or_else(nothing, Part::Condition))
    }
}

fn nothing() -> Part {
    Part::Operand(Operand::Value(AttributeValue::Null))
}

/// The only node, or all of them joined.
fn one_or(mut nodes: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Option<Node> {
    if nodes.len() > 1 { Some(join(nodes)) } else { nodes.pop() }
}

/// A part and, if one follows, the operator that makes it a condition.
fn comparison(cursor: &mut Cursor, left: Part) -> Result<Part> {
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
        for option in &options {
            check_distinct(cursor, "IN", &value, option);
        }
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
    for bound in [&low, &high] {
        check_distinct(cursor, "BETWEEN", &value, bound);
    }
    Ok(Node::Between { value, low, high })
}

/// A value, a path or a call.
fn atom(cursor: &mut Cursor) -> Result<Part> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::ValueRef => Ok(Part::Operand(Operand::Value(cursor.value()))),
        TokenKind::Name if is_keyword(token.text) => Err(cursor.syntax_error()),
        TokenKind::Name if is_call(cursor) => call(cursor),
        TokenKind::Name | TokenKind::NameRef => {
            Ok(Part::Operand(Operand::Path(cursor.path(is_keyword)?)))
        }
        _ => Err(cursor.syntax_error()),
    }
}

fn is_call(cursor: &Cursor) -> bool {
    let next = cursor.peek_second();
    next.kind == TokenKind::Symbol && next.text == "("
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
    let open = cursor.at();
    let part = if cursor.eat_symbol("(") {
        let inner = cursor.descend(next_operand)?;
        after_parentheses(cursor, open, Part::Operand(inner))?
    } else {
        atom(cursor)?
    };
    operand(cursor, part)
}

/// The closing parenthesis of what was opened there.
fn after_parentheses(cursor: &mut Cursor, open: usize, part: Part) -> Result<Part> {
    cursor.close_group(open)?;
    // `(a).b` is a path too.
    match part {
        Part::Operand(Operand::Path(mut path)) => {
            cursor.path_steps(&mut path, is_keyword)?;
            Ok(Part::Operand(Operand::Path(path)))
        }
        other => Ok(other),
    }
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
            cursor.note_misused(&call.name);
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
                cursor.note_misused("size");
            }
            // Whenever there is no node, an error has been noted.
            Ok(node.unwrap_or_else(|| Node::Exists(Path::of(""))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Condition;
    use serde_json::json;

    fn check(text: &str, expected: &str) {
        let names = json!({"#a": "a", "#deep": "[3]"});
        let values = json!({":s": {"S": "x"}, ":n": {"N": "1"}, ":m": {"M": {}}, ":t": {"S": "N"}});
        let mut placeholders = Placeholders::from_json(Some(&names), Some(&values)).unwrap();
        let found = Condition::parse(ExpressionKind::Filter, text, &mut placeholders);
        let shown = found.map_or_else(|error| error.message, |_| "ok".to_owned());
        let shown = shown.strip_prefix("Invalid FilterExpression: ").unwrap_or(&shown);
        assert_eq!(shown, expected, "{text:.200}");
    }

    const REDUNDANT: &str = "The expression has redundant parentheses;";

    fn check_syntax(text: &str, token: &str, near: &str) {
        check(text, &format!("Syntax error; token: \"{token}\", near: \"{near}\""));
    }

    #[test]
    fn every_form_is_understood() {
        for text in [
            "a = :s",
            "a.b[3].#a >= :n",
            "(a) <> (:s)",
            "(a).b = :s and (a)[1] = :s",
            "a BETWEEN :n AND size(b) and c In (:s, b, size(d))",
            "NOT (a = :s OR b = :s) AND NOT c = :n",
            "not not a = :s",
            "attribute_exists(a) AND attribute_not_exists(#a.b) OR begins_with(a, :s)",
            "attribute_type(a, :t) AND contains(a, :n) AND size(#a) < :n",
            "(a = :s AND (b = :s)) OR ((b = :n) AND (c = :n))",
            ":s = :s",
            "(attribute_exists(a))",
        ] {
            check(text, "ok");
        }
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        let mut none = Placeholders::default();
        let parsed = parse_condition(ExpressionKind::Filter, "a<b OR NOT c<d AND e<f", &mut none);
        let Node::Or(nodes) = parsed.unwrap() else { panic!("OR is the root") };
        assert!(matches!(&nodes[0], Node::Compare { .. }));
        let Node::And(nodes) = &nodes[1] else { panic!("AND is below OR") };
        assert!(matches!(&nodes[0], Node::Not(_)));
    }

    #[test]
    fn a_syntax_error_shows_the_token_and_its_neighbours() {
        check_syntax("a", "<EOF>", "a");
        check_syntax("a > 4", "4", "> 4");
        check_syntax("a = b c", "c", "b c");
        check_syntax("things are not", "are", "things are not");
        check_syntax("attribute_exists(Pictures-Rear)", "-", "Pictures-Rear");
        check_syntax("attribute_exists(a..b)", ".", "..b");
        check_syntax("a in b", "b", "in b");
        check_syntax("a in (b,)", ")", ",)");
        check_syntax("(a) between (b.(c.d)) and (c)", "(", ".(c");
        check_syntax("a > :s.x", ".", ":s.x");
        check_syntax("size(a).b > a", ".", ").b");
        check_syntax("(size(a))[0] > a", "[", ")[0");
        check_syntax("ü > a", "ü", "ü >");
        check_syntax("(a = b) = c", "=", ") = c");
        check_syntax("a = b AND", "<EOF>", "AND");
        check_syntax("a AND b = c", "AND", "a AND b");
    }

    #[test]
    fn what_is_written_wrongly_anywhere_comes_before_what_it_means() {
        check("a = :x AND", "Syntax error; token: \"<EOF>\", near: \"AND\"");
        check("a = :x AND ((b = :y))", "The expression has redundant parentheses;");
        check("a = :x AND what(b)", "Invalid function name; function: what");
        check(
            "a = :x AND b = data",
            "Attribute name is a reserved keyword; reserved keyword: data",
        );
        check(
            "a = #x AND a = a",
            "An expression attribute name used in the document path is not defined; attribute \
             name: #x",
        );
        check(
            "b = :y AND size(a, b) > :x",
            "An expression attribute value used in expression is not defined; attribute value: :y",
        );
    }

    #[test]
    fn parentheses_around_parentheses_are_refused() {
        for text in [
            "a = ((b))",
            "((a)).b = c",
            "((a = b))",
            "a = b AND ((c = d AND e = f))",
            "((a = b OR (c = d AND e = f)))",
            "contains(a, ((b)))",
        ] {
            check(text, REDUNDANT);
        }
        for text in ["((a = b) OR (c = d))", "(a = b AND (c = d))", "(size((a)) > (b))"] {
            check(text, "ok");
        }
    }

    #[test]
    fn functions_have_their_places() {
        let misused =
            "The function is not allowed to be used this way in an expression; function: ";
        check("attribute_exists(a) > b", &format!("{misused}attribute_exists"));
        check("size(contains(a, b)) > a", &format!("{misused}contains"));
        check("size(a)", &format!("{misused}size"));
        check("a = b AND size(a)", &format!("{misused}size"));
        check("a in (b, begins_with(a, b))", &format!("{misused}begins_with"));
        check("attRIbute_exists(a)", "Invalid function name; function: attRIbute_exists");
        let update = "The function is not allowed in a condition expression; function: ";
        check("if_not_exists(a, :s) = :s", &format!("{update}if_not_exists"));
        check("a = list_append(a, :s)", &format!("{update}list_append"));
    }

    #[test]
    fn hostile_input_gets_an_error_and_no_more() {
        let deep = "The expression is nested too deeply;";
        check_syntax(&"(".repeat(4_000), "<EOF>", "(");
        check(&format!("{}a<b{}", "(".repeat(2_000), ")".repeat(2_000)), REDUNDANT);
        check_syntax(&"NOT ".repeat(1_000), "<EOF>", "NOT");
        check(&"size(".repeat(800), deep);
        check(&format!("a < {}", "(".repeat(4_000)), deep);
        let size = |text: &str| {
            let len = text.len();
            format!("Expression size has exceeded the maximum allowed size; expression size: {len}")
        };
        for text in ["(".repeat(1_000_000), "a".repeat(16 << 20), "é".repeat(3_000)] {
            check(&text, &size(&text));
        }
        check("", "The expression can not be empty;");
        check("  ", "The expression can not be empty;");
        let nested = format!("{}a<b{}", "(a<b AND ".repeat(299), ")".repeat(299));
        let operators = "The expression contains too many operators; operator count: 301";
        check(&nested, operators);
        let allowed = format!("{}a<b{}", "(a<b AND ".repeat(149), ")".repeat(149));
        check(&allowed, "ok");
    }
}
