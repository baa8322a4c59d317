//! Builds a line of a dry run's difference from the two images of an item.

use dm_contract::report::{CHANGED_ITEM_VERSION, ChangeKind, ChangedItem, ItemChange};

use crate::difference::{Difference, difference};
use crate::value::{Item, item_to_json};

/// By what an item is named.
#[derive(Clone, Debug)]
pub enum ItemName<'a> {
    /// Its key; its images are shown too.
    Key(&'a Item),
    /// A digest, where values may not be shown.
    Digest(String),
}

/// Returns the line of an item with these images; `None` if it stays unchanged.
pub fn changed_item(
    table: &str,
    name: ItemName<'_>,
    before: Option<&Item>,
    after: Option<&Item>,
) -> Option<ChangedItem> {
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
    Some(ChangedItem {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::item_from_json;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(before: Value, after: Value, shown: bool, expected: Value) {
        let read = |json: &Value| (!json.is_null()).then(|| item_from_json(json).unwrap());
        let key = item_from_json(&json!({"id": {"S": "audi"}})).unwrap();
        let name = if shown { ItemName::Key(&key) } else { ItemName::Digest("sha256:0".into()) };
        let line = changed_item("cars", name, read(&before).as_ref(), read(&after).as_ref());
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
