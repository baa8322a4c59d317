//! Text to tree, by recursive descent. Every way down passes [`Parser::descend`].
//!
//! From loose to tight: OR, AND, NOT, comparison, + and -, * and /, sign, steps.

mod call;

use dm_dynamodb::expression::{Comparator, Path, Step};
use dm_dynamodb::value::{AttributeValue, Number};

use crate::ast::{Node, Operator};
use crate::error::Mistake;
use crate::limits::{DEPTH_MAX, EXPRESSION_BYTES_MAX};
use crate::lookup::Files;
use crate::token::{Placed, Token, tokens};

pub(crate) type Result<T> = std::result::Result<T, Mistake>;

/// Names that are never attributes unless they are quoted. Letters of any case.
const KEYWORDS: [&str; 8] = ["AND", "OR", "NOT", "IN", "BETWEEN", "TRUE", "FALSE", "NULL"];

/// A place among the tokens of one expression.
pub(crate) struct Parser<'f> {
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    pub files: &'f Files,
}

/// Returns the tree of an expression that has a value.
pub(crate) fn expression(text: &str, files: &Files) -> Result<Node> {
    let mut parser = Parser::new(text, files)?;
    let node = parser.any()?;
    parser.end()?;
    Ok(node)
}

/// Returns the tree of a condition.
pub(crate) fn condition(text: &str, files: &Files) -> Result<Node> {
    let mut parser = Parser::new(text, files)?;
    let node = parser.any()?;
    parser.end()?;
    must_be_condition(&node, 0)?;
    Ok(node)
}

/// Returns a path that is written like one in an expression.
pub(crate) fn path(text: &str) -> Result<Path> {
    let files = Files::default();
    let mut parser = Parser::new(text, &files)?;
    let path = parser.path()?;
    parser.end()?;
    Ok(path)
}

impl<'f> Parser<'f> {
    fn new(text: &str, files: &'f Files) -> Result<Self> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(Mistake::new(
                EXPRESSION_BYTES_MAX,
                format!("an expression has at most {EXPRESSION_BYTES_MAX} bytes"),
            ));
        }
        let tokens = tokens(text)?;
        if tokens.len() == 1 {
            return Err(Mistake::new(0, "there is no expression"));
        }
        Ok(Self { tokens, next: 0, depth: 0, files })
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
            _ => Err(self.unexpected("expected an operator or the end")),
        }
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
            let right = Box::new(self.operand()?);
            return Ok(Node::Compare { left: Box::new(left), comparator, right });
        }
        if self.eat_keyword("BETWEEN") {
            must_be_value(&left, at)?;
            let low = Box::new(self.operand()?);
            if !self.eat_keyword("AND") {
                return Err(self.unexpected("expected AND and the upper bound of BETWEEN"));
            }
            let high = Box::new(self.operand()?);
            return Ok(Node::Between { value: Box::new(left), low, high });
        }
        if self.eat_keyword("IN") {
            must_be_value(&left, at)?;
            self.expect("(")?;
            let mut options = vec![self.operand()?];
            while self.eat(",") {
                options.push(self.operand()?);
            }
            self.expect(")")?;
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
            self.next += 1;
            let at = self.at();
            let right = part(self)?;
            must_be_value(&right, at)?;
            let (left_of, right) = (Box::new(left), Box::new(right));
            left = Node::Arithmetic { operator, left: left_of, right };
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
            other => Node::Negate(Box::new(other)),
        })
    }

    /// A primary expression and the steps into its value.
    fn stepped(&mut self) -> Result<Node> {
        let mut node = self.primary()?;
        while let Some(step) = self.step()? {
            node = match node {
                Node::Path(mut path) => {
                    path.steps.push(step);
                    Node::Path(path)
                }
                other => Node::Step(Box::new(other), step),
            };
        }
        Ok(node)
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
                let number = Number::parse(&text).map_err(|e| Mistake::new(at, e.to_string()))?;
                Ok(Node::Literal(AttributeValue::N(number)))
            }
            Token::Name(name) if self.follows("(") && !is_keyword(&name) => {
                self.next += 2;
                call::call(self, &name, at)
            }
            Token::Name(name) if is_keyword(&name) => self.keyword(&name),
            Token::Name(_) | Token::Quoted(_) => Ok(Node::Path(Path::of(self.name()?))),
            Token::Symbol(_) | Token::End => Err(self.unexpected("expected a value")),
        }
    }

    fn keyword(&mut self, name: &str) -> Result<Node> {
        let value = match name.to_ascii_lowercase().as_str() {
            "true" => AttributeValue::Bool(true),
            "false" => AttributeValue::Bool(false),
            "null" => AttributeValue::Null,
            _ => return Err(self.unexpected("expected a value")),
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
mod tests {
    use super::*;

    fn check(text: &str, column: usize, message: &str) {
        let mistake = expression(text, &Files::default()).unwrap_err();
        let error = mistake.within("set.x", text);
        assert_eq!(error.column, Some(column), "{text}: {error}");
        assert!(error.message.starts_with(message), "{text}: {}", error.message);
    }

    #[test]
    fn every_form_is_understood() {
        for text in [
            "a",
            "a.b[3].\"c-d\"",
            "12 * if_not_exists(horsepower, displacement / 2) + weight / 2",
            "-(a - -1)",
            "a = 1 AND NOT (b < 2 OR c >= 3) and d <> 'x'",
            "a BETWEEN 1 AND 2 AND b IN (1, 'x', c)",
            "if(a > 1, 'big', 'small')",
            "split(name, ' ')[0]",
            "(map('a', 1)).a",
            "attribute_exists(a.b) OR attribute_not_exists(c) OR attribute_type(d, 'N')",
            "begins_with(a, 'x') AND contains(b, 1)",
            "size(a) > 3",
            "true",
            "\"true\"",
            "year",
        ] {
            assert!(expression(text, &Files::default()).is_ok(), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_column() {
        check("", 1, "there is no expression");
        check("a +", 4, "expected a value, found the end");
        check("a b", 3, "expected an operator or the end, found b");
        check("a + (b", 7, "expected ), found the end");
        check("rond_to(a, 5)", 1, "there is no function rond_to; did you mean round_to?");
        check("frobnicate(a)", 1, "there is no function frobnicate");
        check("round_to(a)", 1, "round_to takes 2 arguments, found 1");
        check("concat()", 1, "concat takes at least 1 argument, found 0");
        check("a AND b = 1", 1, "expected a condition");
        check("a = 1 AND b", 11, "expected a condition");
        check("NOT a", 5, "expected a condition");
        check("(a = 1) + 1", 1, "expected a value, found a condition");
        check("1 + (a = 1)", 5, "expected a value, found a condition");
        check("a[b]", 3, "expected the number of a list's element");
        check("a.1", 3, "expected the name of an attribute, found 1");
        check("in", 1, "expected a value, found in");
        check("if(a, 1, 2)", 4, "expected a condition");
        check("matches(a, b)", 12, "the pattern of matches is written out as a string");
        check("matches(a, '(')", 12, "this is no regular expression:");
        check("1e200", 1, "Number overflow");
        check("é", 1, "the character é has no meaning here");
        check("a = 'é' !", 9, "the character ! has no meaning here");
        check("a BETWEEN 1 OR 2", 13, "expected AND and the upper bound");
        check("lookup('x.csv', a, 'b')", 8, "there is no file x.csv");
        check("attribute_type(a, 'X')", 19, "X is no type");
        check("if_not_exists(1, 2)", 15, "expected the name of an attribute");
    }

    #[test]
    fn hostile_input_gets_a_mistake_and_no_more() {
        for text in ["(", "-", "NOT ", "abs(", "a+", "[", "a.", "\"x ", "'x "] {
            for count in [1, 100, 2_000, 100_000] {
                assert!(expression(&text.repeat(count), &Files::default()).is_err(), "{text}");
            }
        }
        let long = format!("a{}", "+1".repeat(2_000));
        assert!(expression(&long, &Files::default()).is_err());
    }

    #[test]
    fn operators_bind_as_everywhere() {
        let same = |left: &str, right: &str| {
            let shown = |text| format!("{:?}", expression(text, &Files::default()).unwrap());
            assert_eq!(shown(left), shown(right), "{left}");
        };
        same("a + b * c", "a + (b * c)");
        same("a - b - c", "(a - b) - c");
        same("a / b * c", "(a / b) * c");
        same("-a * b", "(-a) * b");
        same("a = 1 OR b = 2 AND c = 3", "a = 1 OR (b = 2 AND c = 3)");
        same("NOT a = 1 AND b = 2", "(NOT a = 1) AND b = 2");
        same("a + 1 > b", "(a + 1) > b");
    }
}
