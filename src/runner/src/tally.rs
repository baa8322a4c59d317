//! What happened to the items of one run.

use std::sync::{Mutex, PoisonError};

use dm_contract::report::{FailedItem, TransformResult};
use dm_dynamodb::schema::{ItemKey, TableSchema};
use dm_dynamodb::value::{Item, item_to_json};

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
    Failed(String),
}

impl Tally {
    /// An empty one, which lists keys only where they may be shown.
    pub fn new(show_keys: bool) -> Self {
        Self { show_keys, ..Self::default() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut TransformResult) -> T) -> T {
        change(&mut self.result.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts items that the scan returned.
    pub fn read(&self, items: usize) {
        self.with(|result| result.read += u64::try_from(items).unwrap_or_default());
    }

    /// Counts one item.
    pub fn happened(&self, table: &TableSchema, item: &Item, what: Happened) {
        self.with(|result| match what {
            Happened::Skipped => result.skipped += 1,
            Happened::Unchanged => result.unchanged += 1,
            Happened::Changed => result.changed += 1,
            Happened::Failed(reason) => {
                result.failed += 1;
                if result.failures.len() < FAILURES_LISTED_MAX {
                    let key = ItemKey::of(&table.keys, item).filter(|_| self.show_keys);
                    result.failures.push(FailedItem {
                        table: table.name.clone(),
                        key: key.map(|key| item_to_json(&key.to_item())),
                        reason,
                    });
                }
            }
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
