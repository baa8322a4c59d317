//! Messages in the source: its string literals use the words of the glossary, as the pages do.

use std::collections::BTreeSet;
use std::fs;
use std::iter::Peekable;
use std::path::Path;
use std::str::CharIndices;

use crate::docs::{DENIED, holds};
use crate::root;
use crate::tidy::{none, tracked};

/// Words that must stay: the file, and the phrase. AWS writes the first in an error message; status
/// had the second before it was renamed.
const KEPT: &[(&str, &str)] =
    &[("src/dynamodb/src/error.rs", "cancelled"), ("src/api/src/run_kind.rs", "cancelled")];

/// A string literal. One that continues on the next line is one text.
struct Literal {
    /// Its first and its last line.
    lines: (usize, usize),
    is_raw: bool,
    text: String,
}

/// String literals of a Rust file. Comments are left out.
fn literals(text: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let mut chars = text.char_indices().peekable();
    let mut before = ' ';
    let line_at = |at: usize| text[..at].matches('\n').count() + 1;
    while let Some((at, c)) = chars.next() {
        match c {
            '/' if before == '/' => skip_line(&mut chars),
            '\'' => skip_character(text, at, &mut chars),
            '"' => {
                let hashes = text[..at].bytes().rev().take_while(|b| *b == b'#').count();
                let is_raw = text[..at - hashes].ends_with('r');
                let content = literal(&mut chars, is_raw.then_some(hashes));
                let end = chars.peek().map_or(text.len(), |(end, _)| *end);
                let lines = (line_at(at), line_at(end));
                found.push(Literal { lines, is_raw, text: content });
            }
            _ => {}
        }
        before = c;
    }
    found
}

/// Lines of a Rust file that belong to a raw literal, whose breaks are part of its text.
pub fn raw_lines(text: &str) -> BTreeSet<usize> {
    let raw = literals(text).into_iter().filter(|literal| literal.is_raw);
    raw.flat_map(|literal| literal.lines.0..=literal.lines.1).collect()
}

fn skip_line(chars: &mut Peekable<CharIndices<'_>>) {
    while chars.next_if(|(_, c)| *c != '\n').is_some() {}
}

/// Skips what a quote opens, if it is a character and not a lifetime.
fn skip_character(text: &str, at: usize, chars: &mut Peekable<CharIndices<'_>>) {
    let mut inner = text[at + 1..].chars();
    let count = match (inner.next(), inner.next()) {
        (Some('\\'), _) => text[at + 3..].find('\'').map_or(0, |end| end + 3),
        (Some(c), Some('\'')) => c.len_utf8() + 1,
        _ => 0,
    };
    while chars.next_if(|(next, _)| *next <= at + count).is_some() {}
}

/// The rest of a literal up to its closing quote; `raw` is the number of its hashes.
fn literal(chars: &mut Peekable<CharIndices<'_>>, raw: Option<usize>) -> String {
    let mut text = String::new();
    while let Some((_, c)) = chars.next() {
        match (c, raw) {
            ('"', None) => break,
            ('"', Some(hashes)) => {
                let ahead = chars.clone().take(hashes);
                if ahead.filter(|(_, c)| *c == '#').count() == hashes {
                    break;
                }
                text.push(c);
            }
            ('\\', None) => match chars.next() {
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some(_) => text.push(' '),
                None => {}
            },
            _ => text.push(c),
        }
    }
    text
}

/// Whether a file holds messages to users, and not only tests.
fn is_checked(name: &str) -> bool {
    let is_test = name.contains("/tests") || name.ends_with("samples.rs");
    name.starts_with("src/") && Path::new(name).extension().is_some_and(|e| e == "rs") && !is_test
}

fn before_tests(text: &str) -> &str {
    &text[..text.find("\n#[cfg(test)]").unwrap_or(text.len())]
}

#[test]
fn messages_use_the_words_of_the_glossary() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for name in tracked().into_iter().filter(|name| is_checked(name)) {
        let file = fs::read_to_string(root().join(&name)).unwrap();
        for Literal { lines: (line, _), text, .. } in literals(before_tests(&file)) {
            checked += 1;
            let text = text.to_lowercase();
            let denied = DENIED.iter().filter(|phrase| holds(&text, phrase));
            let denied = denied.filter(|phrase| !KEPT.contains(&(name.as_str(), phrase)));
            broken.extend(denied.map(|phrase| format!("{name}:{line}: {phrase}")));
        }
    }
    none("say these in other words, see docs/reference/glossary.md", &broken);
    assert!(checked > 1_000, "{checked} literals were checked");
}

#[test]
fn literals_are_found() {
    let source = "let a = \"one \\\"x\\\" \\\n      goes on\"; // \"no\"\n\
                  let b = ('\"', '\\'', 'c');\n\
                  fn f<'a>(x: &'a str) { g(r#\"raw \" text\"#, b\"bytes\", \"ä\") }\n\
                  #[cfg(test)]\nx(\"test\")";
    let found = literals(before_tests(source));
    let texts: Vec<&str> = found.iter().map(|literal| literal.text.as_str()).collect();
    assert_eq!(texts, ["one  x  goes on", "raw \" text", "bytes", "ä"]);
    let lines: Vec<(usize, usize)> = found.iter().map(|literal| literal.lines).collect();
    assert_eq!(lines, [(1, 2), (4, 4), (4, 4), (4, 4)]);
    assert_eq!(raw_lines(source), BTreeSet::from([4]));
}
