//! What a guard saw, for a person. Pure. Counts and names of attributes only.

use std::time::Duration;

use dm_contract::plan::{Mode, Plan, Upstream};
use dm_contract::report::{
    ApplyTime, AttributeEffect, ChangedAgain, ChangedItem, DryRunResult, Fidelity, GuardResult,
    ItemChange, Limited, OperationCount, Remark, TableChange, TableEffect, example,
};

use crate::database;
use crate::layout::{count, units};
use crate::report::Written;

/// Tables, attributes of one table, and remarks that are listed; the rest is counted.
const LISTED_MAX: usize = 20;

/// What is told beside the result.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What the guard was told to do.
    pub plan: &'a Plan,
    /// How it ended.
    pub end: End,
    /// How its second pass ended, if there was one.
    pub second: Option<End>,
    /// How long it took.
    pub took: Duration,
    /// Where the report is.
    pub report: Option<&'a Written>,
    /// The command that restores the run, if it is journaled.
    pub restore: Option<&'a str>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// With exit code 0 after this signal had told it to stop: nobody knows what it left undone.
    Interrupted(i32),
    /// It is not ours, and may still run.
    Stopped,
}

impl End {
    /// Whether the program ended otherwise than with exit code 0.
    fn failed(self) -> bool {
        match self {
            Self::Exited(code) => code != 0,
            Self::Signalled(_) | Self::Interrupted(_) => true,
            Self::Stopped => false,
        }
    }
}

/// What is going to happen, in a line.
pub fn intent(mode: Mode, database: &Upstream) -> String {
    let database = database::name(database);
    match mode {
        Mode::DryRun => format!("dry run of {database}: nothing is written"),
        Mode::Apply => format!("applying to {database}: writes reach it"),
    }
}

/// The whole summary.
pub fn text(result: &GuardResult, told: &Told<'_>) -> String {
    let mut lines = vec![head(result, told.end)];
    lines.push(labelled("database", &database::name(&told.plan.upstream)));
    lines.extend(ended(told).map(|end| labelled("program", &end)));
    lines.extend(result.problem.as_ref().map(|problem| labelled("problem", problem)));
    if result.requests == 0 {
        lines.extend(no_request(told.end));
        return finish(lines, result, told);
    }
    lines.extend(tables(result));
    lines.extend(remarks(&result.remarks));
    lines.extend(result.dry_run.iter().filter_map(underneath));
    lines.push(cost(result));
    lines.extend(second_pass(result, told));
    if result.left_out > 0 {
        lines.push(format!("  {} more tables or remarks are not counted", result.left_out));
    }
    finish(lines, result, told)
}

fn finish(mut lines: Vec<String>, result: &GuardResult, told: &Told<'_>) -> String {
    let report = told.report.map(|written| labelled("report", &report(written)));
    let called = |dry_run: &&DryRunResult| result.requests > 0 && !dry_run.operations.is_empty();
    let calls = result.dry_run.iter().filter(called);
    let calls = calls.map(|dry_run| labelled("calls", &calls_text(&dry_run.operations)));
    let digest = (result.requests > 0).then(|| labelled("digest", &result.effects_digest));
    let wrote = result.mode == Mode::Apply && result.write_calls_upstream > 0;
    let without = "not possible: without --archive no before-images were kept";
    let restore = wrote.then(|| labelled("restore", told.restore.unwrap_or(without)));
    lines.extend(calls.chain(report).chain(digest).chain(restore));
    lines.push(String::new());
    lines.join("\n")
}

fn report(written: &Written) -> String {
    let result = written.result.display();
    match &written.difference {
        Some(difference) => format!("{result}   each item in {}", difference.display()),
        None => result.to_string(),
    }
}

fn labelled(label: &str, text: &str) -> String {
    format!("  {label:<8}  {text}")
}

fn head(result: &GuardResult, end: End) -> String {
    let calls = match result.write_calls_upstream {
        1 => "1 write call".into(),
        many => format!("{} write calls", count(many)),
    };
    match (result.mode, result.write_calls_upstream) {
        (Mode::DryRun, 0) => {
            "dry run · nothing was written (0 write calls reached the database)".into()
        }
        (Mode::DryRun, _) => {
            format!("dry run · {calls} reached the database, which must not happen: report it")
        }
        (Mode::Apply, _) if end.failed() || result.problem.is_some() => {
            format!("failed · {calls} reached the database")
        }
        (Mode::Apply, _) => format!("applied · {calls} reached the database"),
    }
}

/// What a reader should know of the program's end; an exit with 0 goes without saying.
fn ended(told: &Told<'_>) -> Option<String> {
    let after = format!("after {:.1} s", told.took.as_secs_f64());
    match told.end {
        End::Exited(0) | End::Stopped => None,
        End::Exited(code) => Some(format!("ended with exit code {code} {after}")),
        End::Signalled(signal) => Some(format!("was ended by signal {signal} {after}")),
        End::Interrupted(signal) => Some(format!(
            "was interrupted: signal {signal} told it to stop, and it ended with exit code 0 {after}"
        )),
    }
}

fn no_request(end: End) -> Vec<String> {
    let hint = [
        "If it should have: it may name an endpoint itself, or its SDK may be too old to honour",
        "AWS_ENDPOINT_URL_DYNAMODB. That takes boto3 1.28.0, JS SDK v3.428.0, Go SDK v2 with config 1.22,",
        "Java SDK v2 2.28.1, or the Rust SDK; JS SDK v2 and Go SDK v1 do not know it at all.",
    ];
    let (who, hint) = match end {
        End::Stopped => ("no request reached the guard", &hint[..]),
        End::Exited(0) => ("the program sent no request to the guard", &hint[..]),
        // Its own error says more.
        End::Exited(_) | End::Signalled(_) | End::Interrupted(_) => {
            ("the program ended before it sent a request to the guard", &[][..])
        }
    };
    [who].iter().chain(hint).map(|line| format!("  {line}")).collect()
}

fn tables(result: &GuardResult) -> Vec<String> {
    let shown = &result.tables[..result.tables.len().min(LISTED_MAX)];
    let width = shown.iter().map(|table| table.name.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for table in shown {
        lines.push(format!("  {:<width$}  {}", table.name, counts(result, table)));
        let attributes = &table.attributes[..table.attributes.len().min(LISTED_MAX)];
        let name_width = attributes.iter().map(|a| a.name.chars().count()).max().unwrap_or(0);
        let indent = " ".repeat(width + 4);
        lines.extend(table.settings.iter().map(|setting| format!("{indent}table: {setting}")));
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

/// What happens to the table itself.
fn fate(mode: Mode, change: TableChange) -> String {
    let what = match change {
        TableChange::Created => "created",
        TableChange::Updated => "changed",
        TableChange::Deleted => "deleted with all its items",
        TableChange::Replaced => "deleted with all its items and created again",
    };
    match mode {
        Mode::DryRun => format!("table would be {what}"),
        Mode::Apply => format!("table {what}"),
    }
}

fn counts(result: &GuardResult, table: &TableEffect) -> String {
    let mode = result.mode;
    let [updated, created, deleted] = match (mode, &result.journal) {
        (Mode::DryRun, _) => ["would be updated", "created", "deleted"],
        (Mode::Apply, Some(_)) => ["updated", "created", "deleted"],
        // Without a journal only the requests are known.
        (Mode::Apply, None) => ["updated", "put", "deleted"],
    };
    let mut parts = vec![
        format!("{} items read", count(table.items_read)),
        format!("{} {updated}", count(table.updated)),
        format!("{} {created}", count(table.created)),
        format!("{} {deleted}", count(table.deleted)),
    ];
    if let Some(change) = table.change {
        parts.insert(0, fate(mode, change));
    }
    if table.unchanged > 0 {
        parts.push(format!("{} written as they were", count(table.unchanged)));
    }
    parts.join(" · ")
}

fn changes(attribute: &AttributeEffect, width: usize) -> Vec<String> {
    let kinds = [('+', attribute.added), ('~', attribute.changed), ('-', attribute.removed)];
    let seen = kinds.into_iter().filter(|(_, items)| *items > 0);
    seen.map(|(sign, items)| format!("{sign} {:<width$}  {}", attribute.name, count(items)))
        .collect()
}

fn remarks(remarks: &[Remark]) -> Vec<String> {
    let refused: u64 =
        remarks.iter().filter(|r| r.fidelity == Fidelity::Refused).map(|r| r.count).sum();
    let mut lines = Vec::new();
    if refused > 0 {
        let calls = if refused == 1 { "1 call was" } else { "calls were" };
        let number = if refused == 1 { String::new() } else { format!("{} ", count(refused)) };
        lines.push(format!("  {number}{calls} refused, and the program got an error instead:"));
    } else if !remarks.is_empty() {
        lines.push("  not every call was answered as DynamoDB would have:".into());
    }
    for remark in remarks.iter().take(LISTED_MAX) {
        let how = match remark.fidelity {
            Fidelity::Approximate => "approximate",
            Fidelity::Refused => "refused",
        };
        let Remark { operation, why, count: times, .. } = remark;
        lines.push(format!("    {operation} {how}, {} ×: {why}", count(*times)));
    }
    let more = remarks.len().saturating_sub(LISTED_MAX);
    lines.extend((more > 0).then(|| format!("    and {more} more remarks")));
    lines
}

/// How each operation's calls were answered.
fn calls_text(operations: &[OperationCount]) -> String {
    let text = |operation: &OperationCount| {
        let OperationCount { operation, exact, approximate, refused } = operation;
        let all = count(exact + approximate + refused);
        let mut parts = Vec::new();
        parts.extend((*approximate > 0).then(|| format!("{} approximate", count(*approximate))));
        parts.extend((*refused > 0).then(|| format!("{} refused", count(*refused))));
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
    let items = match dry_run.changed_underneath {
        0 => return None,
        1 => "1 item was".into(),
        many => format!("{} items were", count(many)),
    };
    Some(format!(
        "  {items} changed by somebody else meanwhile; the dry run kept to what it first saw"
    ))
}

/// Whether it may be run again.
fn second_pass(result: &GuardResult, told: &Told<'_>) -> Option<String> {
    let end = told.second;
    let skipped = (told.plan.second_pass && told.end.failed()).then_some("the program failed");
    let Some(pass) = result.dry_run.as_ref()?.second_pass.as_ref() else {
        return skipped.map(|why| format!("  second pass: skipped, because {why}"));
    };
    let why = match end {
        Some(End::Exited(code)) if code != 0 => format!("the program ended with exit code {code}"),
        Some(End::Signalled(signal)) => format!("the program was ended by signal {signal}"),
        Some(End::Interrupted(signal)) => format!("signal {signal} told the program to stop"),
        _ if pass.is_safe().is_none() => {
            return Some(
                "  second pass: the program sent no request, so whether it is safe to run again is \
                 not known"
                    .into(),
            );
        }
        _ if pass.idempotent => {
            return Some("  second pass: no changes, safe to run again".into());
        }
        _ => {
            let table = |table: &ChangedAgain| format!("{} in {}", items(table.items), table.name);
            let shown = pass.tables.iter().take(LISTED_MAX);
            format!("{} would change again", shown.map(table).collect::<Vec<_>>().join(", "))
        }
    };
    Some(format!("  second pass: {why}, not safe to run again"))
}

fn items(number: u64) -> String {
    if number == 1 { "1 item".into() } else { format!("{} items", count(number)) }
}

fn cost(result: &GuardResult) -> String {
    let verb = match result.mode {
        Mode::DryRun => "would cost",
        Mode::Apply => "used",
    };
    let cost = format!(
        "  {verb} {} write units, {} read units",
        units(result.write_units),
        units(result.read_units)
    );
    match result.dry_run.as_ref().and_then(|dry_run| dry_run.apply_time) {
        Some(ApplyTime { seconds, limited_by, per_second }) => {
            let time = crate::layout::span(i64::try_from(seconds).unwrap_or(i64::MAX));
            let what = match limited_by {
                Limited::Reads => "reads",
                Limited::Writes => "writes",
                Limited::ReadUnits => "read units",
                Limited::WriteUnits => "write units",
            };
            format!("{cost} · about {time} at {} {what} a second", count(per_second.into()))
        }
        None => cost,
    }
}

#[cfg(test)]
mod tests;
