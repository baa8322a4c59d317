//! Summaries as they are printed.

use super::*;
use crate::file::About;
use crate::samples;
use dm_contract::report::ChangedAgain;

fn result(mode: Mode) -> GuardResult {
    samples::report(mode).result
}

fn dry_run() -> DryRunResult {
    result(Mode::DryRun).dry_run.unwrap_or_default()
}

fn about(end: End) -> About {
    About {
        database: Some("http://127.0.0.1:8000 (eu-west-1)".into()),
        took_ms: Some(842),
        end: Some(end),
        ..About::default()
    }
}

/// Why a run cannot be restored.
const WITHOUT: &str = "not possible: without --archive no before-images were kept";

fn check(result: GuardResult, end: End, report: Option<&str>, expected: &str) {
    let files = report
        .map(|path| format!("{path}   each item in {}", path.replace(".json", ".ndjson.zst")));
    let report = RunReport { result, about: Some(about(end)), timeline: None };
    assert_eq!(text(&report, Beside { files: files.as_deref(), restore: Some(WITHOUT) }), expected);
}

#[test]
fn a_dry_run_says_what_would_change() {
    check(
        result(Mode::DryRun),
        End::Exited(0),
        Some("dry-run.json"),
        "\
dry run · nothing was written (0 write calls reached the database)
  database  http://127.0.0.1:8000 (eu-west-1)
  cars    406 items read · 406 would be updated · 0 created · 0 deleted
          - old    12
          + price  400
          ~ price  6
  makers  12 items read · 0 would be updated · 1 created · 2 deleted · 3 written unchanged
  would cost 406 write units, about 3s at 200 writes a second · used 50.5 read units
  calls     3 Scan · 406 UpdateItem, all answered exactly
  report    dry-run.json   each item in dry-run.ndjson.zst
  digest    sha256:4be1
",
    );
}

#[test]
fn an_applied_run_says_what_was_done() {
    check(
        result(Mode::Apply),
        End::Stopped,
        None,
        "\
applied · 61,224 write calls reached the database
  database  http://127.0.0.1:8000 (eu-west-1)
  cars    406 items read · 406 updated · 0 put · 0 deleted
          - old    12
          + price  400
          ~ price  6
  makers  12 items read · 0 updated · 1 put · 2 deleted · 3 written unchanged
  used 406 write units, 50.5 read units
  digest    sha256:4be1
  restore   not possible: without --archive no before-images were kept
",
    );
}

#[test]
fn a_program_that_sent_nothing_is_told_which_sdks_would() {
    let empty = GuardResult { requests: 0, tables: vec![], ..result(Mode::DryRun) };
    check(
        empty,
        End::Exited(0),
        None,
        "\
dry run · nothing was written (0 write calls reached the database)
  database  http://127.0.0.1:8000 (eu-west-1)
  the program sent no request to the guard
  If one was expected: the client may name an endpoint itself, or its SDK may be too old
  for AWS_ENDPOINT_URL_DYNAMODB. It needs boto3 1.28.0, JS SDK v3.428.0, Go SDK v2 with
  config 1.22, Java SDK v2 2.28.1, or the Rust SDK; JS SDK v2 and Go SDK v1 never read it.
",
    );
}

#[test]
fn a_program_that_was_to_send_nothing_is_told_no_reason() {
    let result = GuardResult { requests: 0, tables: vec![], ..result(Mode::DryRun) };
    let about = About { expects_no_requests: true, ..about(End::Exited(0)) };
    let report = RunReport { result, about: Some(about), timeline: None };
    assert_eq!(
        text(&report, Beside { files: None, restore: None }),
        "\
dry run · nothing was written (0 write calls reached the database)
  database  http://127.0.0.1:8000 (eu-west-1)
  the program sent no request to the guard, as expected
",
    );
    assert_eq!(words::headline(&report).tone, words::Tone::Good);
    assert_eq!(words::summary(&report), "The program sent no request to the guard, as expected.");
}

#[test]
fn failures_and_refusals_stand_out() {
    let remark = |fidelity, count| Remark {
        operation: "ExecuteStatement".into(),
        fidelity,
        why: "a dry run does not simulate it yet".into(),
        count,
    };
    let failed = GuardResult {
        tables: vec![],
        remarks: vec![remark(Fidelity::Approximate, 1), remark(Fidelity::Refused, 3)],
        errors: vec![ErrorCount {
            operation: "UpdateItem".into(),
            error: "ValidationException".into(),
            count: 1_200,
        }],
        problem: Some("It was restarted.".into()),
        left_out: 2,
        dry_run: Some(DryRunResult {
            operations: vec![OperationCount {
                operation: "ExecuteStatement".into(),
                exact: 0,
                approximate: 1,
                refused: 3,
            }],
            changed_underneath: 2,
            ..DryRunResult::default()
        }),
        ..result(Mode::DryRun)
    };
    check(
        failed,
        End::Signaled(9),
        None,
        "\
dry run failed · nothing was written (0 write calls reached the database)
  database  http://127.0.0.1:8000 (eu-west-1)
  program   was ended by signal 9 after 0.8 s
  problem   It was restarted.
  no table was read or written
  3 calls were rejected; the program got an error instead:
    ExecuteStatement approximate, 1 ×: a dry run does not simulate it yet
    ExecuteStatement rejected, 3 ×: a dry run does not simulate it yet
  1,200 calls were answered with an error:
    UpdateItem, 1,200 ×: ValidationException
  2 items were changed by others during the dry run, which used the values that it read first
  would cost 406 write units · used 50.5 read units
  2 more tables or remarks are not counted
  calls     4 ExecuteStatement (1 approximate, 3 rejected)
  digest    sha256:4be1
",
    );
}

#[test]
fn a_second_pass_says_whether_it_is_safe_to_run_again() {
    let check = |again: &[(&str, u64)], requests, end, expected: &str| {
        let tables: Vec<_> = again
            .iter()
            .map(|(name, items)| ChangedAgain { name: (*name).into(), items: *items })
            .collect();
        let second_pass = Some(dm_contract::report::SecondPass {
            idempotent: tables.is_empty() && end == End::Exited(0),
            requests,
            tables,
        });
        let dry_run = Some(DryRunResult { second_pass, ..dry_run() });
        let result = GuardResult { dry_run, ..result(Mode::DryRun) };
        let about = About { second_end: Some(end), ..about(End::Exited(0)) };
        let report = RunReport { result, about: Some(about), timeline: None };
        assert_eq!(super::second_pass(&report).unwrap(), expected);
    };
    check(&[], Some(9), End::Exited(0), "  second pass: no changes, safe to run again");
    check(
        &[("cars", 1), ("makers", 1_200)],
        None,
        End::Exited(0),
        "  second pass: 1 item in cars, 1,200 items in makers would change again, not safe to run \
         again",
    );
    check(
        &[],
        None,
        End::Exited(1),
        "  second pass: the program ended with exit code 1, not safe to run again",
    );
    check(
        &[],
        Some(0),
        End::Exited(0),
        "  second pass: the program sent no request, so whether it is safe to run again is not \
         known",
    );
    let mut none = RunReport {
        result: result(Mode::DryRun),
        about: Some(about(End::Exited(1))),
        timeline: None,
    };
    assert_eq!(second_pass(&none), None);
    none.about.get_or_insert_default().second_pass = true;
    assert_eq!(
        second_pass(&none).as_deref(),
        Some("  second pass: skipped, because the program failed")
    );
}

#[test]
fn long_lists_are_cut_and_counted() {
    let many = GuardResult {
        tables: (0..30)
            .map(|at| TableEffect { name: format!("t{at:02}"), ..TableEffect::default() })
            .collect(),
        ..result(Mode::DryRun)
    };
    let many = RunReport { result: many, about: None, timeline: None };
    let lines = tables(&many);
    assert_eq!(lines.len(), LISTED_MAX + 1);
    assert_eq!(lines[LISTED_MAX], "  and 10 more tables");
}
