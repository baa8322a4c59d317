//! Outages that last until the end of a run, and those that do not.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use dm_api::status::RunKind;
use serde_json::{Value, json};

use crate::decide::outcome::{Outcome, of};
use crate::read::view::RunObjects;
use crate::samples::*;

use super::*;

fn away(of: &str, lasts: bool) -> Value {
    json!({
        "of": of, "since": "2026-11-02T10:00:06Z", "calls": 3, "message": "no space left on device",
        "lasts": lasts,
    })
}

fn journaling(outages: Vec<Value>) -> Value {
    guard_says(json!({
        "mode": "Apply", "writeCallsUpstream": 2, "outages": outages,
        "journal": {"run": "m/1", "entries": 2, "segments": 1, "bytes": 9, "readUnits": 1.0},
    }))
}

fn end(kind: RunKind, code: i32, outages: Vec<Value>) -> Outcome {
    let says = program_says(json!({"exitCode": code}));
    let pod = pod_ended(code, &says, &journaling(outages));
    let job = if code == 0 { job_ended("Complete", "") } else { job_ended("Failed", "") };
    of(&record(kind), RunObjects { job: Some(&job), pods: &[&pod] }).unwrap()
}

#[test]
fn a_failure_during_an_outage_names_it_and_what_was_written() {
    let cases = [
        ("Archive", Reason::ArchiveUnavailable, "3 writing calls failed and sent nothing"),
        ("Database", Reason::DatabaseUnreachable, "3 calls of the program failed"),
    ];
    for (of, reason, part) in cases {
        for code in [0, 1] {
            let outcome = end(RunKind::Apply, code, vec![away(of, true)]);
            assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, reason), "{code}");
            for part in [part, "no space left on device", "2 items were written, all of them"] {
                assert!(outcome.message.contains(part), "{part}: {}", outcome.message);
            }
        }
    }
    let outcome = end(RunKind::Apply, 1, vec![away("Database", true), away("Archive", true)]);
    assert_eq!(outcome.reason, Reason::ArchiveUnavailable, "no write goes without it");
    assert!(outcome.what_now.starts_with("Make the target's archive writable"));
}

#[test]
fn an_outage_that_is_over_is_no_cause() {
    let outcome = end(RunKind::Apply, 1, vec![away("Archive", false)]);
    assert_eq!(outcome.reason, Reason::ProgramFailed);
    let outcome = end(RunKind::Apply, 0, vec![away("Archive", false)]);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Succeeded, Reason::Applied));
}

#[test]
fn a_condition_says_so_while_it_lasts() {
    let guard = |outages| serde_json::from_value::<GuardResult>(journaling(outages)).unwrap();
    let lasting = guard(vec![away("Archive", true), away("Database", false)]);
    let said: Vec<_> = conditions(RunKind::Apply, &lasting).collect();
    let [(type_, reason, message)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((*type_, *reason), ("ArchiveUnavailable", Reason::ArchiveUnavailable));
    assert!(message.contains("So far 2 items were written, all of them journaled"), "{message}");
}
