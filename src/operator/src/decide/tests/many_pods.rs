//! A run under way that is split among pods: its status, and what is sent to its guards.

use super::*;

fn transform_of(spec: Value) -> Migration {
    let mut whole = json!({
        "script": null, "transform": {"table": "cars", "remove": ["price"]}, "parallelism": 4,
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    applying(whole)
}

/// A run of four pods.
fn case(spec: Value, pods: Vec<Pod>, answers: Answers) -> Case {
    let run = RunRecord {
        parallelism: Some(4),
        execution_time: Some(Time(at(5))),
        ..record(RunKind::Apply)
    };
    let case = Case::new(transform_of(spec)).after(vec![run]);
    Case { answers, ..case.with_objects(Some(job(json!({}))), pods) }
}

fn four_running() -> Vec<Pod> {
    (0..4).map(|index| of_part(&pod_running(), index)).collect()
}

fn followed(case: &Case) -> (Position, Option<Adjustment>) {
    let pods: Vec<&Pod> = case.pods.iter().collect();
    let decision = decide(case.situation(&pods, &case.answers));
    let adjustment = adjustment(&decision);
    (decision.position.unwrap(), adjustment)
}

fn goes(each: &[(bool, u32)], silent: &[u32]) -> Answers {
    let controls = each.iter().map(|(paused, count)| control(*paused, writes(*count))).collect();
    Answers { controls, silent: silent.to_vec(), ..Answers::default() }
}

#[test]
fn a_run_begins_with_the_number_of_pods_of_its_spec() {
    let begun = begins(&Case::new(transform_of(json!({}))), RunKind::Apply, 1);
    assert_eq!(begun.parallelism, Some(4));
    let one = begins(&Case::new(transform_of(json!({"parallelism": 1}))), RunKind::Apply, 1);
    assert_eq!(one.parallelism, None);
}

#[test]
fn a_dry_run_that_moves_items_has_one_pod() {
    let parts = |transform: Value, dry_run: bool| {
        let applied = transform_of(json!({"transform": transform}));
        let case = Case::new(with(&applied, json!({"spec": {"dryRun": dry_run}})));
        let kind = if dry_run { RunKind::DryRun } else { RunKind::Apply };
        begins(&case, kind, 1).parallelism
    };
    let rekey = || json!({"table": "cars", "rekey": {"id": "lower(id)"}});
    let to = || json!({"table": "cars", "to": {"table": "vehicles"}});
    for moves in [rekey(), to()] {
        assert_eq!(parts(moves.clone(), true), None, "{moves}");
        assert_eq!(parts(moves, false), Some(4));
    }
    assert_eq!(parts(json!({"table": "cars", "remove": ["price"]}), true), Some(4));
}

#[test]
fn each_guard_has_its_share_of_the_limits() {
    let check = |each: &[(bool, u32)], expected| {
        let limits = json!({"limits": {"writesPerSecond": 203}});
        let (_, adjustment) = followed(&case(limits, four_running(), goes(each, &[])));
        let sent = |limits| Adjustment { limits: Some(writes(limits)), paused: None };
        assert_eq!(adjustment, Option::map(expected, sent), "{each:?}");
    };
    check(&[(false, 50); 4], None);
    check(&[(false, 203); 4], Some(50));
    check(&[(false, 50), (false, 50), (false, 51), (false, 50)], Some(50));
}

#[test]
fn limits_that_the_pods_cannot_share_reach_them_all_the_same() {
    let said = |case: Case, given: u32| {
        let mut case = case;
        case.migration.spec.limits.get_or_insert_default().writes_per_second = Some(given);
        let files = files(json!({"main.py": ""}));
        case.runnable =
            crate::validate::validate(&case.migration, Some(&case.target), None, &files);
        let (position, adjustment) = followed(&case);
        (position.message, adjustment.and_then(|adjustment| adjustment.limits))
    };
    let running = || {
        let limits = json!({"limits": {"writesPerSecond": 400}});
        case(limits, four_running(), goes(&[(false, 100); 4], &[]))
    };
    let (message, sent) = said(running(), 3);
    assert_eq!(sent, Some(writes(1)));
    let expected = "writesPerSecond is 3, but the run continues at 4 per second, because each of \
                    its 4 pods needs at least 1. To stop it, set spec.suspend to true. The spec \
                    has a problem that does not affect this run, but prevents the next: \
                    spec.parallelism: 4 pods cannot share writesPerSecond 3";
    assert!(message.contains(expected), "{message}");
    let (message, sent) = said(running(), 4);
    assert_eq!(sent, Some(writes(1)));
    assert!(!message.contains("needs at least") && !message.contains("problem"), "{message}");

    // The number of pods that the next run is to have says nothing of this one.
    let mut more = running();
    more.migration.spec.parallelism = 64;
    let (message, sent) = said(more, 50);
    assert_eq!(sent, Some(writes(12)));
    assert!(message.contains("64 pods cannot share writesPerSecond 50"), "{message}");

    // A lowered policy is no change of the migration.
    let mut policy = running();
    policy.target.spec.policy.limits = policy.migration.spec.limits.clone();
    policy.target.spec.policy.limits.as_mut().unwrap().writes_per_second = Some(2);
    assert_eq!(said(policy, 400).1, Some(writes(1)));
    // Another target's is not that of the database that the run writes to.
    let mut other = running();
    other.migration.spec.target.name = "production".into();
    assert_eq!(said(other, 8).1, None);
}

#[test]
fn a_run_is_paused_when_every_guard_says_so() {
    let spec = || json!({"suspend": true, "limits": {"writesPerSecond": 200}});
    let paused = Some(Adjustment { limits: None, paused: Some(true) });
    let of = |each: &[(bool, u32)], silent: &[u32]| {
        followed(&case(spec(), four_running(), goes(each, silent)))
    };
    let (position, adjustment) = of(&[(true, 50), (false, 50), (true, 50), (true, 50)], &[]);
    assert_eq!((position.phase, adjustment), (Phase::Running, paused));
    assert_eq!(position.message, "Run 1 is being paused by spec.suspend");

    let (position, adjustment) = of(&[(true, 50); 3], &[2]);
    assert_eq!((position.phase, adjustment), (Phase::Running, None));
    let said = "Run 1 is being paused by spec.suspend. The guard of part 2 does not answer, so \
                what runs there continues. The operator retries";
    assert_eq!(position.message, said);

    let (position, adjustment) = of(&[(true, 50); 4], &[]);
    assert_eq!((position.phase, adjustment), (Phase::Suspended, None));
    assert!(position.conditions.iter().any(|(type_, ..)| *type_ == types::PAUSED));

    let (position, _) = of(&[], &[0, 1, 2, 3]);
    assert!(position.message.contains("could not be reached"), "{}", position.message);
}

#[test]
fn a_run_whose_parts_wait_for_a_pod_is_not_paused() {
    let said = |each: &[(bool, u32)], silent: &[u32], waiting: &[u32]| {
        let spec = json!({"suspend": true, "limits": {"writesPerSecond": 200}});
        let answers = Answers { waiting: waiting.to_vec(), ..goes(each, silent) };
        let position = followed(&case(spec, four_running(), answers)).0;
        assert_eq!((position.phase, position.reason), (Phase::Running, Reason::Running));
        assert!(position.conditions.iter().all(|(type_, ..)| *type_ != types::PAUSED));
        let begins = "Run 1 is being paused by spec.suspend. ";
        position.message.strip_prefix(begins).expect(&position.message).to_owned()
    };
    let one = "Part 3 has no running pod; its next one is paused when it starts";
    assert_eq!(said(&[(true, 50); 3], &[], &[3]), one);
    let many = "Parts 1 to 3 have no running pods; each is paused when it starts";
    assert_eq!(said(&[(true, 50)], &[], &[1, 2, 3]), many);
    let both = "The guard of part 1 does not answer, so what runs there continues. The operator \
                retries. Parts 0, 3 have no running pods; each is paused when it starts";
    assert_eq!(said(&[(true, 50)], &[1], &[0, 3]), both);
}

#[test]
fn status_says_how_many_pods_have_ended_and_what_one_waits_for() {
    let ended = |index| {
        let said = guard_says(json!({"mode": "Apply"}));
        of_part(&pod_ended(0, &program_says(json!({"exitCode": 0})), &said), index)
    };
    let deleted = |index| {
        let pod = of_part(&pod_ended(143, "", &Value::Null), index);
        with(&pod, json!({"metadata": {"deletionTimestamp": time(9)}}))
    };
    let full = json!([{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu",
    }]);
    let waiting = |index| of_part(&pod("Pending", json!({"status": {"conditions": full}})), index);
    let running = |index| of_part(&pod_running(), index);
    let said = |pods: Vec<Pod>, answers: Answers| followed(&case(json!({}), pods, answers)).0;

    let pods = vec![ended(0), ended(1), running(2), ended(3)];
    let position = said(pods.clone(), Answers::default());
    let expected = "Run 1 is running as Job 0001-cars-1-apply; 3 of 4 pods have ended";
    assert_eq!((position.message.as_str(), position.standing), (expected, Standing::Reconciling));
    let position = said(pods, Answers { silent: vec![2], ..Answers::default() });
    let silent =
        format!("{expected}. The guard of part 2 does not answer, so counts may be missing");
    assert_eq!(position.message, silent);

    let pods = vec![ended(0), deleted(1), running(2), ended(3), waiting(1)];
    let position = said(pods, Answers::default());
    let expected = "Run 1 is running as Job 0001-cars-1-apply; 2 of 4 pods have ended, 1 pod was \
                    replaced. Waiting: part 1: no node can take the pod: no cpu";
    assert!(position.message.starts_with(expected), "{}", position.message);
    assert_eq!((position.standing, position.reason), (Standing::Reconciling, Reason::Running));

    // Nothing else runs: a person must act.
    let position = said(vec![ended(0), deleted(1), ended(3), waiting(1)], Answers::default());
    assert_eq!((position.standing, position.reason), (Standing::Stalled, Reason::Unschedulable));
}

#[test]
fn a_part_that_has_failed_for_good_is_named_while_the_others_run() {
    let partial = guard_says(json!({"mode": "Apply", "transform": {
        "end": "PartiallyFailed", "read": 2, "skipped": 0, "unchanged": 0, "changed": 1,
        "failed": 1,
    }}));
    let failed = pod_ended(3, &program_says(json!({"exitCode": 3})), &partial);
    let deleted = pod_ended(143, "", &Value::Null);
    let deleted = with(&deleted, json!({"metadata": {"deletionTimestamp": time(9)}}));
    let running = |index| of_part(&pod_running(), index);
    let said = |given_up: &str| {
        let pods = vec![of_part(&failed, 0), of_part(&deleted, 1), running(2), running(3)];
        let mut case = case(json!({}), pods, Answers::default());
        case.job = Some(job(json!({"status": {"failedIndexes": given_up}})));
        let position = followed(&case).0;
        let (_, message) = position.message.split_once("; ").unwrap();
        message.to_owned()
    };
    assert_eq!(said(""), "0 of 4 pods have ended");
    let one = "1 of 4 pods have ended. Part 0 (PartiallyFailed) has failed, so the run fails when \
               the other pods have ended";
    assert_eq!(said("0"), one);
    let two = "2 of 4 pods have ended. Parts 0 (PartiallyFailed), 1 (PodDeleted) have failed, so \
               the run fails when the other pods have ended";
    assert_eq!(said("0,1"), two);
}

#[test]
fn a_pod_that_the_archive_does_not_answer_is_named_until_another_asks() {
    let says = json!({"version": 1, "verdict": {"Unavailable": {"message": "no answer"}}});
    let refused = |index| of_part(&pod_refused(84, &says.to_string()), index);
    let waiting = |index| of_part(&pod("Pending", json!({})), index);
    let why = "part 1: the archive does not answer (no answer); another pod retries";

    let pods = vec![of_part(&pod_running(), 0), refused(1), waiting(1)];
    let position = followed(&case(json!({}), pods, Answers::default())).0;
    assert_eq!((position.phase, position.standing), (Phase::Running, Standing::Reconciling));
    assert!(position.message.ends_with(&format!(". Waiting: {why}")), "{}", position.message);

    let mut case = case(json!({}), vec![refused(1), waiting(1)], Answers::default());
    let digest = case.runnable.as_ref().unwrap().digest.clone();
    let run = &mut case.migration.status.as_mut().unwrap().runs[0];
    (run.execution_time, run.program_digest) = (None, digest);
    let position = followed(&case).0;
    assert_eq!((position.phase, position.reason), (Phase::Waiting, Reason::ArchiveUnavailable));
    assert_eq!(position.standing, Standing::Reconciling);
    assert_eq!(position.message, format!("Run 1: {why}"));
    // Once it answers, nothing is said of it.
    case.pods.push(of_part(&let_through(&pod("Pending", json!({}))), 1));
    assert_eq!(followed(&case).0.reason, Reason::Starting);
}

#[test]
fn a_deleted_job_may_still_get_a_pod_for_a_part_that_has_none() {
    let deleted = |index| {
        let pod = of_part(&pod_ended(143, "", &Value::Null), index);
        with(&pod, json!({"metadata": {"deletionTimestamp": time(20)}}))
    };
    let decision = |pods: Vec<Pod>, now| {
        let mut case = case(json!({}), pods, Answers::default());
        (case.job, case.now) = (Some(job_deleted()), now);
        case.decision()
    };
    let three = || vec![deleted(0), deleted(1), deleted(2)];
    let is_finished = |decision: Decision| matches!(decision.change, Change::Finish(_));
    assert!(decision(three(), 25).stops());
    assert!(is_finished(decision(three(), 40)));
    let four = three().into_iter().chain([deleted(3)]).collect();
    assert!(is_finished(decision(four, 25)));
}

#[test]
fn the_counts_of_all_parts_are_one_progress_and_stay_while_some_are_missing() {
    let guard: dm_contract::report::GuardResult =
        serde_json::from_value(guard_says(json!({"mode": "Apply", "itemsRead": 90}))).unwrap();
    let answers = Answers { guard: Some(guard), ..Answers::default() };
    let mut case = case(json!({}), four_running(), answers);
    let known = json!({"text": "100 read, 50 written, 3/s", "itemsRead": 100, "itemsPerSecond": 3});
    case.migration.status.as_mut().unwrap().progress = serde_json::from_value(known).unwrap();
    assert_eq!(followed(&case).0.progress.items_read, Some(90));
    case.answers.is_partial = true;
    let progress = followed(&case).0.progress;
    assert_eq!((progress.items_read, progress.items_per_second), (Some(100), None));
}
