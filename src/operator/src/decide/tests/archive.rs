//! What the archive holds up: a run that was put off, an end that is not noted yet, an end that
//! nobody knows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::*;
use crate::read::view::JobEnd;

/// A run that was put off at second 30, after waiting for so long.
fn put_off(waited: i64) -> RunRecord {
    RunRecord {
        reason: Some(Reason::ArchiveUnavailable),
        message: Some("Waiting for the target's archive".into()),
        waiting_since: Some(Time(at(30 - waited))),
        ..ended(RunKind::Apply, RunResult::Canceled)
    }
}

#[test]
fn a_run_that_was_put_off_is_tried_again_after_as_long_as_it_has_waited() {
    for (waited, next) in [(0, 40), (10, 40), (60, 90), (100_000, 150)] {
        let case =
            |now| Case { now, ..Case::new(applying(json!({}))).after(vec![put_off(waited)]) };
        let position = check(
            &case(next - 1),
            Phase::Waiting,
            Standing::Reconciling,
            Reason::ArchiveUnavailable,
        );
        assert_eq!(position.next, Some(at(next)), "waited {waited} s");
        let record = begins(&case(next), RunKind::Apply, 2);
        assert_eq!(record.waiting_since, Some(Time(at(30 - waited))));
        assert_eq!(record.message.as_deref(), Some("Waiting for the target's archive"));
    }
}

#[test]
fn a_try_after_one_that_was_put_off_says_what_is_waited_for_until_it_is_let_through() {
    let record = RunRecord { result: RunResult::Running, recorded_at: None, ..put_off(60) };
    let case = Case::new(applying(json!({}))).after(vec![record]);
    let (position, _) = follows(&case.with_objects(Some(job(json!({}))), vec![]));
    assert_eq!(position.reason, Reason::ArchiveUnavailable);
}

fn not_noted(result: RunResult) -> RunRecord {
    RunRecord { archived: Some(false), ..ended(RunKind::Apply, result) }
}

fn noting(end: JobEnd) -> Vec<RecordJob> {
    vec![RecordJob { run: 1, end }]
}

#[test]
fn no_run_begins_before_the_archive_knows_how_the_last_one_ended() {
    let case = |recorders| Case {
        recorders,
        ..Case::new(applying(json!({"retry": 1}))).after(vec![not_noted(RunResult::Failed)])
    };
    for (recorders, reason) in [
        (vec![], Reason::Recording),
        (noting(JobEnd::No), Reason::Recording),
        (noting(JobEnd::Failed("BackoffLimitExceeded".into())), Reason::ArchiveUnavailable),
    ] {
        check(&case(recorders), Phase::Waiting, Standing::Reconciling, reason);
    }
    begins(&case(noting(JobEnd::Complete)), RunKind::Apply, 2);
}

#[test]
fn a_ledger_that_says_otherwise_holds_up_what_nobody_has_decided() {
    let contradicted = || noting(JobEnd::Failed("PodFailurePolicy".into()));
    let case = |migration, retry| {
        let failed = RunRecord { retry, ..not_noted(RunResult::Failed) };
        Case { recorders: contradicted(), ..Case::new(migration).after(vec![failed]) }
    };
    // Of a run that was raised before, the second try has ended otherwise.
    let lost = RunRecord { wrote_nothing: true, ..not_noted(RunResult::Canceled) };
    let held =
        Case { recorders: contradicted(), ..Case::new(applying(json!({}))).after(vec![lost]) };
    let position = check(&held, Phase::Stalled, Standing::Stalled, Reason::LedgerContradicts);
    for part in ["logs job/", "spec.retry to 1", "spec.state to Restored"] {
        assert!(position.message.contains(part), "{part}: {}", position.message);
    }
    // Who raised it before that was said had decided something else.
    let early = case(applying(json!({"retry": 1})), 0);
    check(&early, Phase::Failed, Standing::Stalled, Reason::OutcomeUnknown);
    let mut told = early;
    let status = told.migration.status.as_mut().unwrap();
    status.conditions = vec![Condition {
        type_: types::NOT_ARCHIVED.into(),
        status: "True".into(),
        reason: Reason::LedgerContradicts.to_string(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(at(30)),
    }];
    begins(&told, RunKind::Apply, 2);
}

#[test]
fn a_dry_run_does_not_wait_for_it() {
    let case = Case::new(trying(json!({}))).after(vec![not_noted(RunResult::Failed)]);
    begins(&case, RunKind::DryRun, 2);
}

#[test]
fn a_deleted_migration_stays_until_the_archive_knows_but_not_for_ever() {
    let case = |now, recorders| {
        let mut migration = applying(json!({}));
        migration.metadata.deletion_timestamp = Some(Time(at(0)));
        let runs = vec![not_noted(RunResult::Failed)];
        Case { recorders, now, ..Case::new(migration).after(runs) }
    };
    let waits =
        check(&case(40, vec![]), Phase::Terminating, Standing::Reconciling, Reason::Terminating);
    assert!(waits.message.contains("outcome of run 1"), "{}", waits.message);
    let next = waits.next.expect("nothing else may happen until then");
    assert!(next >= at(120) && next <= at(150), "{next}");
    assert!(is_released(&case(40, noting(JobEnd::Complete))));
    assert!(is_released(&case(151, vec![])));
}

#[test]
fn raising_retry_after_an_unknown_end_overrules_the_ledger_and_nothing_else_does() {
    let unknown = || numbered(3, ended(RunKind::Apply, RunResult::Unknown));
    let begun = |spec, runs| begins(&Case::new(applying(spec)).after(runs), RunKind::Apply, 4);
    assert_eq!(begun(json!({"retry": 1}), vec![unknown()]).overrules, Some(3));
    // A fresh object whose retry was raised long ago has been told nothing.
    let fresh = Case::new(applying(json!({"retry": 1})));
    assert_eq!(begins(&fresh, RunKind::Apply, 1).overrules, None);
    let failed = || numbered(3, failed(RunKind::Apply));
    assert_eq!(begun(json!({"retry": 1}), vec![failed()]).overrules, None);
    // What was decided once stays decided.
    let decided = RunRecord { overrules: Some(2), ..failed() };
    assert_eq!(begun(json!({"retry": 1}), vec![decided]).overrules, Some(2));
}
