//! What the parsers of all expressions share: a place among the tokens, syntax errors in DynamoDB's
//! words, caps on depth and operators, and document paths.
//!
//! Errors of meaning are noted, not raised: DynamoDB reports a syntax error anywhere before them,
//! and among them it has its own order.

use std::collections::BTreeMap;

use super::token::{Token, TokenKind, tokens};
use super::{
    DEPTH_MAX, EXPANDED_BYTES_MAX, EXPRESSION_BYTES_MAX, ExpressionKind, OPERATORS_MAX,
    PATH_ELEMENTS_MAX, Path, Placeholders, Step, is_reserved,
};
use crate::error::ServiceError;
use crate::value::AttributeValue;

pub(crate) type Result<T> = std::result::Result<T, ServiceError>;

/// DynamoDB counts list indexes as Java integers.
const INDEX_MAX: u64 = i32::MAX as u64;

/// Which error of meaning comes first when there are several; one list for all kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Parentheses,
    UnknownFunction,
    MisusedFunction,
    Operators,
    Size,
    Reserved,
    UnknownUpdateFunction,
    Section,
    /// The first comparison with any of the ranks below; only in conditions.
    Comparison,
    Placeholder,
    OperandCount,
    Overlap,
    Conflict,
    OperandType,
    /// Of functions and sums in updates: after what is wrong with ADD and DELETE.
    UpdateOperand,
    Distinct,
}

/// A place among the tokens of one expression.
pub(crate) struct Cursor<'a, 'p> {
    pub kind: ExpressionKind,
    source: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    operators: usize,
    /// Bytes of the source and of what its placeholders stand for.
    expanded: usize,
    /// The last pair of parentheses read: where it opened, and the token after it.
    group: Option<(usize, usize)>,
    placeholders: &'p mut Placeholders,
    problems: BTreeMap<Rank, String>,
}

impl<'a, 'p> Cursor<'a, 'p> {
    pub fn new(
        kind: ExpressionKind,
        source: &'a str,
        placeholders: &'p mut Placeholders,
    ) -> Result<Self> {
        if source.trim().is_empty() {
            return Err(kind.invalid("The expression can not be empty;"));
        }
        if source.len() > EXPRESSION_BYTES_MAX {
            return Err(kind.invalid(format!(
                "Expression size has exceeded the maximum allowed size; expression size: {}",
                source.len()
            )));
        }
        Ok(Self {
            kind,
            source,
            tokens: tokens(source),
            at: 0,
            depth: 0,
            operators: 0,
            expanded: source.len(),
            group: None,
            placeholders,
            problems: BTreeMap::new(),
        })
    }

    /// Which token is at hand.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The token at hand; past the end, the end again.
    pub fn peek(&self) -> Token<'a> {
        self.look(self.at)
    }

    /// The token after the one at hand.
    pub fn peek_second(&self) -> Token<'a> {
        self.look(self.at + 1)
    }

    fn look(&self, at: usize) -> Token<'a> {
        let end = Token { kind: TokenKind::End, text: "<EOF>", start: self.source.len() };
        self.tokens.get(at).copied().unwrap_or(end)
    }

    pub fn advance(&mut self) {
        self.at += 1;
    }

    /// Whether the token at hand is this symbol.
    pub fn is_symbol(&self, text: &str) -> bool {
        let token = self.peek();
        token.kind == TokenKind::Symbol && token.text == text
    }

    /// Whether the token at hand is this keyword, in any case.
    pub fn is_keyword(&self, word: &str) -> bool {
        let token = self.peek();
        token.kind == TokenKind::Name && token.text.eq_ignore_ascii_case(word)
    }

    pub fn eat_symbol(&mut self, text: &str) -> bool {
        let found = self.is_symbol(text);
        self.at += usize::from(found);
        found
    }

    pub fn eat_keyword(&mut self, word: &str) -> bool {
        let found = self.is_keyword(word);
        self.at += usize::from(found);
        found
    }

    pub fn expect_symbol(&mut self, text: &str) -> Result<()> {
        if self.eat_symbol(text) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub fn expect_keyword(&mut self, word: &str) -> Result<()> {
        if self.eat_keyword(word) { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// The token at hand does not belong there. DynamoDB shows it and its neighbours.
    pub fn syntax_error(&self) -> ServiceError {
        let token = self.peek();
        let start = self.look(self.at.saturating_sub(1)).start;
        let next = self.peek_second();
        let end = match (token.kind, next.kind) {
            (TokenKind::End, _) | (_, TokenKind::End) => self.source.trim_end().len(),
            _ => next.start + next.text.len(),
        };
        let near = self.source.get(start..end.max(start)).unwrap_or_default();
        let message = format!("Syntax error; token: \"{}\", near: \"{near}\"", token.text);
        self.kind.invalid(message)
    }

    /// Goes one level down; every way down passes here.
    pub fn descend<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(self.kind.invalid("The expression is nested too deeply;"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub fn count_operator(&mut self) {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            let count = self.operators;
            self.note(
                Rank::Operators,
                format!("The expression contains too many operators; operator count: {count}"),
            );
        }
    }

    /// Counts what a placeholder stands for.
    fn expand(&mut self, bytes: usize) {
        self.expanded += bytes;
        if self.expanded > EXPANDED_BYTES_MAX {
            self.note(Rank::Size, "Expression size has exceeded the maximum allowed size;");
        }
    }

    /// Remembers an error of meaning; the first of each rank stays.
    pub fn note(&mut self, rank: Rank, message: impl Into<String>) {
        self.problems.entry(rank).or_insert_with(|| message.into());
    }

    /// Reads the closing parenthesis of what was opened at this token.
    pub fn close_group(&mut self, open: usize) -> Result<()> {
        // Redundant when all that stands inside is another pair.
        if self.group == Some((open + 1, self.at())) {
            self.note(Rank::Parentheses, "The expression has redundant parentheses;");
        }
        self.expect_symbol(")")?;
        self.group = Some((open, self.at()));
        Ok(())
    }

    /// Notes that a function stands where it may not.
    pub fn note_misused(&mut self, function: &str) {
        self.note(
            Rank::MisusedFunction,
            format!(
                "The function is not allowed to be used this way in an expression; function: \
                 {function}"
            ),
        );
    }

    /// One comparison or function has been read: what is wrong with it now outranks what is wrong
    /// with later ones.
    pub fn close_comparison(&mut self) {
        let lower = self.problems.split_off(&Rank::Comparison);
        if let Some((_, message)) = lower.into_iter().next() {
            self.note(Rank::Comparison, message);
        }
    }

    /// The expression is at its end: nothing may follow, and nothing may have been noted.
    pub fn finish(mut self) -> Result<()> {
        if self.peek().kind != TokenKind::End {
            return Err(self.syntax_error());
        }
        match self.problems.pop_first() {
            Some((_, message)) => Err(self.kind.invalid(message)),
            None => Ok(()),
        }
    }

    /// `:value` at hand: its value, or null once an undefined one is noted.
    pub fn value(&mut self) -> AttributeValue {
        let name = self.peek().text;
        self.advance();
        let value = self.placeholders.value(name);
        self.expand(value.as_ref().map_or(0, AttributeValue::size));
        value.unwrap_or_else(|| {
            self.note(
                Rank::Placeholder,
                format!(
                    "An expression attribute value used in expression is not defined; attribute \
                     value: {name}"
                ),
            );
            AttributeValue::Null
        })
    }

    /// A document path. `is_keyword` tells the names that end an expression's part instead.
    pub fn path(&mut self, is_keyword: fn(&str) -> bool) -> Result<Path> {
        let root = self.name(is_keyword)?;
        let mut path = Path { root, steps: Vec::new() };
        self.path_steps(&mut path, is_keyword)?;
        Ok(path)
    }

    /// The `.name` and `[n]` that follow a path's beginning.
    pub fn path_steps(&mut self, path: &mut Path, is_keyword: fn(&str) -> bool) -> Result<()> {
        loop {
            if self.eat_symbol(".") {
                path.steps.push(Step::Field(self.name(is_keyword)?));
            } else if self.eat_symbol("[") {
                path.steps.push(Step::Index(self.index()?));
                self.expect_symbol("]")?;
            } else {
                break;
            }
        }
        let levels = path.steps.len() + 1;
        if levels > PATH_ELEMENTS_MAX {
            self.note(
                Rank::Placeholder,
                format!("The document path has too many nesting levels; nesting levels: {levels}"),
            );
        }
        Ok(())
    }

    fn name(&mut self, is_keyword: fn(&str) -> bool) -> Result<String> {
        let token = self.peek();
        match token.kind {
            TokenKind::Name if !is_keyword(token.text) => {
                if is_reserved(token.text) {
                    let word = token.text;
                    self.note(
                        Rank::Reserved,
                        format!("Attribute name is a reserved keyword; reserved keyword: {word}"),
                    );
                }
                self.advance();
                Ok(token.text.to_owned())
            }
            TokenKind::NameRef => {
                self.advance();
                let name = self.placeholders.name(token.text);
                self.expand(name.as_ref().map_or(0, String::len));
                Ok(name.unwrap_or_else(|| {
                    self.note(
                        Rank::Placeholder,
                        format!(
                            "An expression attribute name used in the document path is not \
                             defined; attribute name: {}",
                            token.text
                        ),
                    );
                    token.text.to_owned()
                }))
            }
            _ => Err(self.syntax_error()),
        }
    }

    fn index(&mut self) -> Result<usize> {
        let token = self.peek();
        if token.kind != TokenKind::Digits {
            return Err(self.syntax_error());
        }
        self.advance();
        let index = token.text.parse::<u64>().ok().filter(|&index| index <= INDEX_MAX);
        match index.and_then(|index| usize::try_from(index).ok()) {
            Some(index) => Ok(index),
            None => Err(self.kind.invalid(format!(
                "List index is not within the allowable range; index: [{}]",
                token.text
            ))),
        }
    }
}
