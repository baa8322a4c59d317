//! Plain JSON from and to attribute values, with numbers as their exact decimals: a parser that
//! passes through binary floating point would change them.

use dm_dynamodb::value::{AttributeValue, Item, NESTING_DEPTH_MAX, Number};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Cause;
use crate::error::Result;

/// Writes a value as JSON. Sets become arrays, binaries their base64.
pub(crate) fn write(value: &AttributeValue) -> String {
    let mut text = String::new();
    write_to(&mut text, value);
    text
}

fn write_to(text: &mut String, value: &AttributeValue) {
    match value {
        AttributeValue::S(content) => string(text, content),
        AttributeValue::N(number) => text.push_str(&number.to_string()),
        AttributeValue::B(bytes) => string(text, &STANDARD.encode(bytes)),
        AttributeValue::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        AttributeValue::Null => text.push_str("null"),
        AttributeValue::M(map) => {
            text.push('{');
            for (at, (name, value)) in map.iter().enumerate() {
                comma(text, at);
                string(text, name);
                text.push(':');
                write_to(text, value);
            }
            text.push('}');
        }
        AttributeValue::L(list) => array(text, list.iter(), write_to),
        AttributeValue::Ss(set) => array(text, set.iter(), |text, element| string(text, element)),
        AttributeValue::Ns(set) => {
            array(text, set.iter(), |text, element| text.push_str(&element.to_string()));
        }
        AttributeValue::Bs(set) => {
            array(text, set.iter(), |text, element| string(text, &STANDARD.encode(element)));
        }
    }
}

fn comma(text: &mut String, at: usize) {
    if at > 0 {
        text.push(',');
    }
}

fn array<T>(text: &mut String, all: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    text.push('[');
    for (at, element) in all.enumerate() {
        comma(text, at);
        write(text, element);
    }
    text.push(']');
}

fn string(text: &mut String, content: &str) {
    text.push_str(&serde_json::Value::from(content).to_string());
}

/// Reads JSON: objects become maps, arrays lists.
pub(crate) fn read(text: &str) -> Result<AttributeValue> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(1)?;
    reader.space();
    if reader.at < text.len() {
        return Err(wrong("something follows the value"));
    }
    Ok(value)
}

fn wrong(why: &str) -> Cause {
    Cause::Unfit(format!("the string is not JSON: {why}"))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest().trim_start_matches([' ', '\t', '\r', '\n']);
        self.at = self.text.len() - rest.len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self, level: usize) -> Result<AttributeValue> {
        if level > NESTING_DEPTH_MAX {
            return Err(wrong("it is nested deeper than an item can be"));
        }
        for (word, value) in [
            ("null", AttributeValue::Null),
            ("true", AttributeValue::Bool(true)),
            ("false", AttributeValue::Bool(false)),
        ] {
            if self.eat(word) {
                return Ok(value);
            }
        }
        if self.eat("{") {
            return self.object(level);
        }
        if self.eat("[") {
            return self.list(level);
        }
        if self.rest().starts_with('"') {
            return self.string().map(AttributeValue::S);
        }
        self.number()
    }

    fn object(&mut self, level: usize) -> Result<AttributeValue> {
        // Sorted once: an item is kept in order, and names may come in any.
        let mut pairs = Vec::new();
        if self.eat("}") {
            return Ok(AttributeValue::M(Item::new()));
        }
        loop {
            self.space();
            if self.rest().is_empty() {
                return Err(wrong("an object does not end"));
            }
            let name = self.string()?;
            if !self.eat(":") {
                return Err(wrong("expected : after a name"));
            }
            pairs.push((name, self.value(level + 1)?));
            if self.eat("}") {
                let names = pairs.len();
                let map: Item = pairs.into_iter().collect();
                if map.len() < names {
                    return Err(wrong("an object has one name twice"));
                }
                return Ok(AttributeValue::M(map));
            }
            if !self.eat(",") {
                return Err(wrong("an object does not end"));
            }
        }
    }

    fn list(&mut self, level: usize) -> Result<AttributeValue> {
        let mut list = Vec::new();
        if self.eat("]") {
            return Ok(AttributeValue::L(list));
        }
        loop {
            list.push(self.value(level + 1)?);
            if self.eat("]") {
                return Ok(AttributeValue::L(list));
            }
            if !self.eat(",") {
                return Err(wrong("an array does not end"));
            }
        }
    }

    /// The string at hand. Where it ends is found here; what its escapes mean is left to
    /// serde_json.
    fn string(&mut self) -> Result<String> {
        if !self.rest().starts_with('"') {
            return Err(wrong("expected a string in double quotes"));
        }
        let mut escaped = false;
        let end = self.rest().bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let Some(end) = end else { return Err(wrong("a string does not end")) };
        let content = serde_json::from_str(&self.rest()[..end + 2]);
        self.at += end + 2;
        content.map_err(|_| wrong("a string has a wrong escape or control character"))
    }

    fn number(&mut self) -> Result<AttributeValue> {
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let len = self.rest().bytes().take_while(is_part).count();
        let text = &self.rest()[..len];
        let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let plain = match unsigned {
            [b'0', next, ..] => !next.is_ascii_digit(),
            [first, ..] => first.is_ascii_digit(),
            [] => false,
        };
        if !plain {
            return Err(wrong("expected a value"));
        }
        let number =
            Number::parse(text).map_err(|_| wrong("a number is malformed or out of range"))?;
        self.at += len;
        Ok(AttributeValue::N(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = read(text).map_or_else(|cause| cause.to_string(), |value| write(&value));
        let expected = expected
            .strip_prefix('!')
            .map_or_else(|| expected.to_owned(), |why| format!("the string is not JSON: {why}"));
        assert_eq!(found, expected, "{text:.80}");
    }

    #[test]
    fn json_is_read_and_written_exactly() {
        for (text, expected) in [
            (
                " { \"b\" : [ 1.50 , -0.1e1 ] , \"a\" : \"\\u00e9\\n\\\"\" } ",
                r#"{"a":"é\n\"","b":[1.5,-1]}"#,
            ),
            ("[]", "[]"),
            ("{}", "{}"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
            ("[true,false,null]", "[true,false,null]"),
            ("", "!expected a value"),
            ("01", "!expected a value"),
            ("+1", "!expected a value"),
            ("1.2.3", "!a number is malformed or out of range"),
            ("1e999", "!a number is malformed or out of range"),
            ("[1", "!an array does not end"),
            ("{\"a\":1", "!an object does not end"),
            ("{\"a\" 1}", "!expected : after a name"),
            ("{a:1}", "!expected a string in double quotes"),
            ("{\"a\":1,\"a\":2}", "!an object has one name twice"),
            ("\"abc", "!a string does not end"),
            ("\"\\x\"", "!a string has a wrong escape or control character"),
            ("1 2", "!something follows the value"),
            ("nullx", "!something follows the value"),
        ] {
            check(text, expected);
        }
        check(&"[".repeat(100_000), "!it is nested deeper than an item can be");
    }

    #[test]
    fn an_object_whose_names_descend_is_in_order() {
        let text = |names: &mut dyn Iterator<Item = u32>| {
            let pairs: Vec<String> = names.map(|name| format!("\"{name:06}\":1")).collect();
            format!("{{{}}}", pairs.join(","))
        };
        let count = 50_000;
        check(&text(&mut (0..count).rev()), &text(&mut (0..count)));
    }
}
