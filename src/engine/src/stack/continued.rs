//! A transform that an earlier guard of the same run, or part, has begun: what that guard counted
//! becomes part of this one's result.

use std::collections::BTreeMap;

use dm_contract::report::{Continued, GuardResult, ItemChange, TableEffect};
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::value::Item;
use serde::{Deserialize, Serialize};

use super::{Bottom, Engine};
use crate::fault::Fault;

/// What guards have used, whatever became of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    pub requests: u64,
    /// Calls of writing operations.
    pub write_calls: u64,
    /// Calls of reading operations.
    pub read_calls: u64,
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Writes whose entries were durable before they came.
    pub ahead: u64,
    /// Read units of the journal, contained in the read units.
    pub journal_read_units: f64,
}

/// What is on record of earlier guards, beyond their journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Before {
    /// How many there were, and whether one was killed.
    pub guards: Continued,
    pub usage: Usage,
    /// The table that they scanned.
    pub table: String,
    /// Its items that they read and that are not read again.
    pub items_read: u64,
}

impl Engine {
    /// Counts what earlier guards have journaled. Returns whether there is anything. To be called
    /// before the first write.
    pub async fn take_up_journal(&self) -> Result<bool, Fault> {
        match &self.bottom {
            Bottom::Journal(journal) => Ok(journal.take_up().await?.entries > 0),
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => Ok(false),
        }
    }

    /// Makes what earlier guards counted a part of the result, once. `found` is whether they have
    /// journaled anything. Without a journal nothing is known of their writes.
    pub fn continues(&self, mut before: Before, found: bool) {
        if !matches!(self.bottom, Bottom::Journal(_)) {
            return;
        }
        // One that was killed before its first checkpoint.
        if before.guards.guards == 0 && (found || self.problem.is_some()) {
            before.guards = Continued { guards: 1, at_least: true };
        }
        let _ = self.before.set(before);
    }

    /// Returns what this guard and those before it have used so far.
    pub fn usage(&self) -> Usage {
        let (counts, calls) = (self.tally.counts(), self.calls());
        let journal = self.journaled();
        let before = self.before.get().map(|before| before.usage).unwrap_or_default();
        Usage {
            requests: before.requests + self.tally.requests(),
            write_calls: before.write_calls + calls.writes,
            read_calls: before.read_calls + calls.reads,
            read_units: before.read_units + counts.read_units,
            write_units: before.write_units + counts.write_units,
            ahead: before.ahead + journal.as_ref().map_or(0, |journal| journal.ahead),
            journal_read_units: before.journal_read_units
                + journal.as_ref().map_or(0.0, |journal| journal.read_units),
        }
    }

    /// Returns what the run has made of an item that is now like this, if it has changed it and
    /// has a journal.
    pub fn change_of(&self, table: &TableSchema, item: &Item) -> Option<ItemChange> {
        let Bottom::Journal(journal) = &self.bottom else { return None };
        journal.change_of(table, item)
    }

    /// Finds out what became of the last writes of earlier guards, as far as it is not known yet.
    /// To be called after the last write.
    pub async fn find_out(&self) -> Result<(), Fault> {
        match &self.bottom {
            Bottom::Journal(journal) => journal.find_out().await,
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => Ok(()),
        }
    }

    /// Items of a table that the run has deleted so far, by its journal.
    pub fn deleted(&self, table: &str) -> u64 {
        match &self.bottom {
            Bottom::Journal(journal) => journal.effects().deleted(table),
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => 0,
        }
    }

    /// Adds the items that earlier guards read.
    pub(super) fn add_earlier_reads(&self, tables: &mut BTreeMap<String, TableEffect>) -> u64 {
        let Some(before) = self.before.get().filter(|before| before.items_read > 0) else {
            return 0;
        };
        let none = || TableEffect { name: before.table.clone(), ..TableEffect::default() };
        tables.entry(before.table.clone()).or_insert_with(none).items_read += before.items_read;
        before.items_read
    }

    /// Returns the result of this guard and of those before it.
    pub(super) fn with_earlier(&self, mut result: GuardResult) -> GuardResult {
        let Some(before) = self.before.get() else { return result };
        let usage = before.usage;
        result.requests += usage.requests;
        result.write_calls_upstream += usage.write_calls;
        result.read_calls_upstream += usage.read_calls;
        result.read_units += usage.read_units;
        result.write_units += usage.write_units;
        if let Some(journal) = &mut result.journal {
            journal.ahead += usage.ahead;
            journal.read_units += usage.journal_read_units;
        }
        result.continued = Some(before.guards);
        result
    }
}
