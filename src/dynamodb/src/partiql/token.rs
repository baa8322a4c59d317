//! Cuts a statement into tokens.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A bare word: a keyword, a function or a name.
    Word,
    /// A name in double quotes.
    Quoted,
    /// A string in single quotes.
    Text,
    Number,
    /// An operator or punctuation.
    Symbol,
    /// Anything else, unclosed quotes included.
    Other,
    /// The end of the statement.
    End,
}

/// One token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub kind: TokenKind,
    /// As written, quotes included.
    pub text: &'a str,
    pub start: usize,
}

impl Token<'_> {
    /// Its content: of quoted ones without the quotes, doubled quotes once.
    pub fn content(&self) -> String {
        match self.kind {
            TokenKind::Quoted => unquoted(self.text, '"'),
            TokenKind::Text => unquoted(self.text, '\''),
            _ => self.text.to_owned(),
        }
    }
}

fn unquoted(text: &str, quote: char) -> String {
    let inner = text.get(1..text.len() - 1).unwrap_or_default();
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}

/// All tokens, with one of kind `End` last.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if let Some(len) = comment_len(&source[at..]) {
            at += len;
            continue;
        }
        let (kind, len) = measure(&source[at..], first);
        found.push(Token { kind, text: &source[at..at + len], start: at });
        at += len;
    }
    found.push(Token { kind: TokenKind::End, text: "", start: source.len() });
    found
}

/// The length of a comment that begins here: `--` to the end of the line, or `/* … */`.
fn comment_len(rest: &str) -> Option<usize> {
    if rest.starts_with("--") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    let inner = rest.strip_prefix("/*")?;
    inner.find("*/").map(|end| end + "/**/".len())
}

const SYMBOLS: [&str; 26] = [
    "<<", ">>", "<=", ">=", "<>", "!=", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", ":",
    "+", "-", "*", "?", "||", "/", "%", ";",
];

fn measure(rest: &str, first: char) -> (TokenKind, usize) {
    let count = |fits: fn(&u8) -> bool| rest.bytes().take_while(fits).count();
    match first {
        'a'..='z' | 'A'..='Z' | '_' => {
            (TokenKind::Word, count(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'))
        }
        '0'..='9' => (TokenKind::Number, number_len(rest.as_bytes())),
        '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
            (TokenKind::Number, number_len(rest.as_bytes()))
        }
        '"' => quoted(rest, b'"', TokenKind::Quoted),
        '\'' => quoted(rest, b'\'', TokenKind::Text),
        _ => match SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            Some(symbol) => (TokenKind::Symbol, symbol.len()),
            None => (TokenKind::Other, first.len_utf8()),
        },
    }
}

/// Digits, a point, digits, an exponent.
fn number_len(bytes: &[u8]) -> usize {
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut len = digits(0);
    if bytes.get(len) == Some(&b'.') {
        len += 1;
        len += digits(len);
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        match digits((len + 1 + sign).min(bytes.len())) {
            0 => {}
            exponent => len += 1 + sign + exponent,
        }
    }
    len
}

fn quoted(rest: &str, quote: u8, kind: TokenKind) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return (kind, at + 1);
            }
            at += 1;
        }
        at += 1;
    }
    (TokenKind::Other, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let found: Vec<_> = tokens(source).iter().map(Token::content).collect();
        assert_eq!(found, [expected, &[""]].concat(), "{source}");
    }

    #[test]
    fn statements_fall_into_words_quotes_numbers_and_symbols() {
        check("SELECT * FROM \"a\"\"b\".\"i\"", &["SELECT", "*", "FROM", "a\"b", ".", "i"]);
        check("x='it''s'AND y<>-1.5e+3", &["x", "=", "it's", "AND", "y", "<>", "-", "1.5e+3"]);
        check(
            "<<1,2>> {'a':?} [.5]",
            &["<<", "1", ",", "2", ">>", "{", "a", ":", "?", "}", "[", ".5", "]"],
        );
        check("a[0].b", &["a", "[", "0", "]", ".", "b"]);
        check("1e 2", &["1", "e", "2"]);
        check("a -- b\n/* c\n */ d '--' - e", &["a", "d", "--", "-", "e"]);
        check("a /* b", &["a", "/", "*", "b"]);
    }

    #[test]
    fn what_is_unclosed_or_unknown_is_other() {
        for source in ["'abc", "\"abc", "é", "@", "'it''", "😀"] {
            assert_eq!(tokens(source)[0].kind, TokenKind::Other, "{source}");
        }
    }
}
