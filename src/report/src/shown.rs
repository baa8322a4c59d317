//! Text from a database, as a person may see it: nothing in it moves, hides or ends what is around
//! it. What each format escapes beyond that is the format's own.

use dm_contract::visible::{is_invisible, spell_out};
use serde_json::{Map, Value};

/// Text that may have been cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub text: String,
    /// Characters that are left out.
    pub left_out: u64,
}

impl Shown {
    /// Characters with those that are left out.
    pub fn chars(&self) -> u64 {
        self.text.chars().count() as u64 + self.left_out
    }

    /// The text with a note of what is left out.
    pub fn noted(&self) -> String {
        match self.left_out {
            0 => self.text.clone(),
            more => format!("{}… ({} more characters)", self.text, crate::numbers::count(more)),
        }
    }
}

/// Text with its invisible characters spelled out, cut after this many characters.
pub fn text(text: &str, chars_max: usize) -> Shown {
    let mut shown = Bounded::new(chars_max);
    shown.plain(text);
    shown.done()
}

/// A value in DynamoDB's JSON as a person would write it, cut after this many characters.
pub fn value(value: &Value, chars_max: usize) -> Shown {
    let mut shown = Bounded::new(chars_max);
    shown.attribute(value);
    shown.done()
}

/// An item's key or image in DynamoDB's JSON, as `{id: "audi", year: 1970}`.
pub fn item(item: &Value, chars_max: usize) -> Shown {
    let mut shown = Bounded::new(chars_max);
    match item {
        Value::Object(attributes) => shown.map(attributes),
        other => shown.json(other),
    }
    shown.done()
}

/// Collects characters up to a bound and counts the rest, so that a value of 400 KB costs no more
/// memory than what is shown of it.
struct Bounded {
    text: String,
    room: usize,
    left_out: u64,
}

impl Bounded {
    fn new(room: usize) -> Self {
        Self { text: String::new(), room, left_out: 0 }
    }

    fn done(self) -> Shown {
        Shown { text: self.text, left_out: self.left_out }
    }

    /// A piece that is not cut in the middle.
    fn piece(&mut self, piece: &str) {
        let chars = piece.chars().count();
        if chars <= self.room {
            self.text.push_str(piece);
            self.room -= chars;
        } else {
            self.room = 0;
            self.left_out += chars as u64;
        }
    }

    /// Counts what is not looked at any more: escapes as the characters that they stand for.
    fn skip(&mut self, chars: usize) {
        self.left_out += chars as u64;
    }

    fn escape(&mut self, c: char) {
        let mut escape = String::new();
        spell_out(&mut escape, c);
        self.piece(&escape);
    }

    fn plain(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if self.room == 0 {
                return self.skip(1 + chars.count());
            }
            if is_invisible(c) {
                self.escape(c);
            } else {
                self.piece(c.encode_utf8(&mut [0; 4]));
            }
        }
    }

    fn quoted(&mut self, text: &str) {
        self.piece("\"");
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if self.room == 0 {
                // With the quote at its end.
                return self.skip(2 + chars.count());
            }
            match c {
                '"' => self.piece("\\\""),
                '\\' => self.piece("\\\\"),
                c if is_invisible(c) => self.escape(c),
                c => self.piece(c.encode_utf8(&mut [0; 4])),
            }
        }
        self.piece("\"");
    }

    fn json(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.quoted(text),
            other => self.plain(&other.to_string()),
        }
    }

    /// A value with its type; what is no such value is shown as the JSON that it is.
    fn attribute(&mut self, value: &Value) {
        let typed = value.as_object().filter(|object| object.len() == 1);
        let Some((kind, inner)) = typed.and_then(|object| object.iter().next()) else {
            return self.json(value);
        };
        match (kind.as_str(), inner) {
            ("S", Value::String(text)) => self.quoted(text),
            ("N", Value::String(number)) => self.plain(number),
            ("B", Value::String(base64)) => {
                self.piece("b");
                self.quoted(base64);
            }
            ("BOOL", Value::Bool(flag)) => self.piece(if *flag { "true" } else { "false" }),
            ("NULL", _) => self.piece("null"),
            ("L", Value::Array(values)) => self.list("[", values, Self::attribute, "]"),
            ("M", Value::Object(attributes)) => self.map(attributes),
            ("SS", Value::Array(values)) => self.list("set{", values, Self::json, "}"),
            ("NS", Value::Array(values)) => self.list("set{", values, Self::number, "}"),
            ("BS", Value::Array(values)) => self.list("set{", values, Self::binary, "}"),
            _ => self.json(value),
        }
    }

    fn number(&mut self, value: &Value) {
        match value {
            Value::String(number) => self.plain(number),
            other => self.json(other),
        }
    }

    fn binary(&mut self, value: &Value) {
        self.piece("b");
        self.json(value);
    }

    fn list(&mut self, open: &str, values: &[Value], one: fn(&mut Self, &Value), close: &str) {
        self.piece(open);
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.piece(", ");
            }
            one(self, value);
        }
        self.piece(close);
    }

    fn map(&mut self, attributes: &Map<String, Value>) {
        self.piece("{");
        for (at, (name, value)) in attributes.iter().enumerate() {
            if at > 0 {
                self.piece(", ");
            }
            if is_word(name) {
                self.piece(name);
            } else {
                self.quoted(name);
            }
            self.piece(": ");
            self.attribute(value);
        }
        self.piece("}");
    }
}

/// Whether a name needs no quotes.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_look_as_a_person_writes_them() {
        for (json, expected) in [
            (json!({"S": "a \"b\" \\"}), r#""a \"b\" \\""#),
            (json!({"N": "4100"}), "4100"),
            (json!({"BOOL": true}), "true"),
            (json!({"NULL": true}), "null"),
            (json!({"B": "AAE="}), "b\"AAE=\""),
            (json!({"L": [{"N": "1"}, {"S": "x"}]}), "[1, \"x\"]"),
            (json!({"M": {"a": {"N": "1"}, "b c": {"L": []}}}), "{a: 1, \"b c\": []}"),
            (json!({"SS": ["a", "b"]}), "set{\"a\", \"b\"}"),
            (json!({"NS": ["1"]}), "set{1}"),
            (json!({"BS": ["AA=="]}), "set{b\"AA==\"}"),
            (json!({"X": 1, "Y": 2}), r#"{"X":1,"Y":2}"#),
            (json!({"S": 1}), r#"{"S":1}"#),
            (json!(null), "null"),
        ] {
            assert_eq!(value(&json, 100).noted(), expected, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_spelled_out() {
        let hostile = json!({"S": "a\u{202e}b\u{200b}\n\u{1b}[31m\u{2028}\u{e0041}"});
        assert_eq!(
            value(&hostile, 100).noted(),
            r#""a\u{202e}b\u{200b}\n\u{1b}[31m\u{2028}\u{e0041}""#
        );
        assert_eq!(text("\u{2066}cars\t", 100).noted(), r"\u{2066}cars\t");
        assert_eq!(text("سعر 価格 émoji 🚗", 100).noted(), "سعر 価格 émoji 🚗", "letters stay");
    }

    #[test]
    fn a_long_value_is_cut_with_a_note() {
        let long = json!({"S": "x".repeat(400_000)});
        let shown = value(&long, 10);
        assert_eq!(shown.text, format!("\"{}", "x".repeat(9)));
        assert_eq!(shown.left_out, 400_000 - 9 + 1);
        assert!(shown.noted().ends_with("… (399,992 more characters)"));
        let escape = text("ab\n", 3);
        assert_eq!((escape.text.as_str(), escape.left_out), ("ab", 2), "no half an escape");
    }

    #[test]
    fn an_item_is_a_map_of_values() {
        let key = json!({"id": {"S": "audi"}, "n": {"N": "7"}});
        assert_eq!(item(&key, 100).noted(), r#"{id: "audi", n: 7}"#);
        assert_eq!(item(&json!("odd"), 100).noted(), r#""odd""#);
    }
}
