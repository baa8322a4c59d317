//! What a run did: the result for its report, and the difference item by item.

use std::collections::BTreeMap;
use std::io::Write;

use dm_contract::plan::Mode;
use dm_contract::report::{GuardResult, REPORT_VERSION, TableEffect, effects_digest};

use super::{Bottom, Engine};
use crate::overlay::{DifferenceError, DifferenceParts, OnePart, Values};

impl Engine {
    /// Writes what a dry run would change, a line for each item, as zstd-compressed
    /// newline-delimited JSON ([`dm_contract::report::ChangedItem`]), with keys and values if the
    /// plan's policy allows it; how many. `None` where there is no such difference: in an applied
    /// run (which has a journal), and after a restart. To be called when no request is being worked
    /// on any more; it blocks, and takes little memory, whatever the number of items.
    pub fn write_difference(&self, to: impl Write) -> Result<Option<u64>, DifferenceError> {
        self.write_difference_in_parts(OnePart(to))
    }

    /// The same in parts.
    pub fn write_difference_in_parts(
        &self,
        to: impl DifferenceParts,
    ) -> Result<Option<u64>, DifferenceError> {
        let values = if self.policy.shows_values() { Values::Shown } else { Values::Hidden };
        match &self.bottom {
            Bottom::Overlay(overlay) => overlay.write_difference(values, to).map(Some),
            Bottom::Apply(_) | Bottom::Journal(_) | Bottom::Closed(..) => Ok(None),
        }
    }

    /// What the run did so far, in both passes if there is a second.
    pub(super) fn result_so_far(&self) -> GuardResult {
        let counts = self.tally.counts();
        let calls = self.calls();
        let (remarks, errors) = (counts.remarks(), counts.errors());
        let dry_run = self.dry_run(&counts);
        let mut tables = counts.tables;
        // A transform that was taken up has lost nothing by a restart of its guard.
        let taken_up = self.mode == Mode::Apply && self.before.get().is_some();
        let mut problem = self.problem.clone().filter(|_| !taken_up);
        if let Bottom::Overlay(overlay) = &self.bottom {
            problem = problem.or_else(|| overlay.problem());
            for effect in overlay.effects() {
                let items_read = tables.get(&effect.name).map_or(0, |table| table.items_read);
                tables.insert(effect.name.clone(), TableEffect { items_read, ..effect });
            }
        }
        if let Bottom::Journal(journal) = &self.bottom {
            problem = problem.or_else(|| journal.effects().problem());
            journaled(&mut tables, journal.effects().tables());
        }
        for (name, items) in counts.table_items {
            if let Some(table) = tables.get_mut(&name) {
                table.item_count = Some(items);
            }
        }
        let earlier_reads = self.add_earlier_reads(&mut tables);
        let mut tables: Vec<TableEffect> = tables.into_values().collect();
        let database = self.identify(&mut tables);
        let (gave_way, journal_problem) = match &self.bottom {
            Bottom::Journal(journal) => {
                let gave_way = journal.gave_way();
                let why = gave_way.map(|gave_way| {
                    format!("The run stopped before its first write: {}.", gave_way.why)
                });
                (
                    gave_way.map(|gave_way| gave_way.verdict.clone()),
                    why.or_else(|| journal.problem()).or_else(|| journal.lock_problem()),
                )
            }
            Bottom::Overlay(_) | Bottom::Apply(_) | Bottom::Closed(..) => (None, None),
        };
        self.with_earlier(GuardResult {
            transform: None,
            continued: None,
            part: self.part,
            version: REPORT_VERSION,
            mode: self.mode,
            requests: self.tally.requests(),
            write_calls_upstream: calls.writes,
            read_calls_upstream: calls.reads,
            items_read: counts.items_read + earlier_reads,
            read_units: counts.read_units,
            write_units: counts.write_units,
            effects_digest: effects_digest(&tables),
            tables,
            remarks,
            errors,
            problem: problem.or(journal_problem),
            left_out: counts.dropped,
            dry_run,
            journal: self.journaled(),
            locked: self.locked(),
            outages: self.outages(),
            archived: None,
            database,
            gave_way,
        })
    }
}

/// Replaces counts of calls by counts of items, which a journal knows.
fn journaled(tables: &mut BTreeMap<String, TableEffect>, effects: Vec<TableEffect>) {
    for table in tables.values_mut() {
        let TableEffect { name, items_read, change, settings, .. } = std::mem::take(table);
        *table = TableEffect { name, items_read, change, settings, ..TableEffect::default() };
    }
    for effect in effects {
        let TableEffect { items_read, change, settings, .. } =
            tables.remove(&effect.name).unwrap_or_default();
        let effect = TableEffect { items_read, change, settings, ..effect };
        tables.insert(effect.name.clone(), effect);
    }
}
