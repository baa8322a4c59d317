//! Cuts an expression into tokens. Never fails: what is no token becomes one of kind `Other`, and
//! the parser that meets it says where.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An attribute's name, a function's, or a keyword.
    Name,
    /// `#name`.
    NameRef,
    /// `:value`.
    ValueRef,
    Digits,
    /// A comparator or punctuation.
    Symbol,
    Other,
    /// The end of the expression.
    End,
}

/// One token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    pub start: usize,
}

/// All tokens of the expression, with one of kind `End` last.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let (kind, len) = measure(&source[at..], first);
        found.push(Token { kind, text: &source[at..at + len], start: at });
        at += len;
    }
    found.push(Token { kind: TokenKind::End, text: "<EOF>", start: source.len() });
    found
}

fn measure(rest: &str, first: char) -> (TokenKind, usize) {
    let word = |text: &str| text.bytes().take_while(|&byte| is_word(byte)).count();
    match first {
        // A name begins with a letter: `_a` is a syntax error at `_` (scylladb's tests at AWS).
        'a'..='z' | 'A'..='Z' => (TokenKind::Name, word(rest)),
        // No number has a leading zero: `l[01]` is a syntax error at `1` (DynamoDB Local).
        '0' => (TokenKind::Digits, 1),
        '1'..='9' => (TokenKind::Digits, rest.bytes().take_while(u8::is_ascii_digit).count()),
        '#' | ':' => match word(&rest[1..]) {
            0 => (TokenKind::Other, 1),
            len if first == '#' => (TokenKind::NameRef, len + 1),
            len => (TokenKind::ValueRef, len + 1),
        },
        '<' | '>' if rest[1..].starts_with('=') => (TokenKind::Symbol, 2),
        '<' if rest[1..].starts_with('>') => (TokenKind::Symbol, 2),
        '<' | '>' | '=' | '(' | ')' | '[' | ']' | ',' | '.' | '+' | '-' => (TokenKind::Symbol, 1),
        _ => (TokenKind::Other, first.len_utf8()),
    }
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let found: Vec<&str> = tokens(source).iter().map(|token| token.text).collect();
        assert_eq!(found, [expected, &["<EOF>"]].concat(), "{source}");
    }

    #[test]
    fn expressions_fall_into_names_placeholders_symbols_and_digits() {
        check("a.b[12] <= :v1", &["a", ".", "b", "[", "12", "]", "<=", ":v1"]);
        check("#n<>:x AND(a>=b)", &["#n", "<>", ":x", "AND", "(", "a", ">=", "b", ")"]);
        check(" \t\r\n", &[]);
        check("SET a=a+:b-c", &["SET", "a", "=", "a", "+", ":b", "-", "c"]);
    }

    #[test]
    fn what_is_no_token_stands_alone() {
        check("a!é😀# :", &["a", "!", "é", "😀", "#", ":"]);
        check("1abc", &["1", "abc"]);
        check("_a #_a a_b", &["_", "a", "#_a", "a_b"]);
    }
}
