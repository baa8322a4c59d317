//! What a restore leaves in status: its report, a mark at the run that it restored, and the times
//! of the program as they were.

use dm_api::restore_status::ConflictKind;
use dm_api::status::Phase;

use super::*;

/// A migration with a restore under way over a run that applied it.
fn restoring(kind: RunKind) -> Migration {
    let mut migration = with(
        &applying(json!({"state": "Restored"})),
        json!({"status": {
            "lastRun": 2,
            "executionTime": time(1), "finalizationTime": time(2),
            "applied": {"run": 1, "result": "Succeeded", "programDigest": runnable().digest},
            "runs": [restore(2, kind, 1, RunResult::Running), journaled(1, RunResult::Succeeded)],
        }}),
    );
    migration.spec.dry_run = kind == RunKind::RestorePreview;
    migration
}

fn ends(kind: RunKind, job: &Identified<Job>, pod: &Pod) -> DataMigrationStatus {
    let objects = RunObjects { job: Some(job), pods: &[pod] };
    let record = restore(2, kind, 1, RunResult::Running);
    let decision = finish(outcome::of(&record, objects).unwrap());
    check(&restoring(kind), &decision, 40)
}

fn well(kind: RunKind) -> DataMigrationStatus {
    let job = job_ended("Complete", "CompletionsReached");
    ends(kind, &job, &restore_pod(0, &restore_says(json!({}))))
}

#[test]
fn a_restore_marks_the_run_that_it_took_back() {
    let status = well(RunKind::Restore);
    assert_eq!(status.phase, Some(Phase::Restored));
    assert_eq!(status.runs[1].restored_by, Some(2));
    assert_eq!(status.applied.as_ref().unwrap().restored_by, Some(2));
    assert!(!status.is_applied());
    assert_eq!((status.execution_time.clone(), status.failure.clone()), (Some(Time(at(1))), None));
    let report = status.restored.as_ref().unwrap();
    assert_eq!((report.run, report.restores, report.result), (2, 1, RunResult::Succeeded));
    let effects = report.effects.as_ref().unwrap();
    assert_eq!((effects.items, effects.restored, effects.conflicts), (406, 404, 2));
    let group = &effects.conflict_groups[0];
    assert_eq!((group.kind, group.items), (ConflictKind::AttributeChanged, 2));
    assert_eq!(group.keys, [r#"{"id":{"S":"audi"}}"#]);
    let ready = status.conditions.iter().find(|c| c.type_ == types::READY).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "Restored"));
    assert_eq!(
        ready.message,
        "Run 2 restored run 1: 404 items were restored · 2 conflicts, left unchanged: \
         price changed after the run in cars ({\"id\":{\"S\":\"audi\"}}, …)"
    );
}

#[test]
fn what_is_not_certain_of_a_restore_is_in_its_status_and_its_message() {
    let said = restore_says(json!({"conflicts": 0, "groups": [], "unverified": 25,
        "unconfirmed": 1}));
    let job = job_ended("Complete", "CompletionsReached");
    let status = ends(RunKind::Restore, &job, &restore_pod(0, &said));
    let effects = status.restored.as_ref().unwrap().effects.as_ref().unwrap();
    assert_eq!((effects.unverified, effects.unconfirmed), (25, 1));
    let ready = status.conditions.iter().find(|c| c.type_ == types::READY).unwrap();
    assert_eq!(
        ready.message,
        "Run 2 restored run 1: 404 items were restored · 25 items journaled without a check · \
         1 item deleted without an answer of the database"
    );
}

#[test]
fn a_preview_marks_nothing_and_awaits_its_promotion() {
    let status = well(RunKind::RestorePreview);
    assert_eq!(status.phase, Some(Phase::RestorePreviewOk));
    assert!(status.is_applied());
    assert_eq!((status.runs[1].restored_by, status.restored.clone()), (None, None));
    assert_eq!(status.restore_preview.as_ref().unwrap().run, 2);
    let ready = status.conditions.iter().find(|c| c.type_ == types::READY).unwrap();
    assert_eq!((ready.status.as_str(), status.conditions.len()), ("False", 1), "a person's turn");
    assert_eq!(
        ready.message,
        "Preview of the restore: 404 items would be restored · 2 conflicts: price \
         changed after the run in cars ({\"id\":{\"S\":\"audi\"}}, …). Set spec.dryRun to false to \
         restore it."
    );
}

#[test]
fn a_restore_that_fails_leaves_the_run_open_and_the_migration_not_applied() {
    let said = restore_says(json!({"finished": false, "restored": 10, "problem": "no archive"}));
    let pod = restore_pod(1, &said);
    let status = ends(RunKind::Restore, &job_ended("Failed", "BackoffLimitExceeded"), &pod);
    assert_eq!(status.phase, Some(Phase::RestoreFailed));
    assert_eq!((status.runs[1].restored_by, status.is_applied()), (None, false));
    assert_eq!(status.progress.unwrap().text.as_deref(), Some("10 restored"));
    assert_eq!(status.failure.unwrap().reason, Reason::RestoreFailed);
}

#[test]
fn the_program_of_a_suspended_dry_run_starts_over_and_a_restore_goes_on() {
    let position = under_way::starting(&record(RunKind::DryRun));
    let decision = || Decision::record(Change::Suspend).at(position.clone());
    for (kind, kept) in [(RunKind::RestorePreview, None), (RunKind::Restore, Some(Time(at(5))))] {
        let status = check(&restoring(kind), &decision(), 40);
        assert_eq!(status.runs[0].execution_time, kept, "{kind:?}");
        assert_eq!(status.execution_time, Some(Time(at(1))), "{kind:?}");
    }
}

#[test]
fn runs_that_were_not_restored_are_not_forgotten() {
    let mut migration = applying(json!({}));
    let mut status = DataMigrationStatus {
        runs: vec![journaled(2, RunResult::Failed), journaled(1, RunResult::Failed)],
        last_run: 2,
        ..DataMigrationStatus::default()
    };
    for number in 3..=40 {
        migration.status = Some(status);
        let record = RunRecord { number, ..ended(RunKind::DryRun, RunResult::Succeeded) };
        let decision = begun(record);
        status = check(&migration, &decision, 20);
    }
    let numbers: Vec<u32> = status.runs.iter().map(|run| run.number).collect();
    assert_eq!(numbers[..2], [40, 39]);
    assert_eq!(numbers[8..], [2, 1], "{numbers:?}");
    // Many of them are kept in all, and then the oldest goes.
    for number in 41..=140 {
        migration.status = Some(status);
        let record = journaled(number, RunResult::Failed);
        let decision = begun(record);
        status = check(&migration, &decision, 20);
    }
    assert_eq!((status.runs.len(), status.runs[0].number), (limits::RUNS_HELD_MAX, 140));
}
