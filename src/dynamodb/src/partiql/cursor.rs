//! A place among a statement's tokens, its parameters, and its syntax errors.

use super::keywords::is_keyword;
use super::token::{Token, TokenKind, tokens};
use super::{DEPTH_MAX, STATEMENT_CHARS_MAX};
use crate::error::ServiceError;
use crate::expression::{OPERATORS_MAX, PATH_ELEMENTS_MAX, Path, Step};
use crate::value::AttributeValue;

pub(super) type Result<T> = std::result::Result<T, ServiceError>;

pub(super) struct Cursor<'a> {
    source: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    operators: usize,
    parameters: std::slice::Iter<'a, AttributeValue>,
}

impl<'a> Cursor<'a> {
    pub fn new(source: &'a str, parameters: &'a [AttributeValue]) -> Result<Self> {
        let too_long = || {
            ServiceError::validation(format!(
                "1 validation error detected: Value at 'statement' failed to satisfy constraint: \
                 Member must have length less than or equal to {STATEMENT_CHARS_MAX}"
            ))
        };
        // Four bytes are the most a character takes: no need to count in what is far too long.
        if source.len() > STATEMENT_CHARS_MAX * 4 || source.chars().count() > STATEMENT_CHARS_MAX {
            return Err(too_long());
        }
        let (tokens, parameters) = (tokens(source), parameters.iter());
        Ok(Self { source, tokens, at: 0, depth: 0, operators: 0, parameters })
    }

    pub fn peek(&self) -> Token<'a> {
        self.look(0)
    }

    pub fn look(&self, ahead: usize) -> Token<'a> {
        let end = Token { kind: TokenKind::End, text: "", start: self.source.len() };
        self.tokens.get(self.at + ahead).copied().unwrap_or(end)
    }

    pub fn advance(&mut self) {
        self.at += 1;
    }

    pub fn is_word(&self, word: &str) -> bool {
        let token = self.peek();
        token.kind == TokenKind::Word && token.text.eq_ignore_ascii_case(word)
    }

    pub fn is_symbol(&self, symbol: &str) -> bool {
        let token = self.peek();
        token.kind == TokenKind::Symbol && token.text == symbol
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    pub fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The token at hand does not belong there.
    pub fn unexpected(&self) -> ServiceError {
        let token = self.peek();
        let what = if token.kind == TokenKind::End { "end of statement" } else { "term" };
        malformed(&format!("Unexpected {what} at {}", self.position()))
    }

    /// Line, column and length of the token at hand, as DynamoDB gives them.
    pub fn position(&self) -> String {
        let token = self.peek();
        let before = &self.source[..token.start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
        format!("{line}:{column}:{}", token.text.chars().count())
    }

    /// Goes one level down; every way down passes here.
    pub fn descend<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(malformed("The statement is nested too deeply"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub fn count_operator(&mut self) -> Result<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            return Err(ServiceError::validation(format!(
                "The expression contains too many operators; operator count: {}",
                self.operators
            )));
        }
        Ok(())
    }

    /// What the `?` that was just read stands for.
    pub fn parameter(&mut self) -> Result<AttributeValue> {
        self.parameters.next().cloned().ok_or_else(wrong_parameter_count)
    }

    /// Nothing may follow, and no parameter may be left.
    pub fn finish(mut self) -> Result<()> {
        self.eat_symbol(";");
        if self.peek().kind != TokenKind::End {
            return Err(self.unexpected());
        }
        if self.parameters.len() > 0 {
            return Err(wrong_parameter_count());
        }
        Ok(())
    }

    /// A bare or quoted name, never an empty one.
    pub fn name(&mut self) -> Result<String> {
        match self.peek().kind {
            TokenKind::Quoted => self.component(),
            TokenKind::Word if !is_keyword(self.peek().text) => self.component(),
            _ => Err(self.unexpected()),
        }
    }

    /// The token at hand as the name of a table, an attribute, or a member of a map.
    pub fn component(&mut self) -> Result<String> {
        let content = self.peek().content();
        self.advance();
        if content.is_empty() {
            return Err(ServiceError::validation("Path component cannot be an empty string"));
        }
        Ok(content)
    }

    pub fn path(&mut self) -> Result<Path> {
        let mut path = Path::of(self.name()?);
        loop {
            if self.eat_symbol(".") {
                path.steps.push(Step::Field(self.name()?));
            } else if self.is_symbol("[") && self.look(1).kind == TokenKind::Number {
                self.advance();
                let token = self.peek();
                let index = token.text.parse::<u32>().ok().filter(|i| i32::try_from(*i).is_ok());
                let index = index.ok_or_else(|| {
                    ServiceError::validation(format!(
                        "List index is not within the allowable range; index: [{}]",
                        token.text
                    ))
                })?;
                self.advance();
                self.expect_symbol("]")?;
                path.steps.push(Step::Index(index as usize));
            } else {
                break;
            }
        }
        if path.steps.len() >= PATH_ELEMENTS_MAX {
            return Err(ServiceError::validation(format!(
                "The document path has too many nesting levels; nesting levels: {}",
                path.steps.len() + 1
            )));
        }
        Ok(path)
    }
}

/// What cannot be parsed is the whole request's error, in a transaction too; its code tells it from
/// what is wrong with one statement.
pub(super) fn malformed(what: &str) -> ServiceError {
    ServiceError::request(format!("Statement wasn't well formed, can't be processed: {what}"))
}

fn wrong_parameter_count() -> ServiceError {
    ServiceError::validation("Number of parameters in request and statement don't match.")
}
