//! What follows when the archive's ledger keeps a run from starting its program: the words for it,
//! and how long a run is put off. Pure; what it makes of a status is in `status`.

use std::time::Duration;

use dm_api::condition::Reason;
use dm_api::status::{RunRecord, RunResult};
use dm_core::verdict::{Adopted, LockHolder, UnknownRun, Verdict};
use jiff::Timestamp;

use crate::limits;

/// The reason of a run that ended with this verdict.
pub const fn reason(verdict: &Verdict) -> Reason {
    match verdict {
        Verdict::Go => Reason::Running,
        Verdict::Adopt(_) => Reason::Adopted,
        Verdict::Unknown(_) => Reason::OutcomeUnknown,
        Verdict::Renumber { .. } => Reason::Renumbered,
        Verdict::Locked(_) => Reason::LockedByAnother,
        Verdict::Unavailable { .. } => Reason::ArchiveUnavailable,
    }
}

/// What became of a run that ended with this verdict.
pub const fn result(verdict: &Verdict) -> RunResult {
    match verdict {
        Verdict::Adopt(_) => RunResult::Succeeded,
        Verdict::Go | Verdict::Unknown(_) => RunResult::Unknown,
        // It says nothing of the migration; another run will.
        Verdict::Renumber { .. } | Verdict::Locked(_) | Verdict::Unavailable { .. } => {
            RunResult::Cancelled
        }
    }
}

/// What the ledger says, in a sentence.
pub fn message(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Go => "The ledger lets the run begin.".into(),
        Verdict::Adopt(adopted) => format!(
            "{} applied the migration, as the archive's ledger says (begun {}, noted {}); its result \
             was adopted, and the program was not run.",
            run_of(adopted),
            seconds(&adopted.begun_at),
            seconds(&adopted.completed_at)
        ),
        Verdict::Unknown(run) => format!(
            "Run {} of {}.{} was begun at {} and never completed, as the archive's ledger says: nobody \
             knows how far it came. The program was not run again, nothing was written now.",
            run.run,
            run.namespace,
            run.name,
            seconds(&run.begun_at)
        ),
        Verdict::Renumber { highest } => {
            format!("The archive has runs of this migration up to number {highest}.")
        }
        Verdict::Locked(holder) => format!("Waiting: {}.", locked(holder)),
        Verdict::Unavailable { message } => format!(
            "Waiting for the target's archive, without which nothing is written: {}",
            message.trim_end()
        ),
    }
}

/// The two ways out of a run whose end nobody knows.
pub fn what_now(run: &UnknownRun, retry: i64) -> String {
    format!(
        "Look at the data. Set spec.retry to {retry} to run the program (again), or spec.state to Restored \
         to take back what run {} had changed.",
        run.run
    )
}

/// The run whose result was adopted, as it is called in the archive.
pub fn run_of(adopted: &Adopted) -> String {
    format!("Run {} of {}.{}", adopted.run, adopted.namespace, adopted.name)
}

fn locked(holder: &LockHolder) -> String {
    format!(
        "table {} is locked by {} (run {}) since {}",
        holder.table,
        holder.name,
        holder.by,
        seconds(&holder.since)
    )
}

/// Whether a run was put off: it is not the last word, and its place in the history goes to the next
/// try.
pub fn is_put_off(run: &RunRecord) -> bool {
    run.result == RunResult::Cancelled
        && matches!(run.reason, Some(Reason::LockedByAnother | Reason::ArchiveUnavailable))
}

/// When the next try is due after a run was put off: as long again as it has waited already, between
/// two bounds.
pub fn next_try(run: &RunRecord) -> Option<Timestamp> {
    let put_off = run.recorded_at.as_ref().filter(|_| is_put_off(run))?.0;
    let since = run.waiting_since.as_ref().map_or(run.requested_at.0, |since| since.0);
    let waited = Duration::try_from(put_off.duration_since(since)).unwrap_or_default();
    put_off.checked_add(waited.clamp(limits::RETRY_LEDGER_MIN, limits::RETRY_LEDGER_MAX)).ok()
}

/// A time of the ledger without its milliseconds.
fn seconds(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => time.to_owned(),
    }
}
