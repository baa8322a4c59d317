//! Cuts the text of an expression into tokens.

use crate::error::Mistake;
use crate::hint;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// An attribute's name, a function's, or a keyword.
    Name(String),
    /// A name in double quotes, which is never a keyword.
    Quoted(String),
    /// A string in single quotes.
    Text(String),
    /// Digits with an optional point and exponent.
    Numeral(String),
    /// A comparator, an operator or punctuation.
    Symbol(&'static str),
    End,
}

/// A token and the byte at which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub token: Token,
    pub at: usize,
}

/// The longer ones first.
const SYMBOLS: [&str; 16] =
    ["<=", ">=", "<>", "<", ">", "=", "(", ")", "[", "]", ",", ".", "+", "-", "*", "/"];

/// Returns all tokens, with the end last.
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed>, Mistake> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let rest = &text[at..];
        let (token, len) = match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let len = word(rest);
                check_no_dash(rest, len, at)?;
                (Token::Name(rest[..len].to_owned()), len)
            }
            '0'..='9' => {
                let len = numeral(rest);
                check_no_day(rest, len, at)?;
                check_no_zero(&rest[..len], at)?;
                (Token::Numeral(rest[..len].to_owned()), len)
            }
            '\'' | '"' => quoted(rest, first, at)?,
            _ => symbol(rest, first, at)?,
        };
        found.push(Placed { token, at });
        at += len;
    }
    found.push(Placed { token: Token::End, at: text.len() });
    Ok(found)
}

fn word(rest: &str) -> usize {
    rest.bytes().take_while(|byte| is_word(*byte)).count()
}

/// `first-name` and `line-2` are attributes of these names to their author, and differences to the
/// parser.
fn check_no_dash(rest: &str, len: usize, at: usize) -> Result<(), Mistake> {
    let mut end = len;
    while let Some(next) = rest[end..].strip_prefix('-')
        && next.bytes().next().is_some_and(is_word)
    {
        end += 1 + word(next);
    }
    // A call is a value: a-size(b) has one meaning only.
    if end == len || rest[end..].starts_with('(') {
        return Ok(());
    }
    let name = &rest[..end];
    let difference = name.replace('-', " - ");
    Err(Mistake::new(
        at,
        format!(
            "{name} may be the attribute \"{name}\" or the difference {difference}; write one of \
             the two"
        ),
    ))
}

/// A day such as 2026-12-31 without quotes would be a difference.
fn check_no_day(rest: &str, len: usize, at: usize) -> Result<(), Mistake> {
    let form = rest.as_bytes().iter().take(DAY.len());
    let is_day = form.len() == DAY.len()
        && form.zip(DAY).all(|(byte, of_day)| match of_day {
            b'-' => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if len != YEAR_DIGITS || !is_day {
        return Ok(());
    }
    let day = &rest[..DAY.len()];
    Err(Mistake::new(
        at,
        format!("{day} is a difference of numbers; a date is a string, in single quotes: '{day}'"),
    ))
}

/// The form of a day.
const DAY: &[u8] = b"yyyy-mm-dd";

/// Digits of its year.
const YEAR_DIGITS: usize = 4;

/// Part of a day, or of another code in digits, without its quotes.
fn check_no_zero(numeral: &str, at: usize) -> Result<(), Mistake> {
    let mut digits = numeral.bytes();
    let leads = digits.next() == Some(b'0') && digits.next().is_some_and(|b| b.is_ascii_digit());
    if !leads {
        return Ok(());
    }
    Err(Mistake::new(
        at,
        format!("the number {numeral} begins with 0; a string, such as a day, is in single quotes"),
    ))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A point belongs to a numeral only before a digit.
fn numeral(rest: &str) -> usize {
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut len = digits(0);
    if rest[len..].starts_with('.') && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
    }
    if rest[len..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[len + 1..].starts_with(['+', '-']));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}

/// A quote inside is written twice.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(Token, usize), Mistake> {
    let mut content = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((offset, character)) = characters.next() {
        if character != quote {
            content.push(character);
            continue;
        }
        if characters.next_if(|(_, next)| *next == quote).is_some() {
            content.push(quote);
            continue;
        }
        let token = match quote {
            '\'' => Token::Text(content),
            _ if content.is_empty() => {
                return Err(Mistake::new(at, "an attribute has a name of at least one character"));
            }
            _ => Token::Quoted(content),
        };
        return Ok((token, offset + 1));
    }
    let what = if quote == '\'' { "string" } else { "quoted name" };
    let yaml = if quote == '\'' {
        "; a ' inside it is written twice, and YAML cuts an expression without quotes at \" #\""
    } else {
        ""
    };
    Err(Mistake::new(at, format!("this {what} does not end; close it with {quote}{yaml}")))
}

fn symbol(rest: &str, first: char, at: usize) -> Result<(Token, usize), Mistake> {
    if let Some(hint) = hint::symbol(rest) {
        return Err(Mistake::new(at, hint));
    }
    match SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
        Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
        None if first == ':' || first == '#' => Err(Mistake::new(
            at,
            format!(
                "a transform has no placeholders such as {first}name; write values in place and \
                 unusual names in double quotes"
            ),
        )),
        None => {
            let hint = first
                .is_alphabetic()
                .then_some("names with letters other than a to z are in double quotes");
            let message = if first.is_alphanumeric() || first.is_ascii_graphic() {
                format!("the character {first} has no meaning here")
            } else {
                let code = u32::from(first);
                format!("the character {first} (U+{code:04X}) has no meaning here")
            };
            Err(Mistake::new(at, message).with(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Token]) {
        let found: Vec<Token> = tokens(text).unwrap().into_iter().map(|p| p.token).collect();
        assert_eq!(found, [expected, &[Token::End]].concat(), "{text}");
    }

    fn name(text: &str) -> Token {
        Token::Name(text.into())
    }

    fn numeral(text: &str) -> Token {
        Token::Numeral(text.into())
    }

    #[test]
    fn texts_fall_into_tokens() {
        check(
            "a.b[1]",
            &[
                name("a"),
                Token::Symbol("."),
                name("b"),
                Token::Symbol("["),
                numeral("1"),
                Token::Symbol("]"),
            ],
        );
        check(
            "1.5e-3*.2",
            &[numeral("1.5e-3"), Token::Symbol("*"), Token::Symbol("."), numeral("2")],
        );
        check("1.a", &[numeral("1"), Token::Symbol("."), name("a")]);
        check("2e", &[numeral("2"), name("e")]);
        check("'it''s' \"a-b\"", &[Token::Text("it's".into()), Token::Quoted("a-b".into())]);
        check(
            "a<=b<>c",
            &[name("a"), Token::Symbol("<="), name("b"), Token::Symbol("<>"), name("c")],
        );
        check("", &[]);
    }

    #[test]
    fn what_is_no_token_is_named_with_its_place() {
        for (text, at, message) in [
            ("a = :v", 4, "a transform has no placeholders"),
            ("a != b", 2, "unequal is written <>"),
            ("a & b", 2, "the character & has no meaning here"),
            ("a\u{a0}= 1", 1, "the character \u{a0} (U+00A0) has no meaning here"),
            ("ü + 1", 0, "the character ü has no meaning here"),
            ("x + 'abc", 4, "this string does not end; close it with '"),
            ("\"\"", 0, "an attribute has a name"),
            ("a > 2026-12-31", 4, "2026-12-31 is a difference of numbers; a date is a string"),
            ("2026-10-10T00:00:00Z", 0, "2026-10-10 is a difference of numbers"),
            ("line-2 = 'x'", 0, "line-2 may be the attribute"),
        ] {
            let mistake = tokens(text).unwrap_err();
            assert_eq!(mistake.at, at, "{text}");
            assert!(mistake.message.starts_with(message), "{text}: {}", mistake.message);
        }
    }
}
