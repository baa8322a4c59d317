//! The grammar of UpdateExpressions.

use super::condition_check::{needs_path, same_path};
use super::cursor::{Cursor, Rank, Result};
use super::function::{UPDATE_FUNCTIONS, operands_of};
use super::projection::note_related;
use super::token::TokenKind;
use super::{Action, ExpressionKind, Path, Placeholders, SetValue, Target};
use crate::value::{AttributeType, AttributeValue};

/// A part of the expression; each may be used once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Set,
    Remove,
    Add,
    Delete,
}

impl Section {
    const ALL: [Self; 4] = [Self::Set, Self::Remove, Self::Add, Self::Delete];

    fn word(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Remove => "REMOVE",
            Self::Add => "ADD",
            Self::Delete => "DELETE",
        }
    }
}

pub(crate) fn parse_update(text: &str, placeholders: &mut Placeholders) -> Result<Vec<Target>> {
    let mut cursor = Cursor::new(ExpressionKind::Update, text, placeholders)?;
    let mut targets = Vec::new();
    let mut seen = Vec::new();
    while cursor.peek().kind != TokenKind::End {
        let section = section(&mut cursor)?;
        if seen.contains(&section) {
            let word = section.word();
            cursor.note(
                Rank::Section,
                format!("The \"{word}\" section can only be used once in an update expression;"),
            );
        }
        seen.push(section);
        targets.push(target(&mut cursor, section)?);
        while cursor.eat_symbol(",") {
            targets.push(target(&mut cursor, section)?);
        }
    }
    let paths: Vec<Path> = targets.iter().map(|target| target.path.clone()).collect();
    note_related(&mut cursor, &paths);
    cursor.finish()?;
    Ok(targets)
}

/// Names that begin a section and so are never paths.
fn is_keyword(name: &str) -> bool {
    Section::ALL.iter().any(|section| name.eq_ignore_ascii_case(section.word()))
}

fn section(cursor: &mut Cursor) -> Result<Section> {
    let found = Section::ALL.into_iter().find(|section| cursor.eat_keyword(section.word()));
    found.ok_or_else(|| cursor.syntax_error())
}

fn target(cursor: &mut Cursor, section: Section) -> Result<Target> {
    let path = cursor.path(is_keyword)?;
    let action = match section {
        Section::Set => {
            cursor.expect_symbol("=")?;
            Action::Set(set_value(cursor)?)
        }
        Section::Remove => Action::Remove,
        Section::Add => {
            let value = value_ref(cursor)?;
            check_set_or(cursor, section, &value, Some(AttributeType::N));
            Action::Add(value)
        }
        Section::Delete => {
            let value = value_ref(cursor)?;
            check_set_or(cursor, section, &value, None);
            Action::Delete(value)
        }
    };
    Ok(Target { path, action })
}

fn value_ref(cursor: &mut Cursor) -> Result<AttributeValue> {
    if cursor.peek().kind != TokenKind::ValueRef {
        return Err(cursor.syntax_error());
    }
    Ok(cursor.value())
}

fn check_set_or(
    cursor: &mut Cursor,
    section: Section,
    value: &AttributeValue,
    other: Option<AttributeType>,
) {
    let kind = value.kind();
    if kind.is_set() || Some(kind) == other {
        return;
    }
    cursor.note(
        Rank::OperandType,
        format!(
            "Incorrect operand type for operator or function; operator: {}, operand type: {}, \
             typeSet: ALLOWED_FOR_{}_OPERAND",
            section.word(),
            kind.long_name(),
            section.word()
        ),
    );
}

/// An operand, or the sum or difference of two.
fn set_value(cursor: &mut Cursor) -> Result<SetValue> {
    let left = operand(cursor, true)?;
    let name = match cursor.peek() {
        token if token.kind == TokenKind::Symbol && ["+", "-"].contains(&token.text) => token.text,
        _ => return Ok(left),
    };
    cursor.advance();
    cursor.count_operator();
    let right = operand(cursor, false)?;
    for side in [&left, &right] {
        check_inner(cursor, side);
        check_operand(cursor, name, side, AttributeType::N);
    }
    let (left, right) = (Box::new(left), Box::new(right));
    Ok(if name == "+" { SetValue::Plus(left, right) } else { SetValue::Minus(left, right) })
}

/// `whole`: parentheses may hold a sum, because they may hold the whole right side of a SET.
fn operand(cursor: &mut Cursor, whole: bool) -> Result<SetValue> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::ValueRef => Ok(SetValue::Value(cursor.value())),
        TokenKind::Name if is_call(cursor) => cursor.descend(function),
        TokenKind::Name | TokenKind::NameRef => Ok(SetValue::Path(cursor.path(is_keyword)?)),
        _ => {
            let open = cursor.at();
            cursor.expect_symbol("(")?;
            let inner = cursor
                .descend(|cursor| if whole { set_value(cursor) } else { operand(cursor, false) })?;
            cursor.close_group(open)?;
            Ok(inner)
        }
    }
}

fn is_call(cursor: &Cursor) -> bool {
    let next = cursor.peek_second();
    next.kind == TokenKind::Symbol && next.text == "(" && !is_keyword(cursor.peek().text)
}

fn function(cursor: &mut Cursor) -> Result<SetValue> {
    let name = cursor.peek().text;
    cursor.advance();
    cursor.expect_symbol("(")?;
    let mut arguments = vec![operand(cursor, false)?];
    while cursor.eat_symbol(",") {
        arguments.push(operand(cursor, false)?);
    }
    cursor.expect_symbol(")")?;
    cursor.count_operator();
    for argument in &arguments {
        check_inner(cursor, argument);
    }
    if !UPDATE_FUNCTIONS.contains(&name) {
        let wrong = if operands_of(name).is_some() {
            "The function is not allowed in an update expression"
        } else {
            "Invalid function name"
        };
        cursor.note(Rank::UnknownUpdateFunction, format!("{wrong}; function: {name}"));
        return Ok(nothing());
    }
    let count = arguments.len();
    let mut arguments = arguments.into_iter();
    let (Some(first), Some(second), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        cursor.note(
            Rank::UpdateOperand,
            format!(
                "Incorrect number of operands for operator or function; operator or function: \
                 {name}, number of operands: {count}"
            ),
        );
        return Ok(nothing());
    };
    Ok(if name == "list_append" {
        for side in [&first, &second] {
            check_operand(cursor, name, side, AttributeType::L);
        }
        SetValue::ListAppend(Box::new(first), Box::new(second))
    } else if let SetValue::Path(path) = first {
        if let SetValue::Path(other) = &second
            && let Some(same) = same_path(name, &path, other)
        {
            cursor.note(Rank::Distinct, same);
        }
        SetValue::IfNotExists(path, Box::new(second))
    } else {
        cursor.note(Rank::UpdateOperand, needs_path(name));
        nothing()
    })
}

/// Stands where an error has been noted.
fn nothing() -> SetValue {
    SetValue::Value(AttributeValue::Null)
}

/// A part of a sum or of a function: `list_append` stands alone on the right side of a SET.
fn check_inner(cursor: &mut Cursor, operand: &SetValue) {
    if matches!(operand, SetValue::ListAppend(..)) {
        cursor.note_misused("list_append");
    }
}

/// Only values given directly are judged before the item is known.
fn check_operand(cursor: &mut Cursor, name: &str, operand: &SetValue, expected: AttributeType) {
    let SetValue::Value(value) = operand else { return };
    if value.kind() != expected {
        cursor.note(
            Rank::UpdateOperand,
            format!(
                "Incorrect operand type for operator or function; operator or function: {name}, \
                 operand type: {}",
                value.kind()
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Update;
    use serde_json::json;

    fn check(text: &str, expected: &str) {
        let names = json!({"#c": "c", "#d": "[3]"});
        let values = json!({
            ":s": {"S": "a"}, ":n": {"N": "1"}, ":l": {"L": []}, ":set": {"SS": ["a"]},
            ":m": {"M": {}}, ":b": {"B": "YQ=="}, ":t": {"BOOL": true}, ":nil": {"NULL": true},
        });
        let mut placeholders = Placeholders::from_json(Some(&names), Some(&values)).unwrap();
        let found = Update::parse(text, &mut placeholders);
        let shown = found.map_or_else(|error| error.message, |_| "ok".to_owned());
        let shown = shown.strip_prefix("Invalid UpdateExpression: ").unwrap_or(&shown);
        assert_eq!(shown, expected, "{text:.200}");
    }

    fn check_syntax(text: &str, token: &str, near: &str) {
        check(text, &format!("Syntax error; token: \"{token}\", near: \"{near}\""));
    }

    #[test]
    fn every_section_and_operand_is_understood() {
        for text in [
            "SET a = :s, b.c[1].#d = b.x remove e, f[0] ADD g :n, h.i :set delete j :set",
            "set a = b + :n, c = :n - d, e = (f + :n), g = (h), i = (:n) + (j)",
            "SET a = if_not_exists(a, :n) + :n, b = list_append(:l, if_not_exists(b, :l))",
            "set a[1] = b",
            "SET a=if_not_exists(b, if_not_exists(c, :n))",
            "REMOVE a",
        ] {
            check(text, "ok");
        }
    }

    #[test]
    fn syntax_errors_show_the_token_and_its_neighbours() {
        for (text, token, near) in [
            ("whatever", "whatever", "whatever"),
            ("INVALID SYNTAX HERE", "INVALID", "INVALID SYNTAX"),
            ("set a", "<EOF>", "a"),
            ("SET", "<EOF>", "SET"),
            ("set a=set", "set", "=set"),
            ("add a = b", "=", "a = b"),
            ("add a b", "b", "a b"),
            ("delete a if_not_exists(b)", "if_not_exists", "a if_not_exists("),
            ("remove a b", "b", "a b"),
            ("set :a = b", ":a", "set :a ="),
            ("remove :a", ":a", "remove :a"),
            ("set a = b / c", "/", "b / c"),
            ("set a[1] = \"eight\"", "\"", "= \"eight"),
            ("set a = b + c + d", "+", "c + d"),
            ("set (a = (b + c))", "(", "set (a"),
            ("set a = (b.c).d + e", ".", ").d"),
            ("SET a = b,", "<EOF>", ","),
            ("SET a = :n REMOVE", "<EOF>", "REMOVE"),
        ] {
            check_syntax(text, token, near);
        }
    }

    #[test]
    fn each_section_may_be_used_once() {
        for (text, word) in
            [("set a = b set c = d", "SET"), ("remove a set b = c REMOVE d", "REMOVE")]
        {
            let message =
                format!("The \"{word}\" section can only be used once in an update expression;");
            check(text, &message);
        }
    }

    #[test]
    fn errors_of_meaning_have_an_order() {
        check(
            "set #c = what(:x) set abOrt = d",
            "Attribute name is a reserved keyword; reserved keyword: abOrt",
        );
        check("set #c = what(:x) set c = d", "Invalid function name; function: what");
        check(
            "set #x = if_not_exists(:y)",
            "An expression attribute name used in the document path is not defined; attribute \
             name: #x",
        );
        check(
            "set b = list_append(:s, a), c = if_not_exists(a) add a.b :s",
            "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, \
             typeSet: ALLOWED_FOR_ADD_OPERAND",
        );
    }

    #[test]
    fn operands_have_their_places() {
        let misused = "The function is not allowed to be used this way in an expression; \
                       function: list_append";
        for text in [
            "SET a = list_append(list_append(b, b), b)",
            "SET a = list_append(b, list_append(b, b)), c = what(a)",
            "SET a = if_not_exists(b, list_append(b, b)), a = :n",
            "SET a = b - list_append(b, b)",
        ] {
            check(text, misused);
        }
        for text in ["SET a = ((:n))", "SET a = ((b + :n))", "SET a = list_append(((b)), :l)"] {
            check(text, "The expression has redundant parentheses;");
        }
        let distinct = "The first operand must be distinct from the remaining operands for this \
                        operator or function; operator: if_not_exists, first operand: [#c]";
        check("SET a = if_not_exists((c), #c)", &distinct.replace("#c", "c"));
        check(
            "SET a = if_not_exists(b, b), c = list_append(:n, b)",
            "Incorrect operand type for operator or function; operator or function: list_append, \
             operand type: N",
        );
        check_syntax("SET a = b[01]", "1", "01]");
    }

    #[test]
    fn places_are_apart() {
        for (text, what, one, two) in [
            ("set a = :n remove a", "overlap", "[a]", "[a]"),
            ("set #c[3].#d = a, #c[3] = a", "overlap", "[c, [3], [3]]", "[c, [3]]"),
            ("set d[1] = a, d.b = a, c[1].a = a, #c = b", "overlap", "[c, [1], a]", "[c]"),
            ("remove a.#c set a[1] = b", "conflict", "[a, c]", "[a, [1]]"),
        ] {
            check(
                text,
                &format!(
                    "Two document paths {what} with each other; must remove or rewrite one of \
                     these paths; path one: {one}, path two: {two}"
                ),
            );
        }
    }

    #[test]
    fn given_operands_are_of_the_right_types() {
        for (text, section, kind) in [
            ("add a :l", "ADD", "LIST"),
            ("add a :nil", "ADD", "NULL"),
            ("add a :t", "ADD", "BOOLEAN"),
            ("delete a :n", "DELETE", "NUMBER"),
            ("delete a :m", "DELETE", "MAP"),
        ] {
            check(
                text,
                &format!(
                    "Incorrect operand type for operator or function; operator: {section}, \
                     operand type: {kind}, typeSet: ALLOWED_FOR_{section}_OPERAND"
                ),
            );
        }
        for (text, name, kind) in [
            ("set a = list_append(:n, a)", "list_append", "N"),
            ("set a = list_append(a, :set)", "list_append", "SS"),
            ("set a = :b + :s", "+", "B"),
            ("set a = a - :l", "-", "L"),
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
            "set a = if_not_exists(c)",
            "Incorrect number of operands for operator or function; operator or function: \
             if_not_exists, number of operands: 1",
        );
        check(
            "set a = if_not_exists(:n, c)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        );
        for name in ["size", "attribute_exists", "contains"] {
            check(
                &format!("set a = {name}(c)"),
                &format!("The function is not allowed in an update expression; function: {name}"),
            );
        }
    }

    #[test]
    fn hostile_input_gets_an_error_and_no_more() {
        let deep = "The expression is nested too deeply;";
        check(&format!("SET a = {}", "(".repeat(4_000)), deep);
        check(&format!("SET a = {}", "f(".repeat(2_000)), deep);
        let text = "(".repeat(1_000_000);
        let size =
            "Expression size has exceeded the maximum allowed size; expression size: 1000000";
        check(&text, size);
        check("SET 😀 = :n", "Syntax error; token: \"😀\", near: \"SET 😀 =\"");
    }
}
