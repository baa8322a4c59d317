//! What a valid expression's text shows by its tokens alone: what it takes of an expression's
//! limits, and how another condition can be put beside it.

use std::collections::BTreeSet;

use super::token::{TokenKind, tokens};

/// An expression, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline<'t> {
    /// Operators and functions; at least as many as DynamoDB counts.
    pub operators: usize,
    /// Whether an OR stands outside of all parentheses. Only then does an AND beside the text need
    /// parentheses around it, and only then are they never redundant: `((a = b))` is refused.
    pub has_open_or: bool,
    /// The `#names` and `:values` in it.
    pub placeholders: BTreeSet<&'t str>,
}

impl<'t> Outline<'t> {
    pub fn of(text: &'t str) -> Self {
        let mut outline = Self { operators: 0, has_open_or: false, placeholders: BTreeSet::new() };
        let mut depth = 0_usize;
        let tokens = tokens(text);
        for (at, token) in tokens.iter().enumerate() {
            let called = tokens.get(at + 1).is_some_and(|next| next.text == "(");
            match (token.kind, token.text) {
                (TokenKind::Symbol, "(") => depth += 1,
                (TokenKind::Symbol, ")") => depth = depth.saturating_sub(1),
                (TokenKind::Symbol, "=" | "<>" | "<" | "<=" | ">" | ">=" | "+" | "-") => {
                    outline.operators += 1;
                }
                (TokenKind::Name, word) if is_operator(word) => {
                    outline.operators += 1;
                    outline.has_open_or |= depth == 0 && word.eq_ignore_ascii_case("OR");
                }
                (TokenKind::Name, _) if called => outline.operators += 1,
                (TokenKind::NameRef | TokenKind::ValueRef, placeholder) => {
                    outline.placeholders.insert(placeholder);
                }
                _ => {}
            }
        }
        outline
    }
}

/// The AND of a BETWEEN counts too, which is one too many.
fn is_operator(word: &str) -> bool {
    ["AND", "OR", "NOT", "IN", "BETWEEN"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, operators: usize, has_open_or: bool) {
        let outline = Outline::of(text);
        assert_eq!((outline.operators, outline.has_open_or), (operators, has_open_or), "{text}");
    }

    #[test]
    fn an_or_is_open_outside_of_all_parentheses() {
        check("a = :a", 1, false);
        check("(a = :a or b = :b)", 3, false);
        check("(a = :a) OR (b = :b)", 3, true);
        check("NOT (a = :a OR b = :b) AND attribute_exists(c)", 6, false);
        check("a = :a AND b = :b Or size(c) > :c", 6, true);
        check("#or = :or AND a.b[1] BETWEEN :x AND :y", 4, false);
        check("contains(a, :a) AND a IN (:a, :b)", 3, false);
    }

    #[test]
    fn placeholders_are_listed_once() {
        let found = Outline::of("SET #a = :v, b = if_not_exists(#a, :w) + :v").placeholders;
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["#a", ":v", ":w"]);
    }
}
