//! What happened to the items of one run.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dm_contract::report::{FailedItem, TransformResult};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, item_to_json};
use serde_json::Value;

use crate::checkpoint::FailedKeys;
use crate::limits::{FAILED_KEYS_MAX, FAILURES_LISTED_MAX};

/// Counts of items, and those that failed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    state: Mutex<State>,
    show_keys: bool,
}

#[derive(Debug, Default)]
struct State {
    result: TransformResult,
    /// Keys of items that failed before this process, and have not been visited again; by their
    /// text.
    pending: BTreeMap<String, Value>,
    /// Keys of items that failed in this process.
    failed: BTreeMap<String, Value>,
    /// Whether more items failed than there is room for.
    more: bool,
    /// Whether the keys have changed since they were last asked for.
    changed: bool,
}

/// What happened to one item.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    Skipped,
    Unchanged,
    Changed,
    Failed(String),
}

impl Tally {
    /// An empty one, which lists keys only where they may be shown. Items with the pending keys are
    /// to be visited again.
    pub fn new(show_keys: bool, pending: Vec<Value>) -> Self {
        let pending = pending.into_iter().map(|key| (key.to_string(), key)).collect();
        Self { show_keys, state: Mutex::new(State { pending, ..State::default() }) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts items that the scan returned.
    pub fn read(&self, items: usize) {
        self.with(|state| state.result.read += u64::try_from(items).unwrap_or_default());
    }

    /// Counts one item.
    pub fn happened(&self, table: &TableSchema, item: &Item, what: Happened) {
        self.with(|state| {
            if !state.pending.is_empty()
                && let Some(key) = key_of(table, item)
            {
                state.forget(&key);
            }
            match what {
                Happened::Skipped => state.result.skipped += 1,
                Happened::Unchanged => state.result.unchanged += 1,
                Happened::Changed => state.result.changed += 1,
                Happened::Failed(reason) => {
                    let key = key_of(table, item);
                    state.failed(&table.name, key, reason, self.show_keys);
                }
            }
        });
    }

    /// Notes that there is no item with this pending key any more.
    pub fn is_gone(&self, key: &Value) {
        self.with(|state| state.forget(key));
    }

    /// Returns the keys of items that are to be visited again.
    pub fn pending(&self) -> Vec<Value> {
        self.with(|state| state.pending.values().cloned().collect())
    }

    /// Returns the keys of all items that have failed so far or are still to be visited again, and
    /// whether they have changed since the last call.
    pub fn failed_keys(&self) -> (FailedKeys, bool) {
        self.with(|state| {
            let keys = state.pending.values().chain(state.failed.values()).cloned().collect();
            (FailedKeys { keys, more: state.more }, std::mem::take(&mut state.changed))
        })
    }

    /// What happened so far, the failed items in the order of their keys.
    pub fn result(&self) -> TransformResult {
        let mut result = self.with(|state| state.result.clone());
        result.failures.sort_by_cached_key(|failed| {
            (failed.key.as_ref().map(ToString::to_string), failed.reason.clone())
        });
        result
    }
}

impl State {
    fn forget(&mut self, key: &Value) {
        self.changed |= self.pending.remove(&key.to_string()).is_some();
    }

    fn failed(&mut self, table: &str, key: Option<Value>, reason: String, show_keys: bool) {
        // After a restart an item is visited by its key and by the scan.
        if key.as_ref().is_some_and(|key| self.failed.contains_key(&key.to_string())) {
            return;
        }
        self.result.failed += 1;
        self.changed = true;
        if self.result.failures.len() < FAILURES_LISTED_MAX {
            let key = key.clone().filter(|_| show_keys);
            self.result.failures.push(FailedItem { table: table.to_owned(), key, reason });
        }
        match key {
            Some(key) if self.failed.len() < FAILED_KEYS_MAX => {
                self.failed.insert(key.to_string(), key);
            }
            _ => self.more = true,
        }
    }
}

fn key_of(table: &TableSchema, item: &Item) -> Option<Value> {
    ItemKey::of(&table.keys, item).map(|key| item_to_json(&key.to_item()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::value::item_from_json;
    use serde_json::json;

    fn table() -> TableSchema {
        TableSchema::from_json(&json!({
            "TableName": "cars",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        }))
        .unwrap()
    }

    fn key(id: &str) -> Value {
        json!({"id": {"S": id}})
    }

    fn happened(tally: &Tally, id: &str, what: Happened) {
        let item = item_from_json(&json!({"id": {"S": id}, "n": {"N": "1"}})).unwrap();
        tally.happened(&table(), &item, what);
    }

    #[test]
    fn failed_and_pending_keys_are_kept_until_their_items_are_right() {
        let tally = Tally::new(false, vec![key("a"), key("b"), key("c")]);
        happened(&tally, "a", Happened::Changed);
        happened(&tally, "b", Happened::Failed("why".into()));
        happened(&tally, "d", Happened::Failed("why".into()));
        happened(&tally, "d", Happened::Failed("why".into()));
        happened(&tally, "e", Happened::Unchanged);
        let expected = FailedKeys { keys: vec![key("c"), key("b"), key("d")], more: false };
        assert_eq!(tally.failed_keys(), (expected.clone(), true));
        assert_eq!(tally.failed_keys(), (expected, false), "nothing has changed");
        tally.is_gone(&key("c"));
        assert_eq!(tally.pending(), Vec::<Value>::new());
        assert_eq!(tally.failed_keys().0.keys, [key("b"), key("d")]);
        let result = tally.result();
        assert_eq!((result.failed, result.changed, result.unchanged), (2, 1, 1));
        assert!(result.failures.iter().all(|failed| failed.key.is_none()), "keys stay hidden");
    }

    #[test]
    fn too_many_failed_items_are_said_to_be_more() {
        let tally = Tally::new(true, Vec::new());
        for number in 0..=FAILED_KEYS_MAX {
            happened(&tally, &number.to_string(), Happened::Failed("why".into()));
        }
        let (found, _) = tally.failed_keys();
        assert_eq!((found.keys.len(), found.more), (FAILED_KEYS_MAX, true));
        assert_eq!(tally.result().failures.len(), FAILURES_LISTED_MAX);
    }
}
