//! Stories as they are printed, of migrations in each state.

use super::*;
use serde_json::{Value, json};

/// The time at which they are looked at.
pub const NOW: &str = "2026-12-01T10:04:00Z";

/// A migration with these fields of its spec beside the needed ones, and this status.
#[allow(clippy::needless_pass_by_value, reason = "callers write both as literals")]
pub fn migration(spec: Value, status: Value) -> DataMigration {
    let mut migration = json!({
        "apiVersion": "datamigration.dev/v1alpha1",
        "kind": "DataMigration",
        "metadata": {
            "name": "0001-add-price", "namespace": "shop", "uid": "u-1", "generation": 3,
            "resourceVersion": "77", "creationTimestamp": "2026-12-01T10:02:00Z",
        },
        "spec": {
            "target": {"name": "production"},
            "script": {"configMap": {"name": "0001-add-price"}, "image": "python:3.12"},
        },
        "status": status,
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut migration["spec"], spec) {
        all.extend(more);
    }
    serde_json::from_value(migration).unwrap()
}

fn run(number: u32, kind: &str, result: &str, reason: &str, exit_code: i32) -> Value {
    json!({
        "number": number, "kind": kind, "result": result, "reason": reason, "job": "j", "retry": 0,
        "programDigest": "sha256:p", "requestedAt": "2026-12-01T10:02:10Z", "exitCode": exit_code,
        "executionTime": "2026-12-01T10:02:11Z", "finalizationTime": "2026-12-01T10:02:19Z",
    })
}

/// Status after a dry run that succeeded.
pub fn dry_run_succeeded() -> Value {
    json!({
        "observedGeneration": 3,
        "phase": "DryRunOK",
        "progress": {"text": "100%"},
        "executionTime": "2026-12-01T10:02:11Z",
        "finalizationTime": "2026-12-01T10:02:19Z",
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "AwaitingPromotion",
            "message": "The dry run read 406 items and would update 406 items in cars; nothing was \
                        written. Set spec.dryRun to false to apply it.",
            "lastTransitionTime": "2026-12-01T10:02:20Z",
        }],
        "dryRun": {
            "run": 1, "result": "Succeeded", "programDigest": "sha256:p", "digest": "sha256:4be1",
            "executionTime": "2026-12-01T10:02:11Z", "finalizationTime": "2026-12-01T10:02:19Z",
            "effects": {
                "itemsRead": 406, "writeCallsThatReachedTheDatabase": 0, "readUnits": 50.5,
                "writeUnits": 406.0, "requests": 409,
                "tables": [{
                    "name": "cars", "wouldCreate": 0, "wouldUpdate": 406, "wouldDelete": 0,
                    "attributes": [{"name": "price", "added": 406}, {"name": "old", "removed": 2}],
                }],
            },
        },
        "lastRun": 1,
        "runs": [run(1, "DryRun", "Succeeded", "DryRunSucceeded", 0)],
    })
}

#[test]
fn a_dry_run_tells_of_its_time_of_others_and_of_a_second_pass() {
    let told = |report: Value| {
        let mut status = dry_run_succeeded();
        status["dryRun"].as_object_mut().unwrap().extend(report.as_object().unwrap().clone());
        status["dryRun"]["effects"]["estimatedSeconds"] = json!(1200);
        status["dryRun"]["effects"]["changedUnderneath"] = json!(2);
        text(&migration(json!({}), status), None, NOW.parse().unwrap())
    };
    let safe = told(json!({"idempotent": true}));
    assert!(safe.contains("  would take at least 1,200 s at the allowed rate\n"), "{safe}");
    assert!(safe.contains("  2 items were changed by others during the run\n"), "{safe}");
    assert!(safe.contains("  second pass: no changes, safe to run again\n"), "{safe}");
    let unsafe_ = told(json!({"idempotent": false}));
    assert!(unsafe_.contains("not safe to run again"), "{unsafe_}");
    assert!(!told(json!({})).contains("second pass"));
}

fn check(migration: &DataMigration, target: Option<&MigrationTarget>, expected: &str) {
    let found = text(migration, target, NOW.parse().unwrap());
    assert_eq!(found, expected, "\n{found}");
}

#[test]
fn a_dry_run_waits_for_its_promotion() {
    let target = json!({
        "apiVersion": "datamigration.dev/v1alpha1", "kind": "MigrationTarget",
        "metadata": {"name": "production"},
        "spec": {"region": "eu-west-1", "credentials": {"secret": {"name": "s"}}},
    });
    let target = serde_json::from_value(target).unwrap();
    let spec = json!({"description": "Every car gets a price.", "dependsOn": [{"name": "0000"}]});
    check(
        &migration(spec, dry_run_succeeded()),
        Some(&target),
        "\
0001-add-price in shop
Every car gets a price.

  Phase         DryRunOK · 100%
  Why           The dry run read 406 items and would update 406 items in cars; nothing was written.
                Set spec.dryRun to false to apply it.
  Requested     a dry run
  Target        production · eu-west-1
  Program       the script of ConfigMap 0001-add-price in python:3.12
  Depends on    0000
  Age           2m
  Execution     2026-12-01T10:02:11Z
  Finalization  2026-12-01T10:02:19Z

Dry run 1 · Succeeded · 2026-12-01T10:02:11Z · took 8s
  TABLE  WOULD CREATE  WOULD UPDATE  WOULD DELETE  ATTRIBUTES
  cars   0             406           0             price added 406, old removed 2
  406 items read with 50.5 read units · 0 write calls reached the database
  would cost 406 write units
  digest sha256:4be1

Runs
  RUN  KIND     RESULT     REASON           EXECUTION TIME        TOOK  EXIT
  1    dry run  Succeeded  DryRunSucceeded  2026-12-01T10:02:11Z  8s    0
",
    );
}

#[test]
fn a_failure_says_what_to_do_now() {
    let status = json!({
        "observedGeneration": 3,
        "phase": "Failed",
        "progress": {"text": "ProgramFailed"},
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "ProgramFailed",
            "message": "The program ended with exit code 1. Fix the script.",
            "lastTransitionTime": "2026-12-01T10:02:20Z",
        }, {
            "type": "SourceChanged", "status": "True", "reason": "SourceChanged",
            "message": "The files changed since.", "lastTransitionTime": "2026-12-01T10:02:20Z",
        }],
        "applied": {
            "run": 2, "result": "Failed", "programDigest": "sha256:p",
            "effects": {
                "itemsRead": 61_300, "readUnits": 1.0, "writeUnits": 61_224.0, "requests": 61_400,
                "tables": [{"name": "customers", "put": 0, "updated": 61_224, "deleted": 0}],
                "remarks": [{"operation": "ImportTable", "fidelity": "Refused",
                    "why": "it is never allowed", "count": 1}],
                "errors": [{"operation": "UpdateItem", "error": "ValidationException",
                    "count": 3}],
            },
        },
        "failure": {
            "reason": "ProgramFailed", "message": "The program ended with exit code 1.",
            "lastLines": ["Traceback:", "KeyError: 'number'"],
            "whatNow": "Fix the script and set spec.retry to 1.", "run": 2, "exitCode": 1,
        },
        "lastRun": 2,
        "runs": [run(2, "Apply", "Failed", "ProgramFailed", 1)],
    });
    check(
        &migration(json!({"dryRun": false, "suspend": true, "retry": 4}), status),
        None,
        "\
0001-add-price in shop

  Phase         Failed · ProgramFailed
  SourceChanged The files changed since.
  Requested     an apply · suspended · retry 4
  Target        production
  Program       the script of ConfigMap 0001-add-price in python:3.12
  Age           2m

Failure of run 2 · ProgramFailed
  The program ended with exit code 1.
  Last lines
    Traceback:
    KeyError: 'number'
  What now      Fix the script and set spec.retry to 1.

Apply 2 · Failed
  TABLE      PUT  UPDATED  DELETED
  customers  0    61,224   0
  61,300 items read · used 61,224 write units, 1 read unit
  ImportTable rejected, 1 ×: it is never allowed
  UpdateItem answered with ValidationException, 3 ×

Runs
  RUN  KIND   RESULT  REASON         EXECUTION TIME        TOOK  EXIT
  2    apply  Failed  ProgramFailed  2026-12-01T10:02:11Z  8s    1
",
    );
}

#[test]
fn a_restore_says_what_is_not_certain_and_what_it_does_not_restore() {
    let status = json!({
        "observedGeneration": 3,
        "phase": "Restored",
        "restored": {
            "run": 3, "restores": 2, "onConflict": "Skip", "result": "Succeeded",
            "effects": {
                "items": 409, "restored": 404, "deleted": 3, "recreated": 0, "unchanged": 2,
                "unverified": 25, "unconfirmed": 1, "conflicts": 2,
                "conflictGroups": [{"table": "cars", "kind": "AttributeChanged",
                    "attribute": "price", "items": 2, "keys": ["{\"id\":{\"S\":\"audi\"}}"]}],
                "notRestored": ["CreateTable prices"], "readUnits": 204.5, "writeUnits": 407.0,
            },
        },
        "lastRun": 3,
        "runs": [run(3, "Restore", "Succeeded", "Restored", 0)],
    });
    check(
        &migration(json!({"dryRun": false, "state": "Restored"}), status),
        None,
        "\
0001-add-price in shop

  Phase         Restored
  Requested     a restore
  Target        production
  Program       the script of ConfigMap 0001-add-price in python:3.12
  Age           2m

Restore 3 of run 2 · Succeeded
  ITEMS  RESTORED  DELETED  RECREATED  UNCHANGED  CONFLICTS
  409    404       3        0          2          2
  cars: price changed after the run, 2 × {\"id\":{\"S\":\"audi\"}}
  25 items journaled without a check
  1 item deleted without an answer: what others added just then is lost
  not restored: CreateTable prices
  used 407 write units, 204.5 read units

Runs
  RUN  KIND     RESULT     REASON    EXECUTION TIME        TOOK  EXIT
  3    restore  Succeeded  Restored  2026-12-01T10:02:11Z  8s    0
",
    );
}

#[test]
fn a_new_migration_has_a_short_text() {
    check(
        &migration(json!({}), Value::Null),
        None,
        "\
0001-add-price in shop

  Phase         Pending
                The operator has not processed this migration yet.
  Requested     a dry run
  Target        production
  Program       the script of ConfigMap 0001-add-price in python:3.12
  Age           2m
",
    );
}

#[test]
fn an_adopted_apply_names_the_run_that_it_was() {
    let status = |effects: Value| {
        json!({
            "observedGeneration": 3, "phase": "Applied",
            "applied": {
                "run": 2, "result": "Succeeded", "adoptedFrom": "team.0001-add-price/2",
                "programDigest": "sha256:p", "effects": effects,
            },
        })
    };
    let shown = |effects| text(&migration(json!({}), status(effects)), None, NOW.parse().unwrap());
    let without = shown(Value::Null);
    let adopted = "  Adopted from the archive: team.0001-add-price/2. No program ran here.\n";
    assert!(without.contains(adopted), "{without}");
    assert!(without.contains("  The archive's ledger has no counts of it.\n"), "{without}");
    assert!(!without.contains("The guard left no result"), "{without}");
    let with = shown(json!({
        "itemsRead": 9, "readUnits": 1.0, "writeUnits": 2.0, "requests": 4,
        "tables": [{"name": "23 more tables", "updated": 46, "deleted": 0, "more": 23}],
    }));
    assert!(with.contains(adopted) && with.contains("23 more tables"), "{with}");
}
