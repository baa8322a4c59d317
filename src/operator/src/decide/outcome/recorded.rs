//! A run whose success is in the ledger although its pods do not show it. Status follows the
//! ledger. Either the run's own guard noted the success while Job or pod were being deleted, or a
//! part had ended, the ledger noted it, and the pod was lost before the kubelet said so: the pod
//! that replaces it is refused with the run's own success. Pure.

use dm_api::status::{RunKind, RunRecord};
use dm_contract::verdict::{Adopted, LedgerKind, RunOutcome, Verdict};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::decide::outcome::known::Outcome;
use crate::read::owned;
use crate::read::view::{self, RunObjects};

/// Whether the guard of one of these pods has noted the success in the ledger: of the run, or of
/// the part of a run that is split.
pub fn is_noted(record: &RunRecord, objects: RunObjects<'_>) -> bool {
    let has_noted = |pod: &&Pod| {
        let archived = view::guard_result(pod).and_then(|guard| guard.archived);
        archived.is_some_and(|archived| archived.completed == Some(RunOutcome::Succeeded))
    };
    record.kind == RunKind::Apply && objects.pods.iter().any(has_noted)
}

/// Returns what the ledger told one of these pods, if that is the success of this very run: by its
/// number, and by the uid of the migration that controls its Job.
pub fn of(record: &RunRecord, objects: RunObjects<'_>) -> Option<Adopted> {
    let uid = owned::controller::<Job>(objects.job?, "DataMigration")?;
    let is_own = |adopted: &Adopted| {
        record.kind == RunKind::Apply
            && adopted.kind == LedgerKind::Apply
            && adopted.run == record.number
            && adopted.uid == uid
    };
    let mut verdicts = objects.pods.iter().rev().filter_map(|pod| view::ledger_verdict(pod));
    verdicts.find_map(|verdict| match verdict {
        Verdict::Adopt(adopted) if is_own(&adopted) => Some(adopted),
        _ => None,
    })
}

/// Puts what the ledger has in place of what the pods left open. The exit code of a pod that was
/// lost is not that of the program.
pub fn complete(adopted: &Adopted, outcome: &mut Outcome) {
    let time = |text: Option<&String>| text.and_then(|text| text.parse::<Timestamp>().ok());
    noted(outcome);
    outcome.verdict = Some(Verdict::Go);
    outcome.execution_time =
        outcome.execution_time.or_else(|| time(adopted.execution_time.as_ref()));
    outcome.finalization_time =
        outcome.finalization_time.or_else(|| time(adopted.finalization_time.as_ref()));
}

/// The program of a noted success has run and ended with 0, whatever its container was stopped
/// with.
pub fn noted(outcome: &mut Outcome) {
    outcome.started = true;
    outcome.exit_code = outcome.exit_code.filter(|code| *code == 0);
    outcome.signal = None;
}
