//! What is on record elsewhere and differs, and what was applied before this operator existed.

use super::*;
use crate::history;
use crate::read::view::JobEnd;
use dm_api::identity::Mismatch;

/// A run that stopped because what is on record differs.
fn differs(reason: Reason) -> RunRecord {
    let record = ended(RunKind::Apply, RunResult::Failed);
    RunRecord { reason: Some(reason), wrote_nothing: true, ..record }
}

#[test]
fn a_run_that_differs_from_the_record_is_held_until_a_person_decides() {
    for (reason, accept) in [
        (Reason::OtherDatabase, Mismatch::OtherDatabase),
        (Reason::OtherProgram, Mismatch::OtherProgram),
        (Reason::TableReplaced, Mismatch::TableReplaced),
    ] {
        let held = Case::new(applying(json!({}))).after(vec![differs(reason)]);
        check(&held, Phase::Failed, Standing::Stalled, reason);
        // Run the program here: the plan overrules what is on record.
        let again = Case::new(applying(json!({"retry": 1}))).after(vec![differs(reason)]);
        assert_eq!(begins(&again, RunKind::Apply, 2).overrules, Some(1));
        // Take the record over as it is.
        let spec = json!({"accept": [format!("{accept:?}")]});
        let accepts = Case::new(applying(spec.clone())).after(vec![differs(reason)]);
        let record = begins(&accepts, RunKind::Apply, 2);
        assert_eq!((record.accepted, record.overrules), (vec![accept], None));
        // What was accepted already changes nothing.
        let accepted = RunRecord { accepted: vec![accept], ..differs(reason) };
        let held = Case::new(applying(spec)).after(vec![accepted]);
        check(&held, Phase::Failed, Standing::Stalled, reason);
        // The program as it was, or another target.
        let edited = Case::new(applying(json!({}))).after(vec![differs(reason)]).edited();
        assert_eq!(begins(&edited, RunKind::Apply, 2).overrules, None);
    }
}

#[test]
fn a_run_that_failed_otherwise_is_not_begun_again_by_what_is_accepted() {
    let spec = json!({"accept": ["OtherProgram"]});
    let case = Case::new(applying(spec)).after(vec![failed(RunKind::Apply)]);
    check(&case, Phase::Failed, Standing::Stalled, Reason::ProgramFailed);
}

fn recorded(case: &Case) -> DataMigrationStatus {
    let decision = case.decision();
    assert!(matches!(decision.change, Change::Baseline(_)), "{decision:#?}");
    assert_eq!(decision.actions, [], "nothing runs");
    crate::status::next(case.situation(&[], &Answers::default()), &decision)
}

#[test]
fn what_was_applied_before_is_recorded_and_nothing_runs() {
    for spec in [
        json!({"baseline": true}),
        json!({"baseline": true, "dryRun": false}),
        json!({"baseline": true, "suspend": true}),
        json!({"baseline": true, "script": null}),
    ] {
        let mut case = Case::new(trying(spec.clone()));
        let status = recorded(&case);
        let applied = status.applied.clone().unwrap();
        assert!(applied.baseline && status.is_applied(), "{spec}");
        assert_eq!((applied.execution_time, status.execution_time.clone()), (None, None));
        assert_eq!((status.phase, status.last_run), (Some(Phase::Baseline), 1));
        let ready = &status.conditions[0];
        assert_eq!((ready.type_.as_str(), ready.status.as_str()), (types::READY, "True"));
        assert_eq!(ready.reason, Reason::Baseline.as_str());
        // Without an archive nobody else can know.
        assert_eq!(status.runs[0].archived, None);
        case.migration.status = Some(status);
        assert!(crate::read::dependencies::is_applied(&case.migration));
        check(&case, Phase::Baseline, Standing::Ready, Reason::Baseline);
    }
}

#[test]
fn the_archive_is_told_by_a_job_that_runs_no_program() {
    let migration = trying(json!({"baseline": true}));
    let target = target(json!({"archive": {"url": "s3://archive/prod"}}));
    let data = files(json!({"main.py": "print('cars')"}));
    let mut case = Case::new(migration);
    case.runnable = crate::validate::validate(&case.migration, Some(&target), None, &data);
    let status = recorded(&case);
    let run = status.runs[0].clone();
    assert_eq!(run.archived, Some(false));
    let runnable = case.runnable.clone().unwrap();
    let job =
        crate::objects::record::baseline(&case.migration, &run, &runnable, &SETTINGS).unwrap();
    let pod = job.spec.unwrap().template.spec.unwrap();
    let args = pod.containers[0].args.clone().unwrap();
    assert_eq!((pod.containers.len(), pod.init_containers), (1, None));
    let command = pod.containers[0].command.clone().unwrap();
    assert_eq!(command, ["/usr/bin/datamigration-guard"]);
    assert_eq!(args, ["record", "--outcome", "Succeeded", "--baseline"]);
    case.migration.status = Some(status);
    case.recorders = vec![RecordJob { run: 1, end: JobEnd::Complete }];
    let situation_is_told =
        recording::outstanding(case.migration.status.as_ref().unwrap(), &case.recorders);
    assert_eq!(situation_is_told.count(), 0);
}

#[test]
fn a_baseline_that_is_withdrawn_runs_and_overrules_its_record() {
    let mut case = Case::new(trying(json!({"baseline": true})));
    let status = recorded(&case);
    case = Case::new(applying(json!({"retry": 1})));
    case.migration.status = Some(status);
    assert!(history::is_baseline_withdrawn(&case.migration));
    assert!(!crate::read::dependencies::is_applied(&case.migration));
    assert_eq!(begins(&case, RunKind::Apply, 2).overrules, Some(1));
    // There is nothing of it that could be restored.
    case.migration = applying(json!({"retry": 1, "state": "Restored"}));
    case.migration.status = Some(recorded(&Case::new(trying(json!({"baseline": true})))));
    case.runnable = Ok(runnable_of(&case.migration));
    check(&case, Phase::Restored, Standing::Ready, Reason::Restored);
}

#[test]
fn a_dry_run_under_way_is_given_up_for_a_baseline() {
    let mut case =
        Case::new(trying(json!({"baseline": true}))).after(vec![record(RunKind::DryRun)]);
    case = case.with_objects(Some(job(json!({}))), vec![]);
    is_stop(&case, Some(StopReason::Superseded));
}

#[test]
fn a_baseline_on_a_target_that_does_not_exist_is_no_record() {
    let mut case = Case::new(trying(json!({"baseline": true})));
    case.runnable = crate::validate::validate(&case.migration, None, None, &files(json!({})));
    check(&case, Phase::Stalled, Standing::Stalled, Reason::TargetNotFound);
}
