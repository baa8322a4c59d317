//! A run under way goes as the spec says now: how fast, and not at all while it is paused.

use dm_contract::plan::RateLimits;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::*;
use crate::objects::DEADLINE_LEFT_ANNOTATION;

/// A run whose program writes, and how its guard goes.
fn under_way(spec: Value, control: Option<ControlState>) -> (Position, Option<Adjustment>) {
    followed(applying(spec), RunKind::Apply, control)
}

fn followed(
    migration: Migration,
    kind: RunKind,
    control: Option<ControlState>,
) -> (Position, Option<Adjustment>) {
    let case = Case::new(migration)
        .after(vec![record(kind)])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    let case = Case { control, ..case };
    (follows(&case).0, adjusts(&case))
}

fn is_paused(position: &Position) -> bool {
    position.conditions.iter().any(|(type_, ..)| *type_ == types::PAUSED)
}

#[test]
fn a_run_that_writes_is_paused_where_it_is_and_goes_on() {
    let held = || json!({"suspend": true});
    let goes = Some(control(false, RateLimits::default()));
    let stands = Some(control(true, RateLimits::default()));
    let told = |paused| Some(Adjustment { limits: None, paused: Some(paused) });

    let (position, adjustment) = under_way(held(), goes.clone());
    assert_eq!(adjustment, told(true));
    assert_eq!((position.phase, is_paused(&position)), (Phase::Running, false), "not yet");
    assert!(position.message.contains("is being paused"), "{}", position.message);

    let (position, adjustment) = under_way(held(), stands.clone());
    assert_eq!(adjustment, None);
    let said = (position.phase, position.standing, position.reason, is_paused(&position));
    assert_eq!(said, (Phase::Suspended, Standing::Resting, Reason::Suspended, true));
    assert!(position.message.contains("paused in place"), "{}", position.message);

    let (position, adjustment) = under_way(json!({}), stands);
    assert_eq!(adjustment, told(false));
    assert_eq!((position.phase, is_paused(&position)), (Phase::Running, false));
    assert_eq!(under_way(json!({}), goes).1, None);
}

#[test]
fn so_is_a_dry_run() {
    let try_out = |suspend: bool, paused: bool| {
        let control = Some(control(paused, RateLimits::default()));
        followed(trying(json!({"suspend": suspend})), RunKind::DryRun, control)
    };
    for (suspend, paused) in [(true, false), (false, true)] {
        let told = Some(Adjustment { limits: None, paused: Some(suspend) });
        assert_eq!(try_out(suspend, paused).1, told);
    }
    let (position, adjustment) = try_out(true, true);
    assert_eq!((adjustment, is_paused(&position)), (None, true));
    assert!(position.message.contains("paused in place"), "{}", position.message);
}

#[test]
fn a_paused_run_whose_job_was_deleted_does_not_resume() {
    let run = RunRecord { job_uid: Some("uid-j".into()), ..record(RunKind::Apply) };
    let case = Case::new(applying(json!({"suspend": true}))).after(vec![run]);
    let case = case.with_objects(Some(job_deleted()), vec![pod_running()]);
    let case = Case { control: Some(control(true, RateLimits::default())), ..case };
    let position = case.decision().position.unwrap();
    assert!(position.message.starts_with("Run 1 is being stopped: its Job"), "{position:?}");
    assert!(!is_paused(&position));
}

#[test]
fn the_time_of_a_pause_does_not_count_towards_the_deadline() {
    let limits = RateLimits::default;
    let check = |suspend: bool, control: Option<ControlState>, changes: Value, expected| {
        let spec = json!({"suspend": suspend, "activeDeadlineSeconds": 100});
        let mut changes = changes;
        changes["status"] = json!({"startTime": time(10)});
        let case = Case::new(applying(spec))
            .after(vec![record(RunKind::Apply)])
            .with_objects(Some(job(changes.clone())), vec![pod_running()]);
        let decision = Case { control, now: 40, ..case }.decision();
        let deadline = decision.actions.iter().find_map(|action| match action {
            Action::SetDeadline { to, .. } => Some(*to),
            _ => None,
        });
        assert_eq!(deadline, expected, "{suspend} {changes}");
    };
    let has = || json!({"spec": {"activeDeadlineSeconds": 100}});
    let held = || json!({"metadata": {"annotations": {DEADLINE_LEFT_ANNOTATION: "70"}}});
    check(true, Some(control(true, limits())), has(), Some(Deadline::Hold(70)));
    check(true, Some(control(false, limits())), has(), None);
    check(true, None, has(), None);
    check(true, Some(control(true, limits())), held(), None);
    check(false, Some(control(true, limits())), held(), Some(Deadline::Set(100)));
    check(false, None, held(), Some(Deadline::Set(100)));
    check(false, Some(control(false, limits())), has(), None);
    check(true, Some(control(true, limits())), json!({}), None);
}

#[test]
fn a_guard_that_cannot_be_reached_is_said_and_asked_again() {
    let (position, adjustment) = under_way(json!({"suspend": true}), None);
    assert_eq!(adjustment, None);
    assert_eq!((position.phase, is_paused(&position)), (Phase::Running, false));
    assert!(position.message.contains("could not be reached"), "{}", position.message);
}

#[test]
fn limits_that_change_reach_the_guard_and_only_those() {
    let spec = |count: u32| json!({"limits": {"writesPerSecond": count}});
    let (_, adjustment) = under_way(spec(40), Some(control(false, writes(200))));
    assert_eq!(adjustment, Some(Adjustment { limits: Some(writes(40)), paused: None }));
    assert_eq!(under_way(spec(40), Some(control(false, writes(40)))).1, None);
    let (_, adjustment) = under_way(json!({}), Some(control(false, writes(40))));
    let unlimited = Some(RateLimits::default());
    assert_eq!(adjustment, Some(Adjustment { limits: unlimited, paused: None }), "taken away");
}

#[test]
fn a_restore_under_way_goes_as_fast_as_the_limits_say_now() {
    let spec = json!({"limits": {"writesPerSecond": 40}});
    let mut migration = applying(spec);
    migration.spec.state = dm_api::migration::State::Restored;
    let case = Case::new(migration)
        .after(vec![record(RunKind::Restore), ended(RunKind::Apply, RunResult::Succeeded)])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    let adjustment = adjusts(&Case { control: Some(control(false, writes(200))), ..case });
    assert_eq!(adjustment, Some(Adjustment { limits: Some(writes(40)), paused: None }));
}

#[test]
fn the_targets_limit_holds_whatever_the_migration_asks_for() {
    let mut case = Case::new(applying(json!({"limits": {"writesPerSecond": 500}})))
        .after(vec![record(RunKind::Apply)])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    case.target = target(json!({"policy": {"limits": {"writesPerSecond": 100}}}));
    case.control = Some(control(false, writes(50)));
    let adjustment = adjusts(&case);
    assert_eq!(adjustment, Some(Adjustment { limits: Some(writes(100)), paused: None }));
}

#[test]
fn a_spec_that_no_run_could_begin_with_still_limits_and_pauses_the_one_under_way() {
    let spec = json!({"suspend": true, "limits": {"writesPerSecond": 20}});
    let mut case = Case::new(applying(spec))
        .after(vec![record(RunKind::Apply)])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    case.runnable =
        Err(Problem { reason: Reason::ConfigMapNotFound, message: "no files".to_owned() });
    case.control = Some(control(false, writes(50)));
    let adjustment = adjusts(&case);
    assert_eq!(adjustment, Some(Adjustment { limits: Some(writes(20)), paused: Some(true) }));
}

#[test]
fn a_database_that_throttles_is_told_while_it_does() {
    let lowered = ControlState { lowered: Some(writes(40)), ..control(false, writes(200)) };
    let spec = json!({"limits": {"writesPerSecond": 200}});
    let (position, adjustment) = under_way(spec.clone(), Some(lowered));
    assert_eq!(adjustment, None);
    let (type_, reason, message) = &position.conditions[0];
    assert_eq!((*type_, *reason), (types::THROTTLED, Reason::Throttled));
    assert!(message.contains("40 writes per second"), "{message}");
    let text = position.progress.text.as_deref();
    assert_eq!(text, Some("throttled by the database to 40 writes a second"));
    let (position, _) = under_way(spec, Some(control(false, writes(200))));
    assert_eq!(position.conditions, vec![]);
}

#[test]
fn the_counts_of_a_short_run_stay_until_its_result_is_there() {
    let running = RunRecord { execution_time: Some(Time(at(5))), ..record(RunKind::Apply) };
    let mut case = Case::new(applying(json!({}))).after(vec![running]);
    let status = case.migration.status.as_mut().unwrap();
    let progress = json!({"text": "37% (150 of ~406)", "itemsRead": 150, "itemsPerSecond": 198});
    status.progress = serde_json::from_value(progress).unwrap();
    let ended = json!({"terminated": {"exitCode": 0, "startedAt": time(5), "finishedAt": time(9)}});
    let ended = json!({"status": {"containerStatuses": [container("program", &ended)]}});
    let read = |pod: Pod| {
        let case = Case { job: Some(job(json!({}))), pods: vec![pod], ..case.clone() };
        let (position, _) = follows(&case);
        (position.progress.items_read, position.progress.items_per_second)
    };
    assert_eq!(read(with(&pod_running(), ended)), (Some(150), None), "its guard has not ended");
    assert_eq!(read(pod_running()), (None, None), "the guard did not answer");
}

#[test]
fn the_rate_of_a_run_leaves_its_pauses_out() {
    let guard = guard_says(json!({"mode": "Apply", "tables": [{
        "name": "cars", "itemsRead": 600, "created": 0, "updated": 600, "deleted": 0,
        "unchanged": 0,
    }]}));
    let progress = |suspend: bool, paused_since: Option<i64>| {
        let running = RunRecord { execution_time: Some(Time(at(5))), ..record(RunKind::Apply) };
        let mut case = Case::new(applying(json!({"suspend": suspend})))
            .after(vec![running])
            .with_objects(Some(job(json!({}))), vec![pod_running()]);
        let status = case.migration.status.as_mut().unwrap();
        let before = json!({"itemsRead": 600, "pausedSeconds": 20});
        status.progress = serde_json::from_value(before).unwrap();
        status.conditions.extend(paused_since.map(|since| Condition {
            type_: types::PAUSED.to_string(),
            status: "True".into(),
            last_transition_time: Time(at(since)),
            message: String::new(),
            observed_generation: None,
            reason: "Suspended".into(),
        }));
        case.answers.guard = serde_json::from_value(guard.clone()).unwrap();
        case.control = Some(control(suspend, RateLimits::default()));
        let position = follows(&Case { now: 65, ..case }).0;
        (position.progress.items_per_second, position.progress.paused_seconds)
    };
    // 60 s passed since its program started, 20 of them in a pause that is over.
    assert_eq!(progress(false, None), (Some(15), Some(20)));
    // 30 more in one that ends now.
    assert_eq!(progress(false, Some(35)), (Some(60), Some(50)));
    // It lasts: status changes when it is over.
    assert_eq!(progress(true, Some(35)), (None, Some(20)));
}

#[test]
fn a_paused_run_shows_how_far_it_is() {
    let running = RunRecord { execution_time: Some(Time(at(5))), ..record(RunKind::DryRun) };
    let mut case = Case::new(trying(json!({"suspend": true})))
        .after(vec![running])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    let guard = guard_says(json!({
        "itemsRead": 600, "dryRun": {"operations": [{"operation": "Scan"}]},
        "tables": [{
            "name": "cars", "itemsRead": 600, "itemCount": 800, "created": 0, "updated": 600,
            "deleted": 0, "unchanged": 0,
        }],
    }));
    case.answers.guard = serde_json::from_value(guard).unwrap();
    case.control = Some(control(true, RateLimits::default()));
    let text = follows(&case).0.progress.text;
    assert_eq!(text.as_deref(), Some("75%, paused by spec.suspend"));
}
