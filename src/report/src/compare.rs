//! What differs between two reports of one migration: the last push's and this one's.

use std::collections::BTreeMap;

use dm_contract::report::{AttributeEffect, Fidelity, TableEffect};

use serde::Serialize;

use crate::file::RunReport;
use crate::numbers::{count, units};
use crate::words;

/// Differences that are listed; the rest is counted.
const LISTED_MAX: usize = 200;

/// What differs between two reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The differences, table by table, then those of the whole run.
    pub differences: Vec<Difference>,
    pub left_out: usize,
    /// Whether both have the same effects: tables, kinds of writes, attributes and counts.
    pub same_effects: bool,
}

impl Comparison {
    /// Returns what is known where no number differs. Reports have no values of items.
    pub fn without_difference(&self) -> Option<&'static str> {
        if !self.differences.is_empty() {
            return None;
        }
        Some(if self.same_effects {
            "the counts are the same; values are not compared"
        } else {
            "the counts are the same, and the digest of the effects differs; values are not \
             compared"
        })
    }
}

/// One fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table; `None` where it is about the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    pub what: String,
    pub before: String,
    pub after: String,
}

pub fn compare(before: &RunReport, after: &RunReport) -> Comparison {
    let mut differences = tables(before, after);
    differences.extend(whole(before, after));
    let left_out = differences.len().saturating_sub(LISTED_MAX);
    differences.truncate(LISTED_MAX);
    let same_effects = before.result.effects_digest == after.result.effects_digest
        && before.result.mode == after.result.mode;
    Comparison { differences, left_out, same_effects }
}

fn tables(before: &RunReport, after: &RunReport) -> Vec<Difference> {
    let none = TableEffect::default();
    let mut pairs: BTreeMap<&str, (&TableEffect, &TableEffect)> = BTreeMap::new();
    for table in &before.result.tables {
        pairs.entry(&table.name).or_insert((&none, &none)).0 = table;
    }
    for table in &after.result.tables {
        pairs.entry(&table.name).or_insert((&none, &none)).1 = table;
    }
    let of_table = |(name, (old, new)): (&str, (&TableEffect, &TableEffect))| {
        let fate = |report: &RunReport, table: &TableEffect| {
            let fate = table.change.map(|change| words::fate(report.result.mode, change));
            fate.unwrap_or_else(|| "table stays".into())
        };
        let mut facts = vec![
            ("table itself".to_owned(), fate(before, old), fate(after, new)),
            numbers("items created", old.created, new.created),
            numbers("items updated", old.updated, new.updated),
            numbers("items deleted", old.deleted, new.deleted),
            numbers("items read", old.items_read, new.items_read),
        ];
        facts.extend(attributes(&old.attributes, &new.attributes));
        let table = Some(words::name(name));
        facts
            .into_iter()
            .filter_map(move |fact| difference(table.clone(), fact))
            .collect::<Vec<_>>()
    };
    pairs.into_iter().flat_map(of_table).collect()
}

fn attributes(old: &[AttributeEffect], new: &[AttributeEffect]) -> Vec<(String, String, String)> {
    let none = AttributeEffect::default();
    let mut pairs: BTreeMap<&str, (&AttributeEffect, &AttributeEffect)> = BTreeMap::new();
    for attribute in old {
        pairs.entry(&attribute.name).or_insert((&none, &none)).0 = attribute;
    }
    for attribute in new {
        pairs.entry(&attribute.name).or_insert((&none, &none)).1 = attribute;
    }
    let of_attribute = |(name, (old, new)): (&str, (&AttributeEffect, &AttributeEffect))| {
        let name = words::name(name);
        [
            numbers(&format!("{name} added"), old.added, new.added),
            numbers(&format!("{name} changed"), old.changed, new.changed),
            numbers(&format!("{name} removed"), old.removed, new.removed),
        ]
    };
    pairs.into_iter().flat_map(of_attribute).collect()
}

fn whole(before: &RunReport, after: &RunReport) -> Vec<Difference> {
    let calls = |report: &RunReport, fidelity| {
        let remarks = report.result.remarks.iter().filter(|remark| remark.fidelity == fidelity);
        remarks.map(|remark| remark.count).sum::<u64>()
    };
    let errors = |report: &RunReport| report.result.errors.iter().map(|error| error.count).sum();
    let time = |report: &RunReport| {
        let time = report.result.dry_run.as_ref().and_then(|dry_run| dry_run.apply_time);
        time.map_or_else(|| "not known".into(), words::apply_time)
    };
    let again = |report: &RunReport| {
        words::second_pass(report).map_or_else(|| "not run".into(), |again| again.text)
    };
    let failed =
        |report: &RunReport| if report.failed() { "failed" } else { "succeeded" }.to_owned();
    let units = |of: fn(&RunReport) -> f64| (units(of(before)), units(of(after)));
    let (write_before, write_after) = units(|report| report.result.write_units);
    let (read_before, read_after) = units(|report| report.result.read_units);
    let refused = Fidelity::Refused;
    let approximate = Fidelity::Approximate;
    [
        ("outcome".into(), failed(before), failed(after)),
        numbers("calls rejected", calls(before, refused), calls(after, refused)),
        numbers("calls approximate", calls(before, approximate), calls(after, approximate)),
        numbers("calls with an error", errors(before), errors(after)),
        ("write units".into(), write_before, write_after),
        ("read units".into(), read_before, read_after),
        ("time of the apply".into(), time(before), time(after)),
        ("second pass".into(), again(before), again(after)),
    ]
    .into_iter()
    .filter_map(|fact| difference(None, fact))
    .collect()
}

fn numbers(what: &str, before: u64, after: u64) -> (String, String, String) {
    (what.to_owned(), count(before), count(after))
}

fn difference(table: Option<String>, fact: (String, String, String)) -> Option<Difference> {
    let (what, before, after) = fact;
    (before != after).then_some(Difference { table, what, before, after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn check(before: &RunReport, after: &RunReport, expected: &[&str]) {
        let found: Vec<String> = compare(before, after)
            .differences
            .into_iter()
            .map(|Difference { table, what, before, after }| {
                format!("{} | {what} | {before} | {after}", table.unwrap_or_default())
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_reports_do_not_differ() {
        let report = samples::dry_run();
        let comparison = compare(&report, &report);
        assert_eq!(comparison.differences, []);
        assert!(comparison.same_effects);
        let known = "the counts are the same; values are not compared";
        assert_eq!(comparison.without_difference(), Some(known));
    }

    #[test]
    fn each_fact_that_differs_is_a_line() {
        let before = samples::dry_run();
        let mut after = before.clone();
        after.result.effects_digest = "sha256:5".into();
        after.result.write_units = 500.5;
        after.result.remarks = samples::remarks();
        after.result.errors = samples::errors();
        after.result.tables[0].updated = 407;
        after.result.tables[0].attributes[1].added = 401;
        after.result.tables[1].name = "brands".into();
        samples::second_pass(&mut after, true, Some(1));
        check(
            &before,
            &after,
            &[
                "brands | items created | 0 | 1",
                "brands | items deleted | 0 | 2",
                "brands | items read | 0 | 12",
                "cars | items updated | 406 | 407",
                "cars | price added | 400 | 401",
                "makers | items created | 1 | 0",
                "makers | items deleted | 2 | 0",
                "makers | items read | 12 | 0",
                " | calls rejected | 0 | 1",
                " | calls approximate | 0 | 3",
                " | calls with an error | 0 | 3",
                " | write units | 406 | 500.5",
                " | second pass | not run | no changes, safe to run again",
            ],
        );
        assert!(!compare(&before, &after).same_effects);
    }

    #[test]
    fn many_differences_are_cut_and_counted() {
        let before = samples::dry_run();
        let mut after = before.clone();
        after.result.tables[0].attributes = (0..300)
            .map(|n| AttributeEffect { name: format!("a{n:03}"), added: 1, ..Default::default() })
            .collect();
        let comparison = compare(&before, &after);
        assert_eq!(comparison.differences.len(), LISTED_MAX);
        assert_eq!(comparison.left_out, 300 + 3 - LISTED_MAX);
    }
}
