//! What a run's guard saw, as it stands in status: counts and names, bounded. Pure.

use dm_api::identity::TriedOn;
use dm_api::status::{
    AttributeCounts, Changed, ErrorEntry, OperationEntry, RemarkEntry, TableChanged, TableFate,
    TableWouldChange, WouldChange,
};
use dm_contract::report::{ErrorCount, GuardResult, Remark, TableChange, TableEffect, example};

use crate::decide::outcome::Outcome;
use crate::limits;

/// Whether a second run changed nothing and ended well; nothing is known of one that did not run.
pub(super) fn idempotent(outcome: &Outcome) -> Option<bool> {
    let second = outcome.second_run.as_ref().filter(|second| second.not_run.is_none())?;
    let pass = outcome.guard.as_ref()?.dry_run.as_ref()?.second_pass.as_ref()?;
    Some(pass.is_safe()? && second.exit_code == Some(0))
}

fn operations(guard: &GuardResult) -> Vec<OperationEntry> {
    let operations = guard.dry_run.iter().flat_map(|dry_run| &dry_run.operations);
    operations
        .take(limits::TABLES_MAX)
        .map(|count| OperationEntry {
            operation: count.operation.clone(),
            exact: count.exact,
            approximate: count.approximate,
            refused: count.refused,
        })
        .collect()
}

/// Examples as they came: the guard gives them only where the target allows values.
fn samples(guard: &GuardResult) -> Vec<String> {
    let samples = guard.dry_run.iter().flat_map(|dry_run| &dry_run.samples);
    samples
        .take(limits::TABLES_MAX)
        .map(|item| format!("{}  {}", item.table, example::line(item)))
        .collect()
}

/// The tables that change, and the sum of those for which there is no room.
fn changing(tables: &[TableEffect]) -> Vec<TableEffect> {
    let changing = tables.iter().filter(|table| table.changes()).cloned();
    TableEffect::bounded(&changing.collect::<Vec<_>>(), limits::TABLES_MAX)
}

/// What a dry run saw.
pub(super) fn would_change(guard: &GuardResult) -> WouldChange {
    WouldChange {
        items_read: guard.items_read,
        tables: changing(&guard.tables)
            .iter()
            .map(|table| TableWouldChange {
                name: table.name.clone(),
                would_create: table.created,
                would_update: table.updated,
                would_delete: table.deleted,
                attributes: attributes(table),
                table: table.change.map(fate),
                settings: table.settings.iter().take(limits::ATTRIBUTES_MAX).cloned().collect(),
                more: table.more.into(),
            })
            .collect(),
        write_calls_that_reached_the_database: guard.write_calls_upstream,
        read_units: guard.read_units,
        write_units: guard.write_units,
        estimated_seconds: guard
            .dry_run
            .as_ref()
            .and_then(|dry_run| dry_run.apply_time)
            .map(|time| time.seconds),
        changed_underneath: guard.dry_run.as_ref().map_or(0, |dry_run| dry_run.changed_underneath),
        requests: guard.requests,
        operations: operations(guard),
        samples: samples(guard),
        remarks: remarks(&guard.remarks),
        errors: errors(&guard.errors),
    }
}

/// The database that a dry run saw, and those of its tables that have an id.
pub(super) fn tried_on(guard: &GuardResult) -> Option<TriedOn> {
    let database = guard.database.clone()?;
    let tables = guard.tables.iter().take(limits::TABLES_MAX);
    Some(TriedOn {
        region: database.region,
        endpoint: database.endpoint,
        partition: database.partition,
        account: database.account,
        tables: tables.filter_map(|table| Some((table.name.clone(), table.id.clone()?))).collect(),
    })
}

/// What an applying run did.
pub(super) fn changed(guard: &GuardResult) -> Changed {
    let counted = if guard.journal.is_some() { Counted::Items } else { Counted::Requests };
    Changed {
        items_read: guard.items_read,
        tables: tables_changed(&guard.tables, counted),
        read_units: guard.read_units,
        write_units: guard.write_units,
        requests: guard.requests,
        remarks: remarks(&guard.remarks),
        errors: errors(&guard.errors),
    }
}

/// What the counts of an applying run are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Items, which a journal knows.
    Items,
    Requests,
}

/// The tables that changed, and the sum of those for which there is no room.
pub(super) fn tables_changed(tables: &[TableEffect], counted: Counted) -> Vec<TableChanged> {
    changing(tables).iter().map(|table| table_changed(table, counted)).collect()
}

fn table_changed(table: &TableEffect, counted: Counted) -> TableChanged {
    let (created, put) = match counted {
        Counted::Items => (table.created, 0),
        Counted::Requests => (0, table.created),
    };
    TableChanged {
        name: table.name.clone(),
        created,
        put,
        updated: table.updated,
        deleted: table.deleted,
        unchanged: table.unchanged,
        attributes: attributes(table),
        table: table.change.map(fate),
        more: table.more.into(),
    }
}

fn attributes(table: &TableEffect) -> Vec<AttributeCounts> {
    let attributes = table.attributes.iter().take(limits::ATTRIBUTES_MAX);
    let counts = attributes.map(|attribute| AttributeCounts {
        name: attribute.name.clone(),
        added: attribute.added,
        changed: attribute.changed,
        removed: attribute.removed,
    });
    counts.collect()
}

fn fate(change: TableChange) -> TableFate {
    match change {
        TableChange::Created => TableFate::Created,
        TableChange::Updated => TableFate::Updated,
        TableChange::Deleted => TableFate::Deleted,
        TableChange::Replaced => TableFate::Replaced,
    }
}

fn errors(errors: &[ErrorCount]) -> Vec<ErrorEntry> {
    let entry = |error: &ErrorCount| ErrorEntry {
        operation: error.operation.clone(),
        error: error.error.clone(),
        count: error.count,
    };
    errors.iter().take(limits::TABLES_MAX).map(entry).collect()
}

fn remarks(remarks: &[Remark]) -> Vec<RemarkEntry> {
    remarks
        .iter()
        .take(limits::TABLES_MAX)
        .map(|remark| RemarkEntry {
            operation: remark.operation.clone(),
            fidelity: format!("{:?}", remark.fidelity),
            why: remark.why.clone(),
            count: remark.count,
        })
        .collect()
}
