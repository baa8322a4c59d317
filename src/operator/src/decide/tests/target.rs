//! Migrations of one target are applied one after another.

use std::sync::Arc;

use dm_api::DataMigration;

use super::*;

pub fn holder(name: &str, since: i64, launched: bool) -> Holder {
    let uid = Some(format!("uid-{name}"));
    Holder { name: name.into(), uid, since: at(since), launched, left: None }
}

/// The same, on a target that lets this many write at once.
fn at_once(mut case: Case, runs: u32) -> Case {
    let target = target(json!({"policy": {"maxConcurrentRuns": runs}}));
    let data = files(json!({"main.py": "print('cars')"}));
    case.runnable = crate::validate::validate(&case.migration, Some(&target), None, &data);
    case
}

#[test]
fn a_run_that_writes_waits_for_another_of_the_target_and_says_for_which() {
    let case = || Case {
        holders: vec![holder("0000-makers", -60, true)],
        ..Case::new(applying(json!({})))
    };
    let position = check(&case(), Phase::Waiting, Standing::Reconciling, Reason::LockedByAnother);
    assert_eq!(position.conditions[0].0, types::LOCKED_BY_ANOTHER);
    let named = "Waiting for 0000-makers, which has been writing to the same target since \
                 2026-11-02T09:59:00Z";
    assert!(position.message.starts_with(named), "{}", position.message);
    begins(&at_once(case(), 2), RunKind::Apply, 1);
}

#[test]
fn a_dry_run_waits_for_nobody() {
    let holders = vec![holder("0000-makers", -60, true)];
    begins(&Case { holders, ..Case::new(trying(json!({}))) }, RunKind::DryRun, 1);
}

/// A run that has its number since second 0, and a suspended Job.
fn about_to_go(holders: Vec<Holder>) -> Case {
    let case = Case::new(applying(json!({}))).after(vec![not_let_go(RunKind::Apply)]);
    Case { holders, ..case.with_objects(Some(suspended_job()), vec![]) }
}

#[test]
fn of_two_that_begin_at_once_the_later_steps_back_and_the_earlier_waits_until_it_has() {
    assert!(is_launched(&about_to_go(vec![])));
    assert!(gives_way(&about_to_go(vec![holder("0000", -1, false)])));
    assert!(gives_way(&about_to_go(vec![holder("0000", 0, false)])), "by its name");
    assert!(about_to_go(vec![holder("0002", 0, false)]).decision().rests());
    assert!(about_to_go(vec![holder("0000", 9, false)]).decision().rests());
    assert!(gives_way(&about_to_go(vec![holder("0000", 9, true)])), "it is running");
}

#[test]
fn as_many_are_let_go_as_the_target_allows() {
    let running = |name: &str| holder(name, 9, true);
    assert!(is_launched(&at_once(about_to_go(vec![running("a")]), 2)));
    assert!(gives_way(&at_once(about_to_go(vec![running("a"), running("b")]), 2)));
    assert!(at_once(about_to_go(vec![running("a"), holder("b", 9, false)]), 2).decision().rests());
}

#[test]
fn a_run_that_was_let_go_looks_at_nobody() {
    let record = record(RunKind::Apply);
    let case = Case::new(applying(json!({}))).after(vec![record]);
    let holders = vec![holder("0000", -60, true)];
    let case = Case { holders, ..case.with_objects(Some(suspended_job()), vec![]) };
    assert!(is_launched(&case));
}

#[test]
#[allow(clippy::useless_vec)] // as an array it is too large for a test's stack
fn who_counts_as_another() {
    let other = |name: &str, target: &str, suspend: bool, run: Option<RunRecord>| {
        let mut other = applying(json!({"target": {"name": target}, "suspend": suspend}));
        other.metadata.name = Some(name.into());
        let runs = run.into_iter().map(|run| RunRecord { target: Some(target.into()), ..run });
        let runs = runs.collect();
        other.status = Some(DataMigrationStatus { runs, ..DataMigrationStatus::default() });
        other
    };
    let waiting = || Some(not_let_go(RunKind::Apply));
    let others = vec![
        other("running", "dev", true, Some(record(RunKind::Apply))),
        other("beginning", "dev", false, waiting()),
        other("suspended", "dev", true, waiting()),
        other("elsewhere", "production", false, waiting()),
        other("trying", "dev", false, Some(record(RunKind::DryRun))),
        other("over", "dev", false, Some(ended(RunKind::Apply, RunResult::Succeeded))),
        other("fresh", "dev", false, None),
        other("0001-cars", "dev", false, waiting()),
    ];
    let others = others.iter().map(|other| &**other);
    let found = holders::holders(&applying(json!({})), others, &[], vec![]);
    let names: Vec<(&str, bool)> = found.iter().map(|h| (h.name.as_str(), h.launched)).collect();
    assert_eq!(names, [("beginning", false), ("running", true)]);
}

/// Two targets may have the same region, and be databases of two accounts.
#[test]
fn what_a_living_migration_runs_on_another_target_is_not_left_over() {
    let living = |name: &str, spec_target: &str, run_target: &str| {
        let mut other = applying(json!({"target": {"name": spec_target}}));
        (other.metadata.name, other.metadata.uid) = (Some(name.into()), Some(name.into()));
        let run = RunRecord { target: Some(run_target.into()), ..record(RunKind::Apply) };
        other.status =
            Some(DataMigrationStatus { runs: vec![run], ..DataMigrationStatus::default() });
        Arc::new(DataMigration::clone(&other))
    };
    let left = |name: &str| Holder {
        uid: Some(name.into()),
        left: Some(format!("pod {name}-1-apply-x")),
        ..holder(name, -60, true)
    };
    let existing = [
        living("elsewhere", "production", "production"),
        living("moved", "production", "dev"),
        living("moved-here", "dev", "production"),
    ];
    let occupants = ["elsewhere", "moved", "moved-here", "gone"].map(left).to_vec();
    let others = existing.iter().map(AsRef::as_ref);
    let found = holders::holders(&applying(json!({})), others, &existing, occupants);
    let found: Vec<(&str, bool)> =
        found.iter().map(|holder| (holder.name.as_str(), holder.left.is_some())).collect();
    assert_eq!(found, [("gone", true), ("moved", false)]);
}
