//! The guard's last words: its result as the container's termination message, which the kubelet
//! cuts. Cut here instead, whole entries at a time, so that it stays JSON.

use std::io;

use dm_contract::limits::TERMINATION_MESSAGE_BYTES_MAX;
use dm_contract::report::{Fidelity, GuardResult, TableEffect};

/// The result for the termination log.
pub fn message(result: GuardResult) -> String {
    // Texts, numbers and enums: nothing that JSON cannot hold.
    let json = fitting(result).unwrap_or_default();
    String::from_utf8_lossy(&json).into_owned()
}

/// The result as JSON within the bound. Samples go first, then details (attributes of the tables
/// with most of them), then remarks, errors and operations, of which those of rejected calls stay
/// longest. Tables are summed up. `left_out` counts the other entries but for samples.
fn fitting(mut result: GuardResult) -> io::Result<Vec<u8>> {
    if let Some(problem) = &mut result.problem {
        *problem = problem.chars().take(1024).collect();
    }
    if let Some(problem) = result.archived.as_mut().and_then(|kept| kept.problem.as_mut()) {
        *problem = problem.chars().take(512).collect();
    }
    result.remarks.sort_by_key(|remark| remark.fidelity != Fidelity::Refused);
    if let Some(dry_run) = &mut result.dry_run {
        dry_run.operations.sort_by_key(|operation| operation.refused == 0);
    }
    loop {
        let json = serde_json::to_vec(&result)?;
        if json.len() <= TERMINATION_MESSAGE_BYTES_MAX {
            return Ok(json);
        }
        let samples = result.dry_run.as_mut().map(|dry_run| &mut dry_run.samples);
        if samples.is_some_and(|samples| samples.pop().is_some()) {
            continue;
        }
        let failures = result.transform.as_mut().map(|transform| &mut transform.failures);
        if let Some(failures) = failures.filter(|failures| !failures.is_empty()) {
            // Their number is in `failed`, and all of them are in the archive's report.
            halve(failures);
            continue;
        }
        let Some(left_out) = shorten(&mut result) else { return Ok(json) };
        result.left_out =
            result.left_out.saturating_add(u32::try_from(left_out).unwrap_or(u32::MAX));
    }
}

/// Details of each table and of each kind that stay as long as there is something else to leave
/// out.
const DETAILS: usize = 3;

/// Leaves out some entries, the least important ones; how many, or nothing where nothing is left
/// that could be.
fn shorten(result: &mut GuardResult) -> Option<usize> {
    if let Some(left_out) = shorten_details(result, DETAILS) {
        return Some(left_out);
    }
    if result.remarks.len() > 1 {
        return Some(halve(&mut result.remarks));
    }
    if result.errors.len() > 1 {
        return Some(halve(&mut result.errors));
    }
    let operations = result.dry_run.as_mut().map(|dry_run| &mut dry_run.operations);
    if let Some(operations) = operations.filter(|operations| operations.len() > DETAILS) {
        return Some(halve(operations));
    }
    let tables = result.tables.len();
    if tables > 1 {
        // One by one takes long where there are thousands.
        let fewer = if tables > 64 { tables / 2 } else { tables - 1 };
        result.tables = TableEffect::bounded(&result.tables, fewer);
        return Some(0);
    }
    if let Some(left_out) = shorten_details(result, 0) {
        return Some(left_out);
    }
    if result.tables.first().is_some_and(|table| table.more == 0) {
        // Its name is no table's.
        result.tables = TableEffect::bounded(&result.tables, 0);
        return Some(0);
    }
    let errors = result.errors.len();
    result.errors.clear();
    (errors > 0).then_some(errors)
}

/// Leaves out half of the attributes and settings of the tables that have most of them, but for
/// this many.
fn shorten_details(result: &mut GuardResult, keep: usize) -> Option<usize> {
    let of = |table: &TableEffect| table.attributes.len().max(table.settings.len());
    let longest = result.tables.iter().map(of).max().filter(|longest| *longest > keep)?;
    let tables = result.tables.iter_mut().filter(|table| of(table) == longest);
    let halved = tables.map(|table| {
        let attributes =
            if table.attributes.len() == longest { halve(&mut table.attributes) } else { 0 };
        let settings = if table.settings.len() == longest { halve(&mut table.settings) } else { 0 };
        attributes + settings
    });
    Some(halved.sum())
}

fn halve<T>(entries: &mut Vec<T>) -> usize {
    let keep = entries.len() / 2;
    let left_out = entries.len() - keep;
    entries.truncate(keep);
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_contract::plan::Mode;
    use dm_contract::report::{
        AttributeEffect, ChangedItem, DryRunResult, ErrorCount, Fidelity, ItemChange,
        OperationCount, Remark, TableEffect,
    };

    fn result(tables: usize, attributes: usize, remarks: usize) -> GuardResult {
        let attribute =
            |i| AttributeEffect { name: format!("attribute-{i}"), ..AttributeEffect::default() };
        let table = |i| TableEffect {
            name: format!("table-{i}-{}", "x".repeat(200)),
            created: 3,
            attributes: (0..attributes).map(attribute).collect(),
            ..TableEffect::default()
        };
        let remark = |i| Remark {
            operation: "Query".into(),
            fidelity: if i == 0 { Fidelity::Refused } else { Fidelity::Approximate },
            why: format!("why {i}"),
            count: 1,
        };
        let error = |i| ErrorCount {
            operation: "Query".into(),
            error: format!("Error{i}Exception"),
            count: 1,
        };
        GuardResult {
            requests: 1,
            read_calls_upstream: 1,
            items_read: 1,
            read_units: 0.5,
            write_units: 1.0,
            tables: (0..tables).map(table).collect(),
            remarks: (0..remarks).map(remark).collect(),
            errors: (0..remarks).map(error).collect(),
            effects_digest: "sha256:0".into(),
            ..GuardResult::empty(Mode::DryRun)
        }
    }

    #[test]
    fn a_small_result_is_whole_and_a_large_one_is_cut_and_says_so() {
        for (tables, attributes, remarks) in
            [(1, 2, 1), (1, 1000, 0), (2000, 5, 200), (0, 0, 200), (40, 0, 0), (1, 0, 0)]
        {
            let whole = result(tables, attributes, remarks);
            let json = fitting(whole.clone()).unwrap();
            assert!(json.len() <= TERMINATION_MESSAGE_BYTES_MAX);
            let read: GuardResult = serde_json::from_slice(&json).unwrap();
            let summed_up = read.tables.iter().any(|table| table.more > 0);
            let is_whole = read.left_out == 0 && !summed_up;
            assert_eq!(read == whole, is_whole, "{tables} {attributes} {remarks}");
            let items =
                |result: &GuardResult| result.tables.iter().map(|table| table.created).sum::<u64>();
            assert_eq!(items(&read), items(&whole), "no table's items are forgotten");
            let refused = |result: &GuardResult| {
                result.remarks.iter().any(|remark| remark.fidelity == Fidelity::Refused)
            };
            assert_eq!(refused(&read), refused(&whole), "nor that calls were refused");
        }
    }

    #[test]
    fn samples_go_before_counts() {
        let sample = ChangedItem {
            version: 1,
            table: "t".repeat(200),
            key: None,
            key_digest: None,
            kind: ItemChange::Updated,
            attributes: std::collections::BTreeMap::new(),
            before: None,
            after: None,
        };
        let operation = |i| OperationCount {
            operation: format!("Operation{i}"),
            exact: 1,
            ..OperationCount::default()
        };
        let mut whole = result(1, 3, 1);
        whole.dry_run = Some(DryRunResult {
            samples: vec![sample; 30],
            operations: (0..20).map(operation).collect(),
            ..DryRunResult::default()
        });
        let json = fitting(whole).unwrap();
        assert!(json.len() <= TERMINATION_MESSAGE_BYTES_MAX);
        let read: GuardResult = serde_json::from_slice(&json).unwrap();
        assert_eq!(read.tables.len(), 1);
        let dry_run = read.dry_run.unwrap();
        assert!((1..30).contains(&dry_run.samples.len()), "as many as fit");
        assert_eq!((dry_run.operations.len(), read.left_out), (20, 0));
    }

    #[test]
    fn attributes_with_long_names_do_not_push_out_their_tables() {
        let mut long = result(25, 60, 0);
        for attribute in long.tables.iter_mut().flat_map(|table| &mut table.attributes) {
            attribute.name = attribute.name.repeat(100);
        }
        let json = fitting(long).unwrap();
        assert!(json.len() <= TERMINATION_MESSAGE_BYTES_MAX);
        let read: GuardResult = serde_json::from_slice(&json).unwrap();
        let last = read.tables.last().unwrap();
        assert!(last.name.ends_with("tables") && last.more > 0, "{last:?}");
        assert_eq!(read.tables.iter().map(|table| table.created).sum::<u64>(), 75);
    }

    #[test]
    fn even_a_long_problem_and_a_single_long_table_fit() {
        let mut long = result(1, 3, 1);
        long.problem = Some("p".repeat(10_000));
        long.tables[0].name = "n".repeat(5000);
        assert!(fitting(long).unwrap().len() <= TERMINATION_MESSAGE_BYTES_MAX);
    }
}
