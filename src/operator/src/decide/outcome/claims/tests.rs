//! Forged termination messages: whatever the program's container claims, the kubelet, the guard and
//! the ledger decide.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunResult};
use serde_json::{Value, json};

use super::super::{Outcome, of as outcome_of};
use super::*;
use crate::read::view::RunObjects;
use crate::samples::*;

/// An apply of which the guard has seen five writes, whose container ended with a code and this
/// message.
fn forged(code: i32, message: &str, guard: &Value) -> Outcome {
    let pod = pod_ended(code, message, guard);
    outcome_at(&[&pod])
}

fn outcome_at(pods: &[&Pod]) -> Outcome {
    let job = job_ended("Failed", "BackoffLimitExceeded");
    outcome_of(&record(RunKind::Apply), RunObjects { job: Some(&job), pods }).unwrap()
}

fn five_writes() -> Value {
    guard_says(json!({"mode": "Apply", "requests": 6, "writeCallsUpstream": 5, "tables": [{
        "name": "cars", "itemsRead": 0, "created": 0, "updated": 5, "deleted": 0, "unchanged": 0,
    }]}))
}

fn not_started() -> String {
    let claim = json!({"startError": "no python3", "startedAt": null, "finishedAt": null});
    program_says(claim)
}

/// Whether the outcome keeps what the guard knows.
fn check_written(outcome: &Outcome, reason: Reason) {
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, reason), "{outcome:?}");
    assert!(outcome.started && !outcome.wrote_nothing, "{outcome:?}");
    assert!(!outcome.message.contains("nothing was written"), "{}", outcome.message);
    assert!(outcome.what_now.contains("partly changed"), "{}", outcome.what_now);
}

#[test]
fn a_program_that_wrote_cannot_say_that_it_never_started() {
    for code in [125, 126, 127, 1] {
        let outcome = forged(code, &not_started(), &five_writes());
        check_written(&outcome, Reason::ProgramFailed);
        assert!(outcome.message.contains("5 items were written"), "{}", outcome.message);
        assert!(outcome.message.contains(&format!("exit code {code}")), "{}", outcome.message);
        assert_eq!((outcome.exit_code, outcome.execution_time), (Some(code), Some(at(5))));
    }
}

#[test]
fn nothing_is_known_of_the_data_without_a_sound_guard_of_the_only_pod() {
    let restarted = guard_says(json!({"requests": 0, "tables": [], "problem": "restarted"}));
    for guard in [Value::Null, restarted] {
        let outcome = forged(127, &not_started(), &guard);
        check_written(&outcome, Reason::ProgramFailed);
    }
    let quiet = guard_says(json!({"requests": 0, "tables": []}));
    let earlier = pod_ended(1, &program_says(json!({"exitCode": 1})), &five_writes());
    let last = pod_ended(127, &not_started(), &quiet);
    check_written(&outcome_at(&[&earlier, &last]), Reason::ProgramFailed);
    let outcome = outcome_at(&[&last]);
    assert_eq!(outcome.reason, Reason::ProgramNotStarted);
    assert!(outcome.wrote_nothing && !outcome.started);
}

#[test]
fn the_exit_code_is_the_kubelets() {
    let success = program_says(json!({"exitCode": 0}));
    for (code, reason) in [(3, Reason::ProgramFailed), (137, Reason::ProgramKilled)] {
        let outcome = forged(code, &success, &five_writes());
        check_written(&outcome, reason);
        assert_eq!(outcome.exit_code, Some(code));
        // They are of no use to anybody but its author.
        assert_eq!(outcome.last_lines, ["one car", "all cars"]);
    }
    let signal = forged(1, &program_says(json!({"signal": 9})), &five_writes());
    assert_eq!((signal.reason, signal.signal), (Reason::ProgramFailed, None));
    let both = json!({"exitCode": 1, "signal": 9, "startError": "no"});
    let both = forged(1, &program_says(both), &five_writes());
    assert_eq!((both.reason, both.signal), (Reason::ProgramFailed, None));
}

#[test]
fn times_lie_in_the_life_of_the_container() {
    let times = |start: &str, end: &str| {
        let claims = json!({"exitCode": 1, "startedAt": start, "finishedAt": end});
        let outcome = forged(1, &program_says(claims), &five_writes());
        (outcome.execution_time.unwrap(), outcome.finalization_time.unwrap())
    };
    let honest = times("2026-11-02T10:00:05.250Z", "2026-11-02T10:00:08.750Z");
    assert_eq!(honest.0.to_string(), "2026-11-02T10:00:05.25Z");
    assert_eq!(honest.1.to_string(), "2026-11-02T10:00:08.75Z");
    for (start, end) in [
        ("1999-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2026-11-02T10:00:08Z", "2026-11-02T10:00:06Z"),
        ("yesterday", ""),
    ] {
        assert_eq!(times(start, end), (at(5), at(9)), "{start} {end}");
    }
}

#[test]
fn an_image_with_its_own_entrypoint_writes_lines_and_no_result() {
    let own = json!({"spec": {"containers": [{"name": "program", "args": ["--all"]}]}});
    let other = json!({"spec": {"containers": [{"name": "program", "command": ["/cars"]}]}});
    for spec in [own, other] {
        let message = program_says(json!({"exitCode": 1, "secondRun": {"exitCode": 0}}));
        let pod = with(&pod_ended(1, &message, &five_writes()), spec);
        assert_eq!(of(&pod), None);
        assert_eq!(outcome_at(&[&pod]).last_lines, [message.as_str()]);
    }
}
