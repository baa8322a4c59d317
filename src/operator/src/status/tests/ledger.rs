//! What the ledger's verdicts leave in status.

use super::*;

/// The status after a run that the ledger refused.
fn refused(code: i32, verdict: &Value) -> DataMigrationStatus {
    let pod = pod_refused(code, &verdict.to_string());
    let job = job_ended("Failed", "PodFailurePolicy");
    check(&running(RunKind::Apply), &finished(RunKind::Apply, &job, &pod), 30)
}

fn verdict(verdict: &Value) -> Value {
    json!({"version": 1, "verdict": verdict})
}

#[test]
fn an_adopted_result_is_the_original_runs() {
    let status = refused(80, &ledger_adopts());
    let applied = status.applied.as_ref().unwrap();
    assert_eq!((applied.run, applied.result), (3, RunResult::Succeeded));
    assert_eq!(applied.adopted_from.as_deref(), Some("team.0001-cars/3"));
    let effects = applied.effects.as_ref().unwrap();
    let table = &effects.tables[0];
    assert_eq!((table.put, table.updated, effects.write_units), (1, 2, 3.0));
    let time = |text: &str| Some(Time(text.parse().unwrap()));
    assert_eq!(status.execution_time, time("2026-10-01T10:00:01Z"));
    assert_eq!(status.finalization_time, time("2026-10-01T10:00:59Z"));
    assert_eq!(status.phase, Some(dm_api::status::Phase::Applied));
    let run = &status.runs[0];
    assert_eq!((run.number, run.reason, run.archived), (1, Some(Reason::Adopted), None));
    assert!(run.message.as_ref().unwrap().contains("Run 3 of team.0001-cars applied"));
    assert_eq!((status.last_run, status.failure.as_ref()), (3, None), "numbers go on after it");
}

#[test]
fn a_number_that_is_taken_is_passed_over() {
    let status = refused(82, &verdict(&json!({"Renumber": {"highest": 7}})));
    assert_eq!((status.last_run, status.runs[0].result), (7, RunResult::Canceled));
    assert_eq!(status.failure, None, "it is no failure");
}

#[test]
fn an_unknown_end_of_an_earlier_run_is_this_ones_failure() {
    let status = refused(81, &ledger_knows_not());
    assert_eq!(status.last_run, 3);
    assert_eq!(status.failure.as_ref().unwrap().reason, Reason::OutcomeUnknown);
    let stalled = status.conditions.iter().find(|c| c.type_ == types::STALLED).unwrap();
    assert!(stalled.message.contains("spec.state to Restored"), "{}", stalled.message);
    assert_eq!(status.runs[0].archived, None, "nothing was begun");
}

#[test]
fn tries_that_are_put_off_take_one_place_in_the_history() {
    let unavailable = verdict(&json!({"Unavailable": {"message": "no answer"}}));
    let first = refused(84, &unavailable);
    assert_eq!(first.runs[0].waiting_since, Some(Time(at(0))));
    let migration = having(&running(RunKind::Apply), &first);
    let record = RunRecord {
        number: 2,
        result: RunResult::Starting,
        waiting_since: first.runs[0].waiting_since.clone(),
        ..record(RunKind::Apply)
    };
    let begin = begun(record);
    let second = check(&migration, &begin, 60);
    let numbers: Vec<u32> = second.runs.iter().map(|run| run.number).collect();
    assert_eq!((numbers, second.last_run), (vec![2], 2));
}

/// Whether the archive is said to know how a run ended, after its guard left this.
fn archived(guard: Value, let_it_through: bool) -> Option<bool> {
    let message = program_says(json!({"exitCode": 3}));
    let pod = pod_ended(3, &message, &guard);
    let pod = if let_it_through { let_through(&pod) } else { pod };
    let job = job_ended("Failed", "BackoffLimitExceeded");
    check(&running(RunKind::Apply), &finished(RunKind::Apply, &job, &pod), 30).runs[0].archived
}

#[test]
fn the_archive_knows_the_end_when_the_guard_has_noted_it() {
    let kept = |completed: Value| {
        guard_says(json!({"archived": {"run": "team.0001-cars/1", "completed": completed}}))
    };
    assert_eq!(archived(kept(json!("Failed")), true), Some(true));
    assert_eq!(archived(kept(Value::Null), true), Some(false));
    assert_eq!(archived(Value::Null, true), Some(false), "the guard was killed");
    assert_eq!(archived(Value::Null, false), None, "there is no archive");
}

#[test]
fn what_a_job_has_noted_is_noted_and_until_then_a_condition_says_so() {
    let run = RunRecord { archived: Some(false), ..ended(RunKind::Apply, RunResult::Failed) };
    let status = DataMigrationStatus { last_run: 1, runs: vec![run], ..Default::default() };
    let migration = having(&applying(json!({})), &status);
    let noted = |recorders: &[RecordJob]| {
        let runnable = runnable();
        let situation = Situation {
            migration: &migration,
            runnable: Ok(&runnable),
            target: Some(&runnable.target),
            dependencies: &Dependencies::default(),
            objects: RunObjects { job: None, pods: &[] },
            jobs: &[],
            pods: &[],
            is_complete: true,
            answers: &NO_ANSWERS,
            holders: &[],
            namespace_ends: false,
            recorders,
            settings: &SETTINGS,
            now: at(60),
        };
        let status = next(situation, &rest(Standing::Stalled, Reason::ProgramFailed));
        let lags = status.conditions.iter().any(|c| c.type_ == types::NOT_ARCHIVED);
        (status.runs[0].archived, lags)
    };
    assert_eq!(noted(&[]), (Some(false), true));
    let job = |end| RecordJob { run: 1, end };
    assert_eq!(noted(&[job(crate::read::view::JobEnd::No)]), (Some(false), true));
    assert_eq!(noted(&[job(crate::read::view::JobEnd::Complete)]), (Some(true), false));
    let contradicted = job(crate::read::view::JobEnd::Failed("PodFailurePolicy".into()));
    let (_, reason, message) = recording::condition(&status, &[contradicted]).unwrap();
    assert_eq!(reason, Reason::LedgerContradicts, "{message}");
}
