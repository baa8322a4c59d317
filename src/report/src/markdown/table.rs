//! The tables of a comment: one row each in the overview, and a collapsed part with attributes and
//! examples.

use dm_contract::report::ChangeKind;
use dm_contract::report::{AttributeEffect, ItemChange, TableEffect};

use super::escape::{block, code, html, text};
use crate::Content;
use crate::file::RunReport;
use crate::items::{ListedAttribute, ListedItem};
use crate::numbers::count;
use crate::shown::Shown;
use crate::words;

/// Attributes of a table's part, and those named in the overview.
const ATTRIBUTES_MAX: usize = 60;
const NAMED_MAX: usize = 4;

/// Items of a table's part.
const ITEMS_MAX: usize = 8;

/// Lines of an item, and characters of each.
const ITEM_LINES_MAX: usize = 12;
const LINE_CHARS_MAX: usize = 200;

/// Characters of a name.
const NAME_CHARS_MAX: usize = 100;

/// All tables, a row each.
pub fn overview(report: &RunReport, rows_max: usize) -> String {
    let tables = &report.result.tables;
    if tables.is_empty() {
        return String::new();
    }
    let created = if report.counts_items() { "Created" } else { "Put" };
    let mut all = format!(
        "| Table | Read | {created} | Updated | Deleted | Attributes |\n|---|--:|--:|--:|--:|---|\n"
    );
    for table in tables.iter().take(rows_max) {
        let fate = table.change.map(|change| words::fate(report.result.mode, change));
        let fate = fate.map(|fate| format!(" **{}**", text(&fate))).unwrap_or_default();
        let numbers = [table.items_read, table.created, table.updated, table.deleted].map(count);
        let name = code(&table.name, NAME_CHARS_MAX);
        let attributes = named(&table.attributes);
        all += &format!("| {name}{fate} | {} | {attributes} |\n", numbers.join(" | "));
    }
    let more = tables.len().saturating_sub(rows_max);
    if more > 0 {
        all += &format!("\nand {} more tables\n", count(more as u64));
    }
    all + "\n"
}

/// The first attributes with their signs.
fn named(attributes: &[AttributeEffect]) -> String {
    let name =
        |attribute: &AttributeEffect| format!("{} {}", signs(attribute), code(&attribute.name, 40));
    let mut names: Vec<String> = attributes.iter().take(NAMED_MAX).map(name).collect();
    let more = attributes.len().saturating_sub(NAMED_MAX);
    names.extend((more > 0).then(|| format!("{} more", count(more as u64))));
    names.join(", ")
}

fn signs(attribute: &AttributeEffect) -> String {
    let kinds = [("+", attribute.added), ("\\~", attribute.changed), ("−", attribute.removed)];
    kinds.into_iter().filter(|(_, items)| *items > 0).map(|(sign, _)| sign).collect()
}

/// A collapsed part for each table that changes, as many as there is room for.
pub fn details(content: &Content<'_>, room: usize) -> String {
    let mut all = String::new();
    let tables = content.report.result.tables.iter();
    let changed: Vec<&TableEffect> = tables.filter(|table| table.changes()).collect();
    for (at, table) in changed.iter().enumerate() {
        let part = [ITEMS_MAX, 2, 0]
            .into_iter()
            .map(|items| detail(content, table, items))
            .find(|part| all.len() + part.len() + NOTE_BYTES_MAX <= room);
        let Some(part) = part else {
            let more = count((changed.len() - at) as u64);
            all += &format!("{more} more tables have no details here: the comment is full.\n\n");
            break;
        };
        all += &part;
    }
    all
}

/// Bytes of the note that the comment is full.
const NOTE_BYTES_MAX: usize = 100;

fn detail(content: &Content<'_>, table: &TableEffect, items_max: usize) -> String {
    let counts = [
        (table.updated, "updated"),
        (table.created, if content.report.counts_items() { "created" } else { "put" }),
        (table.deleted, "deleted"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(items, _)| *items > 0)
        .map(|(items, what)| format!("{} {what}", count(items)))
        .collect();
    let name = html(&table.name, NAME_CHARS_MAX);
    let mut part =
        format!("<details><summary><code>{name}</code> · {}</summary>\n\n", counts.join(" · "));
    for setting in table.settings.iter().take(ATTRIBUTES_MAX) {
        part += &format!("- table: {}\n", text(&words::name(setting)));
    }
    if !table.attributes.is_empty() {
        part += "\n| Attribute | Added | Changed | Removed |\n|---|--:|--:|--:|\n";
        for attribute in table.attributes.iter().take(ATTRIBUTES_MAX) {
            let name = code(&attribute.name, NAME_CHARS_MAX);
            let numbers = [attribute.added, attribute.changed, attribute.removed].map(count);
            part += &format!("| {name} | {} |\n", numbers.join(" | "));
        }
        let more = table.attributes.len().saturating_sub(ATTRIBUTES_MAX);
        if more > 0 {
            part += &format!("\nand {} more attributes\n", count(more as u64));
        }
    }
    let items = content.listing.items.iter().filter(|item| item.table == table.name);
    let lines: Vec<String> = chosen(&items, items_max).into_iter().flat_map(lines).collect();
    if !lines.is_empty() {
        part += &format!("\nFor example:\n\n{}", block("diff", &lines));
    }
    part + "\n</details>\n\n"
}

/// Some items, of each kind at least one where there is one.
fn chosen<'a>(
    items: &(impl Iterator<Item = &'a ListedItem> + Clone),
    max: usize,
) -> Vec<&'a ListedItem> {
    let kinds = [ItemChange::Updated, ItemChange::Created, ItemChange::Deleted];
    let each = max.div_ceil(kinds.len());
    let of_kind =
        |kind| items.clone().filter(move |item: &&ListedItem| item.kind == kind).take(each);
    kinds.into_iter().flat_map(of_kind).take(max).collect()
}

/// An item as lines of a diff.
fn lines(item: &ListedItem) -> Vec<String> {
    let cut = |line: String| crate::shown::text(&line, LINE_CHARS_MAX).noted();
    let sign = match item.kind {
        ItemChange::Created => '+',
        ItemChange::Updated => ' ',
        ItemChange::Deleted => '-',
    };
    let mut all = vec![cut(format!("{sign} {}", item.name.noted()))];
    let changed = item.attributes.iter().filter(|attribute| attribute.change.is_some());
    if item.kind == ItemChange::Updated {
        all.extend(changed.flat_map(attribute).map(cut));
    }
    let more = all.len().saturating_sub(ITEM_LINES_MAX);
    all.truncate(ITEM_LINES_MAX);
    all.extend((more > 0).then(|| format!("    and {} more lines", count(more as u64))));
    all
}

fn attribute(attribute: &ListedAttribute) -> Vec<String> {
    let name = &attribute.name.text;
    let line = |sign: char, value: &Option<Shown>| match value {
        Some(value) => format!("{sign}   {name}: {}", value.noted()),
        None => format!("{sign}   {name}"),
    };
    match attribute.change {
        Some(ChangeKind::Added) => vec![line('+', &attribute.after)],
        Some(ChangeKind::Removed) => vec![line('-', &attribute.before)],
        Some(ChangeKind::Changed) if attribute.before.is_none() => vec![line('!', &None)],
        Some(ChangeKind::Changed) => {
            vec![line('-', &attribute.before), line('+', &attribute.after)]
        }
        None => Vec::new(),
    }
}
