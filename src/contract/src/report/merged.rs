//! Merges the results of a run's parts into one. Pure.

use std::collections::BTreeMap;

use super::digest::of_digests;
use super::{
    Archived, Behind, ChangedAgain, ChangedItem, Continued, DryRunResult, ErrorCount, FailedItem,
    GuardResult, JournalResult, OperationCount, Outage, REPORT_VERSION, Remark, SecondPass,
    TableEffect, TransformEnd, TransformResult, effects_digest,
};
use crate::limits::{FAILURES_LISTED_MAX, SAMPLES_PER_TABLE_MAX};
use crate::plan::Mode;
use crate::verdict::RunOutcome;

/// Returns the result of a run from those of its parts; `None` if there are none. It is the result
/// that one guard for the whole run would have. Whether a part is missing is not known here.
///
/// An item that two parts wrote, such as one at the new key of two others, is counted by both.
pub fn merged(parts: Vec<GuardResult>) -> Option<GuardResult> {
    let mut parts = parts;
    parts.sort_by_key(|result| result.part);
    let (first, all) = (parts.first()?, parts.as_slice());
    let sum = |count: fn(&GuardResult) -> u64| all.iter().map(count).fold(0, u64::saturating_add);
    let units = |used: fn(&GuardResult) -> f64| all.iter().map(used).sum::<f64>();
    let tables = TableEffect::merged(all.iter().flat_map(|part| &part.tables));
    let left_out = all.iter().map(|part| part.left_out).fold(0, u32::saturating_add);
    // Where the message lacks tables, the digest is computed over the parts' digests, which cover
    // all tables.
    let effects_digest = if left_out == 0 {
        effects_digest(&tables)
    } else {
        of_digests(all.iter().map(|part| part.effects_digest.as_str()))
    };
    Some(GuardResult {
        version: REPORT_VERSION,
        mode: first.mode,
        requests: sum(|part| part.requests),
        write_calls_upstream: sum(|part| part.write_calls_upstream),
        read_calls_upstream: sum(|part| part.read_calls_upstream),
        items_read: sum(|part| part.items_read),
        read_units: units(|part| part.read_units),
        write_units: units(|part| part.write_units),
        remarks: remarks(all),
        errors: errors(all),
        effects_digest,
        problem: joined(all, |part| part.problem.as_deref()),
        left_out,
        dry_run: (first.mode == Mode::DryRun).then(|| dry_run(all)).flatten(),
        journal: journal(all),
        locked: all.iter().find_map(|part| part.locked.clone()),
        outages: outages(all),
        archived: archived(all),
        database: all.iter().find_map(|part| part.database.clone()),
        gave_way: all.iter().find_map(|part| part.gave_way.clone()),
        transform: transform(all),
        part: None,
        continued: all.iter().filter_map(|part| part.continued).reduce(Continued::and),
        tables,
    })
}

/// Texts of the parts, each with its part; a text that several parts have appears once.
fn joined(parts: &[GuardResult], text: fn(&GuardResult) -> Option<&str>) -> Option<String> {
    let mut texts: Vec<(&str, Vec<u32>)> = Vec::new();
    for (part, text) in parts.iter().filter_map(|part| Some((part, text(part)?))) {
        let index = part.part.map_or(0, |part| part.index);
        match texts.iter_mut().find(|(other, _)| *other == text) {
            Some((_, indexes)) => indexes.push(index),
            None => texts.push((text, vec![index])),
        }
    }
    let of_parts = |(text, indexes): (&str, Vec<u32>)| match indexes.as_slice() {
        all if all.len() == parts.len() => text.to_owned(),
        [one] => format!("Part {one}: {text}"),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("Parts {}: {text}", several.join(", "))
        }
    };
    let texts: Vec<String> = texts.into_iter().map(of_parts).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

fn remarks(parts: &[GuardResult]) -> Vec<Remark> {
    let mut all: BTreeMap<_, u64> = BTreeMap::new();
    for remark in parts.iter().flat_map(|part| &part.remarks) {
        let count = all.entry((&remark.operation, remark.fidelity, &remark.why)).or_default();
        *count = count.saturating_add(remark.count);
    }
    let remark = |((operation, fidelity, why), count): ((&String, _, &String), _)| Remark {
        operation: operation.clone(),
        fidelity,
        why: why.clone(),
        count,
    };
    all.into_iter().map(remark).collect()
}

fn errors(parts: &[GuardResult]) -> Vec<ErrorCount> {
    let mut all: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for error in parts.iter().flat_map(|part| &part.errors) {
        let count = all.entry((&error.operation, &error.error)).or_default();
        *count = count.saturating_add(error.count);
    }
    let error = |((operation, error), count): ((&str, &str), u64)| ErrorCount {
        operation: operation.to_owned(),
        error: error.to_owned(),
        count,
    };
    all.into_iter().map(error).collect()
}

fn dry_run(parts: &[GuardResult]) -> Option<DryRunResult> {
    let all: Vec<&DryRunResult> = parts.iter().filter_map(|part| part.dry_run.as_ref()).collect();
    if all.is_empty() {
        return None;
    }
    let mut operations: BTreeMap<&str, OperationCount> = BTreeMap::new();
    for count in all.iter().flat_map(|part| &part.operations) {
        let sum = operations.entry(&count.operation).or_default();
        sum.operation.clone_from(&count.operation);
        sum.exact = sum.exact.saturating_add(count.exact);
        sum.approximate = sum.approximate.saturating_add(count.approximate);
        sum.refused = sum.refused.saturating_add(count.refused);
    }
    // They apply at the same time, each at its share of the rate: the slowest counts.
    let slowest = all.iter().filter_map(|part| part.apply_time).max_by_key(|time| time.seconds);
    let shares = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let apply_time = slowest.map(|mut time| {
        time.per_second = time.per_second.saturating_mul(shares);
        time
    });
    Some(DryRunResult {
        operations: operations.into_values().collect(),
        changed_underneath: all.iter().map(|part| part.changed_underneath).sum(),
        apply_time,
        samples: samples(&all),
        second_pass: second_pass(&all),
    })
}

/// As many of each table as one guard shows.
fn samples(parts: &[&DryRunResult]) -> Vec<ChangedItem> {
    let mut shown: BTreeMap<&str, Vec<&ChangedItem>> = BTreeMap::new();
    for sample in parts.iter().flat_map(|part| &part.samples) {
        let of_table = shown.entry(&sample.table).or_default();
        if of_table.len() < SAMPLES_PER_TABLE_MAX {
            of_table.push(sample);
        }
    }
    shown.into_values().flatten().cloned().collect()
}

/// Nothing is known of the whole where one part had no second pass.
fn second_pass(parts: &[&DryRunResult]) -> Option<SecondPass> {
    let passes: Vec<&SecondPass> =
        parts.iter().map(|part| part.second_pass.as_ref()).collect::<Option<_>>()?;
    let mut tables: BTreeMap<&str, u64> = BTreeMap::new();
    for again in passes.iter().flat_map(|pass| &pass.tables) {
        *tables.entry(&again.name).or_default() += again.items;
    }
    let again = |(name, items): (&str, u64)| ChangedAgain { name: name.to_owned(), items };
    Some(SecondPass {
        idempotent: passes.iter().all(|pass| pass.idempotent),
        requests: passes.iter().map(|pass| pass.requests).sum(),
        tables: tables.into_iter().map(again).collect(),
    })
}

fn journal(parts: &[GuardResult]) -> Option<JournalResult> {
    let all: Vec<&JournalResult> = parts.iter().filter_map(|part| part.journal.as_ref()).collect();
    let sum = |count: fn(&JournalResult) -> u64| all.iter().map(|part| count(part)).sum();
    Some(JournalResult {
        run: all.first()?.run.clone(),
        entries: sum(|journal| journal.entries),
        segments: sum(|journal| journal.segments),
        bytes: sum(|journal| journal.bytes),
        ahead: sum(|journal| journal.ahead),
        read_units: all.iter().map(|journal| journal.read_units).sum(),
        problem: joined(parts, |part| part.journal.as_ref()?.problem.as_deref()),
    })
}

/// Of each that did not answer, since when first; and what it said in the end.
fn outages(parts: &[GuardResult]) -> Vec<Outage> {
    let of = |behind: Behind| {
        let those = parts.iter().flat_map(|part| &part.outages);
        those.filter(|outage| outage.of == behind).cloned().reduce(|one, other| Outage {
            of: behind,
            // RFC 3339 in UTC: in the order of time.
            since: one.since.clone().min(other.since.clone()),
            calls: one.calls.saturating_add(other.calls),
            lasts: one.lasts || other.lasts,
            message: if other.lasts && !one.lasts { other.message } else { one.message },
        })
    };
    [Behind::Archive, Behind::Database].into_iter().filter_map(of).collect()
}

/// Paths are those of all parts, with `*` in place of the index.
fn archived(parts: &[GuardResult]) -> Option<Archived> {
    let all: Vec<&Archived> = parts.iter().filter_map(|part| part.archived.as_ref()).collect();
    let path = |path: fn(&Archived) -> Option<&str>| {
        parts.iter().find_map(|result| {
            let path = path(result.archived.as_ref()?)?;
            Some(match result.part {
                Some(part) => path.replacen(&format!("/{part}/"), "/part-*/", 1),
                None => path.to_owned(),
            })
        })
    };
    let is = |outcome| move |part: &&Archived| part.completed == Some(outcome);
    let completed = if all.iter().any(is(RunOutcome::Failed)) {
        Some(RunOutcome::Failed)
    } else {
        let whole = all.len() == parts.len() && all.iter().all(is(RunOutcome::Succeeded));
        whole.then_some(RunOutcome::Succeeded)
    };
    Some(Archived {
        run: all.first()?.run.clone(),
        log: path(|kept| kept.log.as_deref()),
        report: path(|kept| kept.report.as_deref()),
        difference: path(|kept| kept.difference.as_deref()),
        difference_parts: all.iter().filter_map(|kept| kept.difference_parts).max(),
        conflicts: path(|kept| kept.conflicts.as_deref()),
        completed,
        problem: joined(parts, |part| part.archived.as_ref()?.problem.as_deref()),
    })
}

fn transform(parts: &[GuardResult]) -> Option<TransformResult> {
    let all: Vec<&TransformResult> =
        parts.iter().filter_map(|part| part.transform.as_ref()).collect();
    let sum = |count: fn(&TransformResult) -> u64| all.iter().map(|part| count(part)).sum();
    let mut failures: Vec<FailedItem> =
        all.iter().flat_map(|part| &part.failures).cloned().collect();
    failures.sort_by_cached_key(|failed| {
        (failed.key.as_ref().map(ToString::to_string), failed.reason.clone())
    });
    failures.truncate(FAILURES_LISTED_MAX);
    let retried: Option<Vec<&String>> = all.iter().map(|part| part.retried_run.as_ref()).collect();
    Some(TransformResult {
        end: all.iter().map(|part| part.end).max_by_key(|end| severity(*end))?,
        message: joined(parts, |part| part.transform.as_ref()?.message.as_deref()),
        retried_run: retried.and_then(|runs| runs.first().copied().cloned()),
        read: sum(|part| part.read),
        skipped: sum(|part| part.skipped),
        unchanged: sum(|part| part.unchanged),
        changed: sum(|part| part.changed),
        failed: sum(|part| part.failed),
        failures,
    })
}

/// A part that is stopped because another failed was only interrupted.
fn severity(end: TransformEnd) -> u8 {
    match end {
        TransformEnd::Succeeded => 0,
        TransformEnd::PartiallyFailed => 1,
        TransformEnd::Interrupted => 2,
        TransformEnd::Failed => 3,
    }
}

#[cfg(test)]
mod tests;
