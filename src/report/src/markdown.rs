//! A report as a comment on a pull request: GitHub's and GitLab's Markdown, within the size that
//! both accept, with a collapsed part for each table.
//!
//! Names and values are shown as code, so that nothing in them is a mention, a link or a tag.

pub mod escape;
pub mod restore;
mod table;

use dm_contract::report::OperationCount;

use crate::Content;
use crate::compare::Comparison;
use crate::numbers::count;
use crate::transform;
use crate::words::{self, Tone};
use escape::{code, text};

/// Bytes of a comment: GitHub accepts 65,536 characters (its API's `body`), and GitLab more.
pub const BYTES_MAX: usize = 65_000;

/// Rows of a comparison, tables in the overview, and remarks that are listed.
const ROWS_MAX: usize = 40;

/// Bytes that the details of tables leave to what follows them.
const TAIL_BYTES_MAX: usize = 1_500;

/// Characters of a cell and of a sentence.
const CELL_CHARS_MAX: usize = 160;

pub fn comment(content: &Content<'_>) -> String {
    let report = content.report;
    let name = report.about.as_ref().map_or("", |about| about.name.as_str());
    let mut body = format!("{}\n", marker(name));
    let headline = words::headline(report);
    let of = if name.is_empty() { String::new() } else { format!(" · {}", code(name, 80)) };
    body += &format!("### {} {}{of}\n\n", icon(headline.tone), text(&headline.text));
    body += &format!("{}\n\n", text(&words::summary(report)));
    body += &violations(content);
    body += &notices(content);
    body += &content.comparison.map(compared).unwrap_or_default();
    body += &table::overview(report, ROWS_MAX);
    body += &transformed(content);
    body += &calls(content);
    let room = BYTES_MAX.saturating_sub(body.len() + TAIL_BYTES_MAX);
    body += &table::details(content, room);
    body += &facts(content);
    debug_assert!(body.len() <= BYTES_MAX);
    body
}

/// A line that is not shown, by which a job finds its own comment to replace it.
fn marker(name: &str) -> String {
    let mut encoded = String::new();
    for c in name.chars().take(200) {
        // Two dashes would end the comment.
        let good = c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_')
            || c == '-' && !encoded.is_empty() && !encoded.ends_with('-');
        if good {
            encoded.push(c);
        } else {
            let mut bytes = [0; 4];
            encoded.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    format!("<!-- datamigration report {encoded} -->")
}

fn icon(tone: Tone) -> &'static str {
    match tone {
        Tone::Bad => "❌",
        Tone::Warning => "⚠️",
        Tone::Neutral => "ℹ️",
        Tone::Good => "✅",
    }
}

fn violations(content: &Content<'_>) -> String {
    if content.violations.is_empty() {
        return String::new();
    }
    let line = |violation: &crate::checks::Violation| {
        let check = code(&violation.check.to_string(), CELL_CHARS_MAX);
        format!("- ❌ {check}: {}\n", text(&violation.why))
    };
    let lines: String = content.violations.iter().map(line).collect();
    format!("**Failed checks**\n\n{lines}\n")
}

fn notices(content: &Content<'_>) -> String {
    let mut notices = words::notices(content.report);
    let left_out = notices.len().saturating_sub(ROWS_MAX);
    notices.truncate(ROWS_MAX);
    let line = |notice: &words::Notice| format!("- {} {}\n", icon(notice.tone), text(&notice.text));
    let mut lines: String = notices.iter().map(line).collect();
    if left_out > 0 {
        lines += &format!("- and {} more\n", count(left_out as u64));
    }
    if lines.is_empty() { lines } else { lines + "\n" }
}

/// What became of a transform's items, and which could not be changed.
fn transformed(content: &Content<'_>) -> String {
    let result = &content.report.result;
    let Some(done) = &result.transform else { return String::new() };
    let mut body = format!("**Items**: {}\n\n", text(&transform::counts(result.mode, done)));
    let (failures, more) = transform::failures(done);
    for failure in &failures {
        let item = code(&failure.item, CELL_CHARS_MAX);
        body += &format!("- {item}: {}\n", text(&failure.reason));
    }
    if more > 0 {
        body += &format!("- and {} more\n", count(more));
    }
    if !failures.is_empty() {
        body += "\n";
    }
    body
}

fn compared(comparison: &Comparison) -> String {
    let title = "**Since the last report**";
    if let Some(known) = comparison.without_difference() {
        return format!("{title}: {known}.\n\n");
    }
    let row = |difference: &crate::compare::Difference| {
        let table = difference.table.as_ref().map(|table| code(table, CELL_CHARS_MAX));
        format!(
            "| {} | {} | {} | {} |\n",
            table.unwrap_or_else(|| "whole run".into()),
            text(&difference.what),
            text(&difference.before),
            text(&difference.after),
        )
    };
    let shown = comparison.differences.iter().take(ROWS_MAX);
    let rows: String = shown.map(row).collect();
    let more = comparison.differences.len().saturating_sub(ROWS_MAX) + comparison.left_out;
    let more = match more {
        0 => String::new(),
        more => format!("\nand {} more differences\n", count(more as u64)),
    };
    format!("{title}\n\n| Table | What | Before | Now |\n|---|---|--:|--:|\n{rows}{more}\n")
}

fn calls(content: &Content<'_>) -> String {
    let result = &content.report.result;
    let mut all = format!("**Cost**: {}\n\n", text(&words::cost(result)));
    let operations = result.dry_run.as_ref().map(|dry_run| dry_run.operations.as_slice());
    let operations = operations.unwrap_or_default();
    if !operations.is_empty() {
        let call = |operation: &OperationCount| {
            let OperationCount { operation, exact, approximate, refused } = operation;
            let calls = count(exact.saturating_add(*approximate).saturating_add(*refused));
            format!("{calls} {}", code(operation, 60))
        };
        let calls: Vec<String> = operations.iter().take(ROWS_MAX).map(call).collect();
        let exact = operations.iter().all(|each| each.approximate + each.refused == 0);
        let exact = if exact { ", all answered exactly" } else { "" };
        all += &format!("**Calls**: {}{exact}\n\n", calls.join(" · "));
    }
    for remark in result.remarks.iter().take(ROWS_MAX) {
        let how = remark.fidelity.in_words();
        let why = crate::shown::text(&remark.why, CELL_CHARS_MAX).noted();
        let operation = code(&remark.operation, 60);
        all += &format!("- {operation} {how}, {} ×: {}\n", count(remark.count), text(&why));
    }
    for error in result.errors.iter().take(ROWS_MAX) {
        let (operation, name) = (code(&error.operation, 60), code(&error.error, 60));
        all += &format!("- {operation} answered with {name}, {} ×\n", count(error.count));
    }
    let lists = [result.remarks.len(), result.errors.len()];
    let more: usize = lists.iter().map(|listed| listed.saturating_sub(ROWS_MAX)).sum();
    if more > 0 {
        all += &format!("- and {} more\n", count(more as u64));
    }
    if lists != [0, 0] {
        all.push('\n');
    }
    all
}

fn facts(content: &Content<'_>) -> String {
    let fact = |fact: words::Fact| format!("{} {}", fact.label, code(&fact.value, CELL_CHARS_MAX));
    let facts: Vec<String> = words::facts(content.report).into_iter().map(fact).collect();
    if facts.is_empty() {
        String::new()
    } else {
        format!("<sub>\n\n{}\n\n</sub>\n", facts.join(" · "))
    }
}

#[cfg(test)]
mod tests;
