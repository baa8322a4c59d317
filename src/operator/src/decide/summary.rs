//! Sentences about effects, for conditions and events. Pure.

use std::collections::BTreeSet;

use dm_api::migration::OnConflict;
use dm_api::restore_status::{ConflictGroup, ConflictKind, RestoreEffects, RestoreStatus};
use dm_api::status::{
    Changed, DataMigrationStatus, DryRunReport, ErrorEntry, RunKind, RunResult, TableFate,
    WouldChange,
};
use dm_contract::plan::RateLimits;
use dm_contract::restored::Conflict;

use crate::history;
use crate::limits;

/// The errors of a condition that was not met: of a call, and of a statement in a batch.
const CONDITION_FAILED: [&str; 2] = ["ConditionalCheckFailedException", "ConditionalCheckFailed"];

/// What a dry run found, in a sentence or two.
pub fn dry_run(report: &DryRunReport) -> Option<String> {
    let found = would_change(report.effects.as_ref()?);
    Some(match report.idempotent {
        None => found,
        Some(true) => format!("{found}. Run a second time, the program changed nothing"),
        Some(false) => format!(
            "{found}. Run a second time, the program changed items again or failed: it is not safe \
             to repeat"
        ),
    })
}

/// Rates, as `40 writes and 100 reads`.
pub fn rates(rates: &RateLimits) -> String {
    let kinds = [
        (rates.writes_per_second, "writes"),
        (rates.write_units_per_second, "write units"),
        (rates.reads_per_second, "reads"),
        (rates.read_units_per_second, "read units"),
    ];
    let set: Vec<String> =
        kinds.iter().filter_map(|(rate, kind)| rate.map(|rate| format!("{rate} {kind}"))).collect();
    set.join(" and ")
}

fn would_change(effects: &WouldChange) -> String {
    let tables = effects.tables.iter().filter_map(|table| {
        let counts = [
            ("create", table.would_create),
            ("update", table.would_update),
            ("delete", table.would_delete),
        ];
        let fate = table.table.map(|fate| would_be(fate, &table.name));
        Told::of(&table.name, table.more, fate, &counts)
    });
    let tables = told(tables.collect(), "change");
    let what = match (tables.as_str(), effects.requests) {
        ("", 0) => "The guard received no request from the program".into(),
        ("", _) => {
            format!("The dry run read {} and would change nothing", items(effects.items_read))
        }
        (tables, _) => format!(
            "The dry run read {} and would {tables}; nothing was written",
            items(effects.items_read)
        ),
    };
    what + &errors(&effects.errors)
}

/// `; 3 calls were answered with an error (ValidationException)`. Conditions that were not met are
/// left out: a program that sets conditions expects them.
fn errors(errors: &[ErrorEntry]) -> String {
    let unexpected = errors.iter().filter(|each| !CONDITION_FAILED.contains(&each.error.as_str()));
    let calls: u64 = unexpected.clone().map(|each| each.count).sum();
    let names: BTreeSet<&str> = unexpected.map(|each| each.error.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    match calls {
        0 => String::new(),
        1 => format!("; 1 call was answered with an error ({names})"),
        many => format!("; {many} calls were answered with an error ({names})"),
    }
}

/// What an applying run did, in a sentence.
pub fn changed(effects: &Changed) -> String {
    let tables = effects.tables.iter().filter_map(|table| {
        let counts = [
            ("created", table.created),
            ("put", table.put),
            ("updated", table.updated),
            ("deleted", table.deleted),
        ];
        let fate = table.table.map(|fate| was(fate, &table.name));
        Told::of(&table.name, table.more, fate, &counts)
    });
    let what = match told(tables.collect(), "changed").as_str() {
        "" => format!("{} read, none written", items(effects.items_read)),
        tables => format!("{} read; {tables}", items(effects.items_read)),
    };
    what + &errors(&effects.errors)
}

fn would_be(fate: TableFate, table: &str) -> String {
    match fate {
        TableFate::Created => format!("create table {table}"),
        TableFate::Updated => format!("change table {table}"),
        TableFate::Deleted => format!("delete table {table} with all its items"),
        TableFate::Replaced => format!("replace table {table} with all its items"),
    }
}

fn was(fate: TableFate, table: &str) -> String {
    match fate {
        TableFate::Created => format!("created table {table}"),
        TableFate::Updated => format!("changed table {table}"),
        TableFate::Deleted => format!("deleted table {table} with all its items"),
        TableFate::Replaced => format!("replaced table {table} with all its items"),
    }
}

/// What a sentence says of one table, or of several that status sums up.
struct Told {
    text: String,
    tables: u64,
    items: u64,
    /// Whether something happens to the table itself.
    has_fate: bool,
}

impl Told {
    fn of(name: &str, more: u64, fate: Option<String>, counts: &[(&str, u64)]) -> Option<Self> {
        let parts = parts(counts);
        let in_table = (!parts.is_empty()).then(|| format!("{parts} in {name}"));
        let has_fate = fate.is_some();
        let text = fate.into_iter().chain(in_table).collect::<Vec<_>>().join(", ");
        let items = counts.iter().map(|(_, count)| count).sum();
        (!text.is_empty()).then(|| Self { text, tables: more.max(1), items, has_fate })
    }
}

/// The tables of a sentence: the first, those first to which something happens themselves, and how
/// many others there are.
fn told(mut tables: Vec<Told>, changed: &str) -> String {
    if tables.len() > limits::TABLES_TOLD_MAX {
        tables.sort_by_key(|table| !table.has_fate);
        let others = tables.split_off(limits::TABLES_TOLD_MAX - 1);
        let count: u64 = others.iter().map(|other| other.tables).sum();
        let text = match others.iter().map(|other| other.items).sum() {
            0 => format!("{changed} {count} more tables"),
            sum => format!("{changed} {} in {count} more tables", items(sum)),
        };
        tables.push(Told { text, tables: count, items: 0, has_fate: false });
    }
    tables.into_iter().map(|table| table.text).collect::<Vec<_>>().join(", ")
}

/// Returns how many items a restore has changed.
pub fn items_restored(effects: &RestoreEffects) -> u64 {
    effects.restored + effects.deleted + effects.recreated
}

/// What a restore did, in a sentence.
pub fn restored(status: &DataMigrationStatus, report: &RestoreStatus) -> String {
    let Some(effects) = &report.effects else {
        return format!("Run {} restored run {}", report.run, report.restores);
    };
    let parts = [
        (effects.restored, "was restored", "were restored"),
        (effects.deleted, "was deleted", "were deleted"),
        (effects.recreated, "was recreated", "were recreated"),
    ];
    let what = counted(&parts).unwrap_or_else(|| "nothing had to be restored".into());
    let others = others(status, report.run, &[RunKind::Restore]);
    let fate = match report.on_conflict {
        OnConflict::Skip => ", left unchanged",
        OnConflict::Overwrite => ", overwritten",
    };
    format!(
        "Run {} restored run {}{others}: {what}{}{}{}",
        report.run,
        report.restores,
        conflicts(effects, fate),
        uncertain(effects),
        not_restored(effects)
    )
}

/// What a restore would do, in a sentence.
pub fn would_restore(status: &DataMigrationStatus, report: &RestoreStatus) -> String {
    let Some(effects) = &report.effects else {
        return "The preview of the restore left no result".into();
    };
    let parts = [
        (effects.restored, "would be restored", "would be restored"),
        (effects.deleted, "would be deleted", "would be deleted"),
        (effects.recreated, "would be recreated", "would be recreated"),
    ];
    let what = counted(&parts).unwrap_or_else(|| "nothing would have to be restored".into());
    let fate = match report.on_conflict {
        OnConflict::Skip => "",
        OnConflict::Overwrite => ", which would be overwritten",
    };
    let below = status
        .runs
        .iter()
        .filter(|run| history::is_open(run) && run.in_archive() < report.restores)
        .map(|run| run.in_archive().to_string())
        .collect::<Vec<_>>();
    let below = match below.as_slice() {
        [] => String::new(),
        below => format!(" · then run {} is restored", below.join(", ")),
    };
    format!(
        "Preview of the restore: {what}{}{}{}{below}",
        conflicts(effects, fate),
        uncertain(effects),
        not_restored(effects)
    )
}

/// Of which items it is not certain what they were.
fn uncertain(effects: &RestoreEffects) -> String {
    let mut text = String::new();
    for (count, what) in [
        (effects.unverified, "journaled without a check"),
        (effects.unconfirmed, "deleted without an answer of the database"),
    ] {
        if count > 0 {
            text.extend([" · ", &items(count), " ", what]);
        }
    }
    text
}

/// What the run did to tables themselves, which stands.
fn not_restored(effects: &RestoreEffects) -> String {
    match effects.not_restored.as_slice() {
        [] => String::new(),
        calls => format!(" · not restored: {}", calls.join("; ")),
    }
}

/// Runs that were restored together with the one of a report.
fn others(status: &DataMigrationStatus, run: u32, kinds: &[RunKind]) -> String {
    let restores = status.runs.iter().take_while(|other| other.kind != RunKind::Apply);
    let before: Vec<String> = restores
        .filter(|other| {
            kinds.contains(&other.kind)
                && other.number < run
                && other.result == RunResult::Succeeded
        })
        .filter_map(|other| {
            other.restores.map(|restores| format!("run {} restored run {restores}", other.number))
        })
        .collect();
    if before.is_empty() { String::new() } else { format!(" ({} before)", before.join(", ")) }
}

fn counted(parts: &[(u64, &str, &str)]) -> Option<String> {
    let counted: Vec<String> = parts
        .iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| {
            format!("{} {}", items(*count), if *count == 1 { one } else { many })
        })
        .collect();
    (!counted.is_empty()).then(|| counted.join(", "))
}

/// ` · 2 conflicts: price changed after the run in cars (audi)`.
fn conflicts(effects: &RestoreEffects, fate: &str) -> String {
    let count = match effects.conflicts {
        0 => return String::new(),
        1 => "1 conflict".to_owned(),
        many => format!("{many} conflicts"),
    };
    let mut groups: Vec<String> = effects
        .conflict_groups
        .iter()
        .take(limits::CONFLICT_GROUPS_TOLD_MAX)
        .map(conflict_group)
        .collect();
    if effects.conflict_groups.len() > groups.len() {
        groups.push("…".into());
    }
    let what = if groups.is_empty() { String::new() } else { format!(": {}", groups.join("; ")) };
    format!(" · {count}{fate}{what}")
}

fn conflict_group(group: &ConflictGroup) -> String {
    let what = conflict(group).in_words(str::to_owned);
    let keys = group.keys.iter().take(limits::CONFLICT_KEYS_TOLD_MAX);
    let mut keys: Vec<String> = keys.cloned().collect();
    match (keys.is_empty(), group.items > keys.len() as u64) {
        (true, _) => return format!("{what} in {} of {}", items(group.items), group.table),
        (false, true) => keys.push("…".into()),
        (false, false) => {}
    }
    format!("{what} in {} ({})", group.table, keys.join(", "))
}

/// What status has of a conflict, as the restore found it.
fn conflict(group: &ConflictGroup) -> Conflict {
    let name = group.attribute.clone();
    match group.kind {
        ConflictKind::AttributeChanged => {
            Conflict::AttributeChanged(name.unwrap_or_else(|| "an attribute".into()))
        }
        ConflictKind::ItemChanged => Conflict::ItemChanged,
        ConflictKind::ItemDeleted => Conflict::ItemDeleted,
        ConflictKind::PlaceTaken => Conflict::PlaceTaken,
        ConflictKind::OrderUnknown => Conflict::OrderUnknown,
        ConflictKind::OnlyCopy => Conflict::OnlyCopy,
        ConflictKind::Rejected => Conflict::Rejected(name),
    }
}

fn parts(counts: &[(&str, u64)]) -> String {
    let shown: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(verb, count)| format!("{verb} {}", items(*count)))
        .collect();
    shown.join(", ")
}

fn items(count: u64) -> String {
    match count {
        1 => "1 item".into(),
        many => format!("{many} items"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(operation: &str, error: &str, count: u64) -> serde_json::Value {
        json!({"operation": operation, "error": error, "count": count})
    }

    #[test]
    fn many_tables_are_counted_and_those_that_are_deleted_are_named() {
        let table =
            |index: usize| json!({"name": format!("t{index:02}"), "updated": 2, "deleted": 0});
        let sentence = |tables: Vec<serde_json::Value>| {
            let effects = json!({
                "itemsRead": 9, "readUnits": 1.0, "writeUnits": 2.0, "requests": 4,
                "tables": tables,
            });
            changed(&serde_json::from_value(effects).unwrap())
        };
        let four = "9 items read; updated 2 items in t00, updated 2 items in t01, \
                    updated 2 items in t02, updated 2 items in t03";
        assert_eq!(sentence((0..4).map(table).collect()), four);
        let mut many: Vec<_> = (0..19).map(table).collect();
        many.push(json!({"name": "5 more tables", "updated": 10, "deleted": 0, "more": 5}));
        let expected = "9 items read; updated 2 items in t00, updated 2 items in t01, \
                        updated 2 items in t02, changed 42 items in 21 more tables";
        assert_eq!(sentence(many.clone()), expected);
        many[18]["table"] = json!("Deleted");
        assert!(sentence(many).starts_with("9 items read; deleted table t18 with all its items, "));
    }

    #[test]
    fn errors_that_no_condition_explains_are_in_the_sentence() {
        let check = |errors: serde_json::Value, expected: &str| {
            let effects = json!({
                "itemsRead": 2, "readUnits": 1.0, "writeUnits": 2.0, "requests": 4,
                "tables": [{"name": "cars", "updated": 2, "deleted": 0}], "errors": errors,
            });
            let effects: Changed = serde_json::from_value(effects).unwrap();
            let expected = format!("2 items read; updated 2 items in cars{expected}");
            assert_eq!(changed(&effects), expected);
        };
        let expected = error("UpdateItem", CONDITION_FAILED[0], 7);
        check(json!([]), "");
        check(json!([expected]), "");
        let one = error("PutItem", "ValidationException", 1);
        check(json!([one, expected]), "; 1 call was answered with an error (ValidationException)");
        let more = error("Scan", "ResourceNotFoundException", 2);
        check(
            json!([one, more, error("Query", "ResourceNotFoundException", 1)]),
            "; 4 calls were answered with an error (ResourceNotFoundException, \
             ValidationException)",
        );
    }
}
