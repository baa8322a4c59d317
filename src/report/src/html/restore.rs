//! The page of a restore: what was restored, and each conflict.

use dm_contract::report::{ListedConflict, RestoreReport};
use maud::{Markup, html};

use super::{Shell, shell};
use crate::numbers::{count, counted, units};
use crate::restore::{self, Group, Restored, what};
use crate::shown;
use crate::words::{self, Notice, Tone};

/// Conflicts that a page lists; the groups above them have the counts of all.
const LISTED_MAX: usize = 2_000;

/// Characters of a key.
const KEY_CHARS_MAX: usize = 300;

pub fn page(restored: &Restored<'_>) -> String {
    let report = restored.report;
    let conflicts_in = if report.conflicts == 0 { "" } else { " with conflicts" };
    let kind = restore::kind(report);
    let head = match report.preview {
        Some(true) => format!("{kind}{conflicts_in}: nothing was written"),
        Some(false) if report.conflicts == 0 => format!("{kind} without conflicts"),
        Some(false) => format!("{kind}{conflicts_in}"),
        None => format!("{kind}{conflicts_in}: the report does not say which"),
    };
    let tone = match (report.preview, report.conflicts) {
        (Some(_), 0) => Tone::Good,
        (Some(_) | None, _) => Tone::Warning,
    };
    let headline = Notice { tone, text: head };
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
    let conflicts = restore::conflicts(report);
    let conflicts = conflicts.unwrap_or_else(|| "Nobody changed them since the apply.".into());
    format!("{} in the journal. {conflicts}", counted(report.counts.items, "item"))
}

fn tiles(report: &RestoreReport) -> Markup {
    let reads = format!("and {} read units", units(report.read_units));
    html! {
        section.tiles aria-label="Totals" {
            (super::run::tile("Restored", &count(report.counts.restored), "updated", None))
            (super::run::tile("Recreated", &count(report.counts.recreated), "created", None))
            (super::run::tile("Deleted", &count(report.counts.deleted), "deleted", None))
            (super::run::tile("Unchanged", &count(report.counts.unchanged), "read", None))
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
    let groups = restore::groups(report);
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
                        @for Group { table, conflict, items } in &groups {
                            tr {
                                th scope="row" { (words::name(table)) }
                                td { (what(conflict)) } td.number { (count(*items)) }
                            }
                        }
                    }
                }
            }
            @if restore::names_items(report) {
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
}

fn one(listed: &ListedConflict) -> Markup {
    html! {
        li {
            @match &listed.key {
                Some(key) => code dir="auto" { (shown::item(key, KEY_CHARS_MAX).noted()) },
                None => "an item",
            }
            " in " (words::name(&listed.table)) ": " (what(&listed.conflict))
        }
    }
}

fn not_restored(report: &RestoreReport) -> Markup {
    html! {
        @let unconfirmed = crate::restore::unconfirmed(report);
        @let unverified = report.counts.unverified;
        @if !report.not_restored.is_empty() || unverified > 0 || unconfirmed.is_some() {
            section.card aria-labelledby="limits" {
                h2 #limits { "Not certain or not restored" }
                ul.notices {
                    @if unverified > 0 {
                        li.warning {
                            (super::mark(Tone::Warning))
                            span {
                                (counted(unverified, "item")) " journaled without a check."
                            }
                        }
                    }
                    @if let Some(unconfirmed) = &unconfirmed {
                        li.warning {
                            (super::mark(Tone::Warning))
                            span { (unconfirmed) }
                        }
                    }
                    @for call in &report.not_restored {
                        li.warning {
                            (super::mark(Tone::Warning))
                            @let call = shown::text(&call.to_string(), 300);
                            span { "A restore does not undo " (call.noted()) "." }
                        }
                    }
                }
            }
        }
    }
}
