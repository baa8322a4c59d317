//! What happened between two images of one item: names of attributes, no values.

use dm_contract::report::ChangeKind;

use crate::value::Item;

/// What happened to an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It was not there.
    Created,
    Deleted,
    Updated(Vec<AttributeChange>),
    /// It is as it was, or still not there.
    Unchanged,
}

/// What happened to one top-level attribute of an item that was updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeChange {
    pub name: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// Compares the images: numbers by value, sets without order. Changes are in order of names.
pub fn difference(before: Option<&Item>, after: Option<&Item>) -> Difference {
    let (before, after) = match (before, after) {
        (None, None) => return Difference::Unchanged,
        (None, Some(_)) => return Difference::Created,
        (Some(_), None) => return Difference::Deleted,
        (Some(before), Some(after)) => (before, after),
    };
    let removed = before.keys().filter(|name| !after.contains_key(name));
    let mut changes: Vec<AttributeChange> =
        removed.map(|name| change(name, ChangeKind::Removed)).collect();
    for (name, value) in after {
        match before.get(name) {
            None => changes.push(change(name, ChangeKind::Added)),
            Some(old) if old != value => changes.push(change(name, ChangeKind::Changed)),
            Some(_) => {}
        }
    }
    if changes.is_empty() {
        return Difference::Unchanged;
    }
    changes.sort_by(|left, right| left.name.cmp(&right.name));
    Difference::Updated(changes)
}

fn change(name: &str, kind: ChangeKind) -> AttributeChange {
    AttributeChange { name: name.to_owned(), kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::item_from_json;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(before: Value, after: Value, expected: Difference) {
        let read = |json: &Value| (!json.is_null()).then(|| item_from_json(json).unwrap());
        let found = difference(read(&before).as_ref(), read(&after).as_ref());
        assert_eq!(found, expected, "{before} {after}");
    }

    #[test]
    fn items_come_and_go() {
        check(json!(null), json!(null), Difference::Unchanged);
        check(json!(null), json!({"a": {"S": "x"}}), Difference::Created);
        check(json!({"a": {"S": "x"}}), json!(null), Difference::Deleted);
    }

    #[test]
    fn changes_are_listed_by_name() {
        check(
            json!({"a": {"N": "1"}, "b": {"S": "x"}, "d": {"L": []}}),
            json!({"a": {"N": "2"}, "c": {"S": "y"}, "d": {"L": []}}),
            Difference::Updated(vec![
                change("a", ChangeKind::Changed),
                change("b", ChangeKind::Removed),
                change("c", ChangeKind::Added),
            ]),
        );
    }

    #[test]
    fn what_is_equal_to_dynamodb_is_no_change() {
        check(
            json!({"n": {"N": "1.0"}, "s": {"SS": ["a", "b"]}}),
            json!({"n": {"N": "1"}, "s": {"SS": ["b", "a"]}}),
            Difference::Unchanged,
        );
        let changed = vec![change("n", ChangeKind::Changed)];
        check(json!({"n": {"N": "1"}}), json!({"n": {"S": "1"}}), Difference::Updated(changed));
    }
}
