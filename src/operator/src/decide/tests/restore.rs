//! `spec.state: Restored`: what is restored, in which order, and when it is not.

use dm_api::migration::OnConflict;

use super::*;

const SUCCEEDED: RunResult = RunResult::Succeeded;
const FAILED: RunResult = RunResult::Failed;

/// A migration with a history, on a target with an archive.
fn case(spec: Value, runs: Vec<RunRecord>) -> Case {
    on(json!({"archive": {"url": "s3://archive"}}), spec, runs)
}

fn on(target_spec: Value, spec: Value, runs: Vec<RunRecord>) -> Case {
    let mut migration = migration(json!({"spec": {"dryRun": false}}));
    migration = with(&migration, json!({"spec": spec}));
    let last = runs.iter().find(|run| run.kind == RunKind::Apply && run.result.is_over());
    let applied = last.map(|run| {
        json!({
            "run": run.number, "result": run.result, "programDigest": run.program_digest,
            "restoredBy": run.restored_by,
        })
    });
    let last_run = runs.first().map_or(0, |run| run.number);
    let status = json!({"lastRun": last_run, "runs": runs, "applied": applied});
    let migration = with(&migration, json!({"status": status}));
    let files = files(json!({"main.py": "print('cars')"}));
    let target = target(target_spec);
    let runnable = crate::validate::validate(&migration, Some(&target), None, &files);
    Case { migration, runnable, ..Case::new(trying(json!({}))) }
}

fn restored() -> Value {
    json!({"state": "Restored"})
}

fn preview() -> Value {
    json!({"state": "Restored", "dryRun": true})
}

/// Which run is restored by the one that begins.
fn restores(case: &Case, kind: RunKind, number: u32, restores: u32) -> RunRecord {
    let record = begins(case, kind, number);
    assert_eq!(record.restores, Some(restores));
    record
}

fn restored_by(run: RunRecord, by: u32) -> RunRecord {
    RunRecord { restored_by: Some(by), ..run }
}

#[test]
fn an_applied_migration_is_previewed_and_then_restored() {
    let runs = vec![journaled(1, SUCCEEDED)];
    let record = restores(&case(preview(), runs.clone()), RunKind::RestorePreview, 2, 1);
    assert_eq!(record.job, "0001-cars-2-restore-preview");
    let record = restores(&case(restored(), runs), RunKind::Restore, 2, 1);
    assert_eq!(record.job, "0001-cars-2-restore");
    assert_eq!((record.on_conflict, record.archive), (Some(OnConflict::Skip), None));
}

#[test]
fn what_was_never_run_needs_no_restore() {
    let tried = || ended(RunKind::DryRun, SUCCEEDED);
    let is_restored = |case: Case| {
        let position = check(&case, Phase::Restored, Standing::Ready, Reason::Restored);
        assert!(position.message.contains("nothing to restore"), "{}", position.message);
    };
    is_restored(case(restored(), vec![RunRecord { wrote_nothing: true, ..journaled(1, FAILED) }]));
    is_restored(case(restored(), vec![journaled(1, RunResult::Canceled)]));
    for runs in [vec![], vec![tried()]] {
        is_restored(on(json!({}), restored(), runs.clone()));
        // What the archive has of an earlier object is not known.
        for spec in [restored(), preview()] {
            let case = case(spec, runs.clone());
            let position = check(&case, Phase::Waiting, Standing::Resting, Reason::NotAdopted);
            assert!(position.message.contains("set spec.state to Applied"), "{}", position.message);
        }
    }
}

#[test]
fn one_that_succeeded_without_a_change_is_restored_so_that_it_can_run_again() {
    let run = RunRecord { wrote_nothing: true, ..journaled(1, SUCCEEDED) };
    restores(&case(restored(), vec![run]), RunKind::Restore, 2, 1);
}

#[test]
fn what_an_object_that_is_gone_had_run_is_restored_by_its_number_in_the_archive() {
    for result in [SUCCEEDED, RunResult::Unknown] {
        let adopted = RunRecord { adopted: Some(3), ..journaled(1, result) };
        let mut case = case(restored(), vec![adopted]);
        case.migration.status.as_mut().unwrap().last_run = 3;
        restores(&case, RunKind::Restore, 4, 3);
    }
}

#[test]
fn a_restore_waits_for_its_turn_on_the_target() {
    let mut case = case(restored(), vec![journaled(1, SUCCEEDED)]);
    case.holders = vec![super::target::holder("0002", 1, true)];
    check(&case, Phase::Waiting, Standing::Reconciling, Reason::LockedByAnother);
    let mut case = self::case(preview(), vec![journaled(1, SUCCEEDED)]);
    case.holders = vec![super::target::holder("0002", 1, true)];
    restores(&case, RunKind::RestorePreview, 2, 1);
}

#[test]
fn failed_and_unknown_runs_are_restored() {
    for result in [FAILED, RunResult::Unknown] {
        restores(&case(restored(), vec![journaled(1, result)]), RunKind::Restore, 2, 1);
    }
}

#[test]
fn runs_one_over_the_other_are_restored_the_newest_first() {
    let (upper, lower) = (journaled(2, SUCCEEDED), journaled(1, FAILED));
    let both = vec![upper.clone(), lower.clone()];
    restores(&case(restored(), both), RunKind::Restore, 3, 2);
    let runs = vec![
        restore(3, RunKind::Restore, 2, SUCCEEDED),
        restored_by(upper.clone(), 3),
        lower.clone(),
    ];
    restores(&case(restored(), runs), RunKind::Restore, 4, 1);
    let runs = vec![
        restore(4, RunKind::Restore, 1, SUCCEEDED),
        restore(3, RunKind::Restore, 2, SUCCEEDED),
        restored_by(upper, 3),
        restored_by(lower, 4),
    ];
    check(&case(restored(), runs), Phase::Restored, Standing::Ready, Reason::Restored);
}

#[test]
fn a_resumed_restore_of_an_older_run_does_not_begin_with_the_newer_one_again() {
    let runs = vec![
        restore(4, RunKind::Restore, 1, FAILED),
        restore(3, RunKind::Restore, 2, SUCCEEDED),
        restored_by(journaled(2, SUCCEEDED), 3),
        journaled(1, FAILED),
    ];
    let resumed = json!({"state": "Restored", "retry": 1});
    restores(&case(resumed, runs), RunKind::Restore, 5, 1);
}

#[test]
fn what_others_had_changed_is_overwritten_when_that_is_asked_for_afterwards() {
    let runs = || {
        vec![restore(2, RunKind::Restore, 1, SUCCEEDED), restored_by(journaled(1, SUCCEEDED), 2)]
    };
    check(&case(restored(), runs()), Phase::Restored, Standing::Ready, Reason::Restored);
    let overwriting = json!({"state": "Restored", "restore": {"onConflict": "Overwrite"}});
    let record = restores(&case(overwriting, runs()), RunKind::Restore, 3, 1);
    assert_eq!(record.on_conflict, Some(OnConflict::Overwrite));
    let repeated = json!({"state": "Restored", "retry": 1});
    restores(&case(repeated, runs()), RunKind::Restore, 3, 1);
}

#[test]
fn what_was_restored_below_a_newer_run_stays_so() {
    let runs = vec![
        journaled(3, SUCCEEDED),
        restore(2, RunKind::Restore, 1, SUCCEEDED),
        restored_by(journaled(1, SUCCEEDED), 2),
    ];
    let repeated = json!({"state": "Restored", "retry": 1});
    restores(&case(repeated, runs), RunKind::Restore, 4, 3);
}

#[test]
fn a_preview_says_what_it_saw_until_it_is_asked_anew() {
    let runs = || vec![restore(2, RunKind::RestorePreview, 1, SUCCEEDED), journaled(1, SUCCEEDED)];
    let expected = Reason::AwaitingRestore;
    let position =
        check(&case(preview(), runs()), Phase::RestorePreviewOk, Standing::Resting, expected);
    assert!(position.message.ends_with("Set spec.dryRun to false to restore it."));
    restores(&case(restored(), runs()), RunKind::Restore, 3, 1);
    let again = json!({"state": "Restored", "dryRun": true, "retry": 1});
    restores(&case(again, runs()), RunKind::RestorePreview, 3, 1);
    let mut other = preview();
    other["restore"] = json!({"onConflict": "Overwrite"});
    restores(&case(other, runs()), RunKind::RestorePreview, 3, 1);
    let mut after = runs();
    after.insert(0, restore(3, RunKind::Restore, 1, FAILED));
    restores(&case(preview(), after), RunKind::RestorePreview, 4, 1);
}

#[test]
fn a_preview_that_failed_is_repeated_by_retry() {
    let runs = || vec![restore(2, RunKind::RestorePreview, 1, FAILED), journaled(1, SUCCEEDED)];
    let expected = Reason::OutcomeUnknown;
    check(&case(preview(), runs()), Phase::RestorePreviewFailed, Standing::Stalled, expected);
    let again = json!({"state": "Restored", "dryRun": true, "retry": 1});
    restores(&case(again, runs()), RunKind::RestorePreview, 3, 1);
}

#[test]
fn a_restore_that_failed_goes_on_by_retry() {
    let runs = || vec![restore(2, RunKind::Restore, 1, FAILED), journaled(1, SUCCEEDED)];
    let expected = Reason::OutcomeUnknown;
    check(&case(restored(), runs()), Phase::RestoreFailed, Standing::Stalled, expected);
    let again = json!({"state": "Restored", "retry": 1});
    restores(&case(again, runs()), RunKind::Restore, 3, 1);
}

#[test]
fn a_target_may_want_a_preview_first() {
    let target = json!({"archive": {"url": "s3://archive"}, "policy": {"dryRunFirst": true}});
    let on = |spec, runs| on(target.clone(), spec, runs);
    let runs = vec![journaled(1, SUCCEEDED)];
    let blocked = on(restored(), runs.clone());
    check(&blocked, Phase::Stalled, Standing::Stalled, Reason::DryRunRequired);
    restores(&on(preview(), runs), RunKind::RestorePreview, 2, 1);
    let seen = vec![restore(2, RunKind::RestorePreview, 1, SUCCEEDED), journaled(1, SUCCEEDED)];
    restores(&on(restored(), seen), RunKind::Restore, 3, 1);
    let runs = vec![
        restore(3, RunKind::Restore, 2, SUCCEEDED),
        restored_by(journaled(2, SUCCEEDED), 3),
        journaled(1, FAILED),
    ];
    restores(&on(restored(), runs), RunKind::Restore, 4, 1);
}

#[test]
fn without_its_journal_a_run_cannot_be_restored() {
    let without = RunRecord { archive: None, ..journaled(1, SUCCEEDED) };
    let expected = Reason::ArchiveRequired;
    let position =
        check(&case(restored(), vec![without]), Phase::Stalled, Standing::Stalled, expected);
    assert!(position.message.contains("Run 1 kept no journal"), "{}", position.message);
    let elsewhere = json!({"archive": {"url": "s3://other"}});
    let runs = vec![journaled(1, SUCCEEDED)];
    for target in [elsewhere, json!({})] {
        let moved = on(target, restored(), runs.clone());
        let position = check(&moved, Phase::Stalled, Standing::Stalled, expected);
        assert!(position.message.contains("in the archive s3://archive"), "{}", position.message);
    }
}

#[test]
fn a_run_is_restored_only_where_it_worked() {
    let elsewhere = RunRecord { target: Some("prod".into()), ..journaled(1, FAILED) };
    let stalled = case(restored(), vec![elsewhere]);
    let position = check(&stalled, Phase::Stalled, Standing::Stalled, Reason::InvalidSpec);
    assert!(position.message.contains("Set spec.target.name to prod"), "{}", position.message);
}

#[test]
fn a_restore_needs_no_program_and_waits_for_no_time() {
    let mut migration = case(
        json!({"state": "Restored", "startAt": time(99), "dependsOn": [{"name": "0000"}]}),
        vec![journaled(1, SUCCEEDED)],
    );
    let target = target(json!({"archive": {"url": "s3://archive"}}));
    let missing = crate::runnable::FilesFound::Missing;
    migration.runnable =
        crate::validate::validate(&migration.migration, Some(&target), None, &missing);
    migration.dependencies.waits_for = vec![Waiting { name: "0000".into(), phase: None }];
    restores(&migration, RunKind::Restore, 2, 1);
}

#[test]
fn suspending_holds_a_restore_and_it_goes_on() {
    let spec = json!({"state": "Restored", "suspend": true});
    let held = case(spec.clone(), vec![journaled(1, SUCCEEDED)]);
    check(&held, Phase::Suspended, Standing::Resting, Reason::Suspended);
    let runs =
        || vec![restore(2, RunKind::Restore, 1, RunResult::Running), journaled(1, SUCCEEDED)];
    let job = |suspend: bool| Some(job(json!({"spec": {"suspend": suspend}})));
    let running = case(spec, runs()).with_objects(job(false), vec![pod_running()]);
    let decision = running.decision();
    assert!(matches!(&decision.actions[..], [Action::Suspend(_)]), "{decision:#?}");
    let position = decision.position.unwrap();
    assert!(position.message.contains("resumes where it stopped"), "{}", position.message);
    let resumed = case(restored(), runs()).with_objects(job(true), vec![]);
    assert!(is_launched(&resumed), "{:#?}", resumed.decision());
}

#[test]
fn a_restore_waits_for_the_run_under_way() {
    let running = vec![RunRecord { number: 1, ..record(RunKind::Apply) }];
    let case = case(restored(), running).with_objects(Some(job(json!({}))), vec![pod_running()]);
    let (position, _) = follows(&case);
    assert_eq!(position.phase, Phase::Running);
    assert_eq!(position.conditions, [], "nothing is said of its program");
}

#[test]
fn a_restore_that_has_begun_is_not_given_up_for_another_wish() {
    let runs =
        || vec![restore(2, RunKind::Restore, 1, RunResult::Running), journaled(1, SUCCEEDED)];
    for spec in
        [json!({}), preview(), json!({"state": "Restored", "restore": {"onConflict": "Overwrite"}})]
    {
        let case = case(spec, runs()).with_objects(Some(job(json!({}))), vec![pod_running()]);
        follows(&case);
    }
    let mut fresh = runs();
    fresh[0].execution_time = None;
    let unstarted = case(json!({}), fresh).with_objects(Some(job(json!({}))), vec![]);
    is_stop(&unstarted, Some(StopReason::Superseded));
}

#[test]
fn a_preview_and_a_dry_run_are_given_up_when_the_state_changes() {
    let previewing =
        vec![restore(2, RunKind::RestorePreview, 1, RunResult::Running), journaled(1, SUCCEEDED)];
    let case_ = case(json!({}), previewing).with_objects(Some(job(json!({}))), vec![pod_running()]);
    is_stop(&case_, Some(StopReason::Superseded));
    let trying = case(restored(), vec![record(RunKind::DryRun)])
        .with_objects(Some(job(json!({}))), vec![pod_running()]);
    is_stop(&trying, Some(StopReason::Superseded));
}

#[test]
fn after_a_restore_the_migration_runs_anew_when_its_state_is_applied_again() {
    let runs = || {
        vec![
            restore(3, RunKind::Restore, 2, SUCCEEDED),
            restored_by(journaled(2, SUCCEEDED), 3),
            ended(RunKind::DryRun, SUCCEEDED),
        ]
    };
    begins(&case(json!({}), runs()), RunKind::Apply, 4);
    // What was tried before the restore was tried on other data.
    begins(&case(json!({"dryRun": true}), runs()), RunKind::DryRun, 4);
    let failed =
        vec![restore(3, RunKind::Restore, 2, SUCCEEDED), restored_by(journaled(2, FAILED), 3)];
    begins(&case(json!({}), failed), RunKind::Apply, 4);
}

#[test]
fn half_way_back_it_does_not_run_again_unless_retry_says_so() {
    let runs = || vec![restore(2, RunKind::Restore, 1, FAILED), journaled(1, SUCCEEDED)];
    for dry_run in [false, true] {
        let held = case(json!({"dryRun": dry_run}), runs());
        let expected = Reason::RestoreIncomplete;
        let position = check(&held, Phase::Stalled, Standing::Stalled, expected);
        assert!(position.message.contains("spec.retry to 1"), "{}", position.message);
    }
    begins(&case(json!({"retry": 1}), runs()), RunKind::Apply, 3);
    // A restore that was given up before it began has changed nothing.
    let mut given_up = runs();
    (given_up[0].result, given_up[0].execution_time) = (RunResult::Canceled, None);
    check(&case(json!({}), given_up), Phase::Applied, Standing::Ready, Reason::Applied);
}

#[test]
fn a_restore_whose_job_vanished_is_unknown_and_goes_on_by_retry() {
    let runs =
        || vec![restore(2, RunKind::Restore, 1, RunResult::Running), journaled(1, SUCCEEDED)];
    let outcome = finishes(&case(restored(), runs()));
    assert_eq!((outcome.result, outcome.reason), (RunResult::Unknown, Reason::OutcomeUnknown));
    assert!(outcome.what_now.contains("set spec.retry to 1"), "{}", outcome.what_now);
}
