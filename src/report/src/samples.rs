//! Reports that the tests of this package share.

use dm_contract::plan::Mode;
use dm_contract::report::{
    ApplyTime, AttributeEffect, ChangedAgain, ChangedItem, DryRunResult, ErrorCount, Fidelity,
    GuardResult, Limited, OperationCount, Remark, SecondPass, TableEffect,
};
use serde_json::{Value, json};

use crate::file::{About, End, RunReport};

/// A dry run that would update 406 cars, create a maker and delete two.
pub fn dry_run() -> RunReport {
    report(Mode::DryRun)
}

/// The same as a dry run or applied.
pub fn report(mode: Mode) -> RunReport {
    let dry_run = mode == Mode::DryRun;
    let about = About {
        name: "0001-add-price".into(),
        database: Some("http://127.0.0.1:8000 (eu-west-1)".into()),
        by: Some("ana".into()),
        started_at: Some("2026-12-01T10:02:11Z".into()),
        finished_at: Some("2026-12-01T10:02:12Z".into()),
        took_ms: Some(1_250),
        end: Some(End::Exited(0)),
        ..About::default()
    };
    let result = GuardResult {
        requests: 409,
        write_calls_upstream: if dry_run { 0 } else { 61_224 },
        read_calls_upstream: 3,
        items_read: 418,
        read_units: 50.5,
        write_units: 406.0,
        tables: tables(),
        effects_digest: "sha256:4be1".into(),
        dry_run: dry_run.then(dry_run_result),
        ..GuardResult::empty(mode)
    };
    RunReport { result, about: Some(about), timeline: None }
}

fn tables() -> Vec<TableEffect> {
    let attribute = |name: &str, added, changed, removed| AttributeEffect {
        name: name.into(),
        added,
        changed,
        removed,
    };
    vec![
        TableEffect {
            name: "cars".into(),
            items_read: 406,
            item_count: Some(406),
            updated: 406,
            attributes: vec![attribute("old", 0, 0, 12), attribute("price", 400, 6, 0)],
            ..TableEffect::default()
        },
        TableEffect {
            name: "makers".into(),
            items_read: 12,
            created: 1,
            deleted: 2,
            unchanged: 3,
            ..TableEffect::default()
        },
    ]
}

fn dry_run_result() -> DryRunResult {
    let operation = |operation: &str, exact| OperationCount {
        operation: operation.into(),
        exact,
        ..OperationCount::default()
    };
    DryRunResult {
        operations: vec![operation("Scan", 3), operation("UpdateItem", 406)],
        apply_time: Some(ApplyTime { seconds: 3, limited_by: Limited::Writes, per_second: 200 }),
        ..DryRunResult::default()
    }
}

/// Errors that a program got.
pub fn errors() -> Vec<ErrorCount> {
    let error = |error: &str, count| ErrorCount {
        operation: "UpdateItem".into(),
        error: error.into(),
        count,
    };
    vec![error("ConditionalCheckFailedException", 1), error("ValidationException", 2)]
}

/// A refused call, and three that were answered approximately.
pub fn remarks() -> Vec<Remark> {
    let remark = |operation: &str, fidelity, why: &str, count| Remark {
        operation: operation.into(),
        fidelity,
        why: why.into(),
        count,
    };
    vec![
        remark("Scan", Fidelity::Approximate, "items created during the scan are added", 3),
        remark("UpdateTable", Fidelity::Refused, "the control plane is not allowed", 1),
    ]
}

/// Adds what a second pass found.
pub fn second_pass(report: &mut RunReport, idempotent: bool, requests: Option<u64>) {
    let tables = vec![ChangedAgain { name: "cars".into(), items: 3 }];
    let tables = if idempotent { Vec::new() } else { tables };
    let pass = SecondPass { idempotent, requests, tables };
    report.result.dry_run.get_or_insert_default().second_pass = Some(pass);
    let about = report.about.get_or_insert_default();
    (about.second_pass, about.second_end) = (true, Some(End::Exited(0)));
}

/// A changed item from its JSON, with the members that all have.
pub fn item(mut json: Value) -> ChangedItem {
    json["version"] = 1.into();
    if json.get("table").is_none() {
        json["table"] = "cars".into();
    }
    serde_json::from_value(json).unwrap()
}

/// An update of a car's price.
pub fn car(number: u32) -> ChangedItem {
    let id = json!({"S": format!("car-{number}")});
    item(json!({
        "kind": "updated", "key": {"id": id}, "attributes": {"price": "changed"},
        "before": {"id": id, "price": {"N": number.to_string()}, "color": {"S": "red"}},
        "after": {"id": id, "price": {"N": (number + 1).to_string()}, "color": {"S": "red"}},
    }))
}
