//! What counts as decided by a person, and what as tried: raises of `retry`, dry runs that show
//! nothing, runs that cannot start.

use super::*;

#[test]
fn a_raise_of_retry_counts_only_after_the_outcome_is_in_status() {
    // Raised while the program ran, whose Job then vanished.
    let running = Case::new(applying(json!({"retry": 5}))).after(vec![record(RunKind::Apply)]);
    let outcome = finishes(&running);
    assert_eq!(outcome.result, RunResult::Unknown);
    assert!(outcome.what_now.contains("set spec.retry to 6"), "{}", outcome.what_now);
    let after = |spec, retry| {
        let run = RunRecord { retry, ..ended(RunKind::Apply, RunResult::Unknown) };
        Case::new(applying(spec)).after(vec![run])
    };
    check(&after(json!({"retry": 5}), 5), Phase::Failed, Standing::Stalled, Reason::OutcomeUnknown);
    let looked = begins(&after(json!({"retry": 6}), 5), RunKind::Apply, 2);
    assert_eq!(looked.overrules, Some(1));
}

#[test]
fn a_dry_run_without_a_request_satisfies_nobody_unless_none_is_expected() {
    let unseen = || RunRecord { reason: Some(Reason::NoRequestsSeen), ..failed(RunKind::DryRun) };
    let after = |spec| Case::new(migration(json!({"spec": spec}))).after(vec![unseen()]);
    let position = |spec| {
        check(&after(spec), Phase::NoRequestsSeen, Standing::Stalled, Reason::NoRequestsSeen)
    };
    position(json!({"dryRun": true}));
    let promoted = position(json!({"dryRun": false}));
    assert!(promoted.message.contains("it is not applied"), "{}", promoted.message);
    // Its author says so: it is tried again by itself, or applied as it was promoted.
    begins(&after(json!({"dryRun": true, "expectNoRequests": true})), RunKind::DryRun, 2);
    begins(&after(json!({"dryRun": false, "expectNoRequests": true})), RunKind::Apply, 2);
    begins(&after(json!({"dryRun": false, "retry": 1})), RunKind::Apply, 2);
    let mut first = after(json!({"dryRun": false, "expectNoRequests": true}));
    let target = target(json!({"policy": {"dryRunFirst": true}}));
    let data = files(json!({"main.py": "print('cars')"}));
    first.runnable = crate::validate::validate(&first.migration, Some(&target), None, &data);
    check(&first, Phase::Stalled, Standing::Stalled, Reason::DryRunRequired);
}

#[test]
fn an_apply_without_a_request_is_repeated_by_retry_only() {
    let unseen = RunRecord { reason: Some(Reason::NoRequestsSeen), ..failed(RunKind::Apply) };
    let after = |spec| Case::new(applying(spec)).after(vec![unseen.clone()]);
    for spec in [json!({}), json!({"expectNoRequests": true})] {
        check(&after(spec), Phase::Failed, Standing::Stalled, Reason::NoRequestsSeen);
    }
    begins(&after(json!({"retry": 1})), RunKind::Apply, 2);
}

#[test]
fn a_run_that_has_not_started_is_given_up_for_the_current_image_of_ours() {
    let job = |image: &str| {
        let guard = json!({"name": "guard", "image": image});
        let pod = json!({"containers": [], "initContainers": [guard]});
        job(json!({"spec": {"template": {"spec": pod}}}))
    };
    for kind in [RunKind::DryRun, RunKind::Apply] {
        let migration = migration(json!({"spec": {"dryRun": kind == RunKind::DryRun}}));
        let case = |image, pods| {
            let case = Case::new(migration.clone()).after(vec![record(kind)]);
            case.with_objects(Some(job(image)), pods)
        };
        let pulling = || vec![pod("Pending", json!({}))];
        is_stop(&case("agent:broken", pulling()), Some(StopReason::Superseded));
        follows(&case("agent:1", pulling()));
        // A program that runs is left alone.
        follows(&case("agent:0", vec![pod_running()]));
    }
}

#[test]
fn a_run_is_stopped_with_its_namespace_and_none_begins_there() {
    let run = |kind| RunRecord { job_uid: Some("uid-j".into()), ..record(kind) };
    let ended = pod_ended(143, "", &Value::Null);
    let deleted = with(&ended, json!({"metadata": {"deletionTimestamp": time(9)}}));
    for kind in [RunKind::DryRun, RunKind::Apply] {
        let migration = migration(json!({"spec": {"dryRun": kind == RunKind::DryRun}}));
        let waiting = Case::new(migration.clone()).after(vec![run(kind)]);
        let waiting = waiting.with_objects(Some(job(json!({}))), vec![deleted.clone()]);
        follows(&waiting);
        let going = |case: Case| Case { namespace_ends: true, ..case };
        is_stop(&going(waiting.clone()), Some(StopReason::Terminating));
        finishes(&going(waiting.with_objects(Some(job_deleted()), vec![deleted.clone()])));
        let idle = going(Case::new(migration));
        check(&idle, Phase::Terminating, Standing::Reconciling, Reason::Terminating);
    }
}

#[test]
fn a_run_whose_job_was_deleted_is_over_when_no_pod_can_come_any_more() {
    let run = RunRecord { job_uid: Some("uid-j".into()), ..record(RunKind::Apply) };
    let case = Case::new(applying(json!({}))).after(vec![run]);
    // It was deleted at 20 s.
    let at = |now, pods| Case { now, ..case.clone().with_objects(Some(job_deleted()), pods) };
    is_stop(&at(21, vec![]), None);
    is_stop(&at(31, vec![]), None);
    finishes(&at(32, vec![]));
    // One that has come tells by itself how it ended.
    is_stop(&at(32, vec![pod_running()]), None);
    finishes(&at(21, vec![pod_ended(143, "", &Value::Null)]));
}
