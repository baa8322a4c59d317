//! Every kind of end: result, reason, and the sentences people act on.

use dm_api::condition::Reason;
use dm_api::status::RunResult;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::samples::*;

/// A run's end: result, reason and a part of its message.
fn check(
    kind: RunKind,
    job: Option<&Identified<Job>>,
    pods: &[&Pod],
    expected: (RunResult, Reason, &str),
) {
    let outcome = end(kind, job, pods).expect("it is over");
    assert_eq!((outcome.result, outcome.reason), (expected.0, expected.1), "{}", outcome.message);
    assert!(outcome.message.contains(expected.2), "{}", outcome.message);
    let advised = outcome.result == RunResult::Succeeded || !outcome.what_now.is_empty();
    assert!(advised, "it does not say what to do");
}

fn end(kind: RunKind, job: Option<&Identified<Job>>, pods: &[&Pod]) -> Option<Outcome> {
    of(&record(kind), RunObjects { job, pods })
}

mod ledger;
mod left_running;
mod locked;
mod unread;

fn failed_job() -> Identified<Job> {
    job_ended("Failed", "BackoffLimitExceeded")
}

fn guard() -> Value {
    guard_says(json!({}))
}

#[test]
fn a_run_goes_on_until_its_job_and_every_pod_have_ended() {
    let ended = pod_ended(0, "", &Value::Null);
    let running = pod_running();
    let done = job_ended("Complete", "CompletionsReached");
    for (job, pods) in [
        (job(json!({})), vec![&ended]),
        (job(json!({})), vec![&running]),
        (done, vec![&ended, &running]),
        (failed_job(), vec![&running]),
        (job_deleted(), vec![&running]),
    ] {
        assert_eq!(end(RunKind::Apply, Some(&job), &pods), None);
    }
}

#[test]
fn a_program_that_ended_with_0_succeeded() {
    let message = program_says(json!({"exitCode": 0}));
    let pod = pod_ended(0, &message, &guard());
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Succeeded, Reason::Applied, "exit code 0 after 3s; 2 items were");
    check(RunKind::Apply, Some(&job), &[&pod], expected);
    let outcome = end(RunKind::Apply, Some(&job), &[&pod]).unwrap();
    assert_eq!(outcome.execution_time, Some("2026-11-02T10:00:05.250Z".parse().unwrap()));
    assert_eq!(outcome.finalization_time, Some("2026-11-02T10:00:08.750Z".parse().unwrap()));
    assert_eq!(outcome.last_lines, ["one car", "all cars"]);
    assert_eq!((outcome.exit_code, outcome.what_now.as_str()), (Some(0), ""));
}

#[test]
fn a_complete_job_whose_pods_are_gone_succeeded() {
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Succeeded, Reason::Applied, "");
    check(RunKind::Apply, Some(&job), &[], expected);
}

#[test]
fn an_exit_code_other_than_0_is_a_failing_program() {
    let message = program_says(json!({"exitCode": 3}));
    let pod = pod_ended(3, &message, &guard());
    let expected = (RunResult::Failed, Reason::ProgramFailed, "exit code 3 after 3s; 2 items were");
    check(RunKind::Apply, Some(&failed_job()), &[&pod], expected);
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    assert!(outcome.what_now.contains("set spec.retry to 1"), "{}", outcome.what_now);
    let dry = (RunResult::Failed, Reason::ProgramFailed, "; nothing was written.");
    check(RunKind::DryRun, Some(&failed_job()), &[&pod], dry);
}

#[test]
fn a_transform_ends_for_its_own_reasons() {
    let ended = |code: i32, transform: serde_json::Value| {
        let guard = guard_says(json!({"transform": transform}));
        pod_ended(code, &program_says(json!({"exitCode": code})), &guard)
    };
    let counts = |end: &str, failed: u64| {
        json!({
            "end": end, "read": 9, "skipped": 0, "unchanged": 0, "changed": 2, "failed": failed,
            "message": "Scan failed with AccessDeniedException: no",
            "failures": [{"table": "cars", "reason": "set.model: name is missing"}],
        })
    };
    for (code, transform, reason, text) in [
        (
            3,
            counts("PartiallyFailed", 2),
            Reason::PartiallyFailed,
            "The transform could not change 2 items (set.model: name is missing) after 3s; 2 items \
             were",
        ),
        (
            1,
            counts("Failed", 1),
            Reason::TransformFailed,
            "The transform stopped at 1 item (set.model: ",
        ),
        (
            1,
            counts("Failed", 0),
            Reason::TransformFailed,
            "The transform stopped after 3s; 2 items were",
        ),
        (143, counts("Interrupted", 0), Reason::Interrupted, "The transform was asked to stop"),
    ] {
        let pod = ended(code, transform);
        check(RunKind::Apply, Some(&failed_job()), &[&pod], (RunResult::Failed, reason, text));
    }
    let pod = ended(3, counts("PartiallyFailed", 2));
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    assert!(outcome.what_now.contains("transform.failures"), "{}", outcome.what_now);
    // No item stopped it, so there is none to correct.
    let pod = ended(1, counts("Failed", 0));
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    let reason = " Reason: Scan failed with AccessDeniedException: no.";
    assert!(outcome.message.ends_with(reason), "{}", outcome.message);
    let what_now = &outcome.what_now;
    assert!(what_now.starts_with("Correct what the message names. "), "{what_now}");
}

#[test]
fn without_the_entry_program_lines_and_times_come_from_the_kubelet() {
    let lines: Vec<String> = (1..=30).map(|line| format!("line {line}")).collect();
    let tail = lines.join("\n");
    let pod = pod_ended(1, &tail, &guard());
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    assert_eq!((outcome.execution_time, outcome.finalization_time), (Some(at(5)), Some(at(9))));
    assert_eq!(outcome.last_lines.len(), crate::limits::LAST_LINES_MAX);
    assert_eq!(outcome.last_lines.last().map(String::as_str), Some("line 30"));
}

#[test]
fn a_signal_ended_the_program() {
    let told = pod_ended(137, &program_says(json!({"signal": 9})), &guard());
    let guessed = pod_ended(139, "", &guard());
    for (pod, signal) in [(&told, 9), (&guessed, 11)] {
        let text = format!("ended by signal {signal}");
        let expected = (RunResult::Failed, Reason::ProgramKilled, text.as_str());
        check(RunKind::Apply, Some(&failed_job()), &[pod], expected);
        let outcome = end(RunKind::Apply, Some(&failed_job()), &[pod]).unwrap();
        assert_eq!(outcome.signal, Some(signal));
    }
}

#[test]
fn a_program_out_of_memory_is_told_from_one_that_was_killed() {
    let mut pod = pod_ended(137, &program_says(json!({"signal": 9})), &guard());
    let status = pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    let state = status[0].state.as_mut().unwrap().terminated.as_mut().unwrap();
    state.reason = Some("OOMKilled".into());
    let expected = (RunResult::Failed, Reason::OutOfMemory, "more memory than its limit");
    check(RunKind::Apply, Some(&failed_job()), &[&pod], expected);
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    assert!(outcome.what_now.starts_with("Raise spec.podTemplate.resources.limits.memory"));
}

#[test]
fn a_missing_interpreter_is_a_program_that_did_not_start() {
    let message = program_says(json!({
        "startError": "there is no python3 in the image", "startedAt": null, "finishedAt": null,
        "lastLines": null,
    }));
    let pod = pod_ended(127, &message, &guard_says(json!({"requests": 0, "tables": []})));
    let expected = (RunResult::Failed, Reason::ProgramNotStarted, "no python3 in the image");
    check(RunKind::Apply, Some(&failed_job()), &[&pod], expected);
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    assert_eq!((outcome.execution_time, outcome.started), (None, false));
    assert!(outcome.message.ends_with("had not started, and nothing was written."));
    assert!(!outcome.what_now.contains("partly changed"), "{}", outcome.what_now);
}

#[test]
fn a_folder_that_could_not_be_prepared_is_said() {
    let end = json!({"terminated": {"exitCode": 1, "message": "no space left on device"}});
    let init = json!({"status": {"initContainerStatuses": [container("prepare", &end)]}});
    let pod = pod("Failed", init);
    let expected = (RunResult::Failed, Reason::ContainerStartFailed, "no space left on device");
    check(RunKind::Apply, Some(&failed_job()), &[&pod], expected);
}

#[test]
fn a_container_that_could_not_be_started_is_said() {
    let mut pod = pod_ended(128, "exec: \"/nowhere\": no such file", &Value::Null);
    let status = pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    let state = status[0].state.as_mut().unwrap().terminated.as_mut().unwrap();
    (state.reason, state.started_at) = (Some("StartError".into()), None);
    let expected = (RunResult::Failed, Reason::ContainerStartFailed, "no such file");
    check(RunKind::Apply, Some(&failed_job()), &[&pod], expected);
}

#[test]
fn an_eviction_is_told_by_its_condition_or_by_the_pods_reason() {
    let ended = pod_ended(143, &program_says(json!({"signal": 15})), &guard());
    let drained = with(
        &ended,
        json!({"status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "message": "node is drained",
        }]}}),
    );
    let evicted = with(&ended, json!({"status": {"reason": "Evicted", "message": "low on disk"}}));
    for (pod, text) in [(&drained, "node is drained"), (&evicted, "low on disk")] {
        let expected = (RunResult::Failed, Reason::Evicted, text);
        check(RunKind::Apply, Some(&job_ended("Failed", "PodFailurePolicy")), &[pod], expected);
    }
}

#[test]
fn a_lost_node_leaves_open_whether_the_program_started() {
    let mut lost = pod_ended(137, "", &Value::Null);
    let status = lost.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    let state = status[0].state.as_mut().unwrap().terminated.as_mut().unwrap();
    (state.reason, state.started_at) = (Some("ContainerStatusUnknown".into()), None);
    let never_created = lost.clone();
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&never_created]).unwrap();
    assert!(!outcome.started, "its image could not be pulled");

    let status = lost.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    status[0].last_state = status[0].state.clone();
    let forgotten = pod("Failed", json!({"status": {"startTime": time(2)}}));
    for pod in [&lost, &forgotten] {
        let outcome = end(RunKind::Apply, Some(&failed_job()), &[pod]).unwrap();
        assert!(outcome.started);
        assert_eq!((outcome.reason, outcome.exit_code), (Reason::OutcomeUnknown, None));
        assert!(outcome.message.contains("is not known"), "{}", outcome.message);
    }
}

#[test]
fn what_was_seen_once_stays_true_when_its_pod_is_gone() {
    let mut record = record(RunKind::Apply);
    record.execution_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(5)));
    let outcome = of(&record, RunObjects { job: Some(&job_deleted()), pods: &[] }).unwrap();
    assert_eq!((outcome.execution_time, outcome.started), (Some(at(5)), true));
    assert!(outcome.message.contains("is not known"), "{}", outcome.message);
}

#[test]
fn a_deadline_is_a_deadline_however_the_program_took_it() {
    let job = job_ended("Failed", "DeadlineExceeded");
    for code in [0, 143] {
        let pod = pod_ended(code, "", &guard());
        let expected = (RunResult::Failed, Reason::DeadlineExceeded, "activeDeadlineSeconds");
        check(RunKind::Apply, Some(&job), &[&pod], expected);
    }
}

#[test]
fn a_program_that_ended_before_the_deadline_stopped_its_guard_has_succeeded() {
    let job = job_ended("Failed", "DeadlineExceeded");
    let deleted = |after: i64| {
        let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard());
        let asked = json!({"deletionTimestamp": time(9 + after), "deletionGracePeriodSeconds": 0});
        with(&pod, json!({"metadata": asked}))
    };
    let expected = (RunResult::Succeeded, Reason::Applied, "exit code 0");
    check(RunKind::Apply, Some(&job), &[&deleted(1)], expected);
    let expected = (RunResult::Failed, Reason::DeadlineExceeded, "activeDeadlineSeconds");
    check(RunKind::Apply, Some(&job), &[&deleted(0)], expected);
}

#[test]
fn a_deadline_is_told_from_how_long_the_program_ran() {
    let job = with(
        &job_ended("Failed", "DeadlineExceeded"),
        json!({"spec": {"activeDeadlineSeconds": 20}}),
    );
    let pod = pod_ended(143, &program_says(json!({"signal": 15})), &guard());
    let text =
        "activeDeadlineSeconds (20 s) passed since its Job started; its program had run for 3s; 2";
    check(RunKind::Apply, Some(&job), &[&pod], (RunResult::Failed, Reason::DeadlineExceeded, text));
}

#[test]
fn a_run_that_wrote_nothing_is_not_half_done() {
    let guard = guard_says(json!({"mode": "Apply", "writeCallsUpstream": 0, "tables": []}));
    let pod = pod_ended(3, &program_says(json!({"exitCode": 3})), &guard);
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    assert!(outcome.message.ends_with("no item was written."), "{}", outcome.message);
    assert!(!outcome.what_now.contains("partly changed"), "{}", outcome.what_now);
    let advice = "Then set spec.retry to 1 to run the migration.";
    assert!(outcome.what_now.ends_with(advice), "{}", outcome.what_now);
}

#[test]
fn a_pod_that_filled_its_disk_says_which_limit_to_raise() {
    let ended = pod_ended(137, "", &guard());
    let words = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.";
    let evicted = with(&ended, json!({"status": {"reason": "Evicted", "message": words}}));
    // A condition without words does not hide them.
    let condition =
        json!({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}});
    for pod in [&evicted, &with(&evicted, condition)] {
        let outcome = end(RunKind::Apply, Some(&failed_job()), &[pod]).unwrap();
        assert!(outcome.message.contains("ephemeral local storage"), "{}", outcome.message);
        assert!(outcome.what_now.contains("ephemeral storage"), "{}", outcome.what_now);
    }
}

#[test]
fn a_pod_deleted_by_hand_is_told_whether_or_not_it_ran() {
    let deleted = json!({"metadata": {
        "deletionTimestamp": time(36), "deletionGracePeriodSeconds": 30,
    }});
    let ran =
        with(&pod_ended(143, &program_says(json!({"signal": 15})), &guard()), deleted.clone());
    let waited = with(&pod("Failed", json!({})), deleted);
    check(
        RunKind::Apply,
        Some(&failed_job()),
        &[&ran],
        (RunResult::Failed, Reason::PodDeleted, "deleted by hand after 3s; 2 items were written"),
    );
    check(
        RunKind::Apply,
        Some(&failed_job()),
        &[&waited],
        (RunResult::Failed, Reason::PodDeleted, "deleted by hand; the program had not started"),
    );
}

#[test]
fn a_program_that_ends_with_0_because_it_was_asked_to_stop_did_not_succeed() {
    let complete = job_ended("Complete", "CompletionsReached");
    let ended = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard());
    let asked = |at: i64| {
        json!({"metadata": {
            "deletionTimestamp": time(at + 30), "deletionGracePeriodSeconds": 30,
        }})
    };
    let before_its_end = with(&ended, asked(6));
    let after_its_end = with(&ended, asked(12));
    let early = (RunResult::Failed, Reason::PodDeleted, "deleted by hand");
    check(RunKind::Apply, Some(&complete), &[&before_its_end], early);
    let late = (RunResult::Succeeded, Reason::Applied, "exit code 0");
    check(RunKind::Apply, Some(&complete), &[&after_its_end], late);
}

#[test]
fn a_program_that_ends_with_0_while_its_node_shuts_down_did_not_succeed() {
    let complete = job_ended("Complete", "CompletionsReached");
    let shut_down = |at: i64| {
        json!({"status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
            "message": "Pod was terminated in response to imminent node shutdown.",
            "lastTransitionTime": time(at),
        }]}})
    };
    let says = program_says(json!({"exitCode": 0}));
    let early = (RunResult::Failed, Reason::Evicted, "imminent node shutdown after 3s; 2 items");
    for message in ["", &says] {
        let ended = pod_ended(0, message, &guard());
        let text = if message.is_empty() { "imminent node shutdown" } else { early.2 };
        let pod = with(&ended, shut_down(6));
        for kind in [RunKind::Apply, RunKind::DryRun] {
            let text = if kind == RunKind::DryRun { "imminent node shutdown" } else { text };
            check(kind, Some(&complete), &[&pod], (early.0, early.1, text));
        }
        let late = (RunResult::Succeeded, Reason::Applied, "exit code 0");
        check(RunKind::Apply, Some(&complete), &[&with(&ended, shut_down(12))], late);
        let unknown = json!({"status": {"reason": "Terminated", "message": "node shutdown"}});
        let expected = (RunResult::Failed, Reason::Evicted, "node shutdown");
        check(RunKind::Apply, Some(&complete), &[&with(&ended, unknown)], expected);
    }
    let restore = restore_pod(0, &restore_says(json!({})));
    let outcome = end(RunKind::Restore, Some(&complete), &[&with(&restore, shut_down(6))]).unwrap();
    assert_eq!(outcome.result, RunResult::Succeeded, "it ends with 0 only where it has finished");
}

#[test]
fn a_program_that_was_asked_to_end_and_ended_with_0_was_interrupted() {
    let says = program_says(json!({"exitCode": 0, "askedToEnd": 15}));
    let text = "it ended, perhaps before its work was complete, with exit code 0 after 3s; 2 items";
    let expected = (RunResult::Failed, Reason::Interrupted, text);
    let asked = pod_ended(143, &says, &guard());
    check(RunKind::Apply, Some(&failed_job()), &[&asked], expected);
    // A Job that an earlier entry program, or a forged exit code, has completed.
    let complete = job_ended("Complete", "CompletionsReached");
    check(RunKind::Apply, Some(&complete), &[&pod_ended(0, &says, &guard())], expected);
    let failed = program_says(json!({"exitCode": 3, "askedToEnd": 15}));
    let expected = (RunResult::Failed, Reason::ProgramFailed, "exit code 3");
    check(RunKind::Apply, Some(&failed_job()), &[&pod_ended(3, &failed, &guard())], expected);
}

#[test]
fn a_job_deleted_by_hand_ends_its_run_unless_the_program_had_ended_well() {
    let gone = (RunResult::Failed, Reason::JobDeleted, "had not started, and nothing was written");
    check(RunKind::Apply, Some(&job_deleted()), &[], gone);
    let well = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard());
    let done = (RunResult::Succeeded, Reason::Applied, "2 items were written");
    check(RunKind::Apply, Some(&job_deleted()), &[&well], done);
    let badly = pod_ended(1, &program_says(json!({"exitCode": 1})), &guard());
    let failed = (RunResult::Failed, Reason::JobDeleted, "Job was deleted by hand");
    check(RunKind::Apply, Some(&job_deleted()), &[&badly], failed);
}

#[test]
fn a_job_that_vanished_is_told_by_its_pods() {
    let deleted = json!({"metadata": {
        "deletionTimestamp": time(36), "deletionGracePeriodSeconds": 30,
    }});
    let stopped = with(&pod_ended(143, &program_says(json!({"signal": 15})), &guard()), deleted);
    let expected = (RunResult::Failed, Reason::JobDeleted, "2 items were written");
    check(RunKind::Apply, None, &[&stopped], expected);
}

#[test]
fn a_run_whose_objects_are_all_gone_is_unknown() {
    let outcome = unknown(&record(RunKind::Apply));
    assert_eq!((outcome.result, outcome.reason), (RunResult::Unknown, Reason::OutcomeUnknown));
    assert!(outcome.message.contains("is not known"), "{}", outcome.message);
    assert!(outcome.what_now.contains("Look at the data"), "{}", outcome.what_now);
}

#[test]
fn a_run_that_was_given_up_is_canceled_if_nothing_can_have_been_written() {
    let stopped = |reason: &str| {
        with(
            &job_deleted(),
            json!({"metadata": {"annotations": {
                "datamigration.dev/stop-reason": reason,
            }}}),
        )
    };
    let ran = pod_ended(143, &program_says(json!({"signal": 15})), &guard());
    for (reason, expected) in [
        ("Superseded", Reason::Superseded),
        ("Terminating", Reason::Terminating),
        ("Suspended", Reason::Suspended),
    ] {
        let job = stopped(reason);
        check(RunKind::Apply, Some(&job), &[], (RunResult::Canceled, expected, "not started"));
        check(RunKind::DryRun, Some(&job), &[&ran], (RunResult::Canceled, expected, "nothing"));
        check(RunKind::Apply, Some(&job), &[&ran], (RunResult::Failed, expected, "2 items"));
        let outcome = end(RunKind::Apply, Some(&job), &[&ran]).unwrap();
        assert!(outcome.what_now.contains("Look at the data"), "{}", outcome.what_now);
    }
}

#[test]
fn a_guard_with_a_problem_fails_the_run() {
    let restarted = guard_says(json!({"problem": "it was restarted in the middle of the run"}));
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &restarted);
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Failed, Reason::GuardFailed, "restarted in the middle");
    check(RunKind::Apply, Some(&job), &[&pod], expected);
    check(RunKind::Apply, Some(&job), &[&pod], (expected.0, expected.1, "at least 2 items were"));
    let advice = end(RunKind::Apply, Some(&job), &[&pod]).unwrap().what_now;
    assert!(advice.starts_with("Find the cause in the guard's log (kubectl logs job/"), "{advice}");
    assert!(advice.contains(" -c guard)") && advice.contains("resources.guard"), "{advice}");
}

#[test]
fn a_dry_run_with_refused_calls_is_incomplete() {
    let remark = json!({"remarks": [{
        "operation": "ExecuteStatement", "fidelity": "Refused", "why": "PartiQL", "count": 2,
    }]});
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard_says(remark));
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Failed, Reason::DryRunIncomplete, "ExecuteStatement (PartiQL, 2×)");
    check(RunKind::DryRun, Some(&job), &[&pod], expected);
    check(RunKind::Apply, Some(&job), &[&pod], (RunResult::Succeeded, Reason::Applied, ""));
}

#[test]
fn a_dry_run_whose_guard_let_writes_through_says_so() {
    let leaked = guard_says(json!({"writeCallsUpstream": 4}));
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &leaked);
    let job = job_ended("Complete", "CompletionsReached");
    let expected = (RunResult::Failed, Reason::GuardFailed, "4 write calls reached the database");
    check(RunKind::DryRun, Some(&job), &[&pod], expected);
}

#[test]
fn a_message_is_no_longer_than_status_takes() {
    assert_eq!(bounded("short".into()), "short");
    let cut = bounded("ü".repeat(2 * crate::limits::MESSAGE_CHARS_MAX));
    assert!(cut.chars().count() == crate::limits::MESSAGE_CHARS_MAX && cut.ends_with('…'));
}
