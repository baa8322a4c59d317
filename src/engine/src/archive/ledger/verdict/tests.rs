//! What the ledger says, by tables of what it has.

mod identity;

use super::*;
use crate::archive::ledger::{Begun, LEDGER_VERSION};
use dm_contract::identity::TableIds;
use dm_contract::plan::{ArchivePlan, PLAN_VERSION, RestorePlan, RunId, Upstream};

/// What the ledger has: number, uid, what it does (0: apply), and how it ended.
type Run = (u32, &'static str, u32, Option<(RunOutcome, Option<u64>)>);

const OK: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Succeeded, None));
const CLEAN: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Succeeded, Some(0)));
const CONFLICTS: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Succeeded, Some(2)));
const FAILED: Option<(RunOutcome, Option<u64>)> = Some((RunOutcome::Failed, None));

fn entry((number, uid, restores, end): Run) -> LedgerEntry {
    let kind = if restores == 0 { Kind::Apply } else { Kind::Restore(restores) };
    LedgerEntry {
        run: RunName::new("m", number).unwrap(),
        begun: Begun {
            version: LEDGER_VERSION,
            kind,
            namespace: "n".into(),
            name: "m".into(),
            uid: uid.into(),
            begun_at: "t".into(),
            database: None,
            program: None,
            tables: TableIds::new(),
            baseline: false,
            accepted: Vec::new(),
            overrules: 0,
            parts: None,
        },
        tables: TableIds::new(),
        completed: end
            .map(|(outcome, conflicts)| Completed { conflicts, ..Completed::now(outcome) }),
    }
}

fn plan(number: u32, mode: Mode, restore: Option<RestorePlan>, overrule: u32) -> Plan {
    Plan {
        version: PLAN_VERSION,
        run: RunId { namespace: "n".into(), name: "m".into(), uid: "own".into(), number },
        mode,
        upstream: Upstream { region: "eu-west-1".into(), endpoint: None },
        policy: dm_contract::plan::Policy::default(),
        limits: dm_contract::plan::RateLimits::default(),
        limits_max: dm_contract::plan::RateLimits::default(),
        archive: Some(ArchivePlan { migration: "m".into(), overrule, ..ArchivePlan::default() }),
        second_pass: false,
        restore,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    }
}

fn answer(runs: &[Run], plan: &Plan) -> String {
    let entries: Vec<LedgerEntry> = runs.iter().copied().map(entry).collect();
    let run = RunName::new("m", plan.run.number).unwrap();
    word(Question { run: &run, plan }.answer(&entries, None))
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Go => "go".into(),
        Verdict::Adopt(adopted) => format!("adopt {}", adopted.run),
        Verdict::Unknown(unknown) => format!("unknown {}", unknown.run),
        Verdict::Renumber { highest } => format!("renumber {highest}"),
        Verdict::Locked(_) => "locked".into(),
        Verdict::Unavailable { .. } => "unavailable".into(),
        Verdict::Differs(differs) => format!("{:?}", differs.difference.reason),
        Verdict::Unreachable { .. } => "unreachable".into(),
    }
}

fn check_apply(runs: &[Run], number: u32, overrule: u32, expected: &str) {
    let asked = plan(number, Mode::Apply, None, overrule);
    assert_eq!(answer(runs, &asked), expected, "{runs:?} as {number}, overruling {overrule}");
}

#[test]
fn what_was_applied_is_adopted_and_never_run_again() {
    check_apply(&[], 1, 0, "go");
    check_apply(&[(1, "own", 0, OK)], 1, 0, "adopt 1");
    check_apply(&[(1, "own", 0, OK)], 2, 0, "adopt 1");
    check_apply(&[(1, "other", 0, FAILED), (2, "other", 0, OK)], 1, 0, "adopt 2");
    // Not even when a person overrules: its outcome is known.
    check_apply(&[(1, "other", 0, OK)], 2, 9, "adopt 1");
}

#[test]
fn what_was_restored_may_run_anew() {
    for end in [CLEAN, CONFLICTS] {
        check_apply(&[(1, "own", 0, OK), (2, "own", 1, end)], 3, 0, "go");
        check_apply(&[(1, "own", 0, OK), (2, "own", 1, end)], 2, 0, "renumber 2");
    }
    check_apply(&[(1, "x", 0, OK), (2, "x", 1, CLEAN), (3, "x", 0, OK)], 4, 0, "adopt 3");
    check_apply(&[(1, "own", 0, OK), (2, "own", 1, FAILED)], 3, 0, "unknown 2");
    check_apply(&[(1, "own", 0, OK), (2, "own", 1, None)], 3, 0, "unknown 2");
    check_apply(&[(1, "own", 0, OK), (2, "own", 1, None)], 3, 2, "go");
}

#[test]
fn a_restore_that_was_restored_counts_no_more() {
    let applied: Run = (1, "own", 0, OK);
    let undone = [applied, (2, "own", 1, CLEAN), (3, "own", 2, CLEAN)];
    check_apply(&undone, 4, 0, "adopt 1");
    let entries: Vec<LedgerEntry> = undone.into_iter().map(entry).collect();
    let restored = crate::archive::ledger::restored(&entries);
    assert_eq!(restored.into_iter().map(|run| run.number()).collect::<Vec<_>>(), [2]);
    let again =
        plan(4, Mode::Apply, Some(RestorePlan { run: 1, on_conflict: OnConflict::Skip }), 0);
    assert_eq!(answer(&undone, &again), "go");
    check_apply(&[applied, (2, "own", 1, CLEAN), (3, "own", 2, FAILED)], 4, 0, "go");
}

#[test]
fn a_run_of_unknown_end_needs_a_person() {
    check_apply(&[(1, "own", 0, None)], 1, 0, "go");
    check_apply(&[(1, "other", 0, None)], 1, 0, "unknown 1");
    check_apply(&[(1, "own", 0, None)], 2, 0, "unknown 1");
    check_apply(&[(1, "own", 0, None)], 2, 1, "go");
    check_apply(&[(1, "other", 0, None)], 1, 1, "renumber 1");
    check_apply(&[(1, "a", 0, None), (2, "b", 0, None)], 3, 1, "unknown 2");
}

#[test]
fn a_number_is_used_once() {
    check_apply(&[(1, "own", 0, FAILED)], 1, 0, "renumber 1");
    check_apply(&[(1, "own", 0, FAILED)], 2, 0, "go");
    check_apply(&[(1, "other", 0, FAILED), (4, "other", 0, FAILED)], 2, 0, "renumber 4");
}

#[test]
fn a_dry_run_of_what_was_applied_is_not_needed() {
    let dry = plan(2, Mode::DryRun, None, 0);
    assert_eq!(answer(&[(1, "other", 0, OK)], &dry), "adopt 1");
    for runs in [
        &[][..],
        &[(1, "other", 0, None)],
        &[(3, "other", 0, FAILED)],
        &[(1, "own", 0, OK), (2, "own", 1, CLEAN)],
        &[(1, "own", 0, OK), (2, "own", 1, FAILED)],
    ] {
        assert_eq!(answer(runs, &dry), "go", "{runs:?}");
    }
}

#[test]
fn a_restore_needs_its_run_and_is_done_once() {
    let restore = |number, mode, on_conflict, overrule| {
        plan(number, mode, Some(RestorePlan { run: 1, on_conflict }), overrule)
    };
    let skip = restore(3, Mode::Apply, OnConflict::Skip, 0);
    let overwrite = restore(3, Mode::Apply, OnConflict::Overwrite, 0);
    let applied: Run = (1, "own", 0, OK);
    assert_eq!(answer(&[], &skip), "unavailable");
    assert_eq!(answer(&[applied], &skip), "go");
    assert_eq!(answer(&[(1, "own", 0, None)], &skip), "go");
    assert_eq!(answer(&[(1, "own", 0, FAILED)], &skip), "go");
    assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &skip), "adopt 2");
    assert_eq!(answer(&[applied, (2, "own", 1, CONFLICTS)], &skip), "adopt 2");
    assert_eq!(answer(&[applied, (2, "own", 1, CONFLICTS)], &overwrite), "go");
    // Of another object nobody knows whether it has overwritten them already.
    assert_eq!(answer(&[applied, (2, "other", 1, CONFLICTS)], &overwrite), "adopt 2");
    assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &overwrite), "adopt 2");
    let wanted = restore(3, Mode::Apply, OnConflict::Skip, 2);
    assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &wanted), "go");
    // Interrupted ones go on, under the same number or another.
    assert_eq!(answer(&[applied, (3, "own", 1, None)], &skip), "go");
    assert_eq!(answer(&[applied, (2, "own", 1, None)], &skip), "go");
    assert_eq!(answer(&[applied, (3, "own", 1, FAILED)], &skip), "renumber 3");
    let preview = restore(3, Mode::DryRun, OnConflict::Skip, 0);
    assert_eq!(answer(&[applied, (2, "own", 1, CLEAN)], &preview), "go");
    assert_eq!(answer(&[], &preview), "unavailable");
}
