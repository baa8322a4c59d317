//! Limits of single members. AWS lists up to ten that a request violates in one message.

use std::fmt;

use serde_json::{Map, Value};

use super::model::{Member, Rule, Shape};
use crate::error::ServiceError;
use crate::value::whole_from_json;

type Result<T> = std::result::Result<T, ServiceError>;

/// Violations that one message lists, as AWS's do.
const LISTED_MAX: usize = 10;

/// Elements of a list that a message repeats. AWS repeats all; a message is not to be as long as
/// its request.
const REPEATED_MAX: usize = 10;

/// Characters of a table's name (API Reference, CreateTable).
pub const NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=255;

/// Checks the members of a body.
pub fn check(members: &[Member], body: &Map<String, Value>) -> Result<()> {
    let mut found = Violations::default();
    found.of_members(members, body, None);
    found.into_result()
}

/// Checks the name of a table that is to be created, which AWS does before it looks further.
pub fn check_new_table(name: &str) -> Result<()> {
    let at = At { parent: None, step: Step::Member("TableName") };
    let rules = [
        Rule::NamePattern,
        Rule::LengthAtLeast(*NAME_LENGTH.start()),
        Rule::LengthAtMost(*NAME_LENGTH.end()),
    ];
    let (shape, value) = (Shape::Text(&[]), Value::from(name));
    let mut found = Violations::default();
    for rule in rules {
        found.of_rule(rule, &shape, &value, at);
    }
    found.into_result()
}

/// Whether each character may stand in the name of a table or an index.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A place in a request, as messages spell it.
#[derive(Clone, Copy, Debug)]
struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Member(&'a str),
    Element(usize),
    Key(&'a str),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        match self.step {
            Step::Member(name) => {
                let (first, rest) = name.split_at(1);
                write!(f, "{}{rest}", first.to_ascii_lowercase())
            }
            Step::Element(at) => write!(f, "{}.member", at + 1),
            Step::Key(key) => write!(f, "{key}.member"),
        }
    }
}

#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn of_members(
        &mut self,
        members: &[Member],
        body: &Map<String, Value>,
        parent: Option<&At<'_>>,
    ) {
        for member in members {
            let at = At { parent, step: Step::Member(member.name) };
            match body.get(member.name) {
                None | Some(Value::Null) if member.required => {
                    self.add("null", at, "Member must not be null");
                }
                None | Some(Value::Null) => {}
                Some(value) => self.of_shape(&member.shape, value, at),
            }
        }
    }

    fn of_shape(&mut self, shape: &Shape, value: &Value, at: At<'_>) {
        for rule in rules(shape) {
            self.of_rule(*rule, shape, value, at);
        }
        match (shape, value) {
            (Shape::Structure(_, members), Value::Object(value)) => {
                self.of_members(members, value, Some(&at));
            }
            (Shape::List(element, _), Value::Array(values)) if has_rules(element) => {
                for (number, value) in values.iter().enumerate() {
                    let step = Step::Element(number);
                    self.of_shape(element, value, At { parent: Some(&at), step });
                }
            }
            (Shape::Map(_, content, _), Value::Object(values)) if has_rules(content) => {
                for (key, value) in values {
                    let step = Step::Key(key);
                    self.of_shape(content, value, At { parent: Some(&at), step });
                }
            }
            _ => {}
        }
    }

    fn of_rule(&mut self, rule: Rule, shape: &Shape, value: &Value, at: At<'_>) {
        if keeps(rule, value) {
            return;
        }
        match (rule, value) {
            (Rule::QueryLimit, _) if whole_from_json(value) == Some(0) => self.push(
                "Value at 'Limit' failed to satisfy constraint: Member must have value greater \
                 than or equal to 1"
                    .to_owned(),
            ),
            (Rule::BatchKeysAtMost(limit), _) => {
                let table = match at.parent.map(|of_table| of_table.step) {
                    Some(Step::Key(table)) => table,
                    _ => "",
                };
                self.push(format!(
                    "Value at 'RequestItems.{table}.member.Keys' failed to satisfy constraint: \
                     Member must have length less than or equal to {limit}"
                ));
            }
            (Rule::TableName, Value::String(name)) if name.is_empty() => {
                self.add(&shown(shape, value), at, &words(Rule::LengthAtLeast(1)));
            }
            (Rule::TableName, Value::String(name)) => {
                for rule in [Rule::NamePattern, Rule::LengthAtMost(*NAME_LENGTH.end())] {
                    if !keeps(rule, value) {
                        self.add(&format!("'{name}'"), at, &words(rule));
                    }
                }
            }
            _ => self.add(&shown(shape, value), at, &words(rule)),
        }
    }

    fn add(&mut self, value: &str, at: At<'_>, what: &str) {
        self.push(format!("Value {value} at '{at}' failed to satisfy constraint: {what}"));
    }

    fn push(&mut self, violation: String) {
        if self.0.len() < LISTED_MAX {
            self.0.push(violation);
        }
    }

    fn into_result(self) -> Result<()> {
        let (count, plural) = match self.0.len() {
            0 => return Ok(()),
            1 => (1, ""),
            count => (count, "s"),
        };
        let listed = self.0.join("; ");
        Err(ServiceError::validation(format!(
            "{count} validation error{plural} detected: {listed}"
        )))
    }
}

fn rules(shape: &Shape) -> &'static [Rule] {
    match shape {
        Shape::Text(rules)
        | Shape::Whole(_, rules)
        | Shape::List(_, rules)
        | Shape::Map(_, _, rules) => rules,
        Shape::Flag | Shape::Attribute | Shape::Structure(..) => &[],
    }
}

/// Whether anything below a shape can violate a limit: others are not gone through.
fn has_rules(shape: &Shape) -> bool {
    match shape {
        Shape::Flag | Shape::Attribute => false,
        Shape::Text(rules) | Shape::Whole(_, rules) => !rules.is_empty(),
        Shape::List(inner, rules) | Shape::Map(_, inner, rules) => {
            !rules.is_empty() || has_rules(inner)
        }
        Shape::Structure(_, members) => {
            members.iter().any(|member| member.required || has_rules(&member.shape))
        }
    }
}

/// Whether a value, whose type is right, is within a limit.
fn keeps(rule: Rule, value: &Value) -> bool {
    match rule {
        Rule::AtLeast(least) => whole_from_json(value).is_none_or(|number| number >= least),
        Rule::AtMost(most) => whole_from_json(value).is_none_or(|number| number <= most),
        Rule::QueryLimit => whole_from_json(value).is_none_or(|number| number >= 1),
        Rule::LengthAtLeast(least) => length(value) >= least,
        Rule::LengthAtMost(most) | Rule::BatchKeysAtMost(most) => length(value) <= most,
        Rule::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Rule::NamePattern => value.as_str().is_some_and(is_name),
        Rule::TableName => value.as_str().is_some_and(|name| {
            is_arn(name) || (is_name(name) && name.len() <= *NAME_LENGTH.end())
        }),
        Rule::TableKeys => value
            .as_object()
            .is_some_and(|tables| tables.keys().all(|name| is_arn(name) || is_full_name(name))),
        Rule::ListLengths(least, most) => value
            .as_object()
            .is_some_and(|lists| lists.values().all(|list| (least..=most).contains(&length(list)))),
    }
}

/// Whether a table or an index can have this name.
pub(super) fn is_full_name(name: &str) -> bool {
    NAME_LENGTH.contains(&name.len()) && is_name(name)
}

/// ARNs are checked where it is decided whose they are.
pub(super) fn is_arn(name: &str) -> bool {
    name.starts_with("arn:")
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(values) => values.len(),
        Value::Object(members) => members.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn words(rule: Rule) -> String {
    match rule {
        Rule::AtLeast(least) => format!("Member must have value greater than or equal to {least}"),
        Rule::QueryLimit => words(Rule::AtLeast(1)),
        Rule::AtMost(most) => format!("Member must have value less than or equal to {most}"),
        Rule::LengthAtLeast(least) => {
            format!("Member must have length greater than or equal to {least}")
        }
        Rule::LengthAtMost(most) | Rule::BatchKeysAtMost(most) => {
            format!("Member must have length less than or equal to {most}")
        }
        Rule::OneOf(words) => {
            format!("Member must satisfy enum value set: [{}]", words.join(", "))
        }
        Rule::NamePattern | Rule::TableName => {
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+".to_owned()
        }
        Rule::TableKeys => format!(
            "Map keys must satisfy constraint: [{}, {}, {}]",
            words(Rule::LengthAtMost(*NAME_LENGTH.end())),
            words(Rule::LengthAtLeast(*NAME_LENGTH.start())),
            words(Rule::NamePattern)
        ),
        Rule::ListLengths(least, most) => format!(
            "Map value must satisfy constraint: [{}, {}]",
            words(Rule::LengthAtMost(most)),
            words(Rule::LengthAtLeast(least))
        ),
    }
}

/// A value as a message repeats it: in quotes, in the notation of the front end's language.
fn shown(shape: &Shape, value: &Value) -> String {
    format!("'{}'", notation(shape, value))
}

fn notation(shape: &Shape, value: &Value) -> String {
    match (shape, value) {
        (_, Value::String(text)) => text.clone(),
        (Shape::List(element, _), Value::Array(values)) => {
            let each = values.iter().take(REPEATED_MAX).map(|value| notation(element, value));
            format!("[{}]", each.collect::<Vec<_>>().join(", "))
        }
        (Shape::Map(_, content, _), Value::Object(values)) => {
            let each = values.iter().take(REPEATED_MAX);
            let each = each.map(|(key, value)| format!("{key}={}", notation(content, value)));
            format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
        }
        (Shape::Structure(kind, members), Value::Object(_)) => {
            let texts = members.iter().filter_map(|member| {
                let text = value.get(member.name)?.as_str()?;
                let at = At { parent: None, step: Step::Member(member.name) };
                Some(format!("{at}={text}"))
            });
            format!("{kind}({})", texts.collect::<Vec<_>>().join(", "))
        }
        (Shape::Whole(..), Value::Number(number)) => {
            whole_from_json(value).map_or_else(|| number.to_string(), |whole| whole.to_string())
        }
        // Of attribute values only their kind is reported.
        (Shape::Attribute, _) => "AttributeValue".to_owned(),
        (_, other) => other.to_string(),
    }
}
