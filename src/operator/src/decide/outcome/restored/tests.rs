//! Ends of restores: what several pods did together, and what people read.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::samples::*;

fn end(kind: RunKind, job: &Identified<Job>, pods: &[&Pod]) -> Outcome {
    let record = restore(2, kind, 1, RunResult::Running);
    super::super::of(&record, RunObjects { job: Some(job), pods }).expect("it is over")
}

fn check(
    kind: RunKind,
    job: &Identified<Job>,
    pods: &[&Pod],
    expected: (RunResult, Reason, &str),
) -> Outcome {
    let outcome = end(kind, job, pods);
    assert_eq!((outcome.result, outcome.reason), (expected.0, expected.1), "{}", outcome.message);
    assert!(outcome.message.contains(expected.2), "{}", outcome.message);
    assert_eq!(outcome.what_now.is_empty(), outcome.result == RunResult::Succeeded);
    assert!(outcome.last_lines.is_empty(), "its result is not shown as lines of a program");
    outcome
}

fn complete() -> Identified<Job> {
    job_ended("Complete", "CompletionsReached")
}

fn failed() -> Identified<Job> {
    job_ended("Failed", "BackoffLimitExceeded")
}

#[test]
fn a_restore_and_a_preview_end_well_in_words_of_their_own() {
    let pod = restore_pod(0, &restore_says(json!({})));
    let expected = (RunResult::Succeeded, Reason::Restored, "404 items of run 1 were restored");
    let outcome = check(RunKind::Restore, &complete(), &[&pod], expected);
    assert_eq!(outcome.execution_time, Some("2026-11-02T10:00:05.250Z".parse().unwrap()));
    assert_eq!(outcome.finalization_time, Some("2026-11-02T10:00:08.750Z".parse().unwrap()));
    let expected = (RunResult::Succeeded, Reason::RestorePreviewSucceeded, "nothing was written");
    check(RunKind::RestorePreview, &complete(), &[&pod], expected);
}

#[test]
fn a_restore_that_finished_while_its_pod_was_being_deleted_has_ended_well() {
    let pod = restore_pod(0, &restore_says(json!({})));
    let asked = json!({"deletionTimestamp": time(38), "deletionGracePeriodSeconds": 30});
    let pod = with(&pod, json!({"metadata": asked}));
    let expected = (RunResult::Succeeded, Reason::Restored, "404 items of run 1 were restored");
    check(RunKind::Restore, &complete(), &[&pod], expected);
}

#[test]
fn what_an_interrupted_restore_did_before_is_counted() {
    let first = restore_pod(
        1,
        &restore_says(json!({
            "finished": false, "items": 150, "restored": 148, "unchanged": 2, "writeUnits": 148.0,
            "problem": "interrupted",
        })),
    );
    let second = restore_pod(
        0,
        &restore_says(json!({"restored": 256, "unchanged": 150, "writeUnits": 256.0})),
    );
    let expected = (RunResult::Succeeded, Reason::Restored, "404 items");
    let outcome = check(RunKind::Restore, &complete(), &[&first, &second], expected);
    let all = outcome.restore.unwrap();
    assert_eq!(
        (all.counts.items, all.counts.restored, all.counts.unchanged, all.conflicts),
        (406, 404, 2, 2)
    );
    assert!((all.write_units - 404.0).abs() < 0.01);
    // One that was killed left no word; what the other says is right all the same.
    let killed = restore_pod(137, &Value::Null);
    let outcome = check(
        RunKind::Restore,
        &complete(),
        &[&killed, &second],
        (RunResult::Succeeded, Reason::Restored, "256 items"),
    );
    assert_eq!(outcome.restore.unwrap().counts.items, 406);
}

#[test]
fn a_restore_that_fails_says_why_and_how_it_goes_on() {
    let said = restore_says(json!({
        "finished": false, "restored": 10, "problem": "the archive does not answer.",
    }));
    let pod = restore_pod(1, &said);
    let expected = (
        RunResult::Failed,
        Reason::RestoreFailed,
        "The restore failed: the archive does not answer after 3s; 10 items of run 1 were \
         restored.",
    );
    let outcome = check(RunKind::Restore, &failed(), &[&pod], expected);
    assert!(outcome.what_now.contains("set spec.retry to 1 to resume the restore"));
    let preview = (RunResult::Failed, Reason::RestoreFailed, "nothing was written");
    let outcome = check(RunKind::RestorePreview, &failed(), &[&pod], preview);
    assert!(outcome.what_now.contains("To preview it again, set spec.retry to 1"));
}

#[test]
fn a_restore_without_its_journal_has_done_nothing_and_the_run_stands() {
    let gone = "JournalGone: the journal of team.m/1 was removed at 2026-11-01T00:00:00.000Z by gc";
    let nothing = json!({
        "finished": false, "items": 0, "restored": 0, "unchanged": 0, "conflicts": 0, "groups": [],
        "problem": gone, "journalProblem": "JournalGone",
    });
    let pod = restore_pod(88, &restore_says(nothing.clone()));
    let expected = (RunResult::Failed, Reason::ArchiveRequired, "JournalGone: the journal");
    let outcome = check(RunKind::Restore, &failed(), &[&pod], expected);
    assert!(outcome.message.contains("0 items of run 1 were restored"), "{}", outcome.message);
    assert!(outcome.what_now.contains("set spec.state to Applied"), "{}", outcome.what_now);
    check(RunKind::RestorePreview, &failed(), &[&pod], expected);
    // What an earlier pod wrote, or may have written, is there.
    let first = restore_pod(1, &restore_says(json!({"finished": false, "problem": "interrupted"})));
    let expected = (RunResult::Failed, Reason::RestoreFailed, "404 items of run 1");
    check(RunKind::Restore, &failed(), &[&first, &pod], expected);
    let killed = restore_pod(137, &Value::Null);
    let expected = (RunResult::Failed, Reason::RestoreFailed, "JournalGone");
    check(RunKind::Restore, &failed(), &[&killed, &pod], expected);
}

#[test]
fn a_restore_that_ended_without_a_word_or_early_is_no_success() {
    for said in [Value::Null, restore_says(json!({"finished": false}))] {
        let pod = restore_pod(0, &said);
        let expected = (RunResult::Failed, Reason::RestoreFailed, "without a result");
        check(RunKind::Restore, &complete(), &[&pod], expected);
    }
}

#[test]
fn a_restore_whose_job_was_deleted_has_failed_and_a_preview_given_up_is_canceled() {
    let pod =
        with(&restore_pod(143, &Value::Null), json!({"metadata": {"deletionTimestamp": time(9)}}));
    let expected = (RunResult::Failed, Reason::JobDeleted, "is not known");
    check(RunKind::Restore, &job_deleted(), &[&pod], expected);
    let annotation = json!({"metadata": {"annotations": {
        "datamigration.dev/stop-reason": "Superseded",
    }}});
    let stopped = with(&job_deleted(), annotation);
    let expected = (RunResult::Canceled, Reason::Superseded, "nothing was written");
    check(RunKind::RestorePreview, &stopped, &[&pod], expected);
}
