//! Ends of runs that were split among pods.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use dm_api::condition::Reason;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::decide::outcome;
use crate::read::view;
use crate::samples::*;

fn split(kind: RunKind, parts: u32) -> RunRecord {
    RunRecord { parallelism: Some(parts), ..record(kind) }
}

fn end(record: &RunRecord, job: &Identified<Job>, pods: &[Pod]) -> Outcome {
    let pods: Vec<&Pod> = pods.iter().collect();
    outcome::of(record, RunObjects { job: Some(job), pods: &pods }).expect("it is over")
}

fn complete() -> Identified<Job> {
    job_ended("Complete", "CompletionsReached")
}

fn policy() -> Identified<Job> {
    job_ended("Failed", view::POD_FAILURE_POLICY)
}

/// What the guard of a part says whose transform ended like this.
fn says(index: u32, end: &str, changes: Value) -> Value {
    let mut guard = guard_says(json!({
        "mode": "Apply", "writeCallsUpstream": 2,
        "part": {"index": index, "of": 4},
        "journal": {"run": "m/1", "entries": 2, "segments": 1, "bytes": 9, "readUnits": 0.0},
        "continued": {"guards": 0},
        "archived": {
            "run": "m/1", "log": format!("runs/m/000001/part-{index:03}/program.log.zst"),
            "report": format!("runs/m/000001/part-{index:03}/report.json"),
        },
        "transform": {
            "end": end, "read": 2, "skipped": 0, "unchanged": 0, "changed": 2, "failed": 0,
        },
    }));
    for (name, value) in changes.as_object().unwrap() {
        guard[name] = value.clone();
    }
    guard
}

fn failed(index: u32, code: i32, end: &str, reason: &str) -> Pod {
    let transform = json!({
        "end": end, "read": 2, "skipped": 0, "unchanged": 0, "changed": 2, "failed": 1,
        "failures": [{"table": "cars", "reason": reason}],
    });
    let said = says(index, end, json!({"transform": transform}));
    of_part(&pod_ended(code, &program_says(json!({"exitCode": code})), &said), index)
}

fn ended(index: u32) -> Pod {
    let said = says(index, "Succeeded", json!({}));
    of_part(&pod_ended(0, &program_says(json!({"exitCode": 0})), &said), index)
}

/// A pod whose program was stopped with it.
fn stopped(index: u32) -> Pod {
    let said = says(index, "Interrupted", json!({}));
    let pod = of_part(&pod_ended(143, &program_says(json!({"exitCode": 143})), &said), index);
    with(&pod, json!({"metadata": {"deletionTimestamp": time(9)}}))
}

/// The same pod of another time.
fn at_seconds(pod: &Pod, start: i64, end: i64) -> Pod {
    let mut pod = serde_json::to_value(pod).unwrap();
    let state = &mut pod["status"]["containerStatuses"][0]["state"]["terminated"];
    (state["startedAt"], state["finishedAt"]) = (json!(time(start)), json!(time(end)));
    state["message"] = json!("");
    serde_json::from_value(pod).unwrap()
}

fn written(outcome: &Outcome) -> u64 {
    outcome.guard.as_ref().unwrap().tables[0].updated
}

#[test]
fn four_parts_that_succeed_are_one_success() {
    let pods = [
        at_seconds(&ended(2), 7, 60),
        at_seconds(&ended(0), 5, 20),
        at_seconds(&ended(1), 4, 30),
        at_seconds(&ended(3), 9, 10),
    ];
    let record = split(RunKind::Apply, 4);
    let outcome = end(&record, &complete(), &pods);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Succeeded, Reason::Applied));
    assert_eq!(outcome.execution_time, Some(at(4)), "the first start");
    assert_eq!(outcome.finalization_time, Some(at(60)), "the last end");
    assert_eq!((written(&outcome), outcome.journaled()), (8, Some(8)));
    assert!(!outcome.wrote_nothing && outcome.what_now.is_empty());
    let message = "The program ended with exit code 0 after 56s; 8 items were written, all of them \
                   journaled.";
    assert_eq!(outcome.message, message);
    let log = Outcome { archive: Some("s3://a/".into()), ..outcome }.kept(|kept| kept.log.as_ref());
    assert_eq!(log.as_deref(), Some("s3://a/runs/m/000001/part-*/program.log.zst"));
}

#[test]
fn the_part_that_failed_by_itself_is_named_and_not_those_that_were_stopped_for_it() {
    let failed = failed(2, 1, "Failed", "set.price: weight is missing");
    let pods = [stopped(0), stopped(1), at_seconds(&failed, 5, 9), ended(3)];
    let outcome = end(&split(RunKind::Apply, 4), &policy(), &pods);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::TransformFailed));
    let expected = "Part 2 (pod pod-2): The transform stopped at 1 item \
                    (set.price: weight is missing) after 4s; 8 items were written, all of them \
                    journaled.";
    assert_eq!(outcome.message, expected);
    assert_eq!((outcome.exit_code, written(&outcome)), (Some(1), 8));
    assert!(outcome.what_now.contains("transform.failures"), "{}", outcome.what_now);
}

#[test]
fn parts_that_failed_partially_are_one_partial_failure() {
    let partial = |index| failed(index, 3, "PartiallyFailed", "set.price: weight is missing");
    let pods = [ended(0), partial(1), ended(2), partial(3)];
    let job = job_ended("Failed", "FailedIndexes");
    let outcome = end(&split(RunKind::Apply, 4), &job, &pods);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::PartiallyFailed));
    assert!(outcome.message.starts_with("The transform could not change 2 items"), "{outcome:?}");
    assert_eq!(outcome.last_lines, ["part 1: one car", "part 1: all cars"]);
    // A part that was stopped has not seen all of its items.
    let pods = [ended(0), partial(1), ended(2), stopped(3)];
    let outcome = end(&split(RunKind::Apply, 4), &job, &pods);
    assert_eq!(outcome.reason, Reason::PodDeleted);
    assert!(outcome.message.starts_with("Part 3 (pod pod-3): The run's pod was deleted"));
}

#[test]
fn a_pod_that_was_replaced_counts_with_the_one_that_took_its_place() {
    let again = with(&ended(1), json!({"metadata": {"name": "pod-1-again"}}));
    let pods = [ended(0), stopped(1), again];
    let outcome = end(&split(RunKind::Apply, 2), &complete(), &pods);
    // What the last one says is of both.
    assert_eq!((outcome.result, written(&outcome)), (RunResult::Succeeded, 4));
    let guard = outcome.guard.unwrap();
    assert_eq!((guard.problem, guard.transform.unwrap().end), (None, TransformEnd::Succeeded));
    // In a dry run it started over.
    let outcome = end(&split(RunKind::DryRun, 2), &complete(), &pods);
    assert_eq!(written(&outcome), 4);
    // A pod that was killed left no result, and the one after it has counted for it.
    let mut silent = serde_json::to_value(&pods[1]).unwrap();
    silent["status"]["initContainerStatuses"] = Value::Null;
    let pods = [pods[0].clone(), serde_json::from_value(silent).unwrap(), pods[2].clone()];
    let outcome = end(&split(RunKind::Apply, 2), &complete(), &pods);
    assert_eq!((outcome.result, written(&outcome)), (RunResult::Succeeded, 4));
}

#[test]
fn a_part_that_was_given_up_after_its_tries_is_named() {
    let job = job_ended("Failed", "FailedIndexes");
    let outcome = end(&split(RunKind::Apply, 3), &job, &[ended(0), stopped(1), ended(2)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::PodDeleted));
    assert!(outcome.message.starts_with("Part 1 (pod pod-1): "), "{}", outcome.message);
    let outcome = end(&split(RunKind::Apply, 3), &job, &[ended(0), ended(2)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Unknown, Reason::OutcomeUnknown));
    assert!(outcome.message.starts_with("Part 1 (no pod): "), "{}", outcome.message);
}

#[test]
fn what_ends_the_whole_run_names_no_part() {
    let record = split(RunKind::Apply, 2);
    let job = job_ended("Failed", "DeadlineExceeded");
    let outcome = end(&record, &job, &[ended(0), stopped(1)]);
    assert_eq!(outcome.reason, Reason::DeadlineExceeded);
    assert!(outcome.message.starts_with("The run was stopped because spec.active"));
    let outcome = end(&record, &job_deleted(), &[ended(0), stopped(1)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::JobDeleted));
    assert!(!outcome.wrote_nothing);
    // One part had not started, and the other had: the run was not merely canceled.
    let reason = json!({"metadata": {"annotations": {
        crate::objects::STOP_REASON_ANNOTATION: "Terminating",
    }}});
    let unstarted = of_part(&pod("Failed", json!({})), 0);
    let outcome = end(&record, &with(&job_deleted(), reason), &[unstarted, stopped(1)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::Terminating));
    assert!(!outcome.wrote_nothing && outcome.started);
}

#[test]
fn a_ledger_that_lets_no_part_in_puts_the_run_off_and_one_part_only_fails_it() {
    let locked = json!({"version": 1, "verdict": {"Locked": {
        "table": "cars", "by": "other/3", "namespace": "team", "name": "other", "since": time(0),
        "fence": 7,
    }}});
    let refused = |index| of_part(&pod_refused(83, &locked.to_string()), index);
    let record = split(RunKind::Apply, 2);
    let outcome = end(&record, &policy(), &[refused(0), refused(1)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Canceled, Reason::LockedByAnother));
    assert!(outcome.wrote_nothing && !outcome.started);
    // Another part was let in and deleted before its program started: nothing was begun.
    let gone = json!({"metadata": {"deletionTimestamp": time(9)}});
    let unstarted = of_part(&with(&let_through(&pod("Failed", json!({}))), gone), 0);
    let outcome = end(&record, &policy(), &[unstarted, refused(1)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Canceled, Reason::LockedByAnother));
    assert!(matches!(&outcome.verdict, Some(Verdict::Locked(_))), "{:?}", outcome.verdict);
    assert!(outcome.wrote_nothing && !outcome.started);
    let begun = of_part(&let_through(&stopped(0)), 0);
    let outcome = end(&record, &policy(), &[begun, refused(1)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::LockedByAnother));
    assert_eq!(outcome.verdict, Some(Verdict::Go), "what was begun is recorded");
    assert!(!outcome.wrote_nothing);
    let expected =
        "Part 1 (pod pod-1): No other pod could continue the run: table cars has been locked";
    assert!(outcome.message.starts_with(expected), "{}", outcome.message);
    assert!(outcome.what_now.contains("may be partly changed"), "{}", outcome.what_now);
}

#[test]
fn a_success_that_only_the_ledger_saw_is_a_success() {
    let adopts = |run: u32, uid: &str| {
        let mut said = ledger_adopts();
        let adopted = &mut said["verdict"]["Adopt"];
        (adopted["run"], adopted["uid"]) = (json!(run), json!(uid));
        of_part(&with(&pod_refused(80, &said.to_string()), json!({})), 1)
    };
    let owner = json!([{
        "apiVersion": "v1", "kind": "DataMigration", "name": "m", "uid": "uid-m",
        "controller": true,
    }]);
    let job = with(&policy(), json!({"metadata": {"ownerReferences": owner}}));
    let lost = of_part(&let_through(&stopped(1)), 1);
    let of = |parts, pods: &[Pod]| end(&split(RunKind::Apply, parts), &job, pods);
    for pods in [
        vec![ended(0), lost.clone(), adopts(1, "uid-m")],
        vec![ended(0), adopts(1, "uid-m")],
        // The pod of another part looks as if it had been stopped for this one.
        vec![ended(0), stopped(2), adopts(1, "uid-m")],
    ] {
        let outcome = of(3, &pods);
        assert_eq!((outcome.result, outcome.reason), (RunResult::Succeeded, Reason::Applied));
        assert_eq!(outcome.verdict, Some(Verdict::Go), "the run is not adopted from another");
        assert!(outcome.started && !outcome.wrote_nothing && outcome.what_now.is_empty());
        assert!(matches!(outcome.exit_code, None | Some(0)), "{:?}", outcome.exit_code);
    }
    let outcome = end(&record(RunKind::Apply), &job, &[lost.clone(), adopts(1, "uid-m")]);
    assert_eq!((outcome.result, outcome.signal), (RunResult::Succeeded, None));
    // Another run's success, or another object's, is not this run's.
    for other in [adopts(2, "uid-m"), adopts(1, "uid-gone")] {
        let outcome = of(2, &[ended(0), lost.clone(), other]);
        assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::LockedByAnother));
    }
}

#[test]
fn a_deadline_is_blamed_on_a_part_that_it_ended() {
    let job = job_ended("Failed", "DeadlineExceeded");
    let early = at_seconds(&ended(0), 5, 9);
    let late = at_seconds(&stopped(1), 5, 60);
    let outcome = end(&split(RunKind::Apply, 2), &job, &[early, late]);
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::DeadlineExceeded, Some(143)));
    let end = outcome.guard.unwrap().transform.unwrap().end;
    assert_eq!(end, TransformEnd::Interrupted);
}

#[test]
fn a_dry_run_without_the_result_of_a_part_shows_nothing() {
    let silent = of_part(&pod_ended(0, &program_says(json!({"exitCode": 0})), &Value::Null), 1);
    let dry = |index| {
        let said = says(index, "Succeeded", json!({"mode": "DryRun", "writeCallsUpstream": 0}));
        of_part(&pod_ended(0, &program_says(json!({"exitCode": 0})), &said), index)
    };
    let record = split(RunKind::DryRun, 2);
    let outcome = end(&record, &complete(), &[dry(0), silent]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::GuardFailed));
    let outcome = end(&record, &complete(), &[dry(0), dry(1)]);
    let expected = (RunResult::Succeeded, Reason::DryRunSucceeded);
    assert_eq!((outcome.result, outcome.reason), expected);
    assert_eq!(written(&outcome), 4);
}
