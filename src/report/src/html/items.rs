//! The listed items: the controls of their list, which the page's script fills, and for a reader
//! without scripts the first of them.

use dm_contract::report::ChangeKind;
use dm_contract::report::ItemChange;
use maud::{Markup, PreEscaped, html};

use super::data;
use crate::Content;
use crate::items::{ListedAttribute, ListedItem};
use crate::numbers::{count, counted};
use crate::words;

/// Items that are shown without a script.
const PLAIN_MAX: usize = 20;

pub fn section(content: &Content<'_>) -> Markup {
    let listing = content.listing;
    html! {
        section.card aria-labelledby="items-title" {
            h2 #items-title { "Items" }
            div #items tabindex="-1" {
                @if listing.items.is_empty() {
                    p { (nothing(content)) }
                } @else {
                    (scope(content))
                    (controls())
                    p #found .note role="status" {}
                    div #list {}
                    p { button #more type="button" hidden { "Show more" } }
                    noscript {
                        p.note { "Search and filter need scripts. These are the first items." }
                        ul.plain {
                            @for item in listing.items.iter().take(PLAIN_MAX) { (plain(item)) }
                        }
                    }
                    script #data type="application/json" { (PreEscaped(data::json(content))) }
                }
            }
        }
    }
}

fn nothing(content: &Content<'_>) -> &'static str {
    let [created, updated, deleted] = words::totals(&content.report.result);
    match (content.report.is_dry_run(), created + updated + deleted) {
        (true, 0) => "No item would change.",
        (true, _) => "No items are listed: the report's difference (.ndjson.zst) was not given.",
        (false, _) => "An apply lists no items. Its journal in the archive has their values.",
    }
}

/// How many of how many are listed, and why not all.
fn scope(content: &Content<'_>) -> Markup {
    let listing = content.listing;
    let [created, updated, deleted] = words::totals(&content.report.result);
    let all = (created + updated + deleted).max(listing.seen);
    let listed = listing.items.len() as u64;
    html! {
        p {
            @if all > listed {
                strong { (count(listed)) " of " (counted(all, "changed item")) }
                " are listed: a sample of each kind of change. The counts above are exact."
            } @else {
                "All " (counted(all, "changed item")) " are listed."
            }
            @if !listing.values {
                " Values are hidden: an item is named by a digest."
            }
        }
    }
}

/// Marks of changes, their classes and words.
const KINDS: [(&str, &str, &str); 3] =
    [("~", "updated", "Updated"), ("+", "created", "Created"), ("-", "deleted", "Deleted")];

fn controls() -> Markup {
    html! {
        form.controls role="search" hidden {
            label.wide {
                span { "Search keys, attributes and values" }
                input #search type="search" autocomplete="off" spellcheck="false";
            }
            label { span { "Table" } select #table {} }
            label { span { "Attribute" } select #attribute {} }
            fieldset {
                legend.unseen { "Kinds of changes" }
                @for (value, class, word) in KINDS {
                    label.check {
                        input type="checkbox" name="kind" value=(value) checked;
                        span class=(class) { (word) }
                    }
                }
            }
        }
    }
}

fn plain(item: &ListedItem) -> Markup {
    let what = match item.kind {
        ItemChange::Created => "created",
        ItemChange::Updated => "updated",
        ItemChange::Deleted => "deleted",
    };
    let changed = item.attributes.iter().filter(|attribute| attribute.change.is_some());
    html! {
        li {
            b { (what) } " " code dir="auto" { (item.name.noted()) }
            " in " (words::name(&item.table))
            ul { @for attribute in changed.take(PLAIN_MAX) { li { (change(attribute)) } } }
        }
    }
}

fn change(attribute: &ListedAttribute) -> String {
    let sign = match attribute.change {
        Some(ChangeKind::Added) => "+",
        Some(ChangeKind::Changed) => "~",
        Some(ChangeKind::Removed) => "−",
        None => "",
    };
    let value =
        |shown: &Option<crate::shown::Shown>| shown.as_ref().map(crate::shown::Shown::noted);
    let values: Vec<String> =
        [value(&attribute.before), value(&attribute.after)].into_iter().flatten().collect();
    format!("{sign} {} {}", attribute.name.noted(), values.join(" → "))
}
