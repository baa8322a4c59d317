//! Runs that the archive's ledger kept from starting, and ends of those that it let through.

use dm_contract::verdict::Verdict;

use super::*;

fn refused(code: i32, verdict: &Value) -> Outcome {
    let pod = pod_refused(code, &verdict.to_string());
    end(RunKind::Apply, Some(&failed_job()), &[&pod]).expect("it is over")
}

fn verdict(verdict: &Value) -> Value {
    json!({"version": 1, "verdict": verdict})
}

fn differs(reason: &str, on_record: bool) -> Value {
    let run = json!({
        "run": 3, "begunAt": "2026-10-01T10:00:00.000Z", "namespace": "team", "name": "0001-cars",
    });
    let difference = json!({"reason": reason, "what": "it worked elsewhere"});
    let mut differs = json!({"difference": difference});
    if on_record {
        differs["run"] = run;
    }
    json!({"Differs": differs})
}

#[test]
fn a_run_that_gives_way_before_its_first_write_has_failed_and_changed_nothing() {
    let unknown = ledger_knows_not()["verdict"].clone();
    let adopts = ledger_adopts()["verdict"].clone();
    for (gave_way, exit_code, result, reason) in [
        (adopts, 0, RunResult::Failed, Reason::LockedByAnother),
        (unknown, 1, RunResult::Unknown, Reason::OutcomeUnknown),
        (differs("TableReplaced", true), 1, RunResult::Failed, Reason::TableReplaced),
    ] {
        let guard = guard_says(json!({
            "mode": "Apply", "gaveWay": gave_way,
            "problem": "The run stopped before its first write",
        }));
        let program = program_says(json!({"exitCode": exit_code}));
        let pod = let_through(&pod_ended(exit_code, &program, &guard));
        let complete = job_ended("Complete", "");
        let job = if exit_code == 0 { complete } else { failed_job() };
        let outcome = end(RunKind::Apply, Some(&job), &[&pod]).expect("it is over");
        assert_eq!((outcome.result, outcome.reason), (result, reason), "{}", outcome.message);
        assert_eq!(outcome.wrote_nothing, result == RunResult::Failed);
        assert!(outcome.message.contains("stopped before its first write"), "{}", outcome.message);
        assert_ne!(outcome.verdict, Some(Verdict::Go));
    }
}

fn holder() -> Value {
    json!({
        "table": "cars", "by": "team.0006-repaint/1", "namespace": "team", "name": "0006-repaint",
        "since": "2026-11-02T01:12:00.500Z", "fence": 7,
    })
}

#[test]
fn each_verdict_has_its_end_and_none_lets_the_program_start() {
    let unavailable = verdict(&json!({"Unavailable": {"message": "no answer in time"}}));
    for (code, said, result, reason, words) in [
        (
            80,
            ledger_adopts(),
            RunResult::Succeeded,
            Reason::Adopted,
            "Adopted from the archive's ledger: Run 3 of team.0001-cars applied the migration \
             (begun 2026-10-01T10:00:00Z, recorded 2026-10-01T10:01:00Z). The program was not run.",
        ),
        (
            81,
            ledger_knows_not(),
            RunResult::Unknown,
            Reason::OutcomeUnknown,
            "Run 3 of team.0001-cars was begun at 2026-10-01T10:00:00Z and has no recorded end",
        ),
        (
            82,
            verdict(&json!({"Renumber": {"highest": 4}})),
            RunResult::Canceled,
            Reason::Renumbered,
            "up to number 4",
        ),
        (
            83,
            verdict(&json!({"Locked": holder()})),
            RunResult::Canceled,
            Reason::LockedByAnother,
            "table cars has been locked by 0006-repaint (run team.0006-repaint/1) since \
             2026-11-02T01:12:00Z",
        ),
        (
            84,
            unavailable,
            RunResult::Canceled,
            Reason::ArchiveUnavailable,
            "Waiting for the target's archive. Nothing is written without it: no answer in time",
        ),
        (
            86,
            verdict(&differs("OtherDatabase", true)),
            RunResult::Failed,
            Reason::OtherDatabase,
            "By the archive's ledger, run 3 of team.0001-cars (begun 2026-10-01T10:00:00Z) applied \
             this migration, but it worked elsewhere",
        ),
        (
            86,
            verdict(&differs("TableReplaced", false)),
            RunResult::Failed,
            Reason::TableReplaced,
            "The required dry run does not match: it worked elsewhere",
        ),
        (
            87,
            verdict(&json!({"Unreachable": {"message": "no route"}})),
            RunResult::Canceled,
            Reason::DatabaseUnreachable,
            "Waiting for the target's database, which must be identified",
        ),
    ] {
        let outcome = refused(code, &said);
        assert_eq!((outcome.result, outcome.reason), (result, reason), "{}", outcome.message);
        assert!(outcome.message.contains(words), "{}", outcome.message);
        assert!(!outcome.started, "{code}");
    }
}

#[test]
fn an_end_of_an_unknown_run_names_the_two_ways_out() {
    let advice = refused(81, &ledger_knows_not()).what_now;
    for way in ["Set spec.retry to 1", "spec.state to Restored", "run 3"] {
        assert!(advice.contains(way), "{way}: {advice}");
    }
}

#[test]
fn an_end_that_is_not_understood_is_no_answer() {
    for (code, message) in [
        (1, "thread 'main' panicked"),
        (81, ""),
        (80, "{\"version\":2,\"verdict\":\"Go\"}"),
        (84, "{\"version\":1,\"verdict\":\"Go\"}"),
    ] {
        let pod = pod_refused(code, message);
        let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
        let found = (outcome.result, outcome.reason);
        assert_eq!(found, (RunResult::Canceled, Reason::ArchiveUnavailable), "{message}");
    }
}

#[test]
fn a_run_that_was_let_through_ends_as_its_program_does() {
    let message = program_says(json!({"exitCode": 3}));
    let pod = let_through(&pod_ended(3, &message, &guard()));
    let outcome = end(RunKind::Apply, Some(&failed_job()), &[&pod]).unwrap();
    assert_eq!(outcome.reason, Reason::ProgramFailed);
    assert_eq!(outcome.verdict, Some(Verdict::Go));
}

/// A guard that journaled, and kept what there was to keep.
fn journaling() -> Value {
    guard_says(json!({
        "mode": "Apply",
        "journal": {"run": "team.0001-cars/1", "entries": 2, "segments": 1, "bytes": 90,
            "readUnits": 1.0},
        "archived": {
            "run": "team.0001-cars/1", "completed": "Failed",
            "log": "runs/team.0001-cars/000001/program.log.zst",
        },
    }))
}

#[test]
fn a_failure_says_what_is_journaled_how_to_take_it_back_and_where_the_log_is() {
    let plan = json!({
        "version": 1,
        "run": {"namespace": "team", "name": "0001-cars", "uid": "u", "number": 1},
        "mode": "Apply", "upstream": {"region": "eu-west-1"}, "policy": {},
        "archive": {"url": "s3://archive/prod/", "migration": "team.0001-cars"},
    });
    let guard = json!({"name": "guard", "env": [
        {"name": "DATAMIGRATION_PLAN", "value": plan.to_string()},
    ]});
    let spec = json!({"spec": {"template": {"spec": {"initContainers": [guard]}}}});
    let job = with(&failed_job(), spec);
    let pod = let_through(&pod_ended(3, &program_says(json!({"exitCode": 3})), &journaling()));
    let outcome = end(RunKind::Apply, Some(&job), &[&pod]).unwrap();
    let words = "exit code 3 after 3s; 2 items were written, all of them journaled.";
    assert!(outcome.message.ends_with(words), "{}", outcome.message);
    let advice = "set spec.retry to 1 to run the migration again, or spec.state to Restored to \
                  restore what it changed.";
    assert!(outcome.what_now.ends_with(advice), "{}", outcome.what_now);
    assert_eq!(
        outcome.kept(|archived| archived.log.as_ref()).as_deref(),
        Some("s3://archive/prod/runs/team.0001-cars/000001/program.log.zst")
    );
    assert_eq!(outcome.kept(|archived| archived.report.as_ref()), None);
    for (guard, advice) in [
        (journaling(), "Read the program's output in the archive: s3://archive/prod/runs/"),
        (super::guard(), "The log was deleted with the pod"),
    ] {
        let pod = let_through(&pod_ended(143, &program_says(json!({"signal": 15})), &guard));
        let evicted =
            with(&pod, json!({"status": {"reason": "Evicted", "message": "low on disk"}}));
        let outcome = end(RunKind::Apply, Some(&job), &[&evicted]).unwrap();
        assert!(outcome.what_now.starts_with(advice), "{}", outcome.what_now);
    }
}
