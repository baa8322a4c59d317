//! What changes per table and attribute, as bars with their numbers.

use dm_contract::plan::Mode;
use dm_contract::report::{AttributeEffect, TableEffect};
use maud::{Markup, html};

use crate::file::RunReport;
use crate::numbers::count;
use crate::words;

/// Tables that are shown, and attributes of each; the rest is counted.
const TABLES_MAX: usize = 200;
const ATTRIBUTES_MAX: usize = 100;

/// Attributes that are shown at once; the others are folded.
const OPEN_MAX: usize = 12;

/// Width of a bar in the units of its drawing.
const WIDTH: u64 = 1_000;

/// Every table that was read or written.
pub fn section(report: &RunReport) -> Markup {
    let tables = &report.result.tables;
    let more = tables.len().saturating_sub(TABLES_MAX);
    html! {
        section.card aria-labelledby="tables" {
            h2 #tables { "Tables" }
            @if tables.is_empty() { p { "No table was read or written." } }
            @for table in tables.iter().take(TABLES_MAX) { (one(report, table)) }
            @if more > 0 { p.note { "and " (count(more as u64)) " more tables" } }
        }
    }
}

fn one(report: &RunReport, table: &TableEffect) -> Markup {
    let (open, folded) = table.attributes.split_at(table.attributes.len().min(OPEN_MAX));
    let folded = &folded[..folded.len().min(ATTRIBUTES_MAX)];
    let more = table.attributes.len() - open.len() - folded.len();
    html! {
        article.table {
            h3 { (words::name(&table.name)) }
            @if let Some(change) = table.change {
                p.fate { (words::fate(report.result.mode, change)) }
            }
            (effects(report, table))
            @if !table.settings.is_empty() {
                ul.settings {
                    @for setting in table.settings.iter().take(ATTRIBUTES_MAX) {
                        li { (words::name(setting)) }
                    }
                }
            }
            @if !open.is_empty() { (attributes(table, open)) }
            @if !folded.is_empty() {
                details {
                    summary { (count(folded.len() as u64)) " more attributes" }
                    (attributes(table, folded))
                }
            }
            @if more > 0 { p.note { "and " (count(more as u64)) " more attributes" } }
        }
    }
}

/// The items of a table as one bar: what changes, and what stays.
fn effects(report: &RunReport, table: &TableEffect) -> Markup {
    let written = table.created + table.updated + table.deleted;
    let known = table.item_count.unwrap_or(0).max(table.items_read);
    let whole = known.saturating_add(table.created).max(written + table.unchanged);
    let would = if report.result.mode == Mode::DryRun { "would be " } else { "" };
    let created = if report.counts_items() { "created" } else { "put" };
    let parts =
        [("updated", table.updated), ("created", table.created), ("deleted", table.deleted)];
    html! {
        (bar(&parts, whole))
        ul.counts {
            li { b { (count(table.items_read)) } " read" }
            li.updated { b { (count(table.updated)) } " " (would) "updated" }
            li.created { b { (count(table.created)) } " " (would) (created) }
            li.deleted { b { (count(table.deleted)) } " " (would) "deleted" }
            @if table.unchanged > 0 {
                li { b { (count(table.unchanged)) } " written without a change" }
            }
            @if let Some(items) = table.item_count {
                li { "about " b { (count(items)) } " in the table" }
            }
        }
    }
}

fn attributes(table: &TableEffect, attributes: &[AttributeEffect]) -> Markup {
    let total = |a: &AttributeEffect| a.added.saturating_add(a.changed).saturating_add(a.removed);
    let whole = table.attributes.iter().map(total).max().unwrap_or(0).max(table.updated);
    html! {
        div.scroll tabindex="0" role="group"
            aria-label={"Attributes of " (words::name(&table.name))} {
            table.attributes {
                thead { tr {
                    th scope="col" { "Attribute" }
                    th.number scope="col" { "Added" }
                    th.number scope="col" { "Changed" }
                    th.number scope="col" { "Removed" }
                    th.share scope="col" { span.unseen { "Share" } }
                } }
                tbody {
                    @for attribute in attributes {
                        tr {
                            th scope="row" dir="auto" { (words::name(&attribute.name)) }
                            (number("+", attribute.added, "created"))
                            (number("~", attribute.changed, "updated"))
                            (number("−", attribute.removed, "deleted"))
                            td.share { (bar(&[
                                ("updated", attribute.changed),
                                ("created", attribute.added),
                                ("deleted", attribute.removed),
                            ], whole)) }
                        }
                    }
                }
            }
        }
    }
}

fn number(sign: &str, items: u64, class: &str) -> Markup {
    html! {
        @if items == 0 {
            td.number.none { "0" }
        } @else {
            td class={"number " (class)} { span aria-hidden="true" { (sign) } (count(items)) }
        }
    }
}

/// A bar of parts; each that is there is seen, however small.
fn bar(parts: &[(&str, u64)], whole: u64) -> Markup {
    let mut at = 0;
    let mut drawn = Vec::new();
    for (class, items) in parts.iter().filter(|(_, items)| *items > 0) {
        let share = u128::from(*items) * u128::from(WIDTH) / u128::from(whole.max(1));
        let share = u64::try_from(share).unwrap_or(WIDTH).clamp(SEEN_MIN, WIDTH);
        drawn.push((class, at, share));
        at += share;
    }
    html! {
        svg.bar aria-hidden="true" preserveAspectRatio="none"
            viewBox={"0 0 " (at.max(WIDTH)) " 10"} {
            rect.ground width=(at.max(WIDTH)) height="10" {}
            @for (class, at, share) in drawn {
                rect class=(class) x=(at) width=(share) height="10" {}
            }
        }
    }
}

/// The least width of a part: a deleted item among a million must not vanish.
const SEEN_MIN: u64 = 6;
