//! What an expression is worth for one item.

use std::borrow::Cow;

use dm_dynamodb::expression::{Path, Step};
use dm_dynamodb::value::{AttributeValue, Item, Number, Rounding};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::ast::{Node, Operator};
use crate::error::{Cause, Result};
use crate::function::Function;
use crate::{convert, json_text, number, place, text, time};

/// What an expression is evaluated on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'i> {
    /// The item as it was read.
    pub item: &'i Item,
    /// Seconds since 1970, the same for the whole run.
    pub now: Number,
}

impl<'i> Context<'i> {
    /// Returns the value of an expression, or why it has none.
    pub fn value<'n: 'v, 'v>(self, node: &'n Node) -> Result<Cow<'v, AttributeValue>>
    where
        'i: 'v,
    {
        Ok(match node {
            Node::Literal(value) => Cow::Borrowed(value),
            Node::Path(path) => Cow::Borrowed(self.at(path)?),
            Node::Step(inner, step) => Cow::Owned(stepped(self.value(inner)?.into_owned(), step)?),
            Node::Negate(inner) => {
                Cow::Owned(AttributeValue::N(self.number("-", inner)?.negated()))
            }
            Node::Arithmetic { operator, left, right } => {
                let what = operator.symbol();
                let (left, right) = (self.number(what, left)?, self.number(what, right)?);
                Cow::Owned(AttributeValue::N(calculated(*operator, left, right)?))
            }
            Node::Call { function, arguments } => {
                let called = self.call(*function, arguments);
                Cow::Owned(called.map_err(|cause| self.of_path(cause, arguments))?)
            }
            Node::IfNotExists { path, otherwise } => match path.get(self.item) {
                Some(value) => Cow::Borrowed(value),
                None => self.value(otherwise)?,
            },
            Node::If { condition, then, otherwise } => {
                self.value(if self.holds(condition)? { then } else { otherwise })?
            }
            Node::Lookup { column, key, otherwise } => {
                let value = self.value(key)?;
                let cell = column.get(&value);
                let cell =
                    cell.map_err(|cause| self.of_path(cause, std::slice::from_ref(&**key)))?;
                match (cell, otherwise) {
                    (Some(value), _) => Cow::Borrowed(value),
                    (None, Some(otherwise)) => self.value(otherwise)?,
                    (None, None) => return Err(Cause::NoRow(column.file.clone())),
                }
            }
            Node::Split { text, pattern, most } => {
                let value = self.value(text)?;
                let parts = text::split(self.text("split", text, &value)?, pattern, *most);
                text::bounded("split", parts.size())?;
                Cow::Owned(parts)
            }
            _ => Cow::Owned(AttributeValue::Bool(self.holds(node)?)),
        })
    }

    /// The number that an operator needs of its operand.
    fn number(self, what: &'static str, operand: &Node) -> Result<Number> {
        let found = number::of(what, &*self.value(operand)?);
        found.map_err(|cause| self.of_path(cause, std::slice::from_ref(operand)))
    }

    /// The string that a function needs of its argument, which has this value.
    pub fn text<'v>(
        self,
        what: &'static str,
        node: &Node,
        value: &'v AttributeValue,
    ) -> Result<&'v str> {
        text::of(what, value).map_err(|cause| self.of_path(cause, std::slice::from_ref(node)))
    }

    /// Adds the path of the operand of the wrong type, if only one of them can be it.
    fn of_path(self, cause: Cause, operands: &[Node]) -> Cause {
        cause.of_operand(|found| {
            let mut paths = operands.iter().filter_map(|node| match node {
                Node::Path(path) if number::kind(path.get(self.item)?) == found => Some(path),
                _ => None,
            });
            paths.next().filter(|_| paths.next().is_none()).map(place::shown)
        })
    }

    fn at(self, path: &Path) -> Result<&'i AttributeValue> {
        path.get(self.item).ok_or_else(|| Cause::Missing(place::shown(path)))
    }

    /// The value of a function for its arguments.
    fn call(self, function: Function, arguments: &[Node]) -> Result<AttributeValue> {
        let name = function.name();
        let mut values = Vec::with_capacity(arguments.len());
        let mut bytes = 0;
        for node in arguments {
            let value = self.value(node)?;
            // Functions that keep all of their arguments, of which there may be many.
            if function.keeps_all() {
                bytes += value.size();
                text::bounded(name, bytes)?;
            }
            values.push(value);
        }
        let values: Vec<&AttributeValue> = values.iter().map(|value| &**value).collect();
        Ok(match (function, values.as_slice()) {
            (Function::Concat, parts) => text::concat(parts)?,
            (Function::Lower, [value]) => text::of(name, value)?.to_lowercase().as_str().into(),
            (Function::Upper, [value]) => text::of(name, value)?.to_uppercase().as_str().into(),
            (Function::Trim, [value]) => text::of(name, value)?.trim().into(),
            (Function::Replace, [value, from, to]) => text::replace(value, from, to)?,
            (Function::Substring, [value, start]) => text::substring(value, start, None)?,
            (Function::Substring, [value, start, length]) => {
                text::substring(value, start, Some(length))?
            }
            (Function::PadLeft, [value, length, fill]) => text::pad_left(value, length, fill)?,
            (Function::RoundTo, [value, step]) => {
                let (value, step) = (number::of(name, value)?, number::of(name, step)?);
                AttributeValue::N(value.to_multiple(step, Rounding::HalfEven)?)
            }
            (Function::Floor, [value]) => number::whole(name, value, Rounding::Down)?,
            (Function::Ceil, [value]) => number::whole(name, value, Rounding::Up)?,
            (Function::Abs, [value]) => {
                AttributeValue::N(number::of(name, value)?.magnitude_only())
            }
            (Function::Number, [value]) => convert::to_number(name, value)?,
            (Function::String, [value]) => convert::to_string(name, value)?,
            (Function::List, values) => convert::to_list(values),
            (Function::Set, values) => convert::to_set(name, values)?,
            (Function::Map, values) => convert::to_map(name, values)?,
            (Function::ListAppend, [left, right]) => convert::list_append(left, right)?,
            (Function::Union | Function::Difference, [left, right]) => {
                convert::combined(name, left, right, function == Function::Union)?
            }
            (Function::Json, [value]) => AttributeValue::S(json_text::write(value)),
            (Function::ParseJson, [value]) => json_text::read(text::of(name, value)?)?,
            (Function::Epoch, [value]) => {
                AttributeValue::N(time::epoch(text::of(name, value)?, None)?)
            }
            (Function::Epoch, [value, zone]) => {
                let zone = text::of(name, zone)?;
                AttributeValue::N(time::epoch(text::of(name, value)?, Some(zone))?)
            }
            (Function::Iso8601, [value]) => time::iso8601(number::of(name, value)?, None)?,
            (Function::Iso8601, [value, zone]) => {
                time::iso8601(number::of(name, value)?, Some(text::of(name, zone)?))?
            }
            (Function::Now, []) => AttributeValue::N(self.now),
            (Function::Size, [value]) => number::size(value)?,
            (Function::Hash, [value]) => hash(value),
            (Function::Uuid5, [namespace, value]) => uuid5(namespace, value)?,
            // The parser has counted the arguments.
            (function, _) => {
                return Err(Cause::Unfit(format!("{} got too few arguments", function.name())));
            }
        })
    }
}

fn calculated(operator: Operator, left: Number, right: Number) -> Result<Number> {
    Ok(match operator {
        Operator::Plus => left.plus_rounded(right)?,
        Operator::Minus => left.minus_rounded(right)?,
        Operator::Times => left.times(right)?,
        Operator::Over => left.divided_by(right)?,
    })
}

fn stepped(value: AttributeValue, step: &Step) -> Result<AttributeValue> {
    let missing = || match step {
        Step::Field(field) => Cause::Missing(format!("the field {field} of the value")),
        Step::Index(index) => Cause::Missing(format!("the element [{index}] of the value")),
    };
    match (value, step) {
        (AttributeValue::M(mut map), Step::Field(field)) => map.remove(field).ok_or_else(missing),
        (AttributeValue::L(mut list), Step::Index(index)) if *index < list.len() => {
            Ok(list.swap_remove(*index))
        }
        _ => Err(missing()),
    }
}

/// The SHA-256 of a string's or binary's bytes, or of another value's JSON, in hexadecimal digits.
fn hash(value: &AttributeValue) -> AttributeValue {
    let digest = match value {
        AttributeValue::S(text) => Sha256::digest(text),
        AttributeValue::B(bytes) => Sha256::digest(bytes),
        other => Sha256::digest(json_text::write(other)),
    };
    AttributeValue::S(hex::encode(digest))
}

/// The namespace of `uuid5` by its name.
pub(crate) fn namespace(value: &AttributeValue) -> Result<Uuid> {
    Ok(match text::of("uuid5", value)? {
        "dns" => Uuid::NAMESPACE_DNS,
        "url" => Uuid::NAMESPACE_URL,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        other => Uuid::try_parse(other).map_err(|_| {
            Cause::Unfit("the namespace of uuid5 is dns, url, oid, x500 or a UUID".into())
        })?,
    })
}

fn uuid5(of: &AttributeValue, value: &AttributeValue) -> Result<AttributeValue> {
    let name = text::of("uuid5", value)?;
    Ok(AttributeValue::S(Uuid::new_v5(&namespace(of)?, name.as_bytes()).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::Files;
    use crate::parse::{self, Shared};
    use dm_dynamodb::value::item_from_json;
    use serde_json::{Value, json};

    fn files() -> Files<'static> {
        let csv = "origin,name,seats\nUSA,United States,4\nEurope,European Union,5\n\
                   1970,\"old, very\",\n";
        let json = r#"{"USA": {"rate": 1.10, "tags": ["a"]}, "7": {"rate": 0.5}}"#;
        Files::of([("origins.csv", csv.as_bytes()), ("rates.json", json.as_bytes())])
    }

    fn check(text: &str, expected: &Value) {
        let item = item_from_json(&json!({
            "name": {"S": "ford torino"}, "empty": {"S": " x "}, "weight": {"N": "3449"},
            "mpg": {"N": "17"}, "origin": {"S": "USA"}, "day": {"S": "1970-01-01"},
            "year": {"N": "1970"}, "tags": {"SS": ["b", "a"]},
            "list": {"L": [{"N": "1"}, {"N": "2"}]},
            "m": {"M": {"deep": {"L": [{"S": "x"}]}}}, "yes": {"BOOL": true}, "nil": {"NULL": true},
            "bytes": {"B": "AAEC"}, "at": {"S": "2026-12-01T02:00:00+01:00"},
        }))
        .unwrap();
        let context = Context { item: &item, now: Number::from(1_700_000_000_i64) };
        let node = parse::expression(text, &Shared::of(&files()));
        let found = match node.map(|node| context.value(&node).map(Cow::into_owned)) {
            Ok(Ok(value)) => value.to_json(),
            Ok(Err(cause)) => Value::String(cause.to_string()),
            Err(mistake) => Value::String(mistake.message),
        };
        assert_eq!(found, *expected, "{text}");
    }

    fn all(cases: &[(&str, Value)]) {
        for (text, expected) in cases {
            check(text, expected);
        }
    }

    #[test]
    fn arithmetic_is_exact() {
        all(&[
            ("1 + 2 * 3", json!({"N": "7"})),
            ("0.1 + 0.2", json!({"N": "0.3"})),
            ("1 / 3 * 3", json!({"N": "0.99999999999999999999999999999999999999"})),
            ("-weight + 1", json!({"N": "-3448"})),
            ("round_to(weight / 2, 50)", json!({"N": "1700"})),
            ("round_to(100 * 3.785411784 / 1.609344 / mpg, 0.1)", json!({"N": "13.8"})),
            ("floor(-1.5)", json!({"N": "-2"})),
            ("ceil(1.2)", json!({"N": "2"})),
            ("abs(-3)", json!({"N": "3"})),
            (
                "weight / (weight - weight)",
                json!(
                    "Division by zero; exclude such items with filter, or choose with \
                     if(condition, a, b)"
                ),
            ),
            ("round_to(1, 0)", json!("round_to needs a step other than 0")),
            ("name + 1", json!("+ needs a number (concat joins strings), not a string (name)")),
            ("absent + 1", json!("absent is missing")),
            ("m.deep[1]", json!("m.deep[1] is missing")),
            ("if_not_exists(absent, weight) * 2", json!({"N": "6898"})),
        ]);
    }

    #[test]
    fn texts_are_cut_and_joined() {
        all(&[
            ("concat(name, '-', origin)", json!({"S": "ford torino-USA"})),
            (
                "concat(name, weight)",
                json!("concat needs a string (string(a) makes one), not a number (weight)"),
            ),
            ("upper(name)", json!({"S": "FORD TORINO"})),
            ("lower(origin)", json!({"S": "usa"})),
            ("trim(empty)", json!({"S": "x"})),
            ("replace(name, 'o', '0')", json!({"S": "f0rd t0rin0"})),
            ("replace(name, '', 'x')", json!("the text that replace needs is empty")),
            ("substring(day, 0, 4)", json!({"S": "1970"})),
            ("substring(name, 5)", json!({"S": "torino"})),
            ("substring(name, 99)", json!({"S": ""})),
            ("pad_left(string(mpg), 6, '0')", json!({"S": "000017"})),
            ("pad_left('äbc', 6, 'xy')", json!({"S": "xyxäbc"})),
            ("pad_left(name, 3, '0')", json!({"S": "ford torino"})),
            ("pad_left(mpg, 6, '0')", json!("pad_left needs a string, not a number (mpg)")),
            ("pad_left(name, 20, '')", json!("the text that pad_left needs is empty")),
            (
                "pad_left(name, 1e9, 'x')",
                json!("pad_left would make more than the 409600 bytes of an item"),
            ),
            ("substring(name, -1)", json!("substring counts from 0 in whole numbers")),
            ("substring('äöü', 1, 1)", json!({"S": "ö"})),
            ("split(name, ' ')", json!({"L": [{"S": "ford"}, {"S": "torino"}]})),
            ("split('a1b22c', '[0-9]+', 2)[1]", json!({"S": "b22c"})),
            ("split(name, ' ')[2]", json!("the element [2] of the value is missing")),
            ("matches(name, '^ford')", json!({"BOOL": true})),
        ]);
    }

    #[test]
    fn a_value_is_never_larger_than_an_item() {
        let item = item_from_json(&json!({
            "a": {"S": "x".repeat(300_000)}, "q": {"S": "\"".repeat(300_000)},
        }))
        .unwrap();
        let context = Context { item: &item, now: Number::ZERO };
        for text in [
            "split(a, '')",
            "list(a, a)",
            "map('x', a, 'y', a)",
            "set(a, a)",
            "concat(a, a)",
            "json(json(q))",
        ] {
            let files = Files::default();
            let node = parse::expression(text, &Shared::of(&files)).unwrap();
            let cause = context.value(&node).map(drop).unwrap_err().to_string();
            assert!(cause.contains("would make more than the 409600 bytes"), "{text}: {cause}");
        }
    }

    #[test]
    fn types_are_converted_without_loss() {
        all(&[
            ("number('12.50')", json!({"N": "12.5"})),
            ("number('x')", json!("the string is not a number")),
            ("string(weight)", json!({"S": "3449"})),
            ("string(yes)", json!({"S": "true"})),
            (
                "string(tags)",
                json!("string needs a string, a number or a truth value, not a string set (tags)"),
            ),
            ("list(tags)", json!({"L": [{"S": "a"}, {"S": "b"}]})),
            ("list(1, 'x')", json!({"L": [{"N": "1"}, {"S": "x"}]})),
            ("list()", json!({"L": []})),
            ("set(list)", json!({"NS": ["1", "2"]})),
            ("set('a', 'b', 'a')", json!({"SS": ["a", "b"]})),
            ("set(1, 'a')", json!("a set has elements of one type: strings, numbers or binaries")),
            ("set(list())", json!("a set has at least one element")),
            (
                "map('a', 1, 'b', list(2))",
                json!({"M": {"a": {"N": "1"}, "b": {"L": [{"N": "2"}]}}}),
            ),
            ("list_append(list, list(3))", json!({"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]})),
            ("list_append(list, name)", json!("list_append needs a list, not a string (name)")),
            ("union(tags, set('c', 'a'))", json!({"SS": ["a", "b", "c"]})),
            ("difference(tags, set('c', 'a'))", json!({"SS": ["b"]})),
            ("difference(tags, set('b', 'a'))", json!("a set has at least one element")),
            ("union(tags, set(1))", json!("union needs two sets of one type")),
            ("union(list, tags)", json!("union needs a set, not a list (list)")),
            ("map('a')", json!("map takes names and values in pairs")),
            ("json(m)", json!({"S": r#"{"deep":["x"]}"#})),
            (
                "json(map('n', 12345678901234567890.5))",
                json!({"S": r#"{"n":12345678901234567890.5}"#}),
            ),
            (
                "parse_json('{\"a\": [1.50, true, null, \"x\\u00e9\"]}')",
                json!({"M": {"a": {"L": [{"N": "1.5"}, {"BOOL": true}, {"NULL": true},
                    {"S": "xé"}]}}}),
            ),
            ("parse_json('{')", json!("the string is not JSON: an object does not end")),
            ("size(tags)", json!({"N": "2"})),
            (
                "size(weight)",
                json!("size needs a string, a binary, a set, a list or a map, not a number"),
            ),
        ]);
    }

    #[test]
    fn times_name_their_zone() {
        all(&[
            ("epoch(at)", json!({"N": "1796086800"})),
            ("epoch('2026-12-01T01:00:00.250Z')", json!({"N": "1796086800.25"})),
            ("epoch('2026-12-01T02:00:00', '+01:00')", json!({"N": "1796086800"})),
            ("epoch('2026-12-01', 'Z')", json!({"N": "1796083200"})),
            (
                "epoch('2026-12-01T02:00:00')",
                json!("the time has no zone; give it as epoch(time, '+01:00')"),
            ),
            (
                "epoch('2024-06-01T10:00[Europe/Madrid]', 'Z')",
                json!("the time names its zone in brackets; give it an offset such as +01:00"),
            ),
            ("epoch('yesterday')", json!("the string is not an ISO 8601 time")),
            ("epoch(day, 'Europe/Madrid')", json!("a zone is Z or an offset such as +01:00")),
            ("iso8601(1796086800)", json!({"S": "2026-12-01T01:00:00Z"})),
            ("iso8601(1796086800.25)", json!({"S": "2026-12-01T01:00:00.25Z"})),
            ("iso8601(1796086800, '+01:00')", json!({"S": "2026-12-01T02:00:00+01:00"})),
            (
                "iso8601(1e20)",
                json!(
                    "the number is not a time between the years -9999 and 9999; of milliseconds, \
                     divide by 1000"
                ),
            ),
            ("iso8601(now())", json!({"S": "2023-11-14T22:13:20Z"})),
            ("iso8601(0.1234567899)", json!({"S": "1970-01-01T00:00:00.123456789Z"})),
            ("iso8601(-0.5)", json!({"S": "1969-12-31T23:59:59.5Z"})),
        ]);
    }

    #[test]
    fn the_last_second_of_the_year_9999_is_a_time() {
        all(&[
            ("epoch('9999-12-31T23:59:59Z')", json!({"N": "253402300799"})),
            ("epoch('9999-12-31T23:59:59.999999999Z')", json!({"N": "253402300799.999999999"})),
            ("iso8601(253402300799.9)", json!({"S": "9999-12-31T23:59:59.9Z"})),
            ("epoch('-009999-01-01T00:00:00Z')", json!({"N": "-377705116800"})),
            ("iso8601(-377705116800)", json!({"S": "-009999-01-01T00:00:00Z"})),
            ("epoch('0001-01-01', 'Z')", json!({"N": "-62135596800"})),
            (
                "iso8601(253402300800)",
                json!(
                    "the number is not a time between the years -9999 and 9999; of milliseconds, \
                     divide by 1000"
                ),
            ),
        ]);
    }

    #[test]
    fn a_leap_second_is_no_other_second() {
        let leap = json!("the time is a leap second, which seconds since 1970 do not count");
        all(&[
            ("epoch('2016-12-31T23:59:60Z')", leap.clone()),
            ("epoch('2016-12-31t23:59:60.5+00:00')", leap.clone()),
            ("epoch('2016-12-31 23:59:60', 'Z')", leap.clone()),
            ("epoch('20161231T235960Z')", leap),
            ("epoch('2016-12-31T23:59:59Z')", json!({"N": "1483228799"})),
            ("epoch('2016-12-31T20:60', 'Z')", json!("the string is not an ISO 8601 time")),
        ]);
    }

    #[test]
    fn lookups_and_digests_are_deterministic() {
        all(&[
            ("lookup('origins.csv', origin, 'name')", json!({"S": "United States"})),
            ("lookup('origins.csv', 'Mars', 'name', origin)", json!({"S": "USA"})),
            (
                "lookup('origins.csv', 'Mars', 'name')",
                json!("origins.csv has no row for the key, and lookup has no default"),
            ),
            ("lookup('origins.csv', year, 'name')", json!({"S": "old, very"})),
            ("number(lookup('origins.csv', origin, 'seats'))", json!({"N": "4"})),
            ("lookup('rates.json', origin, 'rate')", json!({"N": "1.1"})),
            ("lookup('rates.json', origin, 'tags')", json!({"L": [{"S": "a"}]})),
            ("lookup('rates.json', 7, 'tags', 'none')", json!({"S": "none"})),
            (
                "lookup('origins.csv', tags, 'name')",
                json!("lookup needs a string or a number, not a string set (tags)"),
            ),
            (
                "hash('abc')",
                json!({"S": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}),
            ),
            (
                "uuid5('dns', 'www.example.org')",
                json!({"S": "74738ff5-5367-5958-9aee-98fffdcd1876"}),
            ),
            ("uuid5('x', 'y')", json!("the namespace of uuid5 is dns, url, oid, x500 or a UUID")),
        ]);
    }

    #[test]
    fn conditions_follow_dynamodb() {
        for (text, expected) in [
            ("weight > 3000 AND origin = 'USA'", true),
            ("absent = 1", false),
            ("absent <> 1", true),
            ("NOT absent = 1", true),
            ("absent + 1 > 0", false),
            ("lower(absent) <> 'x'", true),
            ("matches(absent, 'x')", false),
            ("size(weight) <> 1", true),
            ("contains(weight, 'x')", false),
            ("weight BETWEEN 1 AND 5000", true),
            ("absent BETWEEN 1 AND 5000", false),
            ("origin IN ('Japan', 'USA')", true),
            ("absent IN (absent)", false),
            ("attribute_exists(m.deep[0])", true),
            ("attribute_not_exists(m.deep[1])", true),
            ("attribute_type(tags, 'SS')", true),
            ("attribute_type(absent, 'SS')", false),
            ("begins_with(name, 'ford')", true),
            ("begins_with(weight, 'ford')", false),
            ("contains(tags, 'a')", true),
            ("contains(list, 2)", true),
            ("size(weight) > 0", false),
            ("size(name) = 11", true),
            ("weight = 3449.0", true),
            ("weight = '3449'", false),
            ("yes = true AND nil = null", true),
            ("weight > 1 OR 1 / (weight - weight) > 1", true),
        ] {
            check(text, &json!({"BOOL": expected}));
        }
        check(
            "1 / (weight - weight) > 1",
            &json!(
                "Division by zero; exclude such items with filter, or choose with if(condition, a, \
                 b)"
            ),
        );
        check("if(weight > 3000, 'heavy', absent)", &json!({"S": "heavy"}));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_no_absence() {
        for (text, expected) in [
            ("name + 1 > 0", "+ needs a number (concat joins strings), not a string (name)"),
            ("-name <> 1", "- needs a number, not a string (name)"),
            ("NOT contains(lower(tags), 'a')", "lower needs a string, not a string set (tags)"),
            ("substring(year, 0, 3) <> '197'", "substring needs a string, not a number (year)"),
            (
                "concat(nil, '') <> 'active'",
                "concat needs a string (string(a) makes one), not null (nil)",
            ),
            ("NOT matches(weight, '^ford')", "matches needs a string, not a number (weight)"),
            ("split(m.deep, 'x')[0] <> 1", "split needs a string, not a list (m.deep)"),
            (
                "lookup('origins.csv', tags, 'name') <> 'x'",
                "lookup needs a string or a number, not a string set (tags)",
            ),
            ("if(lower(year) = 'x', 1, 2)", "lower needs a string, not a number (year)"),
            (
                "concat(year, weight) <> 'x'",
                "concat needs a string (string(a) makes one), not a number",
            ),
        ] {
            check(text, &json!(expected));
        }
    }
}
