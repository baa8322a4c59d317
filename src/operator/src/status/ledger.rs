//! What the archive's ledger makes of a status: results adopted from objects that are gone, numbers
//! that are taken, runs that are put off, and what is kept of a run. Pure.

use dm_api::status::{AppliedReport, Changed, DataMigrationStatus, RunRecord, RunResult};
use dm_contract::verdict::{Adopted, LedgerKind, RunOutcome, RunSummary, Verdict};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::decide::ledger;
use crate::decide::outcome::Outcome;
use crate::status::effects::{Counted, tables_changed};
use crate::status::time::seconds;

/// Notes on a run that is over what the ledger said, and on the status what follows.
pub fn record_verdict(status: &mut DataMigrationStatus, outcome: &Outcome) {
    let Some(verdict) = &outcome.verdict else { return };
    let Some(run) = status.runs.first_mut() else { return };
    match verdict {
        Verdict::Go => run.archived = Some(is_completed(run, outcome)).filter(|_| is_known(run)),
        Verdict::Adopt(adopted) => {
            run.message = Some(outcome.message.clone());
            adopt(status, adopted);
        }
        Verdict::Unknown(unknown) => {
            // What can be restored is what a run applied, also where a restore of it is unknown.
            run.adopted = Some(match unknown.kind {
                LedgerKind::Apply => unknown.run,
                LedgerKind::Restore(restores) => restores,
            });
            run.message = Some(outcome.message.clone());
            status.last_run = status.last_run.max(unknown.run);
        }
        Verdict::Renumber { highest } => {
            run.message = Some(outcome.message.clone());
            status.last_run = status.last_run.max(*highest);
        }
        Verdict::Differs(differs) => {
            run.message = Some(outcome.message.clone());
            let recorded = differs.run.as_ref().map_or(0, |recorded| recorded.run);
            status.last_run = status.last_run.max(recorded);
        }
        Verdict::Locked(_) | Verdict::Unavailable { .. } | Verdict::Unreachable { .. } => {
            run.message = Some(outcome.message.clone());
            run.waiting_since.get_or_insert_with(|| run.requested_at.clone());
        }
    }
}

/// Whether the run's own guard has noted its end in the ledger. Of a run that is split the guards
/// note a success only: the last of them, when all parts have succeeded.
fn is_completed(run: &RunRecord, outcome: &Outcome) -> bool {
    let archived = outcome.guard.as_ref().and_then(|guard| guard.archived.as_ref());
    let completed = archived.and_then(|archived| archived.completed);
    if run.parts() == 1 {
        return completed.is_some();
    }
    run.result == RunResult::Succeeded && completed == Some(RunOutcome::Succeeded)
}

/// Of a run whose end nobody knows the ledger says just that: it was begun, and no more.
fn is_known(run: &RunRecord) -> bool {
    match run.result {
        RunResult::Succeeded | RunResult::Failed | RunResult::Canceled => true,
        RunResult::Unknown | RunResult::Starting | RunResult::Running => false,
    }
}

/// Takes over the result of a run of an object that is gone.
fn adopt(status: &mut DataMigrationStatus, adopted: &Adopted) {
    let Some(run) = status.runs.first_mut() else { return };
    run.adopted = Some(adopted.run);
    run.execution_time = time(adopted.execution_time.as_ref());
    run.finalization_time = time(adopted.finalization_time.as_ref());
    status.applied = Some(AppliedReport {
        run: adopted.run,
        adopted_from: Some(format!("{}.{}/{}", adopted.namespace, adopted.name, adopted.run)),
        baseline: false,
        result: RunResult::Succeeded,
        execution_time: run.execution_time.clone(),
        finalization_time: run.finalization_time.clone(),
        effects: adopted.summary.as_ref().map(changed),
        program_digest: run.program_digest.clone(),
        digest: None,
        journaled: None,
        log: None,
        report: None,
        restored_by: None,
    });
    status.execution_time.clone_from(&run.execution_time);
    status.finalization_time.clone_from(&run.finalization_time);
    status.last_run = status.last_run.max(adopted.run);
}

fn changed(summary: &RunSummary) -> Changed {
    let counted = if summary.counts_items { Counted::Items } else { Counted::Requests };
    Changed {
        items_read: summary.items_read,
        tables: tables_changed(&summary.tables, counted),
        read_units: summary.read_units,
        write_units: summary.write_units,
        requests: summary.requests,
        remarks: Vec::new(),
        errors: Vec::new(),
    }
}

fn time(text: Option<&String>) -> Option<Time> {
    text.and_then(|text| text.parse::<Timestamp>().ok()).map(seconds)
}

/// The run that is begun takes the place of a try that was put off, so that a long wait does not
/// push the history out of the list.
pub fn take_over(runs: &mut Vec<RunRecord>) {
    if runs.first().is_some_and(ledger::is_put_off) {
        runs.remove(0);
    }
}
