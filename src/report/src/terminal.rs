//! A report as a summary for a terminal.

use dm_contract::plan::Mode;
use dm_contract::report::{
    AttributeEffect, ChangedItem, DryRunResult, ErrorCount, Fidelity, GuardResult, ItemChange,
    OperationCount, Remark, TableEffect, TransformResult, example,
};

use crate::file::{End, RunReport};
use crate::numbers::{count, counted, were};
use crate::shown;
use crate::transform;
use crate::words;

/// Tables, attributes of one table, and remarks that are listed; the rest is counted.
const LISTED_MAX: usize = 20;

/// Characters of a message of the guard.
const MESSAGE_CHARS_MAX: usize = 600;

/// What a summary shows beside the report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The files of the report.
    pub files: Option<&'a str>,
    /// How the run is restored, or why it cannot be.
    pub restore: Option<&'a str>,
}

pub fn text(report: &RunReport, beside: Beside<'_>) -> String {
    let result = &report.result;
    let message = |text: &str| shown::text(text, MESSAGE_CHARS_MAX).noted();
    let mut lines = vec![head(report)];
    let database = report.about.as_ref().and_then(|about| about.database.as_deref());
    lines.extend(database.map(|database| labelled("database", &message(database))));
    match &result.transform {
        Some(done) => lines.extend(of_transform(result.mode, done)),
        None => lines.extend(ended(report).map(|end| labelled("program", &end))),
    }
    lines.extend(result.problem.as_ref().map(|problem| labelled("problem", &message(problem))));
    if report.is_unseen() {
        lines.extend(no_request(report.end(), report.expects_no_requests()));
        return finish(lines, result, beside);
    }
    lines.extend(tables(report));
    lines.extend(remarks(&result.remarks));
    lines.extend(errors(&result.errors));
    lines.extend(result.dry_run.iter().filter_map(underneath));
    lines.push(format!("  {}", words::cost(result)));
    lines.extend(second_pass(report));
    if result.left_out > 0 {
        lines.push(format!("  {} more tables or remarks are not counted", result.left_out));
    }
    finish(lines, result, beside)
}

fn finish(mut lines: Vec<String>, result: &GuardResult, beside: Beside<'_>) -> String {
    let called = |dry_run: &&DryRunResult| result.requests > 0 && !dry_run.operations.is_empty();
    let calls = result.dry_run.iter().filter(called);
    let calls = calls.map(|dry_run| labelled("calls", &calls_text(&dry_run.operations)));
    let files = beside.files.map(|files| labelled("report", files));
    let digest = (result.requests > 0).then(|| labelled("digest", &result.effects_digest));
    let wrote = result.mode == Mode::Apply && result.write_calls_upstream > 0;
    let restore = beside.restore.filter(|_| wrote).map(|restore| labelled("restore", restore));
    lines.extend(calls.chain(files).chain(digest).chain(restore));
    lines.push(String::new());
    lines.join("\n")
}

fn labelled(label: &str, text: &str) -> String {
    format!("  {label:<8}  {text}")
}

fn head(report: &RunReport) -> String {
    let result = &report.result;
    let calls = match result.write_calls_upstream {
        1 => "1 write call".into(),
        many => format!("{} write calls", count(many)),
    };
    match (result.mode, result.write_calls_upstream) {
        (Mode::DryRun, 0) if report.failed() => {
            "dry run failed · nothing was written (0 write calls reached the database)".into()
        }
        (Mode::DryRun, 0) => {
            "dry run · nothing was written (0 write calls reached the database)".into()
        }
        (Mode::DryRun, _) => {
            format!("dry run · {calls} reached the database, which must not happen: report it")
        }
        (Mode::Apply, _) if report.failed() => format!("failed · {calls} reached the database"),
        (Mode::Apply, 0) if report.is_unseen() => "apply · no request reached the guard".into(),
        (Mode::Apply, _) => format!("applied · {calls} reached the database"),
    }
}

/// What a reader should know of the program's end; an exit with 0 goes without saying.
fn ended(report: &RunReport) -> Option<String> {
    let about = report.about.as_ref()?;
    let after = about.took_ms.map(|ms| format!(" after {}.{} s", ms / 1000, ms % 1000 / 100));
    let after = after.unwrap_or_default();
    match about.end? {
        End::Exited(0) | End::Stopped => None,
        End::Exited(code) => Some(format!("ended with exit code {code}{after}")),
        End::Signaled(signal) => Some(format!("was ended by signal {signal}{after}")),
        End::Interrupted(signal) => Some(format!(
            "was interrupted: signal {signal} asked it to stop, and it ended with exit code \
             0{after}"
        )),
    }
}

fn of_transform(mode: Mode, result: &TransformResult) -> Vec<String> {
    let mut lines = vec![labelled("items", &transform::counts(mode, result))];
    lines.extend(transform::ended(result).map(|end| labelled("ended", &end)));
    let (failures, left_out) = transform::failures(result);
    let failed = |failure: &transform::Failure| format!("    {}: {}", failure.item, failure.reason);
    lines.extend(failures.iter().map(failed));
    lines.extend((left_out > 0).then(|| format!("    and {} more", count(left_out))));
    lines
}

fn no_request(end: Option<End>, is_expected: bool) -> Vec<String> {
    let hint = [
        "If one was expected: the client may name an endpoint itself, or its SDK may be too old",
        "for AWS_ENDPOINT_URL_DYNAMODB. It needs boto3 1.28.0, JS SDK v3.428.0, Go SDK v2 with",
        "config 1.22, Java SDK v2 2.28.1, or the Rust SDK; JS SDK v2 and Go SDK v1 never read it.",
    ];
    let (who, hint) = match end {
        None | Some(End::Stopped) => ("no request reached the guard", &hint[..]),
        Some(End::Exited(0)) if is_expected => {
            ("the program sent no request to the guard, as expected", &[][..])
        }
        Some(End::Exited(0)) => ("the program sent no request to the guard", &hint[..]),
        // Its own error says more.
        Some(End::Exited(_) | End::Signaled(_) | End::Interrupted(_)) => {
            ("the program ended before it sent a request to the guard", &[][..])
        }
    };
    [who].iter().chain(hint).map(|line| format!("  {line}")).collect()
}

fn tables(report: &RunReport) -> Vec<String> {
    let result = &report.result;
    let shown = &result.tables[..result.tables.len().min(LISTED_MAX)];
    let name = |table: &TableEffect| words::name(&table.name);
    let width = shown.iter().map(|table| name(table).chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for table in shown {
        lines.push(format!("  {:<width$}  {}", name(table), counts(report, table)));
        let attributes = &table.attributes[..table.attributes.len().min(LISTED_MAX)];
        let names = attributes.iter().map(|attribute| words::name(&attribute.name).chars().count());
        let name_width = names.max().unwrap_or(0);
        let indent = " ".repeat(width + 4);
        lines.extend(
            table.settings.iter().map(|setting| format!("{indent}table: {}", words::name(setting))),
        );
        let each = attributes.iter().flat_map(|attribute| changes(attribute, name_width));
        lines.extend(each.map(|line| format!("{indent}{line}")));
        let examples = examples(result, &table.name);
        let examples = examples.map(|sample| format!("{indent}e.g. {}", example::line(sample)));
        let more = table.attributes.len() - attributes.len();
        lines.extend(
            (more > 0).then(|| format!("{indent}and {} more attributes", count(more as u64))),
        );
        lines.extend(examples);
    }
    let more = result.tables.len() - shown.len();
    lines.extend((more > 0).then(|| format!("  and {} more tables", count(more as u64))));
    if result.tables.is_empty() {
        lines.push("  no table was read or written".into());
    }
    lines
}

/// The first item of a table for each kind of change: of moved items one shows the old key, another
/// one the new key.
fn examples<'r>(result: &'r GuardResult, table: &'r str) -> impl Iterator<Item = &'r ChangedItem> {
    let samples = move || {
        let samples = result.dry_run.iter().flat_map(|dry_run| &dry_run.samples);
        samples.filter(move |sample| sample.table == table)
    };
    let kinds = [ItemChange::Updated, ItemChange::Created, ItemChange::Deleted];
    kinds.into_iter().filter_map(move |kind| samples().find(|sample| sample.kind == kind))
}

fn counts(report: &RunReport, table: &TableEffect) -> String {
    let mode = report.result.mode;
    let [updated, created, deleted] = match (mode, &report.result.journal) {
        (Mode::DryRun, _) => ["would be updated", "created", "deleted"],
        (Mode::Apply, Some(_)) => ["updated", "created", "deleted"],
        // Without a journal only the requests are known.
        (Mode::Apply, None) => ["updated", "put", "deleted"],
    };
    let mut parts = vec![
        format!("{} read", counted(table.items_read, "item")),
        format!("{} {updated}", count(table.updated)),
        format!("{} {created}", count(table.created)),
        format!("{} {deleted}", count(table.deleted)),
    ];
    if let Some(change) = table.change {
        parts.insert(0, words::fate(mode, change));
    }
    if table.unchanged > 0 {
        parts.push(format!("{} written unchanged", count(table.unchanged)));
    }
    parts.join(" · ")
}

fn changes(attribute: &AttributeEffect, width: usize) -> Vec<String> {
    let kinds = [('+', attribute.added), ('~', attribute.changed), ('-', attribute.removed)];
    let seen = kinds.into_iter().filter(|(_, items)| *items > 0);
    seen.map(|(sign, items)| {
        format!("{sign} {:<width$}  {}", words::name(&attribute.name), count(items))
    })
    .collect()
}

fn remarks(remarks: &[Remark]) -> Vec<String> {
    let refused: u64 =
        remarks.iter().filter(|r| r.fidelity == Fidelity::Refused).map(|r| r.count).sum();
    let mut lines = Vec::new();
    if refused > 0 {
        let calls = if refused == 1 { "1 call was" } else { "calls were" };
        let number = if refused == 1 { String::new() } else { format!("{} ", count(refused)) };
        lines.push(format!("  {number}{calls} rejected; the program got an error instead:"));
    } else if !remarks.is_empty() {
        lines.push("  not every call was answered as DynamoDB would have:".into());
    }
    for remark in remarks.iter().take(LISTED_MAX) {
        let how = remark.fidelity.in_words();
        let Remark { operation, why, count: times, .. } = remark;
        lines.push(format!("    {operation} {how}, {} ×: {why}", count(*times)));
    }
    let more = remarks.len().saturating_sub(LISTED_MAX);
    lines.extend((more > 0).then(|| format!("    and {more} more remarks")));
    lines
}

/// Errors that the program got from DynamoDB: it may have meant to, or not have looked.
fn errors(errors: &[ErrorCount]) -> Vec<String> {
    let all: u64 = errors.iter().map(|error| error.count).sum();
    if all == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("  {} answered with an error:", were(all, "call"))];
    lines.extend(errors.iter().take(LISTED_MAX).map(|each| {
        let ErrorCount { operation, error, count: times } = each;
        format!("    {operation}, {} ×: {error}", count(*times))
    }));
    let more = errors.len().saturating_sub(LISTED_MAX);
    lines.extend((more > 0).then(|| format!("    and {more} more errors")));
    lines
}

/// How each operation's calls were answered.
fn calls_text(operations: &[OperationCount]) -> String {
    let text = |operation: &OperationCount| {
        let OperationCount { operation, exact, approximate, refused } = operation;
        let all = count(exact + approximate + refused);
        let mut parts = Vec::new();
        parts.extend((*approximate > 0).then(|| format!("{} approximate", count(*approximate))));
        parts.extend((*refused > 0).then(|| format!("{} rejected", count(*refused))));
        if parts.is_empty() {
            format!("{all} {operation}")
        } else {
            format!("{all} {operation} ({})", parts.join(", "))
        }
    };
    let exact = operations.iter().all(|each| each.approximate + each.refused == 0);
    let each: Vec<String> = operations.iter().map(text).collect();
    format!("{}{}", each.join(" · "), if exact { ", all answered exactly" } else { "" })
}

fn underneath(dry_run: &DryRunResult) -> Option<String> {
    let changed = dry_run.changed_underneath;
    if changed == 0 {
        return None;
    }
    Some(format!(
        "  {} changed by others during the dry run, which used the values that it read first",
        were(changed, "item")
    ))
}

/// Whether the program may be run again.
fn second_pass(report: &RunReport) -> Option<String> {
    words::second_pass(report).map(|again| format!("  second pass: {}", again.text))
}

#[cfg(test)]
mod tests;
