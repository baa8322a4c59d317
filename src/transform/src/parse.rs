//! Text to tree, by recursive descent. Every way down passes [`Parser::descend`].
//!
//! From loose to tight: OR, AND, NOT, comparison, + and -, * and /, sign, steps.

mod call;
mod constant;

use std::cell::RefCell;

use dm_dynamodb::expression::{Comparator, Path, Step};
use dm_dynamodb::value::{AttributeValue, Number};

use crate::ast::{Node, Operator};
use crate::error::Mistake;
use crate::hint;
use crate::limits::{DEPTH_MAX, EXPRESSION_BYTES_MAX};
use crate::lookup::Files;
use crate::pattern::Patterns;
use crate::token::{Placed, Token, tokens};

pub(crate) type Result<T> = std::result::Result<T, Mistake>;

/// Names that are never attributes unless they are quoted. Letters of any case.
const KEYWORDS: [&str; 8] = ["AND", "OR", "NOT", "IN", "BETWEEN", "TRUE", "FALSE", "NULL"];

/// What DynamoDB holds of a number.
const NUMBERS: &str = "a number has at most 38 digits and a magnitude between 1e-130 and 1e126";

/// What the expressions of one transform share.
pub(crate) struct Shared<'f> {
    pub files: &'f Files<'f>,
    pub patterns: RefCell<Patterns>,
}

impl<'f> Shared<'f> {
    pub fn of(files: &'f Files<'f>) -> Self {
        Self { files, patterns: RefCell::default() }
    }
}

/// A place among the tokens of one expression.
pub(crate) struct Parser<'s> {
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    pub shared: &'s Shared<'s>,
}

/// Returns the tree of an expression that has a value.
pub(crate) fn expression(text: &str, shared: &Shared<'_>) -> Result<Node> {
    let mut parser = Parser::new(text, shared)?;
    let node = parser.any()?;
    parser.end()?;
    Ok(node)
}

/// Returns the tree of a condition.
pub(crate) fn condition(text: &str, shared: &Shared<'_>) -> Result<Node> {
    let mut parser = Parser::new(text, shared)?;
    let node = parser.any()?;
    parser.end()?;
    must_be_condition(&node, 0)?;
    Ok(node)
}

/// Returns a path that is written like one in an expression.
pub(crate) fn path(text: &str) -> Result<Path> {
    if text.trim().is_empty() {
        return Err(Mistake::new(0, "it is empty; write the name of an attribute"));
    }
    let files = Files::default();
    let shared = Shared::of(&files);
    let mut parser = Parser::new(text, &shared)?;
    let path = parser.path()?;
    parser.end()?;
    Ok(path)
}

impl<'s> Parser<'s> {
    fn new(text: &str, shared: &'s Shared<'s>) -> Result<Self> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(Mistake::new(
                EXPRESSION_BYTES_MAX,
                format!("an expression has at most {EXPRESSION_BYTES_MAX} bytes"),
            ));
        }
        let tokens = tokens(text)?;
        if tokens.len() == 1 {
            return Err(Mistake::new(0, "there is no expression; an empty string is written ''"));
        }
        Ok(Self { tokens, next: 0, depth: 0, shared })
    }

    pub fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |placed| &placed.token)
    }

    /// The byte at which the token at hand begins.
    pub fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |placed| placed.at)
    }

    fn follows(&self, symbol: &str) -> bool {
        matches!(
            self.tokens.get(self.next + 1),
            Some(Placed { token: Token::Symbol(found), .. }) if *found == symbol
        )
    }

    pub fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }

    pub fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    pub fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(&format!("expected {symbol}"))) }
    }

    fn eat_keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(name) if name.eq_ignore_ascii_case(word));
        self.next += usize::from(found);
        found
    }

    pub fn unexpected(&self, instead: &str) -> Mistake {
        let found = match self.peek() {
            Token::Name(name) | Token::Numeral(name) => name.clone(),
            Token::Quoted(name) => format!("\"{name}\""),
            Token::Text(_) => "a string".into(),
            Token::Symbol(symbol) => (*symbol).into(),
            Token::End => "the end".into(),
        };
        Mistake::new(self.at(), format!("{instead}, found {found}"))
    }

    fn end(&self) -> Result<()> {
        match self.peek() {
            Token::End => Ok(()),
            found => {
                let hint = match found {
                    Token::Name(_) if self.touches_number() => Some(hint::AFTER_NUMBER),
                    Token::Name(name) => hint::word(name),
                    Token::Symbol(symbol) if comparator(symbol).is_some() => {
                        Some("write b BETWEEN a AND c, or join two comparisons with AND")
                    }
                    _ => None,
                };
                Err(self.unexpected("expected an operator or the end").with(hint))
            }
        }
    }

    /// Whether the token at hand begins directly behind a number.
    fn touches_number(&self) -> bool {
        let before = self.next.checked_sub(1).and_then(|before| self.tokens.get(before));
        matches!(before, Some(Placed { token: Token::Numeral(numeral), at })
            if at + numeral.len() == self.at())
    }

    fn descend<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(Mistake::new(
                self.at(),
                format!("an expression is nested at most {DEPTH_MAX} levels deep"),
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A value or a condition.
    pub fn any(&mut self) -> Result<Node> {
        self.descend(Self::or)
    }

    /// A value that is no condition.
    pub fn value(&mut self) -> Result<Node> {
        let at = self.at();
        let node = self.any()?;
        must_be_value(&node, at)?;
        Ok(node)
    }

    fn or(&mut self) -> Result<Node> {
        self.joined("OR", Node::Or, |parser| parser.joined("AND", Node::And, Self::not))
    }

    fn joined(
        &mut self,
        word: &str,
        join: fn(Vec<Node>) -> Node,
        part: fn(&mut Self) -> Result<Node>,
    ) -> Result<Node> {
        let at = self.at();
        let first = part(self)?;
        if !matches!(self.peek(), Token::Name(name) if name.eq_ignore_ascii_case(word)) {
            return Ok(first);
        }
        must_be_condition(&first, at)?;
        let mut all = vec![first];
        while self.eat_keyword(word) {
            let at = self.at();
            let node = part(self)?;
            must_be_condition(&node, at)?;
            all.push(node);
        }
        Ok(join(all))
    }

    fn not(&mut self) -> Result<Node> {
        if !self.eat_keyword("NOT") {
            return self.comparison();
        }
        let at = self.at();
        let node = self.descend(Self::not)?;
        must_be_condition(&node, at)?;
        Ok(Node::Not(Box::new(node)))
    }

    fn comparison(&mut self) -> Result<Node> {
        let at = self.at();
        let left = self.sum()?;
        let comparator = match self.peek() {
            Token::Symbol(symbol) => comparator(symbol),
            _ => None,
        };
        if let Some(comparator) = comparator {
            must_be_value(&left, at)?;
            self.next += 1;
            let right = self.operand()?;
            constant::check_decided(&[&left, &right], at)?;
            constant::check_comparable(&left, &right, at)?;
            let (left, right) = (Box::new(left), Box::new(right));
            return Ok(Node::Compare { left, comparator, right });
        }
        if self.eat_keyword("BETWEEN") {
            must_be_value(&left, at)?;
            let low = self.operand()?;
            if !self.eat_keyword("AND") {
                return Err(self.unexpected("expected AND and the upper bound of BETWEEN"));
            }
            let high = self.operand()?;
            constant::check_decided(&[&left, &low, &high], at)?;
            for (one, other) in [(&left, &low), (&left, &high), (&low, &high)] {
                constant::check_comparable(one, other, at)?;
            }
            let (low, high) = (Box::new(low), Box::new(high));
            return Ok(Node::Between { value: Box::new(left), low, high });
        }
        if self.eat_keyword("IN") {
            must_be_value(&left, at)?;
            if !self.eat("(") {
                let hint = "the values of IN are in parentheses: a IN (1, 2)";
                return Err(self.unexpected("expected (").with(Some(hint)));
            }
            let mut options = vec![self.operand()?];
            while self.eat(",") {
                options.push(self.operand()?);
            }
            self.expect(")")?;
            let operands: Vec<&Node> = std::iter::once(&left).chain(&options).collect();
            constant::check_decided(&operands, at)?;
            for option in &options {
                constant::check_comparable(&left, option, at)?;
            }
            return Ok(Node::In { value: Box::new(left), options });
        }
        Ok(left)
    }

    /// One side of a comparison.
    fn operand(&mut self) -> Result<Node> {
        let at = self.at();
        let node = self.sum()?;
        must_be_value(&node, at)?;
        Ok(node)
    }

    fn sum(&mut self) -> Result<Node> {
        let operators = [("+", Operator::Plus), ("-", Operator::Minus)];
        self.chain(&operators, |parser| {
            parser.chain(&[("*", Operator::Times), ("/", Operator::Over)], Self::signed)
        })
    }

    fn chain(
        &mut self,
        operators: &[(&str, Operator)],
        part: fn(&mut Self) -> Result<Node>,
    ) -> Result<Node> {
        let at = self.at();
        let mut left = part(self)?;
        let mut links = 0;
        while let Some((_, operator)) =
            operators.iter().copied().find(|(symbol, _)| self.is_symbol(symbol))
        {
            must_be_value(&left, at)?;
            constant::check_operand(operator, &left, at)?;
            self.next += 1;
            let at = self.at();
            let right = part(self)?;
            must_be_value(&right, at)?;
            constant::check_operand(operator, &right, at)?;
            constant::check_divisor(operator, &right, at)?;
            let (left_of, right) = (Box::new(left), Box::new(right));
            left = constant::folded(Node::Arithmetic { operator, left: left_of, right }, at)?;
            // The tree of a chain is as deep as the chain is long.
            links += 1;
            if self.depth + links > 4 * DEPTH_MAX {
                return Err(Mistake::new(at, "too many operators in a row; use parentheses"));
            }
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Node> {
        if !self.eat("-") {
            return self.stepped();
        }
        let at = self.at();
        let node = self.descend(Self::signed)?;
        must_be_value(&node, at)?;
        Ok(match node {
            Node::Literal(AttributeValue::N(number)) => {
                Node::Literal(AttributeValue::N(number.negated()))
            }
            other => {
                constant::check_operand(Operator::Minus, &other, at)?;
                constant::folded(Node::Negate(Box::new(other)), at)?
            }
        })
    }

    /// A primary expression and the steps into its value.
    fn stepped(&mut self) -> Result<Node> {
        let mut node = self.primary()?;
        loop {
            let at = self.at();
            let Some(step) = self.step()? else { return Ok(node) };
            constant::check_step(&node, &step, at)?;
            node = match node {
                Node::Path(mut path) => {
                    path.steps.push(step);
                    Node::Path(path)
                }
                other => constant::folded(Node::Step(Box::new(other), step), at)?,
            };
        }
    }

    fn primary(&mut self) -> Result<Node> {
        let at = self.at();
        if self.eat("(") {
            let node = self.any()?;
            self.expect(")")?;
            return Ok(node);
        }
        match self.peek().clone() {
            Token::Text(text) => {
                self.next += 1;
                Ok(Node::Literal(AttributeValue::S(text)))
            }
            Token::Numeral(text) => {
                self.next += 1;
                let number = Number::parse(&text).map_err(|_| Mistake::new(at, NUMBERS))?;
                Ok(Node::Literal(AttributeValue::N(number)))
            }
            Token::Name(name) if self.follows("(") && !is_keyword(&name) => {
                self.next += 2;
                call::call(self, &name, at)
            }
            Token::Name(name) if is_keyword(&name) => self.keyword(&name),
            Token::Name(_) | Token::Quoted(_) => Ok(Node::Path(Path::of(self.name()?))),
            Token::Symbol(symbol) => {
                let hint = match symbol {
                    "[" => Some("a list is written list(a, b, …)"),
                    "." => Some("a number begins with a digit: 0.5"),
                    "=" => Some("equal is written with one ="),
                    _ => None,
                };
                Err(self.unexpected("expected a value").with(hint))
            }
            Token::End => Err(self.unexpected("expected a value")),
        }
    }

    fn keyword(&mut self, name: &str) -> Result<Node> {
        let value = match name.to_ascii_lowercase().as_str() {
            "true" => AttributeValue::Bool(true),
            "false" => AttributeValue::Bool(false),
            "null" => AttributeValue::Null,
            _ => {
                let wrong = self.unexpected("expected a value");
                let hint = format!("an attribute of this name is written \"{name}\"");
                return Err(wrong.with(Some(&hint)));
            }
        };
        self.next += 1;
        Ok(Node::Literal(value))
    }

    /// A path into the item.
    pub fn path(&mut self) -> Result<Path> {
        let mut path = Path::of(self.name()?);
        while let Some(step) = self.step()? {
            path.steps.push(step);
        }
        Ok(path)
    }

    fn name(&mut self) -> Result<String> {
        let name = match self.peek() {
            Token::Name(name) if is_keyword(name) => {
                return Err(Mistake::new(
                    self.at(),
                    format!("{name} is a keyword; an attribute of this name is written \"{name}\""),
                ));
            }
            Token::Name(name) | Token::Quoted(name) => name.clone(),
            Token::Text(_) => {
                let wrong = self.unexpected("expected the name of an attribute");
                return Err(
                    wrong.with(Some("a name is written without quotes or in double quotes"))
                );
            }
            _ => return Err(self.unexpected("expected the name of an attribute")),
        };
        self.next += 1;
        Ok(name)
    }

    fn step(&mut self) -> Result<Option<Step>> {
        if self.eat(".") {
            return Ok(Some(Step::Field(self.name()?)));
        }
        if !self.eat("[") {
            return Ok(None);
        }
        let index = match self.peek() {
            Token::Numeral(text) => text.parse::<usize>().ok(),
            _ => None,
        };
        let Some(index) = index else {
            return Err(self.unexpected("expected the number of a list's element, from 0"));
        };
        self.next += 1;
        self.expect("]")?;
        Ok(Some(Step::Index(index)))
    }
}

fn is_keyword(name: &str) -> bool {
    KEYWORDS.iter().any(|word| name.eq_ignore_ascii_case(word))
}

fn comparator(symbol: &str) -> Option<Comparator> {
    Some(match symbol {
        "=" => Comparator::Eq,
        "<>" => Comparator::Ne,
        "<" => Comparator::Lt,
        "<=" => Comparator::Le,
        ">" => Comparator::Gt,
        ">=" => Comparator::Ge,
        _ => return None,
    })
}

pub(crate) fn must_be_condition(node: &Node, at: usize) -> Result<()> {
    if node.is_condition() {
        return Ok(());
    }
    Err(Mistake::new(
        at,
        "expected a condition, such as a comparison or attribute_exists(…), found a value",
    ))
}

fn must_be_value(node: &Node, at: usize) -> Result<()> {
    if !node.is_condition() {
        return Ok(());
    }
    Err(Mistake::new(
        at,
        "expected a value, found a condition; if(condition, a, b) chooses a value",
    ))
}

#[cfg(test)]
mod tests;
