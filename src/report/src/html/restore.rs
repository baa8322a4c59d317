//! The page of a restore: what was restored, and each conflict.

use std::collections::BTreeMap;

use dm_contract::report::{ListedConflict, RestoreReport};
use dm_contract::restored::Conflict;
use maud::{Markup, html};

use super::{Shell, shell};
use crate::numbers::{count, counted, units};
use crate::shown;
use crate::words::{self, Notice, Tone};

/// Conflicts that a page lists; the groups above them have the counts of all.
const LISTED_MAX: usize = 2_000;

/// Characters of a key.
const KEY_CHARS_MAX: usize = 300;

/// A restore and what is known of it beside its report.
#[derive(Clone, Copy, Debug)]
pub struct Restored<'a> {
    /// The report.
    pub report: &'a RestoreReport,
    /// The restored run, or the migration.
    pub of: &'a str,
    /// Whether it was a preview, which writes nothing; `None` where that is not known.
    pub preview: Option<bool>,
}

/// The page.
pub fn page(restored: &Restored<'_>) -> String {
    let report = restored.report;
    let (tone, head) = match (restored.preview, report.conflicts) {
        (Some(true), 0) => (Tone::Good, "Preview of a restore: nothing was written"),
        (Some(true), _) => {
            (Tone::Warning, "Preview of a restore, with conflicts: nothing was written")
        }
        (Some(false) | None, 0) => (Tone::Good, "Restore without conflicts"),
        (Some(false) | None, _) => (Tone::Warning, "Restore with conflicts"),
    };
    let headline = Notice { tone, text: head.into() };
    let name = words::name(restored.of);
    let shown = Shell { name: &name, headline: &headline, summary: &summary(report), facts: &[] };
    shell(
        &shown,
        &html! {
            (tiles(report))
            (conflicts(report))
            (not_restored(report))
        },
    )
}

fn summary(report: &RestoreReport) -> String {
    if report.nothing_written {
        return "The run wrote nothing, so there is nothing to restore.".into();
    }
    let conflicts = match report.conflicts {
        0 => "Nobody changed them since the apply.".into(),
        some => format!(
            "{} changed after the apply and {} left alone.",
            counted(some, "attribute or item").replace("attribute or items", "attributes or items"),
            if some == 1 { "is" } else { "are" }
        ),
    };
    format!("{} in the journal. {conflicts}", counted(report.keys, "item"))
}

fn tiles(report: &RestoreReport) -> Markup {
    let reads = format!("and {} read units", units(report.read_units));
    html! {
        section.tiles aria-label="Totals" {
            (super::run::tile("Restored", &count(report.updated), "updated", None))
            (super::run::tile("Re-created", &count(report.put), "created", None))
            (super::run::tile("Deleted", &count(report.deleted), "deleted", None))
            (super::run::tile("Untouched", &count(report.untouched), "read", None))
            (super::run::tile("Conflicts", &count(report.conflicts), "conflicts", None))
            (super::run::tile("Write units", &units(report.write_units), "cost", Some(&reads)))
        }
    }
}

/// Conflicts by table and kind, most first, and then each.
fn conflicts(report: &RestoreReport) -> Markup {
    if report.conflicts == 0 {
        return html! { section.card #items tabindex="-1" { p { "No conflicts." } } };
    }
    let mut groups: BTreeMap<(&str, &Conflict), u64> = BTreeMap::new();
    for group in &report.groups {
        groups.insert((&group.table, &group.conflict), group.count);
    }
    // Reports of an earlier version have only a list.
    for listed in report.listed.iter().filter(|_| report.groups.is_empty()) {
        *groups.entry((&listed.table, &listed.conflict)).or_default() += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, items)| std::cmp::Reverse(*items));
    let more = report.conflicts.saturating_sub(report.listed.len().min(LISTED_MAX) as u64);
    html! {
        section.card aria-labelledby="items" {
            h2 #items tabindex="-1" { "Conflicts" }
            div.scroll tabindex="0" role="group" aria-labelledby="items" {
                table {
                    thead { tr {
                        th scope="col" { "Table" } th scope="col" { "What changed" }
                        th.number scope="col" { "Items" }
                    } }
                    tbody {
                        @for ((table, conflict), items) in &groups {
                            tr {
                                th scope="row" { (words::name(table)) }
                                td { (what(conflict)) } td.number { (count(*items)) }
                            }
                        }
                    }
                }
            }
            details {
                summary { "Each conflict" }
                ul.remarks {
                    @for listed in report.listed.iter().take(LISTED_MAX) { (one(listed)) }
                }
                @if more > 0 {
                    p.note { "and " (count(more)) " more, in conflicts.ndjson of the archive" }
                }
            }
        }
    }
}

fn one(listed: &ListedConflict) -> Markup {
    html! {
        li {
            code dir="auto" { (shown::item(&listed.key, KEY_CHARS_MAX).noted()) }
            " in " (words::name(&listed.table)) ": " (what(&listed.conflict))
        }
    }
}

/// What others changed, in words.
pub fn what(conflict: &Conflict) -> String {
    match conflict {
        Conflict::AttributeChanged(name) => format!("{} changed", words::name(name)),
        Conflict::ItemChanged => "the item changed".into(),
        Conflict::ItemDeleted => "the item was deleted".into(),
        Conflict::PlaceTaken => "another item has its key".into(),
        Conflict::Rejected(Some(name)) => {
            format!("the database rejects the earlier {}", words::name(name))
        }
        Conflict::Rejected(None) => "the database rejects the earlier item".into(),
    }
}

fn not_restored(report: &RestoreReport) -> Markup {
    html! {
        @if !report.not_restored.is_empty() || report.unverified > 0 {
            section.card aria-labelledby="limits" {
                h2 #limits { "Not certain or not restored" }
                ul.notices {
                    @if report.unverified > 0 {
                        li.warning {
                            (super::mark(Tone::Warning))
                            span { (counted(report.unverified, "item")) " journaled without a check." }
                        }
                    }
                    @for call in &report.not_restored {
                        li.warning {
                            (super::mark(Tone::Warning))
                            span { "A restore does not undo " (shown::text(&call.to_string(), 300).noted()) "." }
                        }
                    }
                }
            }
        }
    }
}
