//! Results of two parts as one.

use super::*;
use crate::part::Part;
use crate::report::{ApplyTime, AttributeEffect, Fidelity, Limited};
use serde_json::json;

fn part(index: u32) -> GuardResult {
    GuardResult {
        requests: 10,
        read_calls_upstream: 2,
        items_read: 100,
        read_units: 0.5,
        write_units: 4.0,
        tables: vec![table_effect("cars", 3)],
        effects_digest: format!("sha256:{index}"),
        part: Some(Part { index, of: 2 }),
        ..GuardResult::empty(Mode::DryRun)
    }
}

fn table_effect(name: &str, updated: u64) -> TableEffect {
    let attribute = AttributeEffect { name: "price".into(), added: updated, ..Default::default() };
    TableEffect {
        name: name.into(),
        items_read: 100,
        item_count: Some(200),
        updated,
        attributes: vec![attribute],
        ..TableEffect::default()
    }
}

fn both(change: impl Fn(&mut GuardResult)) -> GuardResult {
    let parts = [1, 0].map(|index| {
        let mut part = part(index);
        change(&mut part);
        part
    });
    merged(parts.into()).unwrap()
}

fn index(result: &GuardResult) -> u64 {
    result.part.unwrap().index.into()
}

#[test]
fn counts_are_added_and_the_digest_is_that_of_one_guard() {
    let result = both(|part| {
        if index(part) == 1 {
            part.tables.push(table_effect("brands", 1));
        }
    });
    assert_eq!((result.requests, result.items_read, result.read_calls_upstream), (20, 200, 4));
    assert!((result.write_units - 8.0).abs() < 1e-9);
    let mut cars = table_effect("cars", 6);
    cars.items_read = 200;
    assert_eq!(result.tables, [table_effect("brands", 1), cars]);
    assert_eq!(result.effects_digest, effects_digest(&result.tables));
    assert_eq!(result.part, None);
    assert_eq!(merged(Vec::new()), None);
}

#[test]
fn the_digest_of_what_was_left_out_is_made_of_the_parts_digests() {
    let cut = |digest: &str| {
        let mut one = part(0);
        one.left_out = 2;
        let other = GuardResult { effects_digest: digest.into(), ..part(1) };
        merged(vec![one, other]).unwrap().effects_digest
    };
    assert_eq!(cut("sha256:a"), cut("sha256:a"));
    assert_ne!(cut("sha256:a"), cut("sha256:b"));
}

#[test]
fn the_worst_end_counts_and_texts_name_their_parts() {
    for (one, other, expected) in [
        (TransformEnd::Succeeded, TransformEnd::Succeeded, TransformEnd::Succeeded),
        (TransformEnd::Succeeded, TransformEnd::PartiallyFailed, TransformEnd::PartiallyFailed),
        (TransformEnd::Interrupted, TransformEnd::PartiallyFailed, TransformEnd::Interrupted),
        (TransformEnd::Interrupted, TransformEnd::Failed, TransformEnd::Failed),
    ] {
        let result = both(|part| {
            let (end, message) = if index(part) == 0 { (one, None) } else { (other, Some("why")) };
            let message = message.map(str::to_owned);
            part.transform =
                Some(TransformResult { end, message, changed: 3, ..Default::default() });
        });
        let transform = result.transform.unwrap();
        assert_eq!((transform.end, transform.changed), (expected, 6));
        assert_eq!(transform.message.unwrap(), "Part 1: why");
    }
    let same = both(|part| part.problem = Some("It was restarted.".into()));
    assert_eq!(same.problem.unwrap(), "It was restarted.");
}

#[test]
fn failed_items_and_samples_are_as_many_as_one_guard_lists() {
    let result = both(|part| {
        let failed = |i| FailedItem {
            table: "cars".into(),
            key: Some(json!({"id": {"N": format!("{i:04}")}})),
            reason: "why".into(),
        };
        let failures = (0..FAILURES_LISTED_MAX).map(failed).collect();
        part.transform = Some(TransformResult { failed: 1000, failures, ..Default::default() });
        let sample = json!({"version": 1, "table": "cars", "kind": "updated", "attributes": {}});
        let sample: ChangedItem = serde_json::from_value(sample).unwrap();
        let samples = vec![sample; SAMPLES_PER_TABLE_MAX];
        part.dry_run = Some(DryRunResult { samples, ..DryRunResult::default() });
    });
    let transform = result.transform.unwrap();
    assert_eq!((transform.failed, transform.failures.len()), (2000, FAILURES_LISTED_MAX));
    assert_eq!(result.dry_run.unwrap().samples.len(), SAMPLES_PER_TABLE_MAX);
}

#[test]
fn a_dry_run_takes_as_long_as_its_slowest_part_at_the_whole_rate() {
    let result = both(|part| {
        let seconds = 5 + index(part);
        let apply_time = Some(ApplyTime { seconds, limited_by: Limited::Writes, per_second: 50 });
        let operations =
            vec![OperationCount { operation: "Scan".into(), exact: 2, ..Default::default() }];
        let second_pass = (index(part) == 0).then(|| SecondPass {
            idempotent: true,
            requests: Some(1),
            tables: Vec::new(),
        });
        part.dry_run =
            Some(DryRunResult { operations, apply_time, second_pass, ..Default::default() });
        part.remarks = vec![Remark {
            operation: "Scan".into(),
            fidelity: Fidelity::Approximate,
            why: "why".into(),
            count: 1,
        }];
    });
    let dry_run = result.dry_run.unwrap();
    let time = dry_run.apply_time.unwrap();
    assert_eq!((time.seconds, time.per_second), (6, 100));
    assert_eq!((dry_run.operations.len(), dry_run.operations[0].exact), (1, 4));
    assert_eq!(dry_run.second_pass, None, "one part had none");
    assert_eq!((result.remarks.len(), result.remarks[0].count), (1, 2));
}

#[test]
fn what_is_kept_is_named_for_all_parts_and_completed_where_all_are() {
    let kept = |last: Option<RunOutcome>| {
        both(|part| {
            let completed = if index(part) == 0 { Some(RunOutcome::Succeeded) } else { last };
            part.archived = Some(Archived {
                run: "m/12".into(),
                report: Some(format!("runs/m/000012/part-00{}/report.json", index(part))),
                completed,
                ..Archived::default()
            });
            part.journal = Some(JournalResult {
                run: "m/12".into(),
                entries: 5,
                segments: 1,
                bytes: 10,
                ahead: 0,
                read_units: 1.0,
                problem: None,
            });
        })
    };
    let result = kept(Some(RunOutcome::Succeeded));
    let archived = result.archived.unwrap();
    assert_eq!(archived.report.unwrap(), "runs/m/000012/part-*/report.json");
    assert_eq!(archived.completed, Some(RunOutcome::Succeeded));
    assert_eq!(result.journal.unwrap().entries, 10);
    assert_eq!(kept(None).archived.unwrap().completed, None);
    let failed = kept(Some(RunOutcome::Failed)).archived.unwrap();
    assert_eq!(failed.completed, Some(RunOutcome::Failed));
}

#[test]
fn an_outage_that_lasts_in_one_part_lasts() {
    let result = both(|part| {
        let lasts = index(part) == 1;
        part.outages = vec![Outage {
            of: Behind::Archive,
            since: format!("2026-12-01T10:00:0{}Z", index(part)),
            calls: 2,
            message: if lasts { "full" } else { "slow" }.into(),
            lasts,
        }];
    });
    let outage = result.outage().unwrap();
    assert_eq!((outage.calls, outage.message.as_str()), (4, "full"));
    assert_eq!(outage.since, "2026-12-01T10:00:00Z");
}
