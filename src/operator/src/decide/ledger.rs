//! What follows when the archive's ledger keeps a run from starting its program: the words for it,
//! and how long a run is put off. Pure; what it makes of a status is in `status`.

use std::time::Duration;

use dm_api::DataMigration;
use dm_api::condition::Reason;
use dm_api::status::{DataMigrationStatus, RunKind, RunRecord, RunResult};
use dm_contract::identity::Mismatch;
use dm_contract::verdict::{
    Adopted, Differs, LockHolder, MIGRATION_LOCK, RUN_LOCK, UnknownRun, Verdict,
};
use jiff::Timestamp;

use crate::history;
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
        Verdict::Differs(differs) => of_mismatch(differs.difference.reason),
        Verdict::Unreachable { .. } => Reason::DatabaseUnreachable,
    }
}

/// The reason of a difference between a run on record and what is there now.
pub const fn of_mismatch(mismatch: Mismatch) -> Reason {
    match mismatch {
        Mismatch::OtherDatabase => Reason::OtherDatabase,
        Mismatch::OtherProgram => Reason::OtherProgram,
        Mismatch::TableReplaced => Reason::TableReplaced,
    }
}

/// What became of a run that ended with this verdict.
pub const fn result(verdict: &Verdict) -> RunResult {
    match verdict {
        Verdict::Adopt(_) => RunResult::Succeeded,
        Verdict::Go | Verdict::Unknown(_) => RunResult::Unknown,
        // It says nothing of the migration; another run will.
        Verdict::Renumber { .. }
        | Verdict::Locked(_)
        | Verdict::Unavailable { .. }
        | Verdict::Unreachable { .. } => RunResult::Canceled,
        Verdict::Differs(_) => RunResult::Failed,
    }
}

/// The ledger's verdict as a sentence.
pub fn message(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Go => "The ledger lets the run begin.".into(),
        Verdict::Adopt(adopted) => format!(
            "Adopted from the archive's ledger: {} applied the migration (begun {}, recorded {}). \
             The program was not run.",
            run_of(adopted),
            seconds(&adopted.begun_at),
            seconds(&adopted.completed_at)
        ),
        Verdict::Unknown(run) => format!(
            "Run {} of {}.{} was begun at {} and has no recorded end in the archive's ledger, so \
             its outcome is unknown. The program was not run again, and this run wrote nothing.",
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
            "Waiting for the target's archive. Nothing is written without it: {}",
            message.trim_end()
        ),
        Verdict::Unreachable { message } => format!(
            "Waiting for the target's database, which must be identified before anything is \
             written: {}",
            message.trim_end()
        ),
        Verdict::Differs(Differs { run: Some(run), difference }) => format!(
            "By the archive's ledger, run {} of {}.{} (begun {}) applied this migration, but {}. \
             The program was not run, and nothing was written.",
            run.run,
            run.namespace,
            run.name,
            seconds(&run.begun_at),
            difference.what
        ),
        Verdict::Differs(Differs { run: None, difference }) => format!(
            "The required dry run does not match: {}. The program was not run, and nothing was \
             written.",
            difference.what
        ),
    }
}

/// The ways out if the recorded run differs from the current program or database.
pub fn what_now_differs(differs: &Differs, retry: i64) -> String {
    if differs.run.is_none() {
        return format!(
            "Set spec.dryRun to true and spec.retry to {retry} to try it again, look at its \
             result, then set spec.dryRun to false."
        );
    }
    match differs.difference.reason {
        Mismatch::OtherDatabase => format!(
            "Name the target of that database, or give the current database its own target with \
             another archive. Set spec.retry to {retry} to run the program on the current \
             database. If it is the same data under another name, set spec.accept to \
             [OtherDatabase], and the result is adopted."
        ),
        Mismatch::OtherProgram => format!(
            "Return to the recorded program, or create a new DataMigration for the changed one. To \
             run the changed program in this migration, set spec.retry to {retry}. If both \
             programs do the same, set spec.accept to [OtherProgram], and the result is adopted."
        ),
        Mismatch::TableReplaced => format!(
            "Look at the table. If it lacks what the migration does, set spec.retry to {retry} to \
             run the program. If it has those changes, for example because it was restored from a \
             later backup, set spec.accept to [TableReplaced], and the result is adopted."
        ),
    }
}

/// The reason of a run whose program had started when the ledger kept it from writing.
pub const fn reason_at_first_write(verdict: &Verdict) -> Reason {
    match verdict {
        Verdict::Adopt(_) | Verdict::Renumber { .. } => Reason::LockedByAnother,
        _ => reason(verdict),
    }
}

/// What status notes of such a run in the ledger's words.
pub fn noted_at_first_write(verdict: &Verdict) -> Option<Verdict> {
    matches!(verdict, Verdict::Unknown(_) | Verdict::Differs(_)).then(|| verdict.clone())
}

/// The same in a sentence.
pub fn message_at_first_write(verdict: &Verdict) -> String {
    format!(
        "The run stopped before its first write: {}. Its program had started. Its writes were \
         rejected, and nothing was written.",
        why(verdict)
    )
}

/// Why the ledger refuses a run whose program had started.
pub fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Adopt(run) => format!(
            "{} applied the migration while this run was starting (recorded {})",
            run_of(run),
            seconds(&run.completed_at)
        ),
        Verdict::Unknown(run) => format!(
            "run {} of {}.{} was begun at {} and never completed",
            run.run,
            run.namespace,
            run.name,
            seconds(&run.begun_at)
        ),
        Verdict::Renumber { highest } => {
            format!("runs up to number {highest} were begun while this run was starting")
        }
        Verdict::Locked(holder) => locked(holder),
        Verdict::Differs(differs) => {
            format!("the recorded run does not match: {}", differs.difference.what)
        }
        Verdict::Go => "the ledger was read again".into(),
        Verdict::Unavailable { message } => {
            format!("the archive does not answer ({})", message.trim_end_matches('.'))
        }
        Verdict::Unreachable { message } => {
            format!("the database does not answer ({})", message.trim_end_matches('.'))
        }
    }
}

/// The two ways out of a run with an unknown outcome.
pub fn what_now(run: &UnknownRun, retry: i64) -> String {
    format!(
        "Look at the data. Set spec.retry to {retry} to run the program (again), or spec.state to \
         Restored to restore what run {} had changed.",
        run.run
    )
}

/// The run whose result was adopted, as it is called in the archive.
pub fn run_of(adopted: &Adopted) -> String {
    format!("Run {} of {}.{}", adopted.run, adopted.namespace, adopted.name)
}

/// Who has a lock, and since when.
pub fn locked(holder: &LockHolder) -> String {
    let since = seconds(&holder.since);
    let is_of_run = [MIGRATION_LOCK, RUN_LOCK].iter().any(|lock| holder.table.starts_with(lock));
    match (is_of_run, holder.namespace.as_str()) {
        // On a laptop there is neither a namespace nor an object.
        (true, "") => format!("run {} has been under way since {since}", holder.by),
        (true, _) => format!(
            "run {} of {}.{} has been under way since {since}",
            holder.by, holder.namespace, holder.name
        ),
        (false, _) => format!(
            "table {} has been locked by {} (run {}) since {since}",
            holder.table, holder.name, holder.by
        ),
    }
}

/// Whether a run was put off: it is not the last word, and its place in the history goes to the
/// next try.
pub fn is_put_off(run: &RunRecord) -> bool {
    run.result == RunResult::Canceled
        && matches!(
            run.reason,
            Some(
                Reason::LockedByAnother | Reason::ArchiveUnavailable | Reason::DatabaseUnreachable
            )
        )
}

/// Whether a run stopped because what is on record differs from what is there now.
fn differs(run: &RunRecord) -> bool {
    let reasons = [Reason::OtherDatabase, Reason::OtherProgram, Reason::TableReplaced];
    run.reason.is_some_and(|reason| reasons.contains(&reason))
}

/// Whether such a run is asked for again without `spec.retry`: the program, its target, or what is
/// accepted has changed since. It has written nothing.
pub fn is_reconsidered(migration: &DataMigration, digest: &str, run: &RunRecord) -> bool {
    let accepts = migration.spec.accept.iter().any(|accepted| !run.accepted.contains(accepted));
    differs(run) && (accepts || run.program_digest != digest)
}

/// Whether a person decides, by raising `spec.retry`, that runs on record are no obstacle.
pub fn is_for_a_person(run: &RunRecord) -> bool {
    run.result == RunResult::Unknown || differs(run) || history::is_baseline(run)
}

/// Up to which number a person has decided to run again, although nobody knows how a run ended:
/// those who raised `spec.retry` after status had said so.
pub fn overrules(
    migration: &DataMigration,
    status: &DataMigrationStatus,
    kind: RunKind,
) -> Option<u32> {
    let wrote = |run: &&RunRecord| run.kind != RunKind::DryRun && run.result != RunResult::Canceled;
    let last = status.runs.iter().find(wrote).filter(|_| kind != RunKind::DryRun)?;
    let raised = migration.spec.retry > last.retry;
    let decided = is_for_a_person(last) && raised;
    if decided { Some(status.last_run) } else { last.overrules }
}

/// When the next try is due after a run was put off: as long again as it has waited already,
/// between two bounds.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_told_by_what_it_is_of() {
        let check = |table: &str, namespace: &str, expected: &str| {
            let holder = LockHolder {
                table: table.into(),
                by: "shop.m/2".into(),
                namespace: namespace.into(),
                name: "m".into(),
                since: "2026-11-02T09:12:00.000Z".into(),
                fence: 7,
            };
            let told = locked(&holder);
            assert!(told.starts_with(expected), "{told}");
        };
        check("cars", "shop", "table cars has been locked by m (run shop.m/2) since 2026-11-02");
        check("migration=shop.m", "shop", "run shop.m/2 of shop.m has been under way since");
        check("run=shop.m=2", "", "run shop.m/2 has been under way since");
    }
}
