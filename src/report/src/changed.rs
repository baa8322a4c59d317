//! Both values of an attribute that changes. Where the room ends before they differ, what they have
//! in common is left out instead.

use serde_json::{Map, Value, json};

use crate::shown::{self, Shown};

/// Characters of a text that are shown in front of the first that differs.
const CHARS_IN_FRONT: usize = 20;

/// The value before and after in DynamoDB's JSON, each cut after this many characters.
pub fn values(before: &Value, after: &Value, chars_max: usize) -> (Shown, Shown) {
    let shown = (shown::value(before, chars_max), shown::value(after, chars_max));
    if shown.0.text != shown.1.text {
        return shown;
    }
    let (kept_before, kept_after) = different(before, after);
    let part = |kept: &Value, whole: &Shown| {
        let text = shown::value(kept, chars_max).text;
        let left_out = whole.chars().saturating_sub(text.chars().count() as u64);
        Shown { text, left_out }
    };
    (part(&kept_before, &shown.0), part(&kept_after, &shown.1))
}

/// Of two values the parts in which they differ.
fn different(before: &Value, after: &Value) -> (Value, Value) {
    let whole = || (before.clone(), after.clone());
    let Some(((kind, before), (other, after))) = typed(before).zip(typed(after)) else {
        return whole();
    };
    let (before, after) = match (kind, before, after) {
        _ if kind != other => return whole(),
        ("M", Value::Object(before), Value::Object(after)) => members(before, after),
        ("L", Value::Array(before), Value::Array(after)) => elements(before, after),
        ("SS" | "NS" | "BS", Value::Array(before), Value::Array(after)) => {
            (without(before, after), without(after, before))
        }
        ("S" | "B", Value::String(before), Value::String(after)) => ends(before, after),
        _ => return whole(),
    };
    (json!({kind: before}), json!({kind: after}))
}

/// A value's type, and what is in it.
fn typed(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(kind, inner)| (kind.as_str(), inner))
}

fn without(all: &[Value], others: &[Value]) -> Value {
    all.iter().filter(|value| !others.contains(value)).cloned().collect()
}

fn members(before: &Map<String, Value>, after: &Map<String, Value>) -> (Value, Value) {
    let (mut first, mut second) = (Map::new(), Map::new());
    for (name, value) in before {
        match after.get(name) {
            Some(other) if other == value => {}
            Some(other) => {
                let (value, other) = different(value, other);
                first.insert(name.clone(), value);
                second.insert(name.clone(), other);
            }
            None => {
                first.insert(name.clone(), value.clone());
            }
        }
    }
    let new = after.iter().filter(|(name, _)| !before.contains_key(*name));
    second.extend(new.map(|(name, value)| (name.clone(), value.clone())));
    (first.into(), second.into())
}

/// Without the elements that both lists begin and end with.
fn elements(before: &[Value], after: &[Value]) -> (Value, Value) {
    let same = |(before, after): &(&Value, &Value)| before == after;
    let front = before.iter().zip(after).take_while(same).count();
    let (before, after) = (&before[front..], &after[front..]);
    let back = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
    let (before, after) = (&before[..before.len() - back], &after[..after.len() - back]);
    if before.len() != after.len() {
        return (before.into(), after.into());
    }
    let pairs = before.iter().zip(after).map(|(before, after)| different(before, after));
    let (first, second): (Vec<Value>, Vec<Value>) = pairs.unzip();
    (first.into(), second.into())
}

/// Without most of what both texts begin with.
fn ends(before: &str, after: &str) -> (Value, Value) {
    let same = before.chars().zip(after.chars()).take_while(|(before, after)| before == after);
    let skipped = same.count().saturating_sub(CHARS_IN_FRONT);
    let end = |text: &str| {
        let rest: String = text.chars().skip(skipped).collect();
        if skipped == 0 { rest } else { format!("…{rest}") }
    };
    (end(before).into(), end(after).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &Value, after: &Value, expected: [&str; 2]) {
        let (before, after) = values(before, after, 40);
        assert_eq!([before.noted(), after.noted()], expected);
    }

    #[test]
    fn values_that_differ_in_front_are_shown_from_their_beginning() {
        check(&json!({"N": "1"}), &json!({"N": "2"}), ["1", "2"]);
        let long = |start: &str| json!({"S": format!("{start}{}", "x".repeat(60))});
        let cut = format!("{}… (23 more characters)", "x".repeat(38));
        check(&long("a"), &long("b"), [&format!("\"a{cut}"), &format!("\"b{cut}")]);
    }

    #[test]
    fn what_is_the_same_is_left_out_where_the_difference_would_be_cut() {
        let long = "x".repeat(50);
        let map = |price: &str| {
            json!({"M": {
                "a": {"S": long}, "b": {"M": {"c": {"S": long}, "price": {"N": price}}},
            }})
        };
        check(
            &map("1"),
            &map("2"),
            ["{b: {price: 1}}… (114 more characters)", "{b: {price: 2}}… (114 more characters)"],
        );
        let added = json!({"M": {"a": {"S": long}, "z": {"N": "1"}}});
        check(
            &json!({"M": {"a": {"S": long}}}),
            &added,
            ["{}… (55 more characters)", "{z: 1}… (57 more characters)"],
        );
        let list = |last: Value| json!({"L": [{"S": long}, last, {"N": "7"}]});
        check(
            &list(json!({"N": "1"})),
            &list(json!({"S": "y"})),
            ["[1]… (57 more characters)", "[\"y\"]… (57 more characters)"],
        );
        let set = |last: &str| json!({"SS": [long, last]});
        check(
            &set("a"),
            &set("b"),
            ["set{\"a\"}… (54 more characters)", "set{\"b\"}… (54 more characters)"],
        );
        let text = |last: &str| json!({"S": format!("{long}{last}")});
        let kept = "x".repeat(20);
        check(
            &text("a"),
            &text("b"),
            [
                &format!("\"…{kept}a\"… (29 more characters)"),
                &format!("\"…{kept}b\"… (29 more characters)"),
            ],
        );
    }
}
