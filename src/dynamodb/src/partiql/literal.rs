//! Values in statements: strings, numbers, truth values, NULL, lists, maps, sets, parameters.

use std::fmt;

use super::cursor::{Cursor, Result};
use super::token::TokenKind;
use crate::error::ServiceError;
use crate::value::{AttributeValue, Item, NESTING_DEPTH_MAX, Number};

/// Whether a value begins at the cursor.
pub(super) fn is_literal(cursor: &Cursor) -> bool {
    let token = cursor.peek();
    match token.kind {
        TokenKind::Text | TokenKind::Number => true,
        TokenKind::Symbol => ["?", "-", "+", "[", "{", "<<"].contains(&token.text),
        TokenKind::Word => {
            ["TRUE", "FALSE", "NULL"].iter().any(|word| token.text.eq_ignore_ascii_case(word))
        }
        TokenKind::Quoted | TokenKind::Other | TokenKind::End => false,
    }
}

/// A place in an attribute's value, as messages spell it.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Element(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Element(parent, at) => write!(f, "{parent}.{at}"),
        }
    }
}

/// The item of an INSERT: a map whose attributes have an item's depth.
pub(super) fn item(cursor: &mut Cursor) -> Result<Item> {
    let mut item = Item::new();
    cursor.expect_symbol("{")?;
    if cursor.eat_symbol("}") {
        return Ok(item);
    }
    loop {
        let at = cursor.position();
        let name = member(cursor)?;
        if item.contains_key(&name) {
            return Err(duplicate(&name, Place::Root, &at));
        }
        item.insert(name, literal(cursor)?);
        if !cursor.eat_symbol(",") {
            cursor.expect_symbol("}")?;
            return Ok(item);
        }
    }
}

pub(super) fn literal(cursor: &mut Cursor) -> Result<AttributeValue> {
    let value = nested(cursor, Place::Root)?;
    if value.levels() > NESTING_DEPTH_MAX {
        return Err(ServiceError::validation(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested \
             levels beyond supported limit",
        ));
    }
    Ok(value)
}

fn nested(cursor: &mut Cursor, place: Place<'_>) -> Result<AttributeValue> {
    let token = cursor.peek();
    if !is_literal(cursor) {
        return Err(cursor.unexpected());
    }
    let at = cursor.position();
    cursor.advance();
    match (token.kind, token.text) {
        (TokenKind::Text, _) => Ok(AttributeValue::S(token.content())),
        (TokenKind::Number, text) => Ok(AttributeValue::N(number(text)?)),
        (_, "?") => cursor.parameter(),
        (_, sign @ ("-" | "+")) => signed(cursor, sign),
        (_, "[") => cursor.descend(|cursor| elements(cursor, "]", place).map(AttributeValue::L)),
        (_, "{") => cursor.descend(|cursor| map(cursor, place, &at).map(AttributeValue::M)),
        (_, "<<") => {
            let elements = cursor.descend(|cursor| elements(cursor, ">>", place))?;
            set(elements)
        }
        (_, word) if word.eq_ignore_ascii_case("NULL") => Ok(AttributeValue::Null),
        (_, word) => Ok(AttributeValue::Bool(word.eq_ignore_ascii_case("TRUE"))),
    }
}

fn signed(cursor: &mut Cursor, sign: &str) -> Result<AttributeValue> {
    let token = cursor.peek();
    if token.kind != TokenKind::Number {
        return Err(cursor.unexpected());
    }
    cursor.advance();
    let number = number(token.text)?;
    Ok(AttributeValue::N(if sign == "-" { number.negated() } else { number }))
}

fn number(text: &str) -> Result<Number> {
    Number::parse(text).map_err(|error| ServiceError::validation(error.to_string()))
}

/// Values with commas between them, up to `end`.
fn elements(cursor: &mut Cursor, end: &str, place: Place<'_>) -> Result<Vec<AttributeValue>> {
    let mut found = Vec::new();
    if cursor.eat_symbol(end) {
        return Ok(found);
    }
    loop {
        found.push(nested(cursor, Place::Element(&place, found.len()))?);
        if !cursor.eat_symbol(",") {
            cursor.expect_symbol(end)?;
            return Ok(found);
        }
    }
}

/// The members of a map that opened at this position.
fn map(cursor: &mut Cursor, place: Place<'_>, opened: &str) -> Result<Item> {
    let mut found = Item::new();
    if cursor.eat_symbol("}") {
        return Ok(found);
    }
    loop {
        let name = member(cursor)?;
        if found.contains_key(&name) {
            return Err(duplicate(&name, place, opened));
        }
        let value = nested(cursor, Place::Field(&place, &name))?;
        found.insert(name, value);
        if !cursor.eat_symbol(",") {
            cursor.expect_symbol("}")?;
            return Ok(found);
        }
    }
}

/// A member's name, and the colon after it.
fn member(cursor: &mut Cursor) -> Result<String> {
    if cursor.peek().kind != TokenKind::Text {
        return Err(cursor.unexpected());
    }
    let name = cursor.component()?;
    cursor.expect_symbol(":")?;
    Ok(name)
}

fn duplicate(name: &str, place: Place<'_>, at: &str) -> ServiceError {
    ServiceError::validation(format!("Duplicate keys in tuple. Key: {name} under {place} at {at}"))
}

/// Sets are of strings, numbers or binaries; neither empty nor with anything twice.
fn set(elements: Vec<AttributeValue>) -> Result<AttributeValue> {
    let count = elements.len();
    let (mut texts, mut numbers, mut binaries) = (Vec::new(), Vec::new(), Vec::new());
    for element in elements {
        match element {
            AttributeValue::S(text) => texts.push(text),
            AttributeValue::N(number) => numbers.push(number),
            AttributeValue::B(bytes) => binaries.push(bytes),
            _ => return Err(ServiceError::validation("Unsupported type of element in a set")),
        }
    }
    let value = match (texts.len(), numbers.len(), binaries.len()) {
        (0, 0, 0) => {
            return Err(ServiceError::invalid_parameter("An string set  may not be empty"));
        }
        (_, 0, 0) => AttributeValue::Ss(texts.into_iter().collect()),
        (0, _, 0) => AttributeValue::Ns(numbers.into_iter().collect()),
        (0, 0, _) => AttributeValue::Bs(binaries.into_iter().collect()),
        _ => return Err(ServiceError::validation("A set's elements must be of one type")),
    };
    let kept = match &value {
        AttributeValue::Ss(set) => set.len(),
        AttributeValue::Ns(set) => set.len(),
        AttributeValue::Bs(set) => set.len(),
        _ => count,
    };
    if kept < count {
        return Err(ServiceError::validation("Input collection contains duplicates"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(text: &str, expected: Value) {
        let parameters = [AttributeValue::from("p"), AttributeValue::B(vec![1])];
        let used = text.matches('?').count();
        let mut cursor = Cursor::new(text, &parameters[..used]).unwrap();
        let found = literal(&mut cursor).and_then(|value| cursor.finish().map(|()| value));
        let shown = found.map_or_else(|error| json!(error.message), |value| value.to_json());
        assert_eq!(shown, expected, "{text:.100}");
    }

    #[test]
    fn every_type_can_be_written() {
        check("'it''s'", json!({"S": "it's"}));
        check("-1.50e1", json!({"N": "-15"}));
        check("true", json!({"BOOL": true}));
        check("FALSE", json!({"BOOL": false}));
        check("Null", json!({"NULL": true}));
        check("?", json!({"S": "p"}));
        check("[1, [?], {}]", json!({"L": [{"N": "1"}, {"L": [{"S": "p"}]}, {"M": {}}]}));
        check(
            "{'a': 1, 'b c': {'d': ?}}",
            json!({"M": {"a": {"N": "1"}, "b c": {"M": {"d": {"S": "p"}}}}}),
        );
        check("<<'b', 'a'>>", json!({"SS": ["a", "b"]}));
        check("<<1, 2.0>>", json!({"NS": ["1", "2"]}));
        check("[]", json!({"L": []}));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        check("<<1, 1.0>>", json!("Input collection contains duplicates"));
        check("<<1, 'a'>>", json!("A set's elements must be of one type"));
        check("<<true>>", json!("Unsupported type of element in a set"));
        check(
            "1e999",
            json!(
                "Number overflow. Attempting to store a number with magnitude larger than \
                 supported range"
            ),
        );
        for text in ["[1,]", "{a: 1}", "{'a' 1}", "- 'a'", "", "]", "<<1", "'a", "{\"a\": 1}"] {
            let mut cursor = Cursor::new(text, &[]).unwrap();
            let message = literal(&mut cursor).unwrap_err().message;
            assert!(message.starts_with("Statement wasn't well formed"), "{text}: {message}");
        }
    }

    #[test]
    fn a_map_names_each_member_once() {
        let duplicate =
            |place: &str| json!(format!("Duplicate keys in tuple. Key: a under {place}"));
        check("{'a': 1, 'a': 2}", duplicate("root at 1:1:1"));
        check("{'b': [0, {'a': 1, 'c': 2, 'a': 2}]}", duplicate("root.b.1 at 1:11:1"));
        check("{'': 1}", json!("Path component cannot be an empty string"));
        let text = "{'b': 1, 'a': {'b': 1}, 'a': 2}";
        let mut cursor = Cursor::new(text, &[]).unwrap();
        let found = item(&mut cursor).map_err(|error| json!(error.message));
        assert_eq!(found, Err(duplicate("root at 1:25:3")));
    }

    #[test]
    fn nesting_is_bounded() {
        let list = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let mut cursor = Cursor::new(&list(31), &[]).map(|mut cursor| literal(&mut cursor).is_ok());
        assert_eq!(cursor.as_mut().ok(), Some(&mut true));
        let levels = "Nesting Levels have exceeded supported limits: Attributes in the item have \
                      nested levels beyond supported limit";
        check(&list(32), json!(levels));
        for (depth, fits) in [(31, true), (32, false)] {
            let text = format!("{{'a': {}}}", list(depth));
            let mut cursor = Cursor::new(&text, &[]).unwrap();
            assert_eq!(item(&mut cursor).is_ok(), fits, "the item is the first of 32 levels");
        }
        let deep = "Statement wasn't well formed, can't be processed: The statement is nested too \
                    deeply";
        check(&list(4_000), json!(deep));
        check(&"{'a':".repeat(1_600), json!(deep));
    }
}
