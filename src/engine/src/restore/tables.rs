//! What a run did to tables themselves. No restore undoes it: it is named, and items of a table
//! that the run deleted are left alone.

use std::collections::BTreeSet;

use crate::limits;
use dm_contract::restored::Conflict;
use dm_contract::restored::NotRestored;
use dm_dynamodb::journal::{MergedEntry, Outcome};
use dm_dynamodb::restore::Step;
use dm_dynamodb::schema::{ItemKey, TableSchema};

use crate::operation::Operation;
use crate::restore::{Partitions, Restore};

/// The calls of a run that changed tables, in their order.
#[derive(Debug, Default)]
pub struct TableCalls {
    calls: Vec<NotRestored>,
    /// Tables that are there, although a deletion of them is in doubt.
    found: BTreeSet<String>,
}

impl TableCalls {
    /// The calls of a journal that were carried out, or whose outcome is unknown.
    pub fn of(partitions: &Partitions) -> Self {
        let calls = partitions.controls().filter_map(|(control, outcome)| {
            let (operation, tables) = (control.operation.clone(), control.tables.clone());
            match outcome {
                Outcome::Refused => None,
                Outcome::Written => Some(NotRestored { operation, tables, in_doubt: false }),
                Outcome::InDoubt => Some(NotRestored { operation, tables, in_doubt: true }),
            }
        });
        Self { calls: calls.collect(), ..Self::default() }
    }

    /// The tables that were deleted by a call with an unknown outcome.
    pub fn deleted_in_doubt(&self) -> BTreeSet<String> {
        let deletions = self.deletions().filter(|call| call.in_doubt);
        deletions.flat_map(|call| &call.tables).cloned().collect()
    }

    /// These of them are there, with the ids that they had.
    pub fn found(&mut self, tables: BTreeSet<String>) {
        self.found = tables;
    }

    fn deletions(&self) -> impl Iterator<Item = &NotRestored> {
        self.calls.iter().filter(|call| call.operation == Operation::DeleteTable.name())
    }

    /// The first of them, for a report.
    pub fn listed(&self) -> Vec<NotRestored> {
        self.calls.iter().take(limits::RESTORE_TABLE_CALLS_LISTED_MAX).cloned().collect()
    }

    /// A table that the run deleted and that was there before it.
    pub fn lost_table(&self) -> Option<&str> {
        let mut deleted = self.deletions().flat_map(|call| &call.tables).map(String::as_str);
        deleted.find(|table| {
            self.fate(table).is_some_and(|(first, _)| first == Operation::DeleteTable)
        })
    }

    /// The first and the last of them that created or deleted this table. A creation in doubt is
    /// taken for none, because what would be deleted after it may be the only copy.
    fn fate(&self, table: &str) -> Option<(Operation, Operation)> {
        let mut of_table = self.calls.iter().filter_map(|call| {
            let operation = Operation::named(&call.operation)?;
            let counts = if operation.creates_table() {
                !call.in_doubt && call.tables.len() == 1
            } else {
                let is_there = call.in_doubt && self.found.contains(table);
                operation == Operation::DeleteTable && !is_there
            };
            (counts && call.tables.iter().any(|name| name == table)).then_some(operation)
        });
        let first = of_table.next()?;
        Some((first, of_table.next_back().unwrap_or(first)))
    }
}

/// Separates the keys that this table can have from those of a former table of its name, whose key
/// schema differs. No item of the table has one of those.
pub fn by_schema<'e>(
    table: &TableSchema,
    entries: &'e [MergedEntry],
) -> (Vec<(&'e MergedEntry, ItemKey)>, Vec<&'e MergedEntry>) {
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for entry in entries {
        match ItemKey::from_key(table, &entry.key) {
            Ok(key) => here.push((entry, key)),
            Err(_) => elsewhere.push(entry),
        }
    }
    (here, elsewhere)
}

impl Restore {
    /// Whether the run itself deleted this table, which is not there.
    pub(in crate::restore) fn was_deleted(&self, table: &str) -> bool {
        let fate = self.table_calls.get().and_then(|calls| calls.fate(table));
        matches!(fate, Some((_, Operation::DeleteTable)))
    }

    /// Leaves items of a deleted table alone. Those that the run had found there are lost to a
    /// restore; of a table that it had created nothing is missed.
    pub(in crate::restore) fn leave_all<'e>(
        &self,
        entries: impl IntoIterator<Item = &'e MergedEntry>,
    ) {
        for entry in entries {
            self.count(entry, Step::Nothing);
            let fate = self.table_calls.get().and_then(|calls| calls.fate(&entry.table));
            let own = fate.is_some_and(|(first, _)| first.creates_table());
            if !own && entry.first().is_some() {
                self.note(entry, vec![Conflict::ItemDeleted]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_dynamodb::journal::{After, Entry, Sequence};
    use dm_dynamodb::value::{Item, item_from_json};
    use serde_json::json;

    fn calls(calls: &[(&str, &str, bool)]) -> TableCalls {
        let call = |&(operation, tables, in_doubt): &(&str, &str, bool)| NotRestored {
            operation: operation.into(),
            tables: tables.split(' ').map(Into::into).collect(),
            in_doubt,
        };
        TableCalls { calls: calls.iter().map(call).collect(), found: BTreeSet::new() }
    }

    #[test]
    fn a_tables_fate_is_what_was_done_to_it_first_and_last() {
        let calls = calls(&[
            ("CreateTable", "a", false),
            ("UpdateTimeToLive", "a", false),
            ("DeleteTable", "b", false),
            ("DeleteTable", "a", false),
            ("CreateTable", "b", false),
            ("TagResource", "c", false),
        ]);
        let (create, delete) = (Operation::CreateTable, Operation::DeleteTable);
        assert_eq!(calls.fate("a"), Some((create, delete)));
        assert_eq!(calls.fate("b"), Some((delete, create)));
        assert_eq!(calls.fate("c"), None);
        assert_eq!(calls.lost_table(), Some("b"), "the run had created a");
    }

    #[test]
    fn a_table_restored_from_a_backup_is_the_runs_own() {
        for restore in ["RestoreTableFromBackup", "RestoreTableToPointInTime"] {
            let calls = calls(&[(restore, "old", false), ("DeleteTable", "old", false)]);
            assert_eq!(calls.lost_table(), None, "{restore}");
            // An entry of an earlier version, which names the source as well.
            let both = self::calls(&[(restore, "cars old", false), ("DeleteTable", "cars", false)]);
            assert_eq!(both.lost_table(), Some("cars"), "{restore}");
        }
    }

    #[test]
    fn what_is_in_doubt_is_taken_for_what_keeps_most() {
        // It may have been refused because the table was there.
        let created = calls(&[("CreateTable", "a", true), ("DeleteTable", "a", false)]);
        assert_eq!(created.lost_table(), Some("a"));
        let mut deleted = calls(&[("DeleteTable", "a", true), ("DeleteTable", "b", true)]);
        assert_eq!(deleted.deleted_in_doubt(), BTreeSet::from(["a".into(), "b".into()]));
        deleted.found(BTreeSet::from(["a".into()]));
        assert_eq!((deleted.fate("a"), deleted.lost_table()), (None, Some("b")));
    }

    #[test]
    fn keys_of_a_former_table_of_the_name_are_no_keys_of_this_one() {
        let described = json!({
            "TableName": "cars",
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "year", "KeyType": "RANGE"},
            ],
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "year", "AttributeType": "N"},
            ],
        });
        let table = TableSchema::from_json(&described).unwrap();
        let keys = [
            json!({"id": {"S": "a"}}),
            json!({"id": {"S": "a"}, "year": {"N": "1"}}),
            json!({"id": {"S": "a"}, "year": {"S": "1"}}),
        ];
        let merged = |key: &serde_json::Value| {
            let key = item_from_json(key).unwrap();
            let entry = Entry {
                sequence: Sequence::new(1, 0),
                table: "cars".into(),
                after: After::of(None, Some(&key)),
                key,
                before: None,
                unverified: false,
                transaction: None,
            };
            MergedEntry::begin(entry, Outcome::Written).unwrap()
        };
        let entries: Vec<MergedEntry> = keys.iter().map(merged).collect();
        let (here, elsewhere) = by_schema(&table, &entries);
        let here: Vec<&Item> = here.iter().map(|(entry, _)| &entry.key).collect();
        let elsewhere: Vec<&Item> = elsewhere.iter().map(|entry| &entry.key).collect();
        assert_eq!(
            (here, elsewhere),
            (vec![&entries[1].key], vec![&entries[0].key, &entries[2].key])
        );
    }
}
