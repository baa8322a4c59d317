//! Calls: how many arguments a function takes, and those that have to be written out.

use dm_dynamodb::expression::Path;
use dm_dynamodb::value::{AttributeType, AttributeValue};
use regex::Regex;

use crate::ast::Node;
use crate::error::Mistake;
use crate::function::{Named, Signature, named, similar};
use crate::hint;
use crate::parse::constant::{check_call, check_special, folded};
use crate::parse::{Parser, Result, must_be_condition};
use crate::token::Token;

/// Reads the call of a function whose name and opening parenthesis have been read.
pub(crate) fn call(parser: &mut Parser, name: &str, at: usize) -> Result<Node> {
    let Some(signature) = named(name) else {
        let hint = hint::function(name, similar(name)).or_else(|| Some(hint::ALL_FUNCTIONS.into()));
        let wrong = Mistake::new(at, format!("there is no function {name}"));
        return Err(wrong.with(hint.as_deref()));
    };
    match signature.named {
        Named::Exists => Ok(Node::Exists(only_path(parser)?)),
        Named::NotExists => Ok(Node::NotExists(only_path(parser)?)),
        Named::IfNotExists => {
            let path = parser.path()?;
            if !parser.eat(",") {
                return Err(parser.unexpected("expected a comma and the value for an absent path"));
            }
            let otherwise = Box::new(parser.value()?);
            parser.expect(")")?;
            Ok(Node::IfNotExists { path, otherwise })
        }
        _ => {
            let arguments = arguments(parser, signature, at)?;
            let at = arguments.first().map_or(at, |(_, at)| *at);
            folded(built(parser, signature, arguments)?, at)
        }
    }
}

fn only_path(parser: &mut Parser) -> Result<Path> {
    let path = parser.path()?;
    if !parser.eat(")") {
        return Err(parser.unexpected("expected ), because this function takes one path"));
    }
    Ok(path)
}

/// An argument and the byte at which it begins.
type Argument = (Node, usize);

fn arguments(parser: &mut Parser, signature: &Signature, at: usize) -> Result<Vec<Argument>> {
    let mut found = Vec::new();
    while !parser.is_symbol(")") {
        let begin = parser.at();
        if matches!(parser.peek(), Token::End) {
            return Err(parser.unexpected("expected an argument or )"));
        }
        let is_condition = signature.named == Named::If && found.is_empty();
        let node = if is_condition { parser.any()? } else { parser.value()? };
        if is_condition {
            must_be_condition(&node, begin)?;
        }
        found.push((node, begin));
        if !parser.eat(",") {
            break;
        }
        if parser.is_symbol(")") {
            return Err(parser.unexpected("expected an argument"));
        }
    }
    if !parser.eat(")") {
        return Err(parser.unexpected("expected a comma or )"));
    }
    if found.len() < signature.fewest || found.len() > signature.most {
        let message =
            format!("{} takes {}, found {}", signature.name, wanted(signature), found.len());
        return Err(Mistake::new(at, message));
    }
    Ok(found)
}

fn wanted(signature: &Signature) -> String {
    let arguments = |count: usize| match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        _ => format!("{count} arguments"),
    };
    match (signature.fewest, signature.most) {
        (fewest, most) if fewest == most => arguments(fewest),
        (fewest, usize::MAX) => format!("at least {}", arguments(fewest)),
        (fewest, most) => format!("{fewest} or {}", arguments(most)),
    }
}

/// The node of a call whose arguments are right in number.
fn built(parser: &Parser, signature: &Signature, arguments: Vec<Argument>) -> Result<Node> {
    let name = signature.name;
    check_special(signature, &arguments)?;
    let mut rest = arguments.into_iter();
    // The number of arguments was checked.
    let mut next = || rest.next().unwrap_or((Node::Literal(AttributeValue::Null), 0));
    let boxed = |(node, _): Argument| Box::new(node);
    Ok(match signature.named {
        Named::Value(function) => {
            check_call(name, function, rest.as_slice())?;
            Node::Call { function, arguments: rest.map(|(node, _)| node).collect() }
        }
        Named::If => {
            let (condition, then) = (boxed(next()), boxed(next()));
            Node::If { condition, then, otherwise: boxed(next()) }
        }
        Named::Split => {
            let text = boxed(next());
            let separator = next();
            check_separator(&separator)?;
            let pattern = pattern(parser, name, separator)?;
            let most = rest.next().map(parts).transpose()?;
            Node::Split { text, pattern, most }
        }
        Named::Matches => {
            let text = boxed(next());
            Node::Matches { text, pattern: pattern(parser, name, next())? }
        }
        Named::Lookup => {
            let (file, file_at) = next();
            let key = boxed(next());
            let (column, column_at) = next();
            let file = written(&file, file_at, "the file of lookup")?;
            let column = written(&column, column_at, "the column of lookup")?;
            let column = parser.shared.files.column(&file, &column).map_err(|wrong| {
                Mistake::new(if wrong.of_column { column_at } else { file_at }, wrong.message)
            })?;
            Node::Lookup { column, key, otherwise: rest.next().map(boxed) }
        }
        Named::Type => {
            let value = boxed(next());
            let (kind, at) = next();
            let kind = written(&kind, at, "the type")?;
            let known = AttributeType::from_name(&kind).ok_or_else(|| {
                let all = AttributeType::ALL.map(AttributeType::as_str).join(", ");
                Mistake::new(at, format!("{kind} is not a type; there are {all}"))
            })?;
            Node::Type { value, kind: known }
        }
        Named::BeginsWith => {
            let value = boxed(next());
            Node::BeginsWith { value, prefix: boxed(next()) }
        }
        Named::Contains => {
            let value = boxed(next());
            Node::Contains { value, element: boxed(next()) }
        }
        // Their arguments are paths, which `call` reads.
        Named::Exists | Named::NotExists | Named::IfNotExists => {
            Node::Literal(AttributeValue::Null)
        }
    })
}

/// A string that has to be known before any item is.
fn written(node: &Node, at: usize, what: &str) -> Result<String> {
    match node {
        Node::Literal(AttributeValue::S(text)) => Ok(text.clone()),
        _ => Err(Mistake::new(at, format!("{what} is written out as a string, in single quotes"))),
    }
}

/// A separator that is one symbol of regular expressions splits everywhere, or nowhere.
fn check_separator((node, at): &Argument) -> Result<()> {
    let Node::Literal(AttributeValue::S(text)) = node else { return Ok(()) };
    let escaped = regex::escape(text);
    if text.chars().count() != 1 || escaped == *text || text == "-" || text == "#" {
        return Ok(());
    }
    let literal = if "^[]\\&~".contains(text.as_str()) { escaped } else { format!("[{text}]") };
    let why = format!(
        "{text} has a meaning in regular expressions; to split at this character write '{literal}'"
    );
    Err(Mistake::new(*at, why))
}

fn pattern(parser: &Parser, name: &str, (node, at): Argument) -> Result<Regex> {
    let text = written(&node, at, &format!("the pattern of {name}"))?;
    let compiled = parser.shared.patterns.borrow_mut().compiled(&text);
    compiled.map_err(|why| Mistake::new(at, why))
}

/// How many parts a split gives at most.
fn parts((node, at): Argument) -> Result<usize> {
    let count = match &node {
        Node::Literal(AttributeValue::N(number)) => number.to_i64(),
        _ => None,
    };
    count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0).ok_or_else(
        || Mistake::new(at, "the highest number of parts is written out as a number, from 1"),
    )
}
