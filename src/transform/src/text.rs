//! Functions of strings. Positions and lengths count characters, not bytes.

use dm_dynamodb::value::AttributeValue;
use regex::Regex;

use crate::error::Cause;
use crate::error::Result;
use crate::limits::VALUE_BYTES_MAX;
use crate::number;

/// The string that this function needs.
pub(crate) fn of<'v>(what: &'static str, value: &'v AttributeValue) -> Result<&'v str> {
    match value {
        AttributeValue::S(text) => Ok(text),
        other => {
            let wanted =
                if what == "concat" { "a string (string(a) makes one)" } else { "a string" };
            Err(Cause::wrong_type(what, wanted, number::kind(other)))
        }
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
    let (text, from, to) = (of("replace", value)?, filled("replace", from)?, of("replace", to)?);
    let count = text.matches(from).count();
    let kept = text.len() - count * from.len();
    bounded("replace", kept.saturating_add(count.saturating_mul(to.len())))?;
    Ok(AttributeValue::S(text.replace(from, to)))
}

pub(crate) fn substring(
    value: &AttributeValue,
    start: &AttributeValue,
    length: Option<&AttributeValue>,
) -> Result<AttributeValue> {
    let text = of("substring", value)?;
    let start = count("substring", start)?;
    let length = match length {
        Some(length) => count("substring", length)?,
        None => usize::MAX,
    };
    Ok(AttributeValue::S(text.chars().skip(start).take(length).collect()))
}

pub(crate) fn pad_left(
    value: &AttributeValue,
    length: &AttributeValue,
    fill: &AttributeValue,
) -> Result<AttributeValue> {
    const WHAT: &str = "pad_left";
    let (text, length, fill) = (of(WHAT, value)?, count(WHAT, length)?, filled(WHAT, fill)?);
    // A character has at least one byte.
    bounded(WHAT, length)?;
    let missing = length.saturating_sub(text.chars().count());
    let padded: String = fill.chars().cycle().take(missing).chain(text.chars()).collect();
    bounded(WHAT, padded.len())?;
    Ok(AttributeValue::S(padded))
}

/// The string that `replace` looks for, or that `pad_left` fills with.
pub(crate) fn filled<'v>(what: &'static str, value: &'v AttributeValue) -> Result<&'v str> {
    match of(what, value)? {
        "" => Err(Cause::Unfit(format!("the text that {what} needs is empty"))),
        text => Ok(text),
    }
}

/// A position or a length.
pub(crate) fn count(what: &'static str, value: &AttributeValue) -> Result<usize> {
    let count = number::of(what, value)?.to_i64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| Cause::Unfit(format!("{what} counts from 0 in whole numbers")))
}

pub(crate) fn split(text: &str, pattern: &Regex, most: Option<usize>) -> AttributeValue {
    let part = AttributeValue::from;
    AttributeValue::L(match most {
        Some(most) => pattern.splitn(text, most).map(part).collect(),
        None => pattern.split(text).map(part).collect(),
    })
}

/// Whether a value that a function has made, or would make, may exist.
pub(crate) fn bounded(what: &str, bytes: usize) -> Result<()> {
    if bytes <= VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(Cause::Unfit(format!("{what} would make more than the {VALUE_BYTES_MAX} bytes of an item")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_bounded_by_what_it_makes() {
        let text = |text: &str| AttributeValue::S(text.into());
        let long = text(&"ab".repeat(VALUE_BYTES_MAX / 2));
        let same = replace(&long, &text("ab"), &text("xy")).unwrap();
        assert_eq!(same, text(&"xy".repeat(VALUE_BYTES_MAX / 2)));
        assert!(replace(&long, &text("ab"), &text("xyz")).is_err());
    }
}
