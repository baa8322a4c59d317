//! A restore in words, for a terminal. Pure.

use dm_contract::plan::OnConflict;
use dm_contract::report::RestoreReport;
use dm_contract::restored::Conflict;
use dm_engine::archive::RunName;
use dm_engine::archive::ledger::LedgerEntry;
use dm_report::restore::{Restored, groups, kind, names_items};
use dm_report::shown;

use crate::layout::count;

/// Conflicts shown; all are in the archive.
const CONFLICTS_SHOWN_MAX: usize = 20;

/// Characters of a name or a key.
const CHARS_MAX: usize = 160;

/// What is printed of a run that another restore has restored.
pub fn already(of: &RunName, by: &LedgerEntry) -> String {
    let at = by.completed.as_ref().map_or("", |end| end.completed_at.as_str());
    format!("{of} was restored by {} at {at}; nothing is left to restore\n", by.run)
}

/// What is printed of a restore of a run; without its own number it is a preview.
pub fn text(report: &RestoreReport, of: &RunName, own: Option<&RunName>) -> String {
    let done = match own {
        Some(own) => format!("restored {of} as run {own}"),
        None => format!("preview of the restore of {of}: nothing was written"),
    };
    told(report, &of.to_string(), (&done, own.is_none()))
}

/// What is printed of the report of a restore or of its preview.
pub fn of_report(restored: &Restored<'_>) -> String {
    let (report, of) = (restored.report, visible(restored.of));
    let done = format!("{} of {of}", kind(report));
    told(report, &of, (&done, report.preview == Some(true)))
}

fn told(report: &RestoreReport, of: &str, (done, is_preview): (&str, bool)) -> String {
    let would = if is_preview { "would be " } else { "" };
    if report.nothing_written {
        return format!("{done}\n  nothing to restore: {of} wrote nothing\n");
    }
    let line = |items: u64, what: &str| format!("  {:>9}  {what}\n", count(items));
    let (mut text, counts) = (format!("{done}\n"), &report.counts);
    text += &line(counts.restored, &format!("items {would}restored to their earlier attributes"));
    text += &line(counts.deleted, &format!("items {would}deleted, because the run created them"));
    text +=
        &line(counts.recreated, &format!("items {would}recreated, because the run deleted them"));
    text += &line(counts.unchanged, "items left unchanged");
    let fate = match report.on_conflict.unwrap_or_default() {
        OnConflict::Skip => "left unchanged".to_owned(),
        OnConflict::Overwrite => format!("{would}overwritten"),
    };
    text += &line(report.conflicts, &format!("conflicts: changed after the run, and {fate}"));
    if counts.unverified > 0 {
        text += &line(counts.unverified, "of them journaled without a check (mode cheap)");
    }
    if counts.unconfirmed > 0 {
        let what = "deleted without an answer: what others added to them just then is lost";
        text += &line(counts.unconfirmed, what);
    }
    if !report.not_restored.is_empty() {
        text.push_str(
            "  not restored, because a restore does not create, change or delete tables:\n",
        );
        let calls = report.not_restored.iter();
        text.extend(calls.map(|call| format!("    {}\n", visible(&call.to_string()))));
    }
    text + &conflicts(report)
}

/// Each conflict with its item; where keys are hidden, how many there are of each kind.
fn conflicts(report: &RestoreReport) -> String {
    if names_items(report) {
        let line = |listed: &dm_contract::report::ListedConflict| {
            let key = listed.key.as_ref().map(|key| shown::item(key, CHARS_MAX).noted());
            let key = key.unwrap_or_else(|| "an item".into());
            format!("    {} {key}: {}\n", visible(&listed.table), what(&listed.conflict))
        };
        return report.listed.iter().take(CONFLICTS_SHOWN_MAX).map(line).collect();
    }
    let line = |group: &dm_report::restore::Group<'_>| {
        let (table, items) = (visible(group.table), count(group.items));
        format!("    {table} {items}: {}\n", what(group.conflict))
    };
    groups(report).iter().take(CONFLICTS_SHOWN_MAX).map(line).collect()
}

fn what(conflict: &Conflict) -> String {
    conflict.in_words(visible)
}

/// A name of a database, which must not forge a line.
fn visible(name: &str) -> String {
    shown::text(name, CHARS_MAX).noted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_contract::report::ListedConflict;
    use dm_contract::report::RestoreCounts;
    use serde_json::json;

    fn report() -> RestoreReport {
        let listed = |id: &str, attribute: &str| ListedConflict {
            table: "users".into(),
            key: Some(json!({"id": {"S": id}})),
            conflict: Conflict::AttributeChanged(attribute.into()),
        };
        RestoreReport {
            counts: RestoreCounts { items: 3, restored: 1, ..RestoreCounts::default() },
            conflicts: 2,
            listed: vec![listed("jane", "price"), listed("joe", "a\n::stop-commands::x")],
            on_conflict: Some(OnConflict::Overwrite),
            ..RestoreReport::default()
        }
    }

    fn printed(report: &RestoreReport) -> String {
        let (of, own) = (RunName::parse("m/1").unwrap(), RunName::parse("m/2").unwrap());
        text(report, &of, Some(&own))
    }

    #[test]
    fn a_conflict_is_a_line_whatever_its_names_hold() {
        let printed = printed(&report());
        let expected = "\
          2  conflicts: changed after the run, and overwritten
    users {id: \"jane\"}: price changed after the run
    users {id: \"joe\"}: a\\n::stop-commands::x changed after the run
";
        assert!(printed.ends_with(expected), "{printed}");
    }

    #[test]
    fn hidden_keys_leave_the_counts() {
        let mut report = report();
        report.listed[1] = report.listed[0].clone();
        report.hide_keys();
        let printed = printed(&report);
        assert!(printed.ends_with("    users 2: price changed after the run\n"), "{printed}");
        assert!(!printed.contains("jane"), "{printed}");
    }
}
