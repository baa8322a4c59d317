//! What the pods of one part counted, put together.

use dm_api::status::RunKind;
use serde_json::{Value, json};

use super::*;
use crate::samples::{guard_says, pod_ended, pod_running, record};

/// What a guard says of this many changed items; `others` are other fields.
#[allow(clippy::needless_pass_by_value, reason = "reads better with json! literals")]
fn says(changed: u64, others: Value) -> Value {
    let mut guard = guard_says(json!({"mode": "Apply", "itemsRead": changed + 1}));
    guard["tables"][0]["updated"] = json!(changed);
    guard["transform"] = json!({
        "end": "Interrupted", "read": changed + 1, "skipped": 0, "unchanged": 1,
        "changed": changed, "failed": 0,
    });
    for (name, value) in others.as_object().unwrap() {
        guard[name] = value.clone();
    }
    guard
}

fn journal() -> Value {
    json!({"run": "m/1", "entries": 2, "segments": 1, "bytes": 9, "readUnits": 0.0})
}

/// With an archive, after this many other guards.
fn continued(changed: u64, guards: u32) -> Value {
    says(changed, json!({"journal": journal(), "continued": {"guards": guards}}))
}

/// Puts together what these pods left; a pod without a result was killed. Returns the changed items
/// by the transform and by the tables, and whether that is all.
fn check(kind: RunKind, pods: &[Value], expected: Option<(u64, u64)>, is_whole: bool) {
    let pods: Vec<Pod> = pods.iter().map(|said| pod_ended(143, "", said)).collect();
    let part = PartPods { index: 0, pods: pods.iter().collect() };
    let counted = of_part(&record(kind), &part, None);
    let found = counted.result.map(|result| {
        (result.transform.unwrap().changed, result.tables.iter().map(|table| table.updated).sum())
    });
    assert_eq!((found, counted.is_whole), (expected, is_whole), "{pods:?}");
}

#[test]
fn with_an_archive_the_last_guard_counts_for_all() {
    let killed = Value::Null;
    check(RunKind::Apply, &[continued(3, 0), continued(7, 1)], Some((7, 7)), true);
    check(RunKind::Apply, &[killed.clone(), continued(7, 1)], Some((7, 7)), true);
    let all = [continued(3, 0), killed.clone(), continued(9, 2)];
    check(RunKind::Apply, &all, Some((9, 9)), true);
    // One that has not taken up what the others counted says too little.
    let early = says(0, json!({"journal": journal()}));
    check(RunKind::Apply, &[continued(3, 0), early], Some((3, 3)), false);
    check(RunKind::Apply, &[continued(3, 0), killed.clone()], Some((3, 3)), false);
}

#[test]
fn without_an_archive_each_guard_counts_its_own_changes() {
    let second = says(
        4,
        json!({"transform": {
            "end": "Succeeded", "read": 9, "skipped": 0, "unchanged": 5, "changed": 4, "failed": 0,
        }}),
    );
    let pods: Vec<Pod> =
        [says(3, json!({})), second.clone()].iter().map(|said| pod_ended(0, "", said)).collect();
    let part = PartPods { index: 0, pods: pods.iter().collect() };
    let counted = of_part(&record(RunKind::Apply), &part, None);
    let transform = counted.result.unwrap().transform.unwrap();
    assert_eq!((transform.read, transform.changed, transform.unchanged), (9, 7, 2));
    assert!(counted.is_whole);
    check(RunKind::Apply, &[Value::Null, second], Some((4, 4)), false);
}

#[test]
fn in_a_dry_run_the_last_pod_counts() {
    check(RunKind::DryRun, &[says(3, json!({})), says(7, json!({}))], Some((7, 7)), true);
}

#[test]
fn a_guard_that_still_reads_its_journal_is_not_taken_for_the_whole() {
    let pods = [pod_ended(143, "", &continued(3, 0)), pod_running()];
    let part = PartPods { index: 0, pods: pods.iter().collect() };
    let asked = |said: Value| {
        let progress = serde_json::from_value(said).unwrap();
        let counted = of_part(&record(RunKind::Apply), &part, Some(progress));
        (counted.result.unwrap().tables[0].updated, counted.is_whole)
    };
    assert_eq!(asked(says(0, json!({"journal": journal()}))), (3, false));
    assert_eq!(asked(continued(4, 1)), (4, true));
}
