//! What a run did to tables themselves. No restore undoes it: it is named, and items of a table
//! that the run deleted are left alone.

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
pub struct TableCalls(Vec<NotRestored>);

impl TableCalls {
    /// Those of a journal that were carried out, or of which nobody knows.
    pub fn of(partitions: &Partitions) -> Self {
        let calls = partitions.controls().filter_map(|(control, outcome)| {
            let (operation, tables) = (control.operation.clone(), control.tables.clone());
            match outcome {
                Outcome::Refused => None,
                Outcome::Written => Some(NotRestored { operation, tables, in_doubt: false }),
                Outcome::InDoubt => Some(NotRestored { operation, tables, in_doubt: true }),
            }
        });
        Self(calls.collect())
    }

    /// The first of them, for a report.
    pub fn listed(&self) -> Vec<NotRestored> {
        self.0.iter().take(limits::RESTORE_TABLE_CALLS_LISTED_MAX).cloned().collect()
    }

    /// A table that the run deleted and that was there before it.
    pub fn lost_table(&self) -> Option<&str> {
        let deletions = self.0.iter().filter(|call| call.operation == "DeleteTable");
        let mut deleted = deletions.flat_map(|call| &call.tables).map(String::as_str);
        let was_there = |table: &&str| {
            self.fate(table).is_some_and(|(first, _)| first == Operation::DeleteTable)
        };
        deleted.find(was_there)
    }

    /// The first and the last of them that created or deleted this table.
    fn fate(&self, table: &str) -> Option<(Operation, Operation)> {
        let mut of_table = self.0.iter().filter_map(|call| {
            let operation = Operation::named(&call.operation)?;
            let makes = matches!(operation, Operation::CreateTable | Operation::DeleteTable);
            (makes && call.tables.iter().any(|name| name == table)).then_some(operation)
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
            let own = matches!(fate, Some((Operation::CreateTable, _)));
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

    #[test]
    fn a_tables_fate_is_what_was_done_to_it_first_and_last() {
        let call = |operation: &str, table: &str| NotRestored {
            operation: operation.into(),
            tables: vec![table.into()],
            in_doubt: false,
        };
        let calls = TableCalls(vec![
            call("CreateTable", "a"),
            call("UpdateTimeToLive", "a"),
            call("DeleteTable", "b"),
            call("DeleteTable", "a"),
            call("CreateTable", "b"),
            call("TagResource", "c"),
        ]);
        let (create, delete) = (Operation::CreateTable, Operation::DeleteTable);
        assert_eq!(calls.fate("a"), Some((create, delete)));
        assert_eq!(calls.fate("b"), Some((delete, create)));
        assert_eq!(calls.fate("c"), None);
        assert_eq!(calls.lost_table(), Some("b"), "the run had created a");
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
