//! Values as other types: the functions `number`, `string`, `list`, `set` and `map`, and the action
//! `convert`. A conversion keeps all of a value or fails.

use std::collections::BTreeSet;

use dm_dynamodb::value::{AttributeType, AttributeValue, Item, Number};

use crate::error::Cause;
use crate::error::Result;
use crate::{json_text, number, text, time};

/// What the action `convert` can make of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    Text,
    Number,
    List,
    Strings,
    Numbers,
    Map,
    Json,
    Iso8601,
    Epoch,
}

impl Conversion {
    const ALL: [(&str, Self); 9] = [
        ("S", Self::Text),
        ("N", Self::Number),
        ("L", Self::List),
        ("SS", Self::Strings),
        ("NS", Self::Numbers),
        ("M", Self::Map),
        ("json", Self::Json),
        ("iso8601", Self::Iso8601),
        ("epoch", Self::Epoch),
    ];

    /// Returns the conversion of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, conversion)| conversion)
    }

    /// Returns the type that it makes.
    pub fn kind(self) -> AttributeType {
        match self {
            Self::Text | Self::Json | Self::Iso8601 => AttributeType::S,
            Self::Number | Self::Epoch => AttributeType::N,
            Self::List => AttributeType::L,
            Self::Strings => AttributeType::Ss,
            Self::Numbers => AttributeType::Ns,
            Self::Map => AttributeType::M,
        }
    }

    /// Lists the names for a message.
    pub fn names() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }

    /// Returns the value as the other type; one that has it already is unchanged.
    pub fn of(self, value: &AttributeValue) -> Result<AttributeValue> {
        const WHAT: &str = "convert";
        const STRINGS: &str = "a list of strings";
        const NUMBERS: &str = "a list of numbers";
        match (self, value) {
            (Self::List, AttributeValue::L(_))
            | (Self::Map, AttributeValue::M(_))
            | (Self::Epoch, AttributeValue::N(_)) => Ok(value.clone()),
            (Self::Text, _) => to_string(WHAT, value),
            (Self::Number, _) => {
                let number = to_number(WHAT, value)?;
                if let (AttributeValue::S(text), AttributeValue::N(number)) = (value, &number) {
                    check_all_kept(text, *number)?;
                }
                Ok(number)
            }
            (Self::List, _) => elements(value)
                .map(AttributeValue::L)
                .ok_or_else(|| Cause::wrong_type(WHAT, "a set or a list", number::kind(value))),
            (Self::Strings, AttributeValue::Ss(_)) | (Self::Numbers, AttributeValue::Ns(_)) => {
                Ok(value.clone())
            }
            (Self::Strings, AttributeValue::L(list)) => {
                all_of(list, AttributeType::S, STRINGS)?;
                whole_set(WHAT, value)
            }
            (Self::Strings, _) => Err(Cause::wrong_type(WHAT, STRINGS, number::kind(value))),
            (Self::Numbers, AttributeValue::L(list)) => {
                all_of(list, AttributeType::N, NUMBERS)?;
                whole_set(WHAT, value)
            }
            (Self::Numbers, _) => Err(Cause::wrong_type(WHAT, NUMBERS, number::kind(value))),
            (Self::Map, _) => match json_text::read(text::of(WHAT, value)?)? {
                map @ AttributeValue::M(_) => Ok(map),
                _ => Err(Cause::Unfit("the JSON is not an object".into())),
            },
            (Self::Json, AttributeValue::S(text)) => json_text::read(text).map(|_| value.clone()),
            (Self::Json, _) => Ok(AttributeValue::S(json_text::write(value))),
            (Self::Iso8601, AttributeValue::S(text)) => {
                time::epoch(text, None).map(|_| value.clone())
            }
            (Self::Iso8601, _) => to_time(number::of(WHAT, value)?),
            (Self::Epoch, _) => Ok(AttributeValue::N(time::epoch(text::of(WHAT, value)?, None)?)),
        }
    }
}

/// The time in UTC, if it is the whole number.
fn to_time(seconds: Number) -> Result<AttributeValue> {
    let time = time::iso8601(seconds, None)?;
    if time::epoch(text::of("convert", &time)?, None)? == seconds {
        return Ok(time);
    }
    Err(Cause::Unfit(
        "the number has digits beyond nanoseconds, which the time would lose; to ignore that, use \
         set with iso8601(a)"
            .into(),
    ))
}

/// A code such as `01234` or `12E3` is no number: as one it would lose characters.
fn check_all_kept(text: &str, number: Number) -> Result<()> {
    let plain = match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => text,
    };
    if plain == number.to_string() {
        return Ok(());
    }
    Err(Cause::Unfit(
        "the string is not the number's standard form (it has a leading zero or sign, an exponent \
         or a space), and would change on the way back; to ignore that, use set with number(a)"
            .into(),
    ))
}

pub(crate) fn to_number(what: &'static str, value: &AttributeValue) -> Result<AttributeValue> {
    match value {
        AttributeValue::N(_) => Ok(value.clone()),
        AttributeValue::S(text) => match Number::parse(text.trim()) {
            Ok(number) => Ok(AttributeValue::N(number)),
            // The message of the other errors would repeat the value.
            Err(_) => Err(Cause::Unfit("the string is not a number".into())),
        },
        other => Err(Cause::wrong_type(what, "a string or a number", number::kind(other))),
    }
}

pub(crate) fn to_string(what: &'static str, value: &AttributeValue) -> Result<AttributeValue> {
    match value {
        AttributeValue::S(_) => Ok(value.clone()),
        AttributeValue::N(number) => Ok(AttributeValue::S(number.to_string())),
        AttributeValue::Bool(truth) => Ok(AttributeValue::S(truth.to_string())),
        other => {
            Err(Cause::wrong_type(what, "a string, a number or a truth value", number::kind(other)))
        }
    }
}

/// The elements of the only argument if it is a set, else the arguments.
pub(crate) fn to_list(values: &[&AttributeValue]) -> AttributeValue {
    let only = if let [only] = values { elements(only) } else { None };
    let all = || values.iter().map(|value| (*value).clone()).collect();
    AttributeValue::L(only.unwrap_or_else(all))
}

/// The elements of a set, in order.
fn elements(value: &AttributeValue) -> Option<Vec<AttributeValue>> {
    Some(match value {
        AttributeValue::Ss(set) => set.iter().cloned().map(AttributeValue::S).collect(),
        AttributeValue::Ns(set) => set.iter().copied().map(AttributeValue::N).collect(),
        AttributeValue::Bs(set) => set.iter().cloned().map(AttributeValue::B).collect(),
        _ => return None,
    })
}

/// Names the type of the first element that the set cannot have.
fn all_of(list: &[AttributeValue], kind: AttributeType, wanted: &str) -> Result<()> {
    match list.iter().find(|element| element.kind() != kind) {
        Some(other) => Err(Cause::Unfit(format!(
            "convert needs {wanted}; this list has {}",
            number::kind(other)
        ))),
        None => Ok(()),
    }
}

/// A list as a set that has all its elements.
fn whole_set(what: &'static str, value: &AttributeValue) -> Result<AttributeValue> {
    let set = to_set(what, &[value])?;
    match (value, elements(&set)) {
        (AttributeValue::L(list), Some(kept)) if kept.len() < list.len() => Err(Cause::Unfit(
            "the list has an element twice, which a set cannot have; set(…) keeps one \
                     of each"
                .into(),
        )),
        _ => Ok(set),
    }
}

/// The set of the only argument's elements if it is a list, else of the arguments.
pub(crate) fn to_set(what: &'static str, values: &[&AttributeValue]) -> Result<AttributeValue> {
    let elements: Vec<&AttributeValue> = match values {
        [AttributeValue::L(list)] => list.iter().collect(),
        [set] if set.kind().is_set() => return Ok((*set).clone()),
        [other]
            if matches!(
                other,
                AttributeValue::M(_) | AttributeValue::Null | AttributeValue::Bool(_)
            ) =>
        {
            return Err(Cause::wrong_type(what, "a list or a set", number::kind(other)));
        }
        all => all.to_vec(),
    };
    let mixed =
        || Cause::Unfit("a set has elements of one type: strings, numbers or binaries".into());
    let mut strings = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let mut binaries = BTreeSet::new();
    for element in elements {
        match element {
            AttributeValue::S(text) => {
                strings.insert(text.clone());
            }
            AttributeValue::N(number) => {
                numbers.insert(*number);
            }
            AttributeValue::B(bytes) => {
                binaries.insert(bytes.clone());
            }
            _ => return Err(mixed()),
        }
    }
    match (strings.is_empty(), numbers.is_empty(), binaries.is_empty()) {
        (false, true, true) => Ok(AttributeValue::Ss(strings)),
        (true, false, true) => Ok(AttributeValue::Ns(numbers)),
        (true, true, false) => Ok(AttributeValue::Bs(binaries)),
        (true, true, true) => Err(Cause::Unfit("a set has at least one element".into())),
        _ => Err(mixed()),
    }
}

/// Both lists, one behind the other.
pub(crate) fn list_append(left: &AttributeValue, right: &AttributeValue) -> Result<AttributeValue> {
    let list = |value: &AttributeValue| match value {
        AttributeValue::L(list) => Ok(list.clone()),
        other => Err(Cause::wrong_type("list_append", "a list", number::kind(other))),
    };
    let mut all = list(left)?;
    all.extend(list(right)?);
    Ok(AttributeValue::L(all))
}

/// The elements of both sets, or those of the left one that the right one does not have.
pub(crate) fn combined(
    what: &'static str,
    left: &AttributeValue,
    right: &AttributeValue,
    with_right: bool,
) -> Result<AttributeValue> {
    fn of<T: Ord + Clone>(left: &BTreeSet<T>, right: &BTreeSet<T>, with: bool) -> BTreeSet<T> {
        if with { left | right } else { left - right }
    }
    let set = match (left, right) {
        (AttributeValue::Ss(left), AttributeValue::Ss(right)) => {
            AttributeValue::Ss(of(left, right, with_right))
        }
        (AttributeValue::Ns(left), AttributeValue::Ns(right)) => {
            AttributeValue::Ns(of(left, right, with_right))
        }
        (AttributeValue::Bs(left), AttributeValue::Bs(right)) => {
            AttributeValue::Bs(of(left, right, with_right))
        }
        _ => {
            return Err(match [left, right].into_iter().find(|value| !value.kind().is_set()) {
                Some(other) => Cause::wrong_type(what, "a set", number::kind(other)),
                None => Cause::Unfit(format!("{what} needs two sets of one type")),
            });
        }
    };
    if elements(&set).is_none_or(|elements| elements.is_empty()) {
        return Err(Cause::Unfit("a set has at least one element".into()));
    }
    Ok(set)
}

pub(crate) fn to_map(what: &'static str, values: &[&AttributeValue]) -> Result<AttributeValue> {
    let mut map = Item::new();
    for pair in values.chunks(2) {
        let [name, value] = pair else {
            return Err(Cause::Unfit("map takes names and values in pairs".into()));
        };
        if map.insert(text::of(what, name)?.to_owned(), (*value).clone()).is_some() {
            return Err(Cause::Unfit("map has one name twice; remove one of the two".into()));
        }
    }
    Ok(AttributeValue::M(map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(name: &str, value: &Value, expected: &Value) {
        let value = AttributeValue::from_json(value).unwrap();
        let found = match Conversion::named(name).unwrap().of(&value) {
            Ok(value) => value.to_json(),
            Err(cause) => Value::String(cause.to_string()),
        };
        assert_eq!(found, *expected, "{value:?} to {name}");
    }

    #[test]
    fn each_conversion_keeps_the_value_or_fails() {
        for (name, value, expected) in [
            ("N", json!({"S": "1970"}), json!({"N": "1970"})),
            ("N", json!({"N": "1"}), json!({"N": "1"})),
            ("N", json!({"S": "1970-01"}), json!("the string is not a number")),
            ("N", json!({"S": "-0.50"}), json!({"N": "-0.5"})),
            ("N", json!({"S": "7.00"}), json!({"N": "7"})),
            ("N", json!({"S": "100"}), json!({"N": "100"})),
            ("S", json!({"N": "1.50"}), json!({"S": "1.5"})),
            (
                "S",
                json!({"L": []}),
                json!("convert needs a string, a number or a truth value, not a list"),
            ),
            ("SS", json!({"L": [{"S": "b"}, {"S": "a"}]}), json!({"SS": ["a", "b"]})),
            ("SS", json!({"SS": ["a"]}), json!({"SS": ["a"]})),
            (
                "SS",
                json!({"L": [{"S": "a"}, {"S": "b"}, {"S": "a"}]}),
                json!(
                    "the list has an element twice, which a set cannot have; set(…) keeps one \
                     of each"
                ),
            ),
            (
                "SS",
                json!({"L": [{"S": "a"}, {"N": "1"}]}),
                json!("convert needs a list of strings; this list has a number"),
            ),
            (
                "NS",
                json!({"L": [{"M": {}}]}),
                json!("convert needs a list of numbers; this list has a map"),
            ),
            ("SS", json!({"S": "a"}), json!("convert needs a list of strings, not a string")),
            (
                "SS",
                json!({"NS": ["1"]}),
                json!("convert needs a list of strings, not a number set"),
            ),
            ("NS", json!({"N": "7"}), json!("convert needs a list of numbers, not a number")),
            ("SS", json!({"L": []}), json!("a set has at least one element")),
            ("NS", json!({"L": [{"N": "2"}, {"N": "1"}]}), json!({"NS": ["1", "2"]})),
            ("L", json!({"NS": ["2", "1"]}), json!({"L": [{"N": "1"}, {"N": "2"}]})),
            ("L", json!({"S": "a"}), json!("convert needs a set or a list, not a string")),
            ("M", json!({"S": "{\"a\": 1}"}), json!({"M": {"a": {"N": "1"}}})),
            ("M", json!({"S": "[1]"}), json!("the JSON is not an object")),
            ("json", json!({"M": {"a": {"NULL": true}}}), json!({"S": "{\"a\":null}"})),
            ("json", json!({"S": "no"}), json!("the string is not JSON: expected a value")),
            ("iso8601", json!({"N": "0"}), json!({"S": "1970-01-01T00:00:00Z"})),
            ("iso8601", json!({"S": "1970-01-01T00:00:00Z"}), json!({"S": "1970-01-01T00:00:00Z"})),
            ("epoch", json!({"S": "1970-01-01T00:01:00Z"}), json!({"N": "60"})),
            ("epoch", json!({"N": "60"}), json!({"N": "60"})),
            ("epoch", json!({"BOOL": true}), json!("convert needs a string, not a truth value")),
        ] {
            check(name, &value, &expected);
        }
        for code in ["01234", "12E3", " 5 ", "+49", "00", "-0"] {
            let kept = Conversion::Number.of(&code.into());
            assert!(
                kept.is_err_and(|why| why.to_string().contains("not the number's standard form")),
                "{code}"
            );
        }
        assert!(Conversion::named("BOOL").is_none());
    }

    #[test]
    fn a_time_keeps_its_digits_and_its_second() {
        check(
            "iso8601",
            &json!({"N": "0.1234567891"}),
            &json!(
                "the number has digits beyond nanoseconds, which the time would lose; to ignore \
                 that, use set with iso8601(a)"
            ),
        );
        check(
            "iso8601",
            &json!({"N": "0.123456789"}),
            &json!({"S": "1970-01-01T00:00:00.123456789Z"}),
        );
        check(
            "epoch",
            &json!({"S": "2016-12-31T23:59:60Z"}),
            &json!("the time is a leap second, which seconds since 1970 do not count"),
        );
    }
}
