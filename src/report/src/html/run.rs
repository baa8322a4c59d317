//! The parts of a page that are about the whole run: its numbers, what differs from an earlier
//! report, its calls, and the record.

use dm_contract::report::{ErrorCount, Fidelity, OperationCount, Remark};
use maud::{Markup, html};

use crate::compare::Comparison;
use crate::file::RunReport;
use crate::numbers::{count, units};
use crate::transform;
use crate::words;

/// Remarks that are listed.
const REMARKS_MAX: usize = 200;

/// The numbers that matter most.
pub fn tiles(report: &RunReport) -> Markup {
    let result = &report.result;
    let [created, updated, deleted] = words::totals(result);
    let label = |what: &str| {
        if report.is_dry_run() {
            format!("Would be {what}")
        } else {
            format!("{} {what}", if report.counts_items() { "Items" } else { "Requests:" })
        }
    };
    let created_word = if report.counts_items() { "created" } else { "put" };
    let time = result.dry_run.as_ref().and_then(|dry_run| dry_run.apply_time);
    html! {
        section.tiles aria-label="Totals" {
            (tile("Items read", &count(result.items_read), "read", None))
            (tile(&label("updated"), &count(updated), "updated", None))
            (tile(&label(created_word), &count(created), "created", None))
            (tile(&label("deleted"), &count(deleted), "deleted", None))
            @let reads = format!("and {} read units", units(result.read_units));
            (tile("Write units", &units(result.write_units), "cost", Some(&reads)))
            @if let Some(time) = time {
                @let text = words::apply_time(time);
                @let (span, rate) = text.split_once(" at ").unwrap_or((&text, ""));
                (tile("Time of the apply", span, "cost", Some(&format!("at {rate}, at least"))))
            }
        }
    }
}

/// A number with its label.
pub fn tile(label: &str, value: &str, class: &str, note: Option<&str>) -> Markup {
    html! {
        div class={"tile " (class)} {
            p.label { (label) }
            p.value { (value) }
            @if let Some(note) = note { p.note { (note) } }
        }
    }
}

/// What differs from an earlier report.
pub fn comparison(comparison: Option<&Comparison>) -> Markup {
    let Some(comparison) = comparison else { return html! {} };
    html! {
        section.card aria-labelledby="comparison" {
            h2 #comparison { "Since the last report" }
            @if let Some(known) = comparison.without_difference() {
                p { (known) "." }
            } @else {
                div.scroll tabindex="0" role="group" aria-labelledby="comparison" {
                    table {
                        thead { tr {
                            th scope="col" { "Table" } th scope="col" { "What" }
                            th.number scope="col" { "Before" } th.number scope="col" { "Now" }
                        } }
                        tbody {
                            @for difference in &comparison.differences {
                                tr {
                                    td { (difference.table.as_deref().unwrap_or("whole run")) }
                                    td { (difference.what) }
                                    td.number { (difference.before) }
                                    td.number { strong { (difference.after) } }
                                }
                            }
                        }
                    }
                }
                @if comparison.left_out > 0 {
                    p.note { "and " (count(comparison.left_out as u64)) " more" }
                }
            }
        }
    }
}

/// How the program's calls were answered, and what they cost.
pub fn calls(report: &RunReport) -> Markup {
    let result = &report.result;
    let operations = result.dry_run.as_ref().map(|dry_run| dry_run.operations.as_slice());
    let operations = operations.unwrap_or_default();
    html! {
        section.card aria-labelledby="calls" {
            h2 #calls { "Calls" }
            p {
                (count(result.requests)) " requests came from the " (words::source(result)) "; "
                (count(result.read_calls_upstream)) " reading and "
                (count(result.write_calls_upstream)) " writing calls reached the database."
            }
            @if !operations.is_empty() { (answered(operations)) }
            @if !result.remarks.is_empty() { (remarks(&result.remarks)) }
            @if !result.errors.is_empty() { (errors(&result.errors)) }
        }
    }
}

/// What became of a transform's items, and which could not be changed.
pub fn transform(report: &RunReport) -> Markup {
    let Some(done) = &report.result.transform else { return html! {} };
    let (failures, more) = transform::failures(done);
    html! {
        section.card aria-labelledby="transform" {
            h2 #transform { "Transform" }
            p { "Items: " (transform::counts(report.result.mode, done)) }
            @if !failures.is_empty() {
                h3 #failed { "Items that could not be changed" }
                div.scroll tabindex="0" role="group" aria-labelledby="failed" {
                    table {
                        thead { tr { th scope="col" { "Item" } th scope="col" { "Why" } } }
                        tbody {
                            @for failure in &failures {
                                tr { td { code { (failure.item) } } td { (failure.reason) } }
                            }
                        }
                    }
                }
                @if more > 0 { p.note { "and " (count(more)) " more" } }
            }
        }
    }
}

fn answered(operations: &[OperationCount]) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="How calls were answered" {
            table {
                thead { tr {
                    th scope="col" { "Operation" } th.number scope="col" { "Exact" }
                    th.number scope="col" { "Approximate" } th.number scope="col" { "Rejected" }
                } }
                tbody {
                    @for operation in operations {
                        tr {
                            th scope="row" { (words::name(&operation.operation)) }
                            td.number { (count(operation.exact)) }
                            td.number { (count(operation.approximate)) }
                            td.number { (count(operation.refused)) }
                        }
                    }
                }
            }
        }
    }
}

fn errors(errors: &[ErrorCount]) -> Markup {
    let more = errors.len().saturating_sub(REMARKS_MAX);
    html! {
        h3 { "Answered with an error" }
        ul.remarks {
            @for error in errors.iter().take(REMARKS_MAX) {
                li {
                    strong { (words::name(&error.operation)) } " "
                    span class="tag warning" { (count(error.count)) " ×" }
                    " " (words::name(&error.error))
                }
            }
        }
        @if more > 0 { p.note { "and " (count(more as u64)) " more" } }
    }
}

fn remarks(remarks: &[Remark]) -> Markup {
    let sorted = |fidelity| remarks.iter().filter(move |remark| remark.fidelity == fidelity);
    let refused_first = sorted(Fidelity::Refused).chain(sorted(Fidelity::Approximate));
    let more = remarks.len().saturating_sub(REMARKS_MAX);
    html! {
        h3 { "Not answered exactly" }
        ul.remarks {
            @for remark in refused_first.take(REMARKS_MAX) {
                @let refused = remark.fidelity == Fidelity::Refused;
                li {
                    strong { (words::name(&remark.operation)) } " "
                    span class=(if refused { "tag bad" } else { "tag warning" }) {
                        (remark.fidelity.in_words())
                        ", " (count(remark.count)) " ×"
                    }
                    " " (crate::shown::text(&remark.why, 600).noted())
                }
            }
        }
        @if more > 0 { p.note { "and " (count(more as u64)) " more" } }
    }
}

/// What identifies the run, and where the rest of it is.
pub fn record(report: &RunReport) -> Markup {
    html! {
        section.card aria-labelledby="record" {
            h2 #record { "Record" }
            dl.record {
                @for fact in words::facts(report) {
                    div { dt { (fact.label) } dd { (fact.value) } }
                }
                div { dt { "Cost" } dd { (words::cost(&report.result)) } }
            }
        }
    }
}
