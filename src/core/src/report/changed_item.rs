//! One line of a dry run's difference: what applying would make of one item.
//!
//! The lines cross a process boundary, so they carry a version and have golden files. Keys and values
//! are in them only where the target allows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::difference::{ChangeKind, Difference, difference};
use crate::value::{Item, item_to_json};

/// The version this build writes and the only one it reads.
pub const CHANGED_ITEM_VERSION: u32 = 1;

/// What would become of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedItem {
    /// Always [`CHANGED_ITEM_VERSION`].
    pub version: u32,
    /// The table's name.
    pub table: String,
    /// The item's key, in DynamoDB's JSON, where values may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// Else what tells it from other items of this report, and nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_digest: Option<String>,
    /// What would happen to it.
    pub kind: ItemChange,
    /// What would happen to its top-level attributes, by name.
    pub attributes: BTreeMap<String, ChangeKind>,
    /// The item before, in DynamoDB's JSON, where values may be shown and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The item after, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What would happen to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemChange {
    /// It is not there yet.
    Created,
    /// It becomes another.
    Updated,
    /// It goes.
    Deleted,
}

/// By what an item is named.
#[derive(Clone, Debug)]
pub enum ItemName<'a> {
    /// Its key; its images are shown too.
    Key(&'a Item),
    /// A digest, where values may not be shown.
    Digest(String),
}

impl ChangedItem {
    /// The line of an item with these images; `None` if it stays as it is.
    pub fn of(
        table: &str,
        name: ItemName<'_>,
        before: Option<&Item>,
        after: Option<&Item>,
    ) -> Option<Self> {
        let every = |item: Option<&Item>, kind| {
            item.into_iter().flat_map(Item::keys).map(|name| (name.clone(), kind)).collect()
        };
        let (kind, attributes) = match difference(before, after) {
            Difference::Unchanged => return None,
            Difference::Created => (ItemChange::Created, every(after, ChangeKind::Added)),
            Difference::Deleted => (ItemChange::Deleted, every(before, ChangeKind::Removed)),
            Difference::Updated(changes) => {
                let named = changes.into_iter().map(|change| (change.name, change.kind));
                (ItemChange::Updated, named.collect())
            }
        };
        let (key, key_digest, before, after) = match name {
            ItemName::Key(key) => {
                (Some(item_to_json(key)), None, before.map(item_to_json), after.map(item_to_json))
            }
            ItemName::Digest(digest) => (None, Some(digest), None, None),
        };
        Some(Self {
            version: CHANGED_ITEM_VERSION,
            table: table.to_owned(),
            key,
            key_digest,
            kind,
            attributes,
            before,
            after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::item_from_json;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(before: Value, after: Value, shown: bool, expected: Value) {
        let read = |json: &Value| (!json.is_null()).then(|| item_from_json(json).unwrap());
        let key = item_from_json(&json!({"id": {"S": "audi"}})).unwrap();
        let name = if shown { ItemName::Key(&key) } else { ItemName::Digest("sha256:0".into()) };
        let line = ChangedItem::of("cars", name, read(&before).as_ref(), read(&after).as_ref());
        assert_eq!(json!(line), expected);
        if let Some(line) = line {
            assert_eq!(serde_json::from_value::<ChangedItem>(expected).unwrap(), line);
        }
    }

    #[test]
    fn a_line_has_the_images_where_values_may_be_shown() {
        check(
            json!({"id": {"S": "audi"}, "old": {"N": "1"}, "n": {"N": "1"}}),
            json!({"id": {"S": "audi"}, "price": {"N": "1"}, "n": {"N": "2"}}),
            true,
            json!({
                "version": 1, "table": "cars", "key": {"id": {"S": "audi"}}, "kind": "updated",
                "attributes": {"n": "changed", "old": "removed", "price": "added"},
                "before": {"id": {"S": "audi"}, "old": {"N": "1"}, "n": {"N": "1"}},
                "after": {"id": {"S": "audi"}, "price": {"N": "1"}, "n": {"N": "2"}},
            }),
        );
    }

    #[test]
    fn elsewhere_it_has_names_of_attributes_only() {
        let item = json!({"id": {"S": "audi"}, "n": {"N": "1"}});
        check(
            json!(null),
            item.clone(),
            false,
            json!({
                "version": 1, "table": "cars", "keyDigest": "sha256:0", "kind": "created",
                "attributes": {"id": "added", "n": "added"},
            }),
        );
        check(
            item.clone(),
            json!(null),
            false,
            json!({
                "version": 1, "table": "cars", "keyDigest": "sha256:0", "kind": "deleted",
                "attributes": {"id": "removed", "n": "removed"},
            }),
        );
        check(item.clone(), item, false, json!(null));
    }
}
