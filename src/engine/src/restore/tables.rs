//! What a run did to tables themselves. No restore undoes it: it is named, and items of a table
//! that the run deleted are left alone.

use crate::limits;
use dm_contract::restored::Conflict;
use dm_contract::restored::NotRestored;
use dm_dynamodb::journal::{MergedEntry, Outcome};
use dm_dynamodb::restore::Step;

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

impl Restore {
    /// Whether the run itself deleted this table, which is not there.
    pub(in crate::restore) fn was_deleted(&self, table: &str) -> bool {
        let fate = self.table_calls.get().and_then(|calls| calls.fate(table));
        matches!(fate, Some((_, Operation::DeleteTable)))
    }

    /// Leaves items of a table alone that the run deleted. Those that it had found there are lost
    /// to a restore; of a table that it had created nothing is missed.
    pub(in crate::restore) fn leave_all(&self, entries: &[MergedEntry]) {
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
}
