//! What happened to the items of one run so far, whether or not their pages are done.

use dm_contract::report::{FailedItem, TransformResult};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, item_to_json};
use parking_lot::Mutex;
use serde_json::Value;

use crate::checkpoint::Counts;
use crate::limits::FAILURES_LISTED_MAX;

/// Counts of items, and those that failed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    result: Mutex<TransformResult>,
    show_keys: bool,
}

/// What happened to one item.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    Skipped,
    Unchanged,
    Changed,
    /// It changed, and is no longer where it was.
    Moved,
    /// Nothing yet: another item has its new key, and it is visited again.
    Waits,
    Failed(String),
}

impl Tally {
    /// Returns one that continues these counts, and lists keys only where they may be shown.
    pub fn new(show_keys: bool, counts: &Counts) -> Self {
        let result = TransformResult {
            read: counts.read(),
            skipped: counts.skipped,
            unchanged: counts.unchanged,
            changed: counts.changed,
            ..TransformResult::default()
        };
        Self { show_keys, result: Mutex::new(result) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut TransformResult) -> T) -> T {
        change(&mut self.result.lock())
    }

    /// Counts items that the scan returned.
    pub fn read(&self, items: usize) {
        self.with(|result| result.read += u64::try_from(items).unwrap_or_default());
    }

    pub fn happened(&self, table: &TableSchema, item: &Item, what: &Happened) {
        self.with(|result| match what {
            Happened::Skipped => result.skipped += 1,
            Happened::Unchanged => result.unchanged += 1,
            Happened::Changed | Happened::Moved => result.changed += 1,
            Happened::Waits => {}
            Happened::Failed(reason) => {
                result.failed += 1;
                if result.failures.len() < FAILURES_LISTED_MAX {
                    let key = self.show_keys.then(|| key_of(table, item)).flatten();
                    let (table, reason) = (table.name.clone(), reason.clone());
                    result.failures.push(FailedItem { table, key, reason });
                }
            }
        });
    }

    /// Counts an item that was to be visited again and is no longer there; whether its first visit
    /// is counted.
    pub fn is_gone(&self, is_read: bool) {
        self.with(|result| {
            result.read += u64::from(!is_read);
            result.skipped += 1;
        });
    }

    /// Counts items that changed, are no longer there, and were not met.
    pub fn were_gone(&self, items: u64) {
        self.with(|result| {
            result.read += items;
            result.changed += items;
        });
    }

    /// What happened so far, the failed items in the order of their keys.
    pub fn result(&self) -> TransformResult {
        let mut result = self.with(|result| result.clone());
        result.failures.sort_by_cached_key(|failed| {
            (failed.key.as_ref().map(ToString::to_string), failed.reason.clone())
        });
        result
    }
}

/// Returns an item's key as DynamoDB's JSON.
pub(crate) fn key_of(table: &TableSchema, item: &Item) -> Option<Value> {
    ItemKey::of(&table.keys, item).map(|key| item_to_json(&key.to_item()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::value::item_from_json;
    use serde_json::json;

    fn happened(tally: &Tally, id: &str, what: &Happened) {
        let table = TableSchema::from_json(&json!({
            "TableName": "cars",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        }))
        .unwrap();
        let item = item_from_json(&json!({"id": {"S": id}, "n": {"N": "1"}})).unwrap();
        tally.happened(&table, &item, what);
    }

    #[test]
    fn counts_continue_those_of_earlier_guards() {
        let counts = Counts { skipped: 5, unchanged: 4, changed: 3, ..Counts::default() };
        let tally = Tally::new(false, &counts);
        tally.read(3);
        happened(&tally, "a", &Happened::Changed);
        happened(&tally, "b", &Happened::Moved);
        happened(&tally, "c", &Happened::Failed("why".into()));
        tally.is_gone(false);
        let result = tally.result();
        assert_eq!((result.read, result.skipped, result.unchanged), (16, 6, 4));
        assert_eq!((result.changed, result.failed), (5, 1));
        assert!(result.failures.iter().all(|failed| failed.key.is_none()), "keys stay hidden");
    }

    #[test]
    fn as_many_failed_items_are_listed_as_there_is_room_for() {
        let tally = Tally::new(true, &Counts::default());
        for number in 0..=FAILURES_LISTED_MAX {
            happened(&tally, &number.to_string(), &Happened::Failed("why".into()));
        }
        let result = tally.result();
        assert_eq!(result.failures.len(), FAILURES_LISTED_MAX);
        assert_eq!(result.failed, FAILURES_LISTED_MAX as u64 + 1);
        assert!(result.failures.iter().all(|failed| failed.key.is_some()));
    }
}
