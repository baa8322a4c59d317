//! A restore in words: what every rendering says of it. Pure.

use std::collections::BTreeMap;

use dm_contract::plan::OnConflict;
use dm_contract::report::RestoreReport;
use dm_contract::restored::Conflict;

use crate::numbers::{counted, were};
use crate::words;

/// A restore, and the run or the migration that it restores.
#[derive(Clone, Copy, Debug)]
pub struct Restored<'a> {
    pub report: &'a RestoreReport,
    /// The restored run, or the migration.
    pub of: &'a str,
}

/// Conflicts of one kind in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    pub table: &'a str,
    pub conflict: &'a Conflict,
    /// In how many items.
    pub items: u64,
}

/// The conflicts by table and kind, most first.
pub fn groups(report: &RestoreReport) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<(&str, &Conflict), u64> = BTreeMap::new();
    for group in &report.groups {
        groups.insert((&group.table, &group.conflict), group.count);
    }
    // Reports of an earlier version have only a list.
    for listed in report.listed.iter().filter(|_| report.groups.is_empty()) {
        *groups.entry((&listed.table, &listed.conflict)).or_default() += 1;
    }
    let group = |((table, conflict), items)| Group { table, conflict, items };
    let mut groups: Vec<Group<'_>> = groups.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.items));
    groups
}

/// Whether the listed conflicts name their items.
pub fn names_items(report: &RestoreReport) -> bool {
    report.listed.iter().any(|listed| listed.key.is_some())
}

/// What others changed, in words.
pub fn what(conflict: &Conflict) -> String {
    conflict.in_words(words::name)
}

/// What it is, at the beginning of a heading.
pub fn kind(report: &RestoreReport) -> &'static str {
    match report.preview {
        Some(true) => "Preview of a restore",
        Some(false) => "Restore",
        None => "Restore or its preview",
    }
}

/// Whether anything was written, where a reader would otherwise take the counts for done.
pub fn caveat(report: &RestoreReport) -> Option<&'static str> {
    match report.preview {
        Some(true) => Some("Nothing was written: the counts are what the restore would do."),
        Some(false) => None,
        None => Some("The report does not say whether it is a restore or its preview."),
    }
}

/// The conflicts and what became of them, in a sentence; none if there is none.
pub fn conflicts(report: &RestoreReport) -> Option<String> {
    let one = report.conflicts == 1;
    if report.conflicts == 0 {
        return None;
    }
    let all = counted(report.conflicts, "attribute or item");
    let all = all.replace("attribute or items", "attributes or items");
    let fate = match (report.on_conflict, report.preview) {
        (Some(OnConflict::Skip), _) if one => "and is left unchanged",
        (Some(OnConflict::Skip), _) => "and are left unchanged",
        (Some(OnConflict::Overwrite), Some(true)) => "and would be overwritten",
        (Some(OnConflict::Overwrite), Some(false)) if one => "and was overwritten",
        (Some(OnConflict::Overwrite), Some(false)) => "and were overwritten",
        (Some(OnConflict::Overwrite), None) if one => "and is overwritten by the restore",
        (Some(OnConflict::Overwrite), None) => "and are overwritten by the restore",
        (None, _) => "; the report does not say whether the restore overwrites them",
    };
    let fate = if fate.starts_with(';') { fate.to_owned() } else { format!(" {fate}") };
    Some(format!("{all} changed after the apply{fate}."))
}

/// What of the deletions is not certain, in a sentence; none if all is.
pub fn unconfirmed(report: &RestoreReport) -> Option<String> {
    let unconfirmed = report.counts.unconfirmed;
    (unconfirmed > 0).then(|| {
        format!(
            "{} deleted without an answer of the database. Attributes that others added just \
             before may be lost.",
            were(unconfirmed, "item")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_contract::report::{ListedConflict, RestoreCounts};

    fn check(count: u64, on: Option<OnConflict>, preview: Option<bool>, expected: Option<&str>) {
        let report = RestoreReport {
            conflicts: count,
            on_conflict: on,
            preview,
            ..RestoreReport::default()
        };
        assert_eq!(conflicts(&report).as_deref(), expected);
    }

    #[test]
    fn what_became_of_conflicts_is_said_as_it_is() {
        let (skip, overwrite) = (Some(OnConflict::Skip), Some(OnConflict::Overwrite));
        check(0, overwrite, Some(false), None);
        let left = "5 attributes or items changed after the apply and are left unchanged.";
        check(5, skip, Some(false), Some(left));
        check(5, skip, None, Some(left));
        let overwritten = "1 attribute or item changed after the apply and was overwritten.";
        check(1, overwrite, Some(false), Some(overwritten));
        let would = "5 attributes or items changed after the apply and would be overwritten.";
        check(5, overwrite, Some(true), Some(would));
        let unknown = "5 attributes or items changed after the apply; the report does not say \
                       whether the restore overwrites them.";
        check(5, None, None, Some(unknown));
    }

    #[test]
    fn deletions_without_an_answer_are_mentioned() {
        let of = |unconfirmed| RestoreReport {
            counts: RestoreCounts { unconfirmed, ..RestoreCounts::default() },
            ..RestoreReport::default()
        };
        assert_eq!(unconfirmed(&of(0)), None);
        let one = unconfirmed(&of(1)).unwrap();
        assert!(one.starts_with("1 item was deleted without an answer"), "{one}");
        assert!(unconfirmed(&of(2)).unwrap().starts_with("2 items were deleted"));
    }

    #[test]
    fn conflicts_are_counted_by_kind_with_or_without_their_keys() {
        let listed = |id: &str, conflict| ListedConflict {
            table: "cars".into(),
            key: Some(serde_json::json!({"id": {"S": id}})),
            conflict,
        };
        let mut report = RestoreReport {
            listed: vec![
                listed("a", Conflict::ItemDeleted),
                listed("b", Conflict::ItemChanged),
                listed("c", Conflict::ItemChanged),
            ],
            ..RestoreReport::default()
        };
        let counts = |report: &RestoreReport| -> Vec<u64> {
            groups(report).iter().map(|group| group.items).collect()
        };
        assert!(names_items(&report));
        assert_eq!(counts(&report), [2, 1]);
        report.hide_keys();
        assert!(!names_items(&report));
        assert_eq!(counts(&report), [2, 1]);
    }
}
