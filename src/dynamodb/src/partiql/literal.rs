//! Values in statements: strings, numbers, truth values, NULL, lists, maps, sets, parameters.

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

/// A value.
pub(super) fn literal(cursor: &mut Cursor) -> Result<AttributeValue> {
    let value = nested(cursor)?;
    if value.levels() > NESTING_DEPTH_MAX {
        return Err(ServiceError::validation(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested \
             levels beyond supported limit",
        ));
    }
    Ok(value)
}

fn nested(cursor: &mut Cursor) -> Result<AttributeValue> {
    let token = cursor.peek();
    if !is_literal(cursor) {
        return Err(cursor.unexpected());
    }
    cursor.advance();
    match (token.kind, token.text) {
        (TokenKind::Text, _) => Ok(AttributeValue::S(token.content())),
        (TokenKind::Number, text) => Ok(AttributeValue::N(Number::parse(text)?)),
        (_, "?") => cursor.parameter(),
        (_, sign @ ("-" | "+")) => signed(cursor, sign),
        (_, "[") => cursor.descend(|cursor| elements(cursor, "]").map(AttributeValue::L)),
        (_, "{") => cursor.descend(map),
        (_, "<<") => {
            let elements = cursor.descend(|cursor| elements(cursor, ">>"))?;
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
    let number = Number::parse(token.text)?;
    Ok(AttributeValue::N(if sign == "-" { number.negated() } else { number }))
}

/// Values with commas between them, up to `end`.
fn elements(cursor: &mut Cursor, end: &str) -> Result<Vec<AttributeValue>> {
    let mut found = Vec::new();
    if cursor.eat_symbol(end) {
        return Ok(found);
    }
    loop {
        found.push(nested(cursor)?);
        if !cursor.eat_symbol(",") {
            cursor.expect_symbol(end)?;
            return Ok(found);
        }
    }
}

fn map(cursor: &mut Cursor) -> Result<AttributeValue> {
    let mut found = Item::new();
    if cursor.eat_symbol("}") {
        return Ok(AttributeValue::M(found));
    }
    loop {
        let name = cursor.peek();
        if name.kind != TokenKind::Text {
            return Err(cursor.unexpected());
        }
        cursor.advance();
        cursor.expect_symbol(":")?;
        found.insert(name.content(), nested(cursor)?);
        if !cursor.eat_symbol(",") {
            cursor.expect_symbol("}")?;
            return Ok(AttributeValue::M(found));
        }
    }
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
                "Number overflow. Attempting to store a number with magnitude larger than supported range"
            ),
        );
        for text in ["[1,]", "{a: 1}", "{'a' 1}", "- 'a'", "", "]", "<<1", "'a", "{\"a\": 1}"] {
            let mut cursor = Cursor::new(text, &[]).unwrap();
            let message = literal(&mut cursor).unwrap_err().message;
            assert!(message.starts_with("Statement wasn't well formed"), "{text}: {message}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let list = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let mut cursor = Cursor::new(&list(31), &[]).map(|mut cursor| literal(&mut cursor).is_ok());
        assert_eq!(cursor.as_mut().ok(), Some(&mut true));
        let levels = "Nesting Levels have exceeded supported limits: Attributes in the item have \
                      nested levels beyond supported limit";
        check(&list(32), json!(levels));
        let deep = "Statement wasn't well formed, can't be processed: The statement is nested too \
                    deeply";
        check(&list(4_000), json!(deep));
        check(&"{'a':".repeat(1_600), json!(deep));
    }
}
