//! Every decision, from everything that leads to it.
#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read best by themselves")]

mod actions;
mod case;
mod image;
mod many_pods;
mod paused;
mod restore;

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase, RunKind, RunResult};
use dm_contract::control::ControlState;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use self::case::*;
use super::*;
use crate::decide::adjust::Adjustment;
use crate::decide::deadline::Deadline;
use crate::decide::outcome::{Outcome, StopReason};
use crate::decide::position::Standing;
use crate::read::answers::Answers;
use crate::read::dependencies::{Dependencies, Waiting};
use crate::read::holders::{self, Holder};
use crate::read::recorders::RecordJob;
use crate::runnable::{Problem, Runnable};
use crate::samples::*;

mod archive;
mod decided;
mod identity;
mod target;

#[test]
fn a_fresh_migration_is_tried() {
    let record = begins(&Case::new(trying(json!({}))), RunKind::DryRun, 1);
    assert_eq!(record.job, "0001-cars-1-dry-run");
    assert_eq!(record.program_digest, runnable().digest);
}

#[test]
fn a_fresh_migration_that_is_promoted_already_is_applied() {
    begins(&Case::new(applying(json!({}))), RunKind::Apply, 1);
}

#[test]
fn a_suspended_migration_does_not_begin() {
    let case = Case::new(trying(json!({"suspend": true})));
    let position = check(&case, Phase::Suspended, Standing::Resting, Reason::Suspended);
    assert_eq!(position.conditions[0].0, types::PAUSED);
}

#[test]
fn before_its_time_it_waits_and_looks_again_then() {
    let early = Case::new(trying(json!({"startAt": time(60)})));
    let position = check(&early, Phase::Waiting, Standing::Reconciling, Reason::WaitingForStart);
    assert_eq!(position.next, Some(at(60)));
    begins(&Case::new(trying(json!({"startAt": time(40)}))), RunKind::DryRun, 1);
}

#[test]
fn it_waits_for_what_it_depends_on() {
    let mut case = Case::new(trying(json!({})));
    case.dependencies.waits_for = vec![Waiting { name: "0000".into(), phase: None }];
    let expected = Reason::WaitingForDependency;
    let position = check(&case, Phase::Waiting, Standing::Reconciling, expected);
    assert!(position.message.contains("0000, which does not exist"), "{}", position.message);
}

#[test]
fn a_circle_is_reported() {
    let mut case = Case::new(trying(json!({})));
    case.dependencies.cycle = Some(vec!["a".into(), "b".into(), "a".into()]);
    let position = check(&case, Phase::Stalled, Standing::Stalled, Reason::DependencyCycle);
    assert!(position.message.contains("a → b → a"), "{}", position.message);
}

#[test]
fn what_cannot_be_run_stalls_with_its_problem() {
    let mut case = Case::new(trying(json!({})));
    let message = "spec.target.name: there is none".to_owned();
    case.runnable = Err(Problem { reason: Reason::TargetNotFound, message: message.clone() });
    let position = check(&case, Phase::Stalled, Standing::Stalled, Reason::TargetNotFound);
    assert_eq!(position.message, message);
}

#[test]
fn a_dry_run_that_succeeded_awaits_promotion() {
    let tried = vec![ended(RunKind::DryRun, RunResult::Succeeded)];
    let case = Case::new(trying(json!({}))).after(tried.clone());
    let expected = Reason::AwaitingPromotion;
    let position = check(&case, Phase::DryRunOk, Standing::Resting, expected);
    assert!(position.message.ends_with("Set spec.dryRun to false to apply it."));
    begins(&Case::new(applying(json!({}))).after(tried), RunKind::Apply, 2);
}

#[test]
fn a_dry_run_that_failed_is_repeated_by_retry_or_by_a_change() {
    let runs = vec![failed(RunKind::DryRun)];
    let case = Case::new(trying(json!({}))).after(runs.clone());
    check(&case, Phase::DryRunFailed, Standing::Stalled, Reason::ProgramFailed);
    begins(&Case::new(trying(json!({"retry": 1}))).after(runs.clone()), RunKind::DryRun, 2);
    begins(&Case::new(trying(json!({}))).after(runs).edited(), RunKind::DryRun, 2);
}

#[test]
fn changed_files_are_tried_again() {
    let runs = vec![ended(RunKind::DryRun, RunResult::Succeeded)];
    let record = begins(&Case::new(trying(json!({}))).after(runs).edited(), RunKind::DryRun, 2);
    assert_ne!(record.program_digest, runnable().digest);
}

#[test]
fn what_failed_in_its_dry_run_is_not_applied_unless_retry_says_so() {
    let runs = vec![failed(RunKind::DryRun)];
    let case = Case::new(applying(json!({}))).after(runs.clone());
    let position = check(&case, Phase::Stalled, Standing::Stalled, Reason::DryRunFailed);
    assert!(position.message.contains("set spec.retry to 1"), "{}", position.message);
    begins(&Case::new(applying(json!({"retry": 1}))).after(runs), RunKind::Apply, 2);
}

#[test]
fn a_run_that_failed_or_is_unknown_is_not_repeated_without_retry() {
    for run in [failed(RunKind::Apply), ended(RunKind::Apply, RunResult::Unknown)] {
        let case = || Case::new(applying(json!({}))).after(vec![run.clone()]);
        check(
            &case(),
            Phase::Failed,
            Standing::Stalled,
            run.reason.unwrap_or(Reason::OutcomeUnknown),
        );
        let reason = run.reason.unwrap_or(Reason::OutcomeUnknown);
        let position = check(&case().edited(), Phase::Failed, Standing::Stalled, reason);
        assert_eq!(position.conditions[0].0, types::SOURCE_CHANGED);
        let raised = Case::new(applying(json!({"retry": 1}))).after(vec![run.clone()]);
        begins(&raised, RunKind::Apply, 2);
    }
}

#[test]
fn a_failed_run_is_not_forgotten_for_dry_runs_after_it() {
    let runs =
        vec![numbered(2, ended(RunKind::DryRun, RunResult::Succeeded)), failed(RunKind::Apply)];
    let case = Case::new(applying(json!({}))).after(runs);
    check(&case, Phase::Failed, Standing::Stalled, Reason::ProgramFailed);
}

#[test]
fn a_canceled_run_counts_for_nothing() {
    let runs = vec![ended(RunKind::Apply, RunResult::Canceled)];
    begins(&Case::new(applying(json!({}))).after(runs), RunKind::Apply, 2);
}

#[test]
fn what_was_applied_never_runs_again() {
    let applied = json!({"run": 2, "result": "Succeeded", "programDigest": runnable().digest});
    for spec in [
        json!({"dryRun": false}),
        json!({"dryRun": true}),
        json!({"dryRun": false, "retry": 9}),
        json!({"dryRun": false, "suspend": true}),
        json!({"dryRun": false, "startAt": time(90)}),
    ] {
        let object = json!({"spec": spec, "status": {"applied": applied, "lastRun": 2}});
        let case = Case::new(migration(object));
        check(&case, Phase::Applied, Standing::Ready, Reason::Applied);
        let position = check(&case.edited(), Phase::Applied, Standing::Ready, Reason::Applied);
        assert_eq!(position.conditions[0].0, types::SOURCE_CHANGED);
    }
}

#[test]
fn a_target_may_want_a_dry_run_of_just_this_program_first() {
    let demanding = |mut case: Case| {
        if let Ok(runnable) = &mut case.runnable {
            runnable.target.spec.policy.dry_run_first = true;
        }
        case
    };
    let tried = vec![ended(RunKind::DryRun, RunResult::Succeeded)];
    let untried = demanding(Case::new(applying(json!({}))));
    check(&untried, Phase::Stalled, Standing::Stalled, Reason::DryRunRequired);
    begins(&demanding(Case::new(applying(json!({}))).after(tried.clone())), RunKind::Apply, 2);
    let changed = demanding(Case::new(applying(json!({}))).after(tried).edited());
    check(&changed, Phase::Stalled, Standing::Stalled, Reason::DryRunRequired);
}

#[test]
fn a_run_with_a_number_and_no_job_gets_its_objects() {
    let case = Case::new(applying(json!({}))).after(vec![not_let_go(RunKind::Apply)]);
    let decision = case.decision();
    let run = case.migration.status.as_ref().unwrap().runs[0].clone();
    let runnable = Box::new(case.runnable.unwrap());
    assert_eq!(decision.actions, [Action::CreateRun { run: Box::new(run), runnable }]);
}

#[test]
fn a_run_without_a_job_that_is_not_wanted_any_more_is_discarded() {
    let runs = || vec![not_let_go(RunKind::Apply)];
    let mut broken = Case::new(applying(json!({}))).after(runs());
    broken.runnable = Err(Problem { reason: Reason::TargetNotFound, message: String::new() });
    assert!(is_discarded(&broken));
    let edited = Case::new(applying(json!({}))).after(runs()).edited();
    assert!(is_discarded(&edited));
    let suspended = Case::new(applying(json!({"suspend": true}))).after(runs());
    assert!(is_discarded(&suspended));
    let restored = Case::new(trying(json!({}))).after(runs());
    assert!(is_discarded(&restored));
}

#[test]
fn a_refusal_is_said_until_the_objects_exist() {
    let refused = json!({"status": {"conditions": [{
        "type": "Ready", "status": "False", "reason": "ObjectRefused", "message": "no room",
        "lastTransitionTime": time(1),
    }]}});
    let case =
        Case::new(with(&applying(json!({})), refused)).after(vec![not_let_go(RunKind::Apply)]);
    let decision = case.decision();
    assert!(decision.creates(), "{decision:#?}");
    let position = decision.position.unwrap();
    let said = (position.standing, position.reason, position.message.as_str());
    assert_eq!(said, (Standing::Stalled, Reason::ObjectRefused, "no room"));
}

#[test]
fn a_new_job_is_let_go_by_its_uid() {
    for kind in [RunKind::DryRun, RunKind::Apply] {
        let migration =
            if kind == RunKind::Apply { applying(json!({})) } else { trying(json!({})) };
        let case = Case::new(migration)
            .after(vec![not_let_go(kind)])
            .with_objects(Some(suspended_job()), vec![]);
        assert!(is_launched(&case), "{:#?}", case.decision());
    }
}

#[test]
fn a_run_is_followed_and_says_when_its_program_began() {
    let case = Case::new(applying(json!({})))
        .after(vec![record(RunKind::Apply)])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    let (position, execution_time) = follows(&case);
    assert_eq!((position.phase, position.reason), (Phase::Running, Reason::Running));
    assert_eq!(execution_time, Some(at(5)));
}

#[test]
fn an_obstacle_stalls_a_run_and_does_not_end_it() {
    let state = json!({"waiting": {"reason": "ErrImagePull", "message": "no such tag"}});
    let status = json!({"status": {"containerStatuses": [container("program", &state)]}});
    let case = Case::new(trying(json!({})))
        .after(vec![record(RunKind::DryRun)])
        .with_objects(Some(job(json!({}))), vec![pod("Pending", status)]);
    let (position, _) = follows(&case);
    assert_eq!((position.phase, position.standing), (Phase::Stalled, Standing::Stalled));
    assert_eq!(position.reason, Reason::ImagePullFailed);
}

#[test]
fn a_promotion_during_a_dry_run_waits_for_its_result() {
    let case = Case::new(applying(json!({})))
        .after(vec![record(RunKind::DryRun)])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    follows(&case);
}

#[test]
fn another_program_supersedes_a_dry_run_at_any_time_and_a_run_before_its_start() {
    let case = |kind, pods: Vec<Pod>| {
        let migration =
            if kind == RunKind::Apply { applying(json!({})) } else { trying(json!({})) };
        Case::new(migration).after(vec![record(kind)]).with_objects(Some(job(json!({}))), pods)
    };
    let superseded = Some(StopReason::Superseded);
    is_stop(&case(RunKind::DryRun, vec![]).edited(), superseded);
    is_stop(&case(RunKind::DryRun, vec![pod_running()]).edited(), superseded);
    is_stop(&case(RunKind::Apply, vec![]).edited(), superseded);
    let started = case(RunKind::Apply, vec![pod_running()]).edited();
    let (position, _) = follows(&started);
    assert_eq!(position.conditions[0].0, types::SOURCE_CHANGED);
}

#[test]
fn a_program_that_was_seen_to_start_is_not_superseded_when_its_pod_is_gone() {
    let mut seen = record(RunKind::Apply);
    seen.execution_time = Some(Time(at(5)));
    let case = Case::new(applying(json!({}))).after(vec![seen]).edited();
    follows(&case.with_objects(Some(job(json!({}))), vec![]));
}

#[test]
fn a_run_whose_promotion_was_withdrawn_is_stopped_before_it_starts() {
    let case = |pods| {
        Case::new(trying(json!({})))
            .after(vec![record(RunKind::Apply)])
            .with_objects(Some(job(json!({}))), pods)
    };
    is_stop(&case(vec![]), Some(StopReason::Superseded));
    follows(&case(vec![pod_running()]));
}

#[test]
fn suspending_stops_a_run_that_has_not_started() {
    let case = |spec: fn(Value) -> Migration, kind| {
        Case::new(spec(json!({"suspend": true})))
            .after(vec![record(kind)])
            .with_objects(Some(job(json!({}))), vec![])
    };
    let dry_run = case(trying, RunKind::DryRun).decision();
    assert!(matches!(&dry_run.actions[..], [Action::Suspend(_)]), "{dry_run:#?}");
    let position = dry_run.position.unwrap();
    assert!(position.message.contains("Its program starts when that is false"), "{position:?}");
    is_stop(&case(applying, RunKind::Apply), Some(StopReason::Suspended));
}

#[test]
fn a_job_that_was_never_let_go_stays_as_it_is_while_suspended() {
    let case = Case::new(applying(json!({"suspend": true})))
        .after(vec![not_let_go(RunKind::Apply)])
        .with_objects(Some(suspended_job()), vec![]);
    let (position, _) = follows(&case);
    assert_eq!(position.phase, Phase::Suspended);
}

#[test]
fn a_suspended_dry_run_goes_on() {
    let case = Case::new(trying(json!({})))
        .after(vec![record(RunKind::DryRun)])
        .with_objects(Some(suspended_job()), vec![]);
    assert!(is_launched(&case), "{:#?}", case.decision());
}

#[test]
fn a_job_that_is_being_deleted_takes_its_pods_with_it() {
    let case = Case::new(applying(json!({})))
        .after(vec![record(RunKind::Apply)])
        .with_objects(Some(job_deleted()), vec![pod_running()]);
    is_stop(&case, None);
}

#[test]
fn a_run_whose_job_vanished_is_never_created_again() {
    let run = || Case::new(applying(json!({}))).after(vec![record(RunKind::Apply)]);
    let outcome = finishes(&run());
    assert_eq!(outcome.result, RunResult::Unknown);
    is_stop(&run().with_objects(None, vec![pod_running()]), None);
    let ended = run().with_objects(None, vec![pod_ended(0, "", &guard_says(json!({})))]);
    let outcome = finishes(&ended);
    assert_eq!(outcome.result, RunResult::Succeeded);
}

#[test]
fn the_end_of_a_run_is_recorded() {
    let case = Case::new(applying(json!({}))).after(vec![record(RunKind::Apply)]).with_objects(
        Some(job_ended("Failed", "BackoffLimitExceeded")),
        vec![pod_ended(3, "", &Value::Null)],
    );
    let outcome = finishes(&case);
    assert_eq!((outcome.result, outcome.reason), (RunResult::Failed, Reason::ProgramFailed));
}

#[test]
fn a_migration_that_is_deleted_goes_when_its_program_has_stopped() {
    let deleting = with(&applying(json!({})), json!({"metadata": {"deletionTimestamp": time(30)}}));
    let idle = Case::new(deleting.clone());
    assert!(is_released(&idle), "{:#?}", idle.decision());
    let run = || Case::new(deleting.clone()).after(vec![record(RunKind::Apply)]);
    assert!(is_discarded(&run()));
    let running = run().with_objects(Some(job(json!({}))), vec![pod_running()]);
    is_stop(&running, Some(StopReason::Terminating));
    let stopped = run().with_objects(Some(job_deleted()), vec![pod_ended(143, "", &Value::Null)]);
    finishes(&stopped);
}
