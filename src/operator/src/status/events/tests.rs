//! One event for each start and each end, and none repeated.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

use serde_json::{Value, json};

use super::*;
use crate::samples::{ended, record};

/// The events between two statuses, by reason.
fn check(old: &DataMigrationStatus, new: &DataMigrationStatus, expected: &[(&str, bool)]) {
    let told = between(old, new);
    let found: Vec<(&str, bool)> = told.iter().map(|t| (t.reason.as_str(), t.warning)).collect();
    assert_eq!(found, expected, "{told:#?}");
    assert_eq!(between(new, new), [], "a status tells nothing twice");
}

fn status(runs: Vec<RunRecord>, ready: &str, more: Value) -> DataMigrationStatus {
    let condition = |type_: &str, status: &str, reason: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": "a sentence",
            "lastTransitionTime": "2026-11-02T10:00:00Z",
        })
    };
    let mut object = json!({"conditions": [condition("Ready", "False", ready)]});
    for (type_, reason) in more.as_object().unwrap() {
        let extra = condition(type_, "True", reason.as_str().unwrap());
        object["conditions"].as_array_mut().unwrap().push(extra);
    }
    let mut status: DataMigrationStatus = serde_json::from_value(object).unwrap();
    status.runs = runs;
    status
}

fn over(kind: RunKind, result: RunResult, reason: Reason) -> RunRecord {
    RunRecord { reason: Some(reason), ..ended(kind, result) }
}

#[test]
fn a_run_that_starts_is_told_once() {
    let old = DataMigrationStatus::default();
    let new = status(vec![record(RunKind::DryRun)], "Starting", json!({}));
    check(&old, &new, &[("DryRunStarted", false)]);
    let running = status(vec![record(RunKind::DryRun)], "Running", json!({}));
    check(&new, &running, &[]);
    let applying = status(vec![record(RunKind::Apply)], "Starting", json!({}));
    check(&old, &applying, &[("RunStarted", false)]);
}

#[test]
fn a_restore_and_its_preview_are_told_in_words_of_their_own() {
    for (kind, begun, ended) in [
        (RunKind::RestorePreview, "RestorePreviewStarted", Reason::RestorePreviewSucceeded),
        (RunKind::Restore, "RestoreStarted", Reason::Restored),
    ] {
        let running = status(vec![record(kind)], "Running", json!({}));
        check(&DataMigrationStatus::default(), &running, &[(begun, false)]);
        let ready = if kind.writes() { "Restored" } else { "AwaitingRestore" };
        let after = status(vec![over(kind, RunResult::Succeeded, ended)], ready, json!({}));
        check(&running, &after, &[(ended.as_str(), false)]);
        let after = status(
            vec![over(kind, RunResult::Failed, Reason::RestoreFailed)],
            "RestoreFailed",
            json!({}),
        );
        check(&running, &after, &[("RestoreFailed", true)]);
    }
}

#[test]
fn a_run_that_ends_is_told_once_and_names_its_job() {
    let before = status(vec![record(RunKind::DryRun)], "Running", json!({}));
    let succeeded = over(RunKind::DryRun, RunResult::Succeeded, Reason::DryRunSucceeded);
    let after = status(vec![succeeded], "AwaitingPromotion", json!({}));
    check(&before, &after, &[("DryRunSucceeded", false)]);
    let told = between(&before, &after);
    assert_eq!(told[0].job.as_deref(), Some("0001-cars-1-dry-run"));
}

#[test]
fn a_failure_is_a_warning_and_not_told_again_by_the_condition() {
    let before = status(vec![record(RunKind::Apply)], "Running", json!({}));
    let failed = over(RunKind::Apply, RunResult::Failed, Reason::ProgramFailed);
    let stalled = json!({"Stalled": "ProgramFailed"});
    let after = status(vec![failed], "ProgramFailed", stalled);
    check(&before, &after, &[("ProgramFailed", true)]);
}

#[test]
fn a_run_that_was_given_up_is_no_warning() {
    let before = status(vec![record(RunKind::Apply)], "Starting", json!({}));
    let canceled = over(RunKind::Apply, RunResult::Canceled, Reason::Superseded);
    check(&before, &status(vec![canceled], "Starting", json!({})), &[("Superseded", false)]);
}

#[test]
fn an_obstacle_is_told_when_it_appears() {
    let before = status(vec![record(RunKind::DryRun)], "Starting", json!({}));
    let stalled = json!({"Stalled": "ImagePullFailed"});
    let after = status(vec![record(RunKind::DryRun)], "ImagePullFailed", stalled);
    check(&before, &after, &[("ImagePullFailed", true)]);
}

#[test]
fn waiting_is_told_and_is_no_warning() {
    let before = DataMigrationStatus::default();
    check(&before, &status(vec![], "WaitingForStart", json!({})), &[("WaitingForStart", false)]);
}

#[test]
fn a_changed_source_and_a_silent_program_are_warnings() {
    let before = status(vec![], "Applied", json!({}));
    let after = status(
        vec![],
        "Applied",
        json!({
            "SourceChanged": "SourceChanged", "NoRequestsSeen": "NoRequestsSeen",
        }),
    );
    let mut expected = [("SourceChanged", true), ("NoRequestsSeen", true)];
    expected.sort_unstable_by_key(|(reason, _)| *reason != "SourceChanged");
    check(&before, &after, &expected);
}
