//! What is done with a decision beside the run itself: objects that are released, and ends that a
//! Job records.

use dm_api::{OUTCOME_FINALIZER, RUN_FINALIZER};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::limits;

/// The same object with a finalizer.
fn held<T: Serialize + DeserializeOwned>(object: &T, finalizer: &str) -> T {
    with(object, json!({"metadata": {"finalizers": [finalizer]}}))
}

/// An apply that has just ended, with its Job and pod.
fn over() -> Case {
    let guard = json!({"mode": "Apply", "writeCallsUpstream": 2});
    let pod = pod_ended(0, &program_says(json!({"exitCode": 0})), &guard_says(guard));
    let pod = with(&pod, json!({"metadata": {"labels": {"datamigration.dev/run": "1"}}}));
    let job = held(&job_ended("Complete", ""), OUTCOME_FINALIZER);
    Case::new(held(&applying(json!({})), RUN_FINALIZER))
        .after(vec![record(RunKind::Apply)])
        .with_objects(Some(job), vec![held(&pod, OUTCOME_FINALIZER)])
}

#[test]
fn the_objects_of_a_run_are_released_with_its_result() {
    let case = over();
    let decision = case.decision();
    assert!(matches!(decision.change, Change::Finish(_)), "{decision:#?}");
    let job = Box::new(case.job.clone().unwrap());
    let pod = Box::new(case.pods[0].clone());
    let kept_seconds = limits::JOB_TTL_SECONDS;
    assert_eq!(
        decision.actions,
        [Action::ReleaseJob { job, kept_seconds }, Action::ReleasePod(pod)]
    );
    assert_eq!(decision.before_status, []);
    assert_eq!(decision.position.unwrap().phase, Phase::Applied, "in the same status");
}

#[test]
fn a_migration_is_released_when_it_rests_and_nothing_of_it_is_held() {
    let applied = vec![ended(RunKind::Apply, RunResult::Failed)];
    let migration = held(&applying(json!({})), RUN_FINALIZER);
    let case = Case::new(migration).after(applied);
    assert_eq!(case.decision().actions, [Action::ReleaseMigration]);
    // The Job of its run is released first; nothing waits for that.
    let job = held(&job_ended("Failed", ""), OUTCOME_FINALIZER);
    let both = case.clone().with_objects(Some(job), vec![]).decision().actions;
    assert!(matches!(both[..], [Action::ReleaseJob { .. }, Action::ReleaseMigration]), "{both:#?}");
    let unheld = Case { migration: applying(json!({})), ..case };
    let rest = unheld.after(vec![ended(RunKind::Apply, RunResult::Failed)]).decision();
    assert_eq!(rest.actions, []);
}

#[test]
fn an_end_that_the_archive_lacks_is_recorded_before_status_and_holds_the_job() {
    let run = RunRecord { archived: Some(false), ..ended(RunKind::Apply, RunResult::Failed) };
    let mut case = Case::new(applying(json!({}))).after(vec![run]);
    let archive = json!({"archive": {"url": "s3://archive/prod"}});
    let (target, data) = (target(archive), files(json!({"main.py": "print('cars')"})));
    case.runnable = crate::validate::validate(&case.migration, Some(&target), None, &data);
    case.job = Some(held(&job_ended("Failed", ""), OUTCOME_FINALIZER));
    let records = |case: &Case| {
        let decision = case.decision();
        assert_eq!(decision.actions, [], "the Job stays");
        decision.before_status
    };
    case.job = None;
    let [Action::Record { job, is_dispensable: false }] = &records(&case)[..] else {
        panic!("{:#?}", records(&case))
    };
    assert_eq!(job.metadata.name.as_deref(), Some("0001-cars-1-record"));
    case.recorders = vec![RecordJob { run: 1, end: crate::read::view::JobEnd::No }];
    assert_eq!(records(&case), [], "one is enough");
}
