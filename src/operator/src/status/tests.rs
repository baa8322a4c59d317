//! What a decision makes of a status: times that move only with what they belong to, and lists that
//! have an end.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

mod restore;

use dm_api::status::Phase;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::decide::{self, outcome, under_way};
use crate::read::dependencies::Dependencies;
use crate::read::recorders::RecordJob;
use crate::read::view::RunObjects;
use crate::samples::*;

/// A migration without objects, a minute after the beginning.
fn situation<'a>(
    migration: &'a Migration,
    runnable: &'a crate::runnable::Runnable,
    dependencies: &'a Dependencies,
) -> Situation<'a> {
    Situation {
        migration,
        runnable: Ok(runnable),
        target: Some(&runnable.target),
        dependencies,
        objects: RunObjects { job: None, pods: &[] },
        jobs: &[],
        pods: &[],
        is_complete: true,
        answers: &NO_ANSWERS,
        holders: &[],
        namespace_ends: false,
        recorders: &[],
        settings: &SETTINGS,
        now: at(60),
    }
}

/// The status that a decision leads to at a time.
fn check(migration: &Migration, decision: &Decision, now: i64) -> DataMigrationStatus {
    let (runnable, dependencies) = (runnable(), Dependencies::default());
    let situation = Situation { now: at(now), ..situation(migration, &runnable, &dependencies) };
    next(situation, &decide::completed(situation, decision.clone()))
}

/// The same migration with another status.
fn having(migration: &Migration, status: &DataMigrationStatus) -> Migration {
    let mut migration = migration.clone();
    migration.status = Some(status.clone());
    migration
}

mod ledger;
mod split;

fn rest(standing: Standing, reason: Reason) -> Decision {
    let phase = dm_api::status::Phase::Stalled;
    Decision::rest(Position::new(phase, standing, reason, format!("because of {reason}")))
}

fn transition(status: &DataMigrationStatus, type_: &str) -> Timestamp {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_);
    found.expect("the condition holds").last_transition_time.0
}

/// A run has its number.
fn begun(record: RunRecord) -> Decision {
    let position = under_way::starting(&record);
    Decision::record(Change::Begin(Box::new(record))).at(position)
}

fn finish(outcome: outcome::Outcome) -> Decision {
    Decision::record(Change::Finish(Box::new(outcome)))
}

fn finished(kind: RunKind, job: &Identified<Job>, pod: &Pod) -> Decision {
    let objects = RunObjects { job: Some(job), pods: &[pod] };
    finish(outcome::of(&record(kind), objects).unwrap())
}

fn running(kind: RunKind) -> Migration {
    let mut migration = applying(json!({}));
    migration.spec.dry_run = kind == RunKind::DryRun;
    let runs = vec![record(kind)];
    having(&migration, &DataMigrationStatus { last_run: 1, runs, ..Default::default() })
}

#[test]
fn a_transition_time_moves_only_when_its_status_flips() {
    let fresh = migration(json!({}));
    let first = check(&fresh, &rest(Standing::Stalled, Reason::TargetNotFound), 10);
    let again = check(&having(&fresh, &first), &rest(Standing::Stalled, Reason::InvalidSpec), 20);
    assert_eq!(transition(&again, types::READY), at(10));
    assert_eq!(transition(&again, types::STALLED), at(10));
    let ready = check(&having(&fresh, &again), &rest(Standing::Ready, Reason::Applied), 30);
    assert_eq!(transition(&ready, types::READY), at(30));
    assert_eq!(ready.conditions.len(), 1, "Stalled is present only while it is true");
}

#[test]
fn where_only_a_time_would_change_nothing_does() {
    for standing in [Standing::Ready, Standing::Reconciling, Standing::Resting, Standing::Stalled] {
        let fresh = migration(json!({}));
        let first = check(&fresh, &rest(standing, Reason::Applied), 10);
        assert_eq!(check(&having(&fresh, &first), &rest(standing, Reason::Applied), 999), first);
    }
}

#[test]
fn conditions_follow_kstatus() {
    for (standing, expected) in [
        (Standing::Ready, vec![("Ready", "True")]),
        (Standing::Resting, vec![("Ready", "False")]),
        (Standing::Reconciling, vec![("Ready", "False"), ("Reconciling", "True")]),
        (Standing::Stalled, vec![("Ready", "False"), ("Stalled", "True")]),
    ] {
        let status = check(&migration(json!({})), &rest(standing, Reason::Applied), 10);
        let found: Vec<(&str, &str)> =
            status.conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(status.observed_generation, Some(1));
    }
}

#[test]
fn a_new_run_clears_what_the_last_one_left() {
    let mut old = check(&running(RunKind::Apply), &rest(Standing::Stalled, Reason::Applied), 10);
    old.failure = serde_json::from_value(json!({
        "reason": "ProgramFailed", "message": "", "whatNow": "", "run": 1,
    }))
    .unwrap();
    (old.execution_time, old.finalization_time) = (Some(Time(at(1))), Some(Time(at(2))));
    let record = RunRecord { number: 2, result: RunResult::Starting, ..record(RunKind::Apply) };
    let decision = begun(record);
    let new = check(&having(&applying(json!({})), &old), &decision, 20);
    assert_eq!((new.failure, new.execution_time, new.finalization_time), (None, None, None));
    assert_eq!((new.last_run, new.runs[0].number, new.runs[1].number), (2, 2, 1));
}

#[test]
fn the_history_ends_and_never_forgets_the_last_run_that_applied() {
    let mut migration = running(RunKind::Apply);
    let status = migration.status.as_mut().unwrap();
    status.runs[0].result = RunResult::Failed;
    for number in 2..=30 {
        let record = RunRecord { number, ..ended(RunKind::DryRun, RunResult::Succeeded) };
        let decision = begun(record);
        let new = check(&migration, &decision, 20);
        migration = having(&migration, &new);
    }
    let runs = migration.status.clone().unwrap().runs;
    let numbers: Vec<u32> = runs.iter().map(|run| run.number).collect();
    assert_eq!(numbers, [30, 29, 28, 27, 26, 25, 24, 23, 22, 1]);
}

#[test]
fn the_first_job_that_is_let_go_is_the_only_one() {
    let mut migration = running(RunKind::Apply);
    migration.status.as_mut().unwrap().runs[0].job_uid = None;
    let launch = |job_uid: &str| {
        let position = under_way::starting(&record(RunKind::Apply));
        Decision::record(Change::Launch { job_uid: job_uid.into() }).at(position)
    };
    let first = check(&migration, &launch("one"), 10);
    assert_eq!(first.runs[0].job_uid.as_deref(), Some("one"));
    assert_eq!(first.runs[0].result, RunResult::Running);
    let second = check(&having(&migration, &first), &launch("two"), 20);
    assert_eq!(second.runs[0].job_uid.as_deref(), Some("one"));
}

#[test]
fn an_applied_run_is_reported_with_its_own_times_and_the_controllers() {
    let message = program_says(json!({"exitCode": 0}));
    let pod = pod_ended(0, &message, &guard_says(json!({"mode": "Apply"})));
    let decision = finished(RunKind::Apply, &job_ended("Complete", ""), &pod);
    let status = check(&running(RunKind::Apply), &decision, 40);
    let run = &status.runs[0];
    assert_eq!(run.result, RunResult::Succeeded);
    assert_eq!(
        (&run.execution_time, &run.finalization_time),
        (&Some(Time(at(5))), &Some(Time(at(8))))
    );
    assert_eq!((&run.requested_at, &run.recorded_at), (&Time(at(0)), &Some(Time(at(40)))));
    assert_eq!(
        (&status.execution_time, &status.finalization_time),
        (&run.execution_time, &run.finalization_time)
    );
    let applied = status.applied.as_ref().unwrap();
    assert_eq!(applied.effects.as_ref().unwrap().tables[0].updated, 2);
    assert_eq!(
        (status.phase, status.failure.as_ref()),
        (Some(dm_api::status::Phase::Applied), None)
    );
}

#[test]
fn a_dry_run_is_reported_with_what_would_change() {
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard_says(json!({})));
    let decision = finished(RunKind::DryRun, &job_ended("Complete", ""), &pod);
    let status = check(&running(RunKind::DryRun), &decision, 40);
    let report = status.dry_run.as_ref().unwrap();
    let effects = report.effects.as_ref().unwrap();
    assert_eq!(effects.tables[0].would_update, 2);
    assert_eq!(effects.write_calls_that_reached_the_database, 0);
    let digest = crate::objects::digest::of_dry_run(&runnable().digest, "sha256:e");
    assert_eq!(report.digest.as_deref(), Some(digest.as_str()));
    assert_eq!(status.phase, Some(dm_api::status::Phase::DryRunOk));
    assert_eq!(status.applied, None);
}

#[test]
fn a_second_run_says_whether_the_program_is_idempotent() {
    let pass = |idempotent| json!({"dryRun": {"secondPass": {"idempotent": idempotent}}});
    let no_pass = json!({});
    for (second_run, guard, expected) in [
        (json!({"exitCode": 0}), pass(true), Some(true)),
        (json!({"exitCode": 0}), pass(false), Some(false)),
        (json!({"exitCode": 1}), pass(true), Some(false)),
        (json!({"signal": 9}), pass(true), Some(false)),
        (json!({"notRun": "the guard refused"}), pass(true), None),
        (Value::Null, no_pass, None),
    ] {
        let program = program_says(json!({"exitCode": 0, "secondRun": second_run}));
        let pod = pod_ended(0, &program, &guard_says(guard));
        let decision = finished(RunKind::DryRun, &job_ended("Complete", ""), &pod);
        let report = check(&running(RunKind::DryRun), &decision, 40).dry_run.unwrap();
        assert_eq!((report.result, report.idempotent), (RunResult::Succeeded, expected));
    }
}

#[test]
fn a_failure_says_what_happened_and_what_to_do() {
    let pod = pod_ended(3, &program_says(json!({"exitCode": 3})), &Value::Null);
    let decision = finished(RunKind::Apply, &job_ended("Failed", ""), &pod);
    let status = check(&running(RunKind::Apply), &decision, 40);
    let failure = status.failure.as_ref().unwrap();
    assert_eq!(
        (failure.reason, failure.exit_code, failure.run),
        (Reason::ProgramFailed, Some(3), 1)
    );
    assert_eq!(failure.last_lines, ["one car", "all cars"]);
    assert_eq!(status.phase, Some(dm_api::status::Phase::Failed));
    assert!(status.conditions.iter().any(|condition| condition.type_ == types::STALLED));
}

#[test]
fn a_canceled_run_leaves_no_report() {
    let annotations = json!({"datamigration.dev/stop-reason": "Superseded"});
    let job = with(&job_deleted(), json!({"metadata": {"annotations": annotations}}));
    let objects = RunObjects { job: Some(&job), pods: &[] };
    let outcome = outcome::of(&record(RunKind::Apply), objects).unwrap();
    let status = check(&running(RunKind::Apply), &finish(outcome), 40);
    assert_eq!(status.runs[0].result, RunResult::Canceled);
    assert_eq!((status.applied, status.failure, status.execution_time), (None, None, None));
}

#[test]
fn lists_have_an_end() {
    let tables: Vec<Value> = (0..50)
        .map(|n| {
            let attributes: Vec<Value> =
                (0..90).map(|n| json!({"name": format!("a{n}"), "added": 1})).collect();
            json!({
                "name": format!("t{n}"), "itemsRead": 0, "created": 1, "updated": 0, "deleted": 0,
                "unchanged": 0, "attributes": attributes,
            })
        })
        .collect();
    let guard = guard_says(json!({"tables": tables}));
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard);
    let decision = finished(RunKind::DryRun, &job_ended("Complete", ""), &pod);
    let status = check(&running(RunKind::DryRun), &decision, 40);
    let effects = status.dry_run.unwrap().effects.unwrap();
    assert_eq!(effects.tables.len(), limits::TABLES_MAX);
    assert_eq!(effects.tables[0].attributes.len(), limits::ATTRIBUTES_MAX);
}

/// A dry run that ended with this code, seen by its guard like this.
fn tried(spec: Value, code: i32, requests: u64) -> DataMigrationStatus {
    ran(RunKind::DryRun, spec, code, json!({"requests": requests, "tables": []}))
}

/// The same of a run of this kind.
fn ran(kind: RunKind, spec: Value, code: i32, guard: Value) -> DataMigrationStatus {
    let says = program_says(json!({"exitCode": code}));
    let pod = pod_ended(code, &says, &guard_says(guard));
    let job = if code == 0 { job_ended("Complete", "") } else { job_ended("Failed", "") };
    let mut migration = running(kind);
    migration.spec = with(&migration.spec, spec);
    let dependencies = Dependencies::default();
    let runnable = runnable();
    let situation = Situation {
        objects: RunObjects { job: Some(&job), pods: &[&pod] },
        ..situation(&migration, &runnable, &dependencies)
    };
    next(situation, &decide::decide(situation))
}

fn hints(status: &DataMigrationStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == types::NO_REQUESTS_SEEN)
}

#[test]
fn a_dry_run_that_never_asked_the_guard_is_not_ok() {
    let status = tried(json!({}), 0, 0);
    assert_eq!(status.phase, Some(Phase::NoRequestsSeen));
    assert_eq!(status.dry_run.as_ref().unwrap().result, RunResult::Failed);
    let failure = status.failure.as_ref().unwrap();
    assert_eq!(failure.reason, Reason::NoRequestsSeen);
    let causes =
        ["names an endpoint itself", "too old for AWS_ENDPOINT_URL_DYNAMODB", "first call"];
    let places = causes.map(|cause| failure.message.find(cause).expect(cause));
    assert!(places.is_sorted(), "the most likely first: {}", failure.message);
    assert!(failure.what_now.contains("spec.expectNoRequests"), "{}", failure.what_now);
    assert!(hints(&status));
    let of = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_).unwrap();
    assert_eq!(of(types::READY).reason, "NoRequestsSeen");
    assert_eq!(of(types::STALLED).status, "True", "neither current nor healthy");
}

#[test]
fn an_apply_that_never_asked_the_guard_has_failed() {
    let silent = |changes: Value| {
        let guard = json!({"mode": "Apply", "requests": 0, "writeCallsUpstream": 0, "tables": []});
        let mut guard = guard.as_object().unwrap().clone();
        guard.extend(changes.as_object().unwrap().clone());
        ran(RunKind::Apply, json!({"expectNoRequests": false}), 0, Value::Object(guard))
    };
    let status = silent(json!({}));
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(status.applied.as_ref().unwrap().result, RunResult::Failed);
    assert!(!status.is_applied() && !status.runs[0].wrote_nothing && hints(&status));
    let failure = status.failure.as_ref().unwrap();
    assert_eq!(failure.reason, Reason::NoRequestsSeen);
    for part in ["without one request", "nothing is journaled", "cannot be restored", "endpoint"] {
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
    }
    for part in ["Look at the data", "spec.expectNoRequests", "spec.retry to 1"] {
        assert!(failure.what_now.contains(part), "{part}: {}", failure.what_now);
    }
    let text = status.progress.as_ref().and_then(|progress| progress.text.as_deref());
    assert_eq!(text, Some("NoRequestsSeen"), "what it wrote is not known");
    // A transform is carried out by the guard itself.
    let transform = json!({
        "end": "Succeeded", "read": 0, "skipped": 0, "unchanged": 0, "changed": 0, "failed": 0,
    });
    assert_eq!(silent(json!({"transform": transform})).phase, Some(Phase::Applied));
    // The ledger has recorded it: the spec has changed since the run began.
    let archived = json!({"run": "m/1", "completed": "Succeeded"});
    assert_eq!(silent(json!({"archived": archived})).phase, Some(Phase::Applied));
    let none = json!({"requests": 0, "tables": []});
    let expected = ran(RunKind::Apply, json!({"expectNoRequests": true}), 0, none);
    assert_eq!(expected.phase, Some(Phase::Applied));
}

#[test]
fn a_dry_run_of_which_no_request_is_expected_is_ok_without_one() {
    let status = tried(json!({"expectNoRequests": true}), 0, 0);
    assert_eq!((status.phase, hints(&status)), (Some(Phase::DryRunOk), false));
    let status = tried(json!({}), 0, 1);
    assert_eq!((status.phase, hints(&status)), (Some(Phase::DryRunOk), false));
}

#[test]
fn a_program_that_crashed_at_once_is_not_told_of_sdks() {
    let status = tried(json!({}), 1, 0);
    assert_eq!((status.phase, hints(&status)), (Some(Phase::DryRunFailed), false));
    assert_eq!(status.failure.unwrap().reason, Reason::ProgramFailed);
}
