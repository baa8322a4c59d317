//! One item as it is listed: its name, and its attributes before and after, each within bounds.

use dm_contract::report::ChangeKind;
use dm_contract::report::{ChangedItem, ItemChange};
use serde_json::Value;

use crate::changed;
use crate::shown::{self, Shown};

/// Characters of a key.
const KEY_CHARS_MAX: usize = 300;

/// Characters of a value that changes: enough for a document of some nesting.
const CHANGED_CHARS_MAX: usize = 1_000;

/// Characters of a value that stays.
const UNCHANGED_CHARS_MAX: usize = 160;

/// Attributes of one item that change and are listed, and that stay and are listed.
const CHANGED_MAX: usize = 100;
const UNCHANGED_MAX: usize = 40;

/// An item that is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedItem {
    pub table: String,
    /// What would happen to it.
    pub kind: ItemChange,
    /// Its key, or the digest that stands for it.
    pub name: Shown,
    /// Attributes that change, and then those that stay.
    pub attributes: Vec<ListedAttribute>,
    /// Attributes that are not listed.
    pub left_out: u64,
}

/// An attribute of a listed item.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedAttribute {
    pub name: Shown,
    /// What would happen to it; `None` where it stays.
    pub change: Option<ChangeKind>,
    /// Its value before, where values are shown.
    pub before: Option<Shown>,
    /// Its value after. Of one that stays: absent, because it is the same.
    pub after: Option<Shown>,
}

impl ListedItem {
    pub fn of(item: &ChangedItem) -> Self {
        let name = match (&item.key, &item.key_digest) {
            (Some(key), _) => shown::item(key, KEY_CHARS_MAX),
            (None, Some(digest)) => shown::text(digest, KEY_CHARS_MAX),
            (None, None) => shown::text("an item", KEY_CHARS_MAX),
        };
        let changed = item.attributes.iter().take(CHANGED_MAX).map(|(name, kind)| {
            let before = item.before.as_ref().and_then(|image| image.get(name));
            let after = item.after.as_ref().and_then(|image| image.get(name));
            let (before, after) = match (before, after) {
                (Some(before), Some(after)) => {
                    let (before, after) = changed::values(before, after, CHANGED_CHARS_MAX);
                    (Some(before), Some(after))
                }
                (before, after) => {
                    let shown = |value| shown::value(value, CHANGED_CHARS_MAX);
                    (before.map(shown), after.map(shown))
                }
            };
            let name = shown::text(name, KEY_CHARS_MAX);
            ListedAttribute { name, change: Some(*kind), before, after }
        });
        let before = item.before.as_ref().and_then(Value::as_object).into_iter().flatten();
        let stays: Vec<(&String, &Value)> =
            before.filter(|(name, _)| !item.attributes.contains_key(*name)).collect();
        let left_out = item.attributes.len().saturating_sub(CHANGED_MAX)
            + stays.len().saturating_sub(UNCHANGED_MAX);
        let stays = stays.into_iter().take(UNCHANGED_MAX).map(|(name, value)| ListedAttribute {
            name: shown::text(name, KEY_CHARS_MAX),
            change: None,
            before: Some(shown::value(value, UNCHANGED_CHARS_MAX)),
            after: None,
        });
        Self {
            table: item.table.clone(),
            kind: item.kind,
            name,
            attributes: changed.chain(stays).collect(),
            left_out: left_out as u64,
        }
    }

    /// Its size in a report, about.
    pub fn bytes(&self) -> usize {
        let size = |shown: &Option<Shown>| shown.as_ref().map_or(0, |shown| shown.text.len());
        let attribute = |attribute: &ListedAttribute| {
            attribute.name.text.len() + size(&attribute.before) + size(&attribute.after) + 16
        };
        self.table.len()
            + self.name.text.len()
            + self.attributes.iter().map(attribute).sum::<usize>()
            + 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use serde_json::json;

    #[test]
    fn attributes_that_change_come_first_with_both_values() {
        let item = samples::item(json!({
            "kind": "updated", "key": {"id": {"S": "audi"}},
            "attributes": {"n": "changed", "old": "removed", "price": "added"},
            "before": {"id": {"S": "audi"}, "n": {"N": "1"}, "old": {"N": "1"}},
            "after": {"id": {"S": "audi"}, "n": {"N": "2"}, "price": {"N": "7"}},
        }));
        let listed = ListedItem::of(&item);
        let text = |shown: &Option<Shown>| shown.as_ref().map(Shown::noted).unwrap_or_default();
        let rows: Vec<_> = listed
            .attributes
            .iter()
            .map(|a| (a.name.text.as_str(), a.change, text(&a.before), text(&a.after)))
            .collect();
        let row =
            |name, change, before: &str, after: &str| (name, change, before.into(), after.into());
        assert_eq!(
            rows,
            [
                row("n", Some(ChangeKind::Changed), "1", "2"),
                row("old", Some(ChangeKind::Removed), "1", ""),
                row("price", Some(ChangeKind::Added), "", "7"),
                row("id", None, "\"audi\"", ""),
            ]
        );
        assert_eq!((listed.name.text.as_str(), listed.left_out), (r#"{id: "audi"}"#, 0));
    }

    #[test]
    fn a_hidden_item_has_its_digest_and_names_only() {
        let item = samples::item(json!({
            "kind": "created", "keyDigest": "sha256:7", "attributes": {"price": "added"},
        }));
        let listed = ListedItem::of(&item);
        assert_eq!(listed.name.text, "sha256:7");
        assert_eq!((&listed.attributes[0].before, &listed.attributes[0].after), (&None, &None));
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let many = |kind: &str| -> serde_json::Value {
            (0..150).map(|n| (format!("{kind}{n:03}"), json!({"N": "1"}))).collect()
        };
        let attributes: std::collections::BTreeMap<String, &str> =
            (0..150).map(|n| (format!("gone{n:03}"), "removed")).collect();
        let mut before = many("gone");
        before.as_object_mut().unwrap().extend(many("stay").as_object().unwrap().clone());
        let item = samples::item(json!({
            "kind": "updated", "key": {"id": {"S": "x".repeat(1_000)}},
            "attributes": attributes, "before": before, "after": many("stay"),
        }));
        let listed = ListedItem::of(&item);
        assert_eq!(listed.attributes.len(), CHANGED_MAX + UNCHANGED_MAX);
        assert_eq!(listed.left_out, 50 + 110);
        assert!(listed.name.left_out > 0);
    }
}
