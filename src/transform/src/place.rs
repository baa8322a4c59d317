//! Places in an item: writing, removing and moving what is at a path.

use dm_dynamodb::expression::{Path, Step};
use dm_dynamodb::value::{AttributeValue, Item};

use crate::error::Cause;
use crate::number;

/// Shows a path as it is written in a transform.
pub(crate) fn shown(path: &Path) -> String {
    let mut text = name(&path.root);
    for step in &path.steps {
        match step {
            Step::Field(field) => {
                text.push('.');
                text.push_str(&name(field));
            }
            Step::Index(index) => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
}

fn name(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Puts a value at a path, as SET does: the map or list around it must be there, and an index past
/// a list's end appends.
pub(crate) fn put(item: &mut Item, path: &Path, value: AttributeValue) -> Result<(), Cause> {
    let Some((last, before)) = path.steps.split_last() else {
        item.insert(path.root.clone(), value);
        return Ok(());
    };
    match (around(item, path, before), last) {
        (Some(AttributeValue::M(map)), Step::Field(field)) => {
            map.insert(field.clone(), value);
            Ok(())
        }
        (Some(AttributeValue::L(elements)), Step::Index(index)) => {
            match elements.get_mut(*index) {
                Some(there) => *there = value,
                None => elements.push(value),
            }
            Ok(())
        }
        (there, _) => {
            let around = shown(&Path { root: path.root.clone(), steps: before.to_vec() });
            let (what, all) = match last {
                Step::Field(_) => ("a map", "map('name', value)"),
                Step::Index(_) => ("a list", "list(value)"),
            };
            Err(Cause::Unfit(match there {
                Some(value) => format!("{around} is {}, not {what}", number::kind(value)),
                None => format!("{around} is missing; set all of it, with {all}"),
            }))
        }
    }
}

/// Takes what is at a path out of the item, if anything is. What follows in a list moves up.
pub(crate) fn take(item: &mut Item, path: &Path) -> Option<AttributeValue> {
    let Some((last, before)) = path.steps.split_last() else { return item.remove(&path.root) };
    match (around(item, path, before)?, last) {
        (AttributeValue::M(map), Step::Field(field)) => map.remove(field),
        (AttributeValue::L(elements), Step::Index(index)) if *index < elements.len() => {
            Some(elements.remove(*index))
        }
        _ => None,
    }
}

fn around<'i>(item: &'i mut Item, path: &Path, way: &[Step]) -> Option<&'i mut AttributeValue> {
    way.iter().try_fold(item.get_mut(&path.root)?, |value, step| match (value, step) {
        (AttributeValue::M(map), Step::Field(field)) => map.get_mut(field),
        (AttributeValue::L(list), Step::Index(index)) => list.get_mut(*index),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use dm_dynamodb::value::{item_from_json, item_to_json};
    use serde_json::{Value, json};

    fn item() -> Item {
        item_from_json(&json!({
            "a": {"N": "1"},
            "m": {"M": {"x": {"L": [{"S": "p"}, {"S": "q"}]}, "y-z": {"S": "r"}}},
        }))
        .unwrap()
    }

    fn check_put(path: &str, expected: Result<(&str, Value), &str>) {
        let mut item = item();
        let put = put(&mut item, &parse::path(path).unwrap(), AttributeValue::Bool(true));
        match expected {
            Ok((root, value)) => {
                put.unwrap();
                assert_eq!(item_to_json(&item)[root], value, "{path}");
            }
            Err(message) => assert_eq!(put.unwrap_err().to_string(), message, "{path}"),
        }
    }

    #[test]
    fn values_are_put_where_set_puts_them() {
        let yes = json!({"BOOL": true});
        check_put("b", Ok(("b", yes.clone())));
        check_put(
            "m.\"y-z\"",
            Ok(("m", json!({"M": {"x": {"L": [{"S": "p"}, {"S": "q"}]}, "y-z": yes}}))),
        );
        check_put(
            "m.x[9]",
            Ok(("m", json!({"M": {"x": {"L": [{"S": "p"}, {"S": "q"}, yes]}, "y-z": {"S": "r"}}}))),
        );
        check_put("n.x", Err("n is missing; set all of it, with map('name', value)"));
        check_put("m.q[0]", Err("m.q is missing; set all of it, with list(value)"));
        check_put("a[0]", Err("a is a number, not a list"));
        check_put("m.x.y", Err("m.x is a list, not a map"));
    }

    #[test]
    fn values_are_taken_from_any_depth() {
        for (path, found) in
            [("a", true), ("m.x[0]", true), ("m.x[2]", false), ("m.q", false), ("a.b", false)]
        {
            let mut item = item();
            let path = parse::path(path).unwrap();
            let before = path.get(&item).cloned();
            assert_eq!(take(&mut item, &path), before);
            assert_eq!(before.is_some(), found, "{}", shown(&path));
        }
    }

    #[test]
    fn paths_are_shown_as_they_are_written() {
        for text in ["a", "a.b[3]", "\"a-b\".c", "a.\"x y\"[0]", "\"a\"\"b\""] {
            assert_eq!(shown(&parse::path(text).unwrap()), text);
        }
    }
}
