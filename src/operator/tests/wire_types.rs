//! What crosses a process: the plan, the results and the verdicts have golden files.
//! Today's program must read what yesterday's wrote, field by field, and write the same.
#![allow(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

use std::path::Path;

use dm_contract::check::{CHECK_VERSION, Finding, Found, TargetCheck};
use dm_contract::control::{CONTROL_VERSION, ControlState};
use dm_contract::identity::{DatabaseId, Difference, Mismatch, ProgramId, TableIds, TriedOn};
use dm_contract::part::Part;
use dm_contract::plan::OnConflict;
use dm_contract::plan::{
    ArchivePlan, JournalMode, Mode, PLAN_VERSION, Plan, Policy, RateLimits, RestorePlan,
    RetentionPlan, RunId, Upstream,
};
use dm_contract::report::ChangeKind;
use dm_contract::report::{
    ApplyTime, Archived, AttributeEffect, Behind, CHANGED_ITEM_VERSION, ChangedAgain, ChangedItem,
    Continued, DryRunResult, ErrorCount, Fidelity, GuardResult, ItemChange, JournalResult, Limited,
    OperationCount, Outage, ProgramResult, REPORT_VERSION, Remark, RestoreCounts, SecondPass,
    SecondRun, TableChange, TableEffect,
};
use dm_contract::restored::Conflict;
use dm_contract::restored::{ConflictGroup, RESTORE_RESULT_VERSION, RestoreResult};
use dm_contract::verdict::{
    Adopted, Differs, LedgerKind, LedgerVerdict, LockHolder, RecordedRun, RunOutcome, RunSummary,
    UnknownRun, Verdict,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// A value is written as its golden file, and read from it.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let text = golden(name);
    let written = serde_json::to_value(value).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(&text).unwrap(), "{name}");
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{name}");
}

fn database_id() -> DatabaseId {
    DatabaseId {
        region: "eu-west-1".into(),
        endpoint: Some("http://dynamodb:8000".into()),
        partition: Some("aws".into()),
        account: Some("111122223333".into()),
    }
}

fn table_ids() -> TableIds {
    [("cars".into(), "5f4c2b1a-0000-4000-8000-000000000001".into())].into()
}

fn differs() -> Verdict {
    Verdict::Differs(Differs {
        run: Some(RecordedRun {
            run: 2,
            begun_at: "2026-11-02T10:00:00.000Z".into(),
            namespace: "team".into(),
            name: "0001-add-price-to-cars".into(),
        }),
        difference: Difference {
            reason: Mismatch::TableReplaced,
            what: "it worked on table cars with the id 1, and table cars has the id 2 now".into(),
        },
    })
}

#[test]
fn a_target_check_is_its_golden_file() {
    let finding = |found, message: &str| Finding { found, message: message.into() };
    check(
        "target-check.json",
        &TargetCheck {
            version: CHECK_VERSION,
            database: finding(Found::Reachable, "the database answered ListTables"),
            archive: Some(finding(Found::NotUsable, "writing `create-once.txt` in the archive")),
        },
    );
}

#[test]
fn a_plan_is_its_golden_file() {
    check(
        "plan.json",
        &Plan {
            version: PLAN_VERSION,
            run: RunId {
                namespace: "team".into(),
                name: "0001-add-price-to-cars".into(),
                uid: "0b0f8c3e-95a4-4b0c-9d5e-6f1d1c1c7a11".into(),
                number: 2,
            },
            mode: Mode::Apply,
            upstream: Upstream {
                region: "eu-west-1".into(),
                endpoint: Some("http://dynamodb:8000".into()),
            },
            policy: Policy {
                tables: vec!["cars".into(), "brands-*".into()],
                control_plane: true,
                show_values: true,
                journal: JournalMode::Ahead,
            },
            limits: RateLimits {
                reads_per_second: Some(500),
                writes_per_second: Some(200),
                read_units_per_second: Some(1000),
                write_units_per_second: Some(400),
            },
            limits_max: RateLimits { writes_per_second: Some(300), ..RateLimits::default() },
            archive: Some(ArchivePlan {
                url: "s3://archive/prod".into(),
                endpoint: Some("http://s3:9000".into()),
                region: Some("eu-central-1".into()),
                migration: "team.0001-add-price-to-cars".into(),
                overrule: 1,
                repeatable: true,
                expect_no_requests: true,
                tables: vec!["cars".into()],
                retention: Some(RetentionPlan { max_age_days: 90, keep_runs: 5, journals: true }),
                again: true,
            }),
            second_pass: true,
            restore: Some(RestorePlan { run: 1, on_conflict: OnConflict::Overwrite }),
            program: Some(ProgramId {
                digest: "sha256:4d".into(),
                images: [("program".into(), "sha256:1a".into())].into(),
            }),
            accept: vec![Mismatch::OtherDatabase, Mismatch::OtherProgram, Mismatch::TableReplaced],
            tried: Some(TriedOn { database: database_id(), tables: table_ids() }),
            parts: Some(4),
            now_s: Some(1_796_083_200),
        },
    );
}

#[test]
fn what_a_guards_control_tells_is_its_golden_file() {
    let limits = |writes| RateLimits { writes_per_second: Some(writes), ..RateLimits::default() };
    check(
        "control-state.json",
        &ControlState {
            version: CONTROL_VERSION,
            paused: true,
            held: 4,
            limits: limits(200),
            limits_max: limits(300),
            lowered: Some(limits(140)),
            throttled: 17,
        },
    );
}

#[test]
fn a_plan_with_a_field_that_is_not_understood_is_refused() {
    let mut plan: Value = serde_json::from_str(&golden("plan.json")).unwrap();
    plan["envelope"] = serde_json::json!({});
    assert!(serde_json::from_value::<Plan>(plan).is_err());
}

#[test]
fn a_guards_result_is_its_golden_file() {
    check(
        "guard-result.json",
        &GuardResult {
            version: REPORT_VERSION,
            mode: Mode::DryRun,
            requests: 408,
            write_calls_upstream: 0,
            read_calls_upstream: 2,
            items_read: 406,
            read_units: 12.5,
            write_units: 406.0,
            tables: vec![TableEffect {
                name: "cars".into(),
                id: Some(table_ids()["cars"].clone()),
                items_read: 406,
                item_count: Some(406),
                created: 1,
                updated: 400,
                deleted: 2,
                unchanged: 3,
                attributes: vec![AttributeEffect {
                    name: "price".into(),
                    added: 390,
                    changed: 9,
                    removed: 1,
                }],
                change: Some(TableChange::Updated),
                settings: vec!["index by-price added".into()],
                more: 12,
            }],
            remarks: vec![
                Remark {
                    operation: "Scan".into(),
                    fidelity: Fidelity::Approximate,
                    why: "the order of new items is another".into(),
                    count: 1,
                },
                Remark {
                    operation: "ExecuteStatement".into(),
                    fidelity: Fidelity::Refused,
                    why: "PartiQL is not simulated".into(),
                    count: 4,
                },
            ],
            errors: vec![ErrorCount {
                operation: "UpdateItem".into(),
                error: "ValidationException".into(),
                count: 3,
            }],
            effects_digest: "sha256:9f".into(),
            problem: Some("the guard was restarted in the middle of the run".into()),
            left_out: 1,
            dry_run: Some(dry_run_result()),
            journal: Some(journal_result()),
            locked: Some(holder()),
            outages: vec![Outage {
                of: Behind::Archive,
                since: "2026-12-01T10:00:02Z".into(),
                calls: 3,
                message: "no space left on device".into(),
                lasts: true,
            }],
            archived: Some(archived()),
            database: Some(database_id()),
            gave_way: Some(differs()),
            transform: None,
            part: Some(Part { index: 3, of: 4 }),
            continued: Some(Continued { guards: 1, at_least: true }),
        },
    );
}

fn dry_run_result() -> DryRunResult {
    DryRunResult {
        operations: vec![OperationCount {
            operation: "Scan".into(),
            exact: 2,
            approximate: 1,
            refused: 3,
        }],
        changed_underneath: 4,
        apply_time: Some(ApplyTime { seconds: 3, limited_by: Limited::Writes, per_second: 200 }),
        samples: vec![ChangedItem {
            version: CHANGED_ITEM_VERSION,
            table: "cars".into(),
            key: Some(serde_json::json!({"id": {"S": "audi"}})),
            key_digest: None,
            kind: ItemChange::Updated,
            attributes: [("price".into(), ChangeKind::Added)].into(),
            before: Some(serde_json::json!({})),
            after: Some(serde_json::json!({"price": {"N": "4100"}})),
        }],
        second_pass: Some(SecondPass {
            idempotent: false,
            requests: Some(812),
            tables: vec![ChangedAgain { name: "cars".into(), items: 5 }],
        }),
    }
}

fn journal_result() -> JournalResult {
    JournalResult {
        run: "0b0f8c3e-2".into(),
        entries: 403,
        segments: 5,
        bytes: 81_920,
        ahead: 390,
        read_units: 203.5,
        problem: None,
    }
}

fn holder() -> LockHolder {
    LockHolder {
        table: "cars".into(),
        by: "team.0006-repaint/1".into(),
        namespace: "team".into(),
        name: "0006-repaint".into(),
        since: "2026-11-02T09:12:00.000Z".into(),
        fence: 7,
    }
}

fn archived() -> Archived {
    Archived {
        run: "team.0001-add-price-to-cars/2".into(),
        log: Some("runs/team.0001-add-price-to-cars/000002/program.log.zst".into()),
        report: Some("runs/team.0001-add-price-to-cars/000002/report.json".into()),
        difference: Some("runs/team.0001-add-price-to-cars/000002/difference.ndjson.zst".into()),
        difference_parts: Some(3),
        conflicts: Some("runs/team.0001-add-price-to-cars/000002/conflicts.ndjson".into()),
        completed: Some(RunOutcome::Succeeded),
        problem: Some("the program's output was cut".into()),
    }
}

#[test]
fn a_ledgers_verdicts_are_their_golden_files() {
    let time = |minute: u32| format!("2026-11-02T10:{minute:02}:00.000Z");
    let check = |name: &str, verdict| check(name, &LedgerVerdict::new(verdict));
    check("verdict-go.json", Verdict::Go);
    check(
        "verdict-adopt.json",
        Verdict::Adopt(Adopted {
            run: 3,
            kind: LedgerKind::Restore(2),
            namespace: "team".into(),
            name: "0001-add-price-to-cars".into(),
            uid: "0b0f8c3e-95a4-4b0c-9d5e-6f1d1c1c7a11".into(),
            begun_at: time(0),
            completed_at: time(3),
            execution_time: Some(time(1)),
            finalization_time: Some(time(2)),
            conflicts: Some(2),
            message: Some("404 updated, 2 conflicts".into()),
            summary: Some(RunSummary {
                requests: 408,
                items_read: 406,
                read_units: 12.5,
                write_units: 404.0,
                tables: vec![TableEffect {
                    name: "cars".into(),
                    updated: 404,
                    ..TableEffect::default()
                }],
                left_out: 1,
                counts_items: false,
            }),
        }),
    );
    check(
        "verdict-unknown.json",
        Verdict::Unknown(UnknownRun {
            run: 2,
            kind: LedgerKind::Apply,
            begun_at: time(0),
            namespace: "team".into(),
            name: "0001-add-price-to-cars".into(),
            uid: "0b0f8c3e-95a4-4b0c-9d5e-6f1d1c1c7a11".into(),
        }),
    );
    check("verdict-renumber.json", Verdict::Renumber { highest: 4 });
    check("verdict-locked.json", Verdict::Locked(holder()));
    let message = "reading `ledger/m` in the archive: no answer in time".into();
    check("verdict-unavailable.json", Verdict::Unavailable { message });
    check("verdict-differs.json", differs());
    let message = "identifying the database: no answer in time".into();
    check("verdict-unreachable.json", Verdict::Unreachable { message });
}

#[test]
fn a_restores_result_is_its_golden_file() {
    check(
        "restore-result.json",
        &RestoreResult {
            version: RESTORE_RESULT_VERSION,
            mode: Mode::Apply,
            of: 1,
            started_at: "2026-11-02T10:00:05.250Z".into(),
            finished_at: "2026-11-02T10:00:08.750Z".into(),
            finished: false,
            counts: RestoreCounts {
                items: 406,
                restored: 401,
                deleted: 1,
                recreated: 2,
                unchanged: 2,
                unverified: 3,
                unconfirmed: 1,
            },
            conflicts: 2,
            groups: vec![
                ConflictGroup {
                    table: "cars".into(),
                    conflict: Conflict::AttributeChanged("price".into()),
                    count: 1,
                    keys: vec![serde_json::json!({"id": {"S": "audi"}})],
                },
                ConflictGroup {
                    table: "cars".into(),
                    conflict: Conflict::ItemDeleted,
                    count: 1,
                    keys: vec![],
                },
            ],
            left_out: 1,
            read_units: 203.0,
            write_units: 404.0,
            journal: Some(JournalResult {
                run: "team.0001-add-price-to-cars/2".into(),
                entries: 404,
                segments: 2,
                bytes: 40_960,
                ahead: 403,
                read_units: 0.5,
                problem: None,
            }),
            archived: Some(archived()),
            problem: Some("interrupted: start it again, and it resumes".into()),
            differs: Some(Difference {
                reason: Mismatch::OtherDatabase,
                what: "it worked on DynamoDB in eu-west-1, and the database is now DynamoDB in \
                       us-east-1"
                    .into(),
            }),
            journal_problem: None,
            not_restored: Vec::new(),
            nothing_written: false,
        },
    );
}

#[test]
fn a_programs_result_is_its_golden_file() {
    check(
        "program-result.json",
        &ProgramResult {
            version: REPORT_VERSION,
            started_at: Some("2026-11-02T10:00:05.250Z".into()),
            finished_at: Some("2026-11-02T10:00:08.750Z".into()),
            exit_code: Some(3),
            signal: Some(15),
            asked_to_end: Some(15),
            left_running: Some(dm_contract::report::LeftRunning {
                count: 7,
                names: vec!["python3".into()],
            }),
            start_error: Some("there is no python3 in the image".into()),
            second_run: Some(SecondRun {
                exit_code: Some(1),
                signal: Some(9),
                not_run: Some("the guard refused".into()),
            }),
            last_lines: vec!["Preis für alle".into(), "\u{1F697} ok".into()],
            log_problem: Some("No space left on device".into()),
        },
    );
}

#[test]
fn results_of_a_later_program_are_read_with_fields_that_are_new() {
    for (name, field) in [("guard-result.json", "progress"), ("program-result.json", "host")] {
        let mut result: Value = serde_json::from_str(&golden(name)).unwrap();
        result[field] = serde_json::json!(1);
        let read = match name {
            "guard-result.json" => serde_json::from_value::<GuardResult>(result).map(drop),
            _ => serde_json::from_value::<ProgramResult>(result).map(drop),
        };
        read.unwrap();
    }
}
