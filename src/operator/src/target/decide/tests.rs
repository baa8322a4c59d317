//! When a check starts, and what the status says of its result.

use serde_json::json;

use super::*;
use crate::samples::{self, at};
use crate::target::state::Checked;
use dm_contract::check::{CHECK_VERSION, Finding, Found, TargetCheck};

fn target(archive: bool) -> MigrationTarget {
    let spec = if archive { json!({"archive": {"url": "s3://archive/prod"}}) } else { json!({}) };
    let metadata = json!({"metadata": {"uid": "uid-t", "generation": 3}});
    MigrationTarget::clone(&samples::with(&samples::target(spec), metadata))
}

/// The target with the status that was decided on.
fn with(target: &MigrationTarget, next: &Next) -> MigrationTarget {
    MigrationTarget { status: Some(next.status.clone()), ..target.clone() }
}

fn checked(database: Found, archive: Option<Found>) -> State {
    let finding = |found| Finding { found, message: format!("{found:?}") };
    let result = TargetCheck {
        version: CHECK_VERSION,
        database: finding(database),
        archive: archive.map(finding),
    };
    State::Ended(vec![Checked { credentials: "spec.credentials", result }])
}

fn trouble(reason: TargetReason, is_fault: bool) -> Trouble {
    Trouble { reason, message: format!("{reason}"), is_fault }
}

/// Type, status and reason of each condition.
fn said(next: &Next) -> Vec<(String, String, String)> {
    let all = next.status.conditions.iter();
    all.map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone())).collect()
}

fn ready(next: &Next) -> (String, String) {
    let ready = next.status.condition(types::READY).unwrap();
    (ready.status.clone(), ready.reason.clone())
}

#[test]
fn a_new_generation_is_checked_at_once() {
    let fresh = target(true);
    let next = decide(&fresh, &State::Idle, at(0));
    assert_eq!((next.step, next.status.observed_generation), (Step::Create, Some(3)));
    let unknown = |type_: &str| (type_.to_owned(), "Unknown".to_owned(), "Checking".to_owned());
    let all = ["Ready", "DatabaseReachable", "ArchiveReachable"].map(unknown);
    assert_eq!(said(&next), all);
    let running = decide(&with(&fresh, &next), &State::Running, at(5));
    assert_eq!((running.step, &running.status), (Step::Wait, &next.status), "nothing is written");
    // Another generation begins again whatever the last one had come to.
    let mut edited = with(&fresh, &decide(&fresh, &checked(Found::Reachable, None), at(6)));
    edited.metadata.generation = Some(4);
    let next = decide(&edited, &State::Idle, at(7));
    assert_eq!((next.step, ready(&next).1.as_str()), (Step::Create, "Checking"));
}

#[test]
fn what_was_found_is_said_of_each_part() {
    use Found::{NoCredentials, NotUsable, Overwrites, Reachable, Rejected, Unreachable};
    let check = |database, archive, expected: [(&str, &str); 3]| {
        let next = decide(&target(true), &checked(database, Some(archive)), at(9));
        let found = said(&next);
        let found: Vec<_> = found.iter().map(|(_, s, r)| (s.as_str(), r.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(next.step, Step::Delete);
        assert_eq!(next.status.failed_checks, u32::from(expected[0].0 != "True"));
    };
    let good = ("True", "Reachable");
    check(Reachable, Reachable, [good, good, good]);
    let bad = ("False", "DatabaseUnreachable");
    check(Unreachable, Reachable, [bad, bad, good]);
    let bad = ("False", "CredentialsRejected");
    check(Rejected, Reachable, [bad, bad, good]);
    let bad = ("False", "CredentialsNotFound");
    check(NoCredentials, Reachable, [bad, bad, good]);
    let bad = ("False", "ArchiveUnavailable");
    check(Reachable, NotUsable, [bad, good, bad]);
    check(Reachable, Unreachable, [bad, good, bad]);
    let bad = ("False", "ArchiveOverwrites");
    check(Reachable, Overwrites, [bad, good, bad]);
}

#[test]
fn a_message_names_the_field_and_what_to_do() {
    let next = decide(&target(true), &checked(Found::Unreachable, Some(Found::Reachable)), at(9));
    let message = &next.status.condition(types::READY).unwrap().message;
    assert!(
        message.starts_with("spec.credentials: Unreachable. Correct spec.endpoint"),
        "{message}"
    );
    let observed = next.status.conditions.iter().map(|one| one.observed_generation);
    assert!(observed.into_iter().all(|generation| generation == Some(3)));
}

#[test]
fn a_target_without_an_archive_has_no_condition_of_it() {
    let had = decide(&target(true), &State::Idle, at(0));
    let without = with(&target(false), &had);
    let next = decide(&without, &checked(Found::Reachable, None), at(9));
    assert_eq!(said(&next).len(), 2);
    assert_eq!(next.status.condition(types::ARCHIVE_REACHABLE), None);
}

#[test]
fn a_transition_time_moves_only_when_a_status_flips() {
    let since = |next: &Next| next.status.condition(types::READY).unwrap().last_transition_time.0;
    let fresh = target(false);
    let bad = decide(&fresh, &checked(Found::Unreachable, None), at(10));
    let mut again = with(&fresh, &bad);
    again.status.as_mut().unwrap().check_started_at = Some(Time(at(70)));
    let worse = decide(&again, &checked(Found::Rejected, None), at(80));
    assert_eq!((since(&bad), since(&worse)), (at(10), at(10)));
    again.status = Some(worse.status);
    again.status.as_mut().unwrap().check_started_at = Some(Time(at(190)));
    let good = decide(&again, &checked(Found::Reachable, None), at(200));
    assert_eq!(since(&good), at(200));
}

#[test]
fn failed_checks_wait_longer_each_time_and_good_ones_for_hours() {
    let mut now = at(0);
    let mut target = target(false);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let next = decide(&target, &State::Idle, now);
        assert_eq!(next.step, Step::Create);
        target = with(&target, &next);
        target = with(&target, &decide(&target, &checked(Found::Unreachable, None), now));
        let waiting = decide(&target, &State::Idle, now);
        assert_eq!(waiting.step, Step::Wait);
        waits.push(waiting.again.as_secs());
        now = now.checked_add(waiting.again).unwrap();
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1800, 1800, 1800]);
    let next = decide(&target, &State::Idle, now);
    target = with(&target, &next);
    target = with(&target, &decide(&target, &checked(Found::Reachable, None), now));
    assert_eq!(decide(&target, &State::Idle, now).again, limits::CHECK_EVERY);
}

#[test]
fn a_check_that_vanishes_is_not_started_again_at_once() {
    let fresh = target(false);
    let started = with(&fresh, &decide(&fresh, &State::Idle, at(0)));
    let next = decide(&started, &State::Idle, at(1));
    assert_eq!((next.step, next.again.as_secs()), (Step::Wait, 59));
    assert_eq!(decide(&started, &State::Idle, at(60)).step, Step::Create);
    // Nor after the clock went back.
    assert_eq!(decide(&started, &State::Idle, at(-500)).again, limits::CHECK_AGAIN_MIN);
}

#[test]
fn a_result_is_recorded_once() {
    let fresh = target(false);
    let started = with(&fresh, &decide(&fresh, &State::Idle, at(0)));
    let first = decide(&started, &checked(Found::Unreachable, None), at(9));
    let second = decide(&with(&started, &first), &checked(Found::Unreachable, None), at(20));
    assert_eq!((second.step, &second.status), (Step::Delete, &first.status));
}

#[test]
fn what_blocks_a_pod_outlives_its_job() {
    let fresh = target(true);
    let started = with(&fresh, &decide(&fresh, &State::Idle, at(0)));
    let blocked = State::Blocked(trouble(TargetReason::SecretNotFound, true));
    let next = decide(&started, &blocked, at(5));
    assert_eq!((next.step, ready(&next)), (Step::Wait, ("False".into(), "SecretNotFound".into())));
    let part = next.status.condition(types::DATABASE_REACHABLE).unwrap();
    assert_eq!(part.status, "Unknown", "nobody has asked it");
    let late = decide(&with(&started, &next), &State::Late, at(300));
    assert_eq!(ready(&late).1, "SecretNotFound");
    assert_eq!((late.step, late.status.failed_checks), (Step::Delete, 1));
    let only_late = decide(&started, &State::Late, at(300));
    assert_eq!(ready(&only_late), ("Unknown".into(), "CheckFailed".into()));
}

#[test]
fn a_check_that_could_not_run_says_nothing_of_the_target() {
    let failed = State::Failed(trouble(TargetReason::CheckFailed, false));
    let next = decide(&target(false), &failed, at(5));
    assert_eq!(ready(&next), ("Unknown".into(), "CheckFailed".into()));
    let foreign = decide(&target(false), &State::Foreign, at(5));
    assert_eq!(ready(&foreign), ("Unknown".into(), "NameTaken".into()));
    assert_eq!((foreign.step, foreign.again), (Step::Wait, limits::CHECK_AGAIN_MIN));
    let outdated = decide(&target(false), &State::Outdated, at(5));
    assert_eq!((outdated.step, ready(&outdated).1.as_str()), (Step::Delete, "Checking"));
}
