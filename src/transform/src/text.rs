//! Functions of strings. Positions and lengths count characters, not bytes.

use dm_dynamodb::value::{AttributeValue, Number};
use regex::Regex;

use crate::error::Cause;
use crate::error::Result;
use crate::limits::VALUE_BYTES_MAX;
use crate::number;

/// The string that this function needs.
pub(crate) fn of<'v>(what: &str, value: &'v AttributeValue) -> Result<&'v str> {
    match value {
        AttributeValue::S(text) => Ok(text),
        other => Err(Cause::wrong_type(what, "a string", number::kind(other))),
    }
}

pub(crate) fn concat(parts: &[&AttributeValue]) -> Result<AttributeValue> {
    let mut all = String::new();
    for part in parts {
        let part = of("concat", part)?;
        bounded("concat", all.len() + part.len())?;
        all.push_str(part);
    }
    Ok(AttributeValue::S(all))
}

pub(crate) fn replace(
    value: &AttributeValue,
    from: &AttributeValue,
    to: &AttributeValue,
) -> Result<AttributeValue> {
    let (text, from, to) = (of("replace", value)?, of("replace", from)?, of("replace", to)?);
    if from.is_empty() {
        return Err(Cause::Unfit("the text that replace looks for is empty".into()));
    }
    bounded("replace", text.len() + text.matches(from).count().saturating_mul(to.len()))?;
    Ok(AttributeValue::S(text.replace(from, to)))
}

pub(crate) fn substring(
    value: &AttributeValue,
    start: &AttributeValue,
    length: Option<&AttributeValue>,
) -> Result<AttributeValue> {
    let text = of("substring", value)?;
    let start = count(number::of("substring", start)?)?;
    let length = match length {
        Some(length) => count(number::of("substring", length)?)?,
        None => usize::MAX,
    };
    Ok(AttributeValue::S(text.chars().skip(start).take(length).collect()))
}

fn count(number: Number) -> Result<usize> {
    let count = number.to_i64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| Cause::Unfit("substring counts from 0 in whole numbers".into()))
}

pub(crate) fn split(text: &str, pattern: &Regex, most: Option<usize>) -> AttributeValue {
    let part = AttributeValue::from;
    AttributeValue::L(match most {
        Some(most) => pattern.splitn(text, most).map(part).collect(),
        None => pattern.split(text).map(part).collect(),
    })
}

fn bounded(what: &str, bytes: usize) -> Result<()> {
    if bytes <= VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(Cause::Unfit(format!("{what} would make more than the {VALUE_BYTES_MAX} bytes of an item")))
}
