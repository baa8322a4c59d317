//! What is checked before a run begins. The first check that does not pass says where the migration
//! rests. Pure.

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase, RunKind, RunRecord, RunResult};

use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::decide::{ledger, queue, recording, rest, restore, source_change};
use crate::history;
use crate::runnable::{Restoration, Runnable};

/// A run that would begin now.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    pub situation: Situation<'a>,
    /// Status, with the raises of `spec.retry` that count.
    pub status: &'a DataMigrationStatus,
    /// What the run would be made of.
    pub runnable: &'a Runnable,
    /// What the spec asks for.
    pub kind: RunKind,
    /// The run that it would restore.
    pub restoration: Option<Restoration>,
}

/// Returns where the migration rests, unless the check passes.
type Check = fn(Candidate<'_>) -> Option<Position>;

/// All checks, in their order.
const CHECKS: [Check; 12] = [
    // Nothing can be created in a namespace that is being deleted.
    namespace_ends,
    // A restore that did not finish has left neither the one state nor the other.
    unfinished_restore,
    // The preview or restore that the spec asks for has ended, or a preview is required first.
    restored_before,
    // The dry run that the spec asks for has ended.
    tried_before,
    // The apply that the spec asks for has failed, and nobody has raised `spec.retry` since.
    failed_before,
    // An apply may require a dry run of just this program.
    dry_run_first,
    // Migrations that depend on each other would wait for good.
    dependency_cycle,
    // `spec.startAt` is in the future.
    start_time,
    // A migration of `spec.dependsOn` is not applied.
    dependencies,
    // The archive does not know yet how an earlier run ended.
    recorded,
    // The archive or the database put the last try off, and the next is not due.
    put_off,
    // As many migrations write to the target as its policy allows.
    queue_full,
];

/// Returns where the migration rests because of the first check that does not pass.
pub fn first_failed(candidate: Candidate<'_>) -> Option<Position> {
    CHECKS.iter().find_map(|check| check(candidate))
}

impl<'a> Candidate<'a> {
    /// Whether it runs the migration's program. A restore is begun at once, whatever the program
    /// waited for.
    const fn runs_program(self) -> bool {
        self.restoration.is_none()
    }

    /// The newest run of a kind that says something of the program.
    fn last(self, kind: RunKind) -> Option<&'a RunRecord> {
        let counts =
            |run: &&RunRecord| run.result != RunResult::Canceled && !history::is_baseline(run);
        self.status.runs.iter().filter(counts).find(|run| run.kind == kind)
    }

    /// The last dry run of just this program, on the data as they are. What was tried before a
    /// restore was tried on other data.
    fn dry_run(self) -> Option<&'a RunRecord> {
        let restored = self.last(RunKind::Restore).map_or(0, |run| run.number);
        let is_of_this =
            |run: &&RunRecord| run.program_digest == self.runnable.digest && run.number > restored;
        self.last(RunKind::DryRun).filter(is_of_this)
    }

    /// Whether a person asks for what a run has done to be done again.
    fn is_asked_again(self, run: &RunRecord) -> bool {
        let spec = &self.situation.migration.spec;
        // An apply that sent none may have written elsewhere: only `spec.retry` repeats it.
        let is_excused = spec.expect_no_requests
            && run.kind == RunKind::DryRun
            && run.reason == Some(Reason::NoRequestsSeen);
        spec.retry > run.retry || is_excused
    }
}

fn namespace_ends(candidate: Candidate<'_>) -> Option<Position> {
    candidate
        .situation
        .namespace_ends
        .then(|| rest::terminating("The namespace is being deleted, so no run starts".to_owned()))
}

fn unfinished_restore(candidate: Candidate<'_>) -> Option<Position> {
    restore::incomplete(candidate.situation.migration).filter(|_| candidate.runs_program())
}

fn restored_before(candidate: Candidate<'_>) -> Option<Position> {
    let (digest, policy) = (&candidate.runnable.digest, &candidate.runnable.target.spec.policy);
    let migration = candidate.situation.migration;
    restore::settled(migration, candidate.restoration?, digest, policy.dry_run_first)
}

fn tried_before(candidate: Candidate<'_>) -> Option<Position> {
    if candidate.kind != RunKind::DryRun {
        return None;
    }
    let run = candidate.dry_run().filter(|run| !candidate.is_asked_again(run))?;
    Some(if run.result == RunResult::Succeeded {
        rest::awaiting_promotion(candidate.status)
    } else {
        rest::failed(candidate.status, run)
    })
}

fn failed_before(candidate: Candidate<'_>) -> Option<Position> {
    if candidate.kind != RunKind::Apply {
        return None;
    }
    let (situation, digest) = (candidate.situation, &candidate.runnable.digest);
    let run = candidate.last(RunKind::Apply).filter(|run| {
        run.restored_by.is_none()
            && !candidate.is_asked_again(run)
            && !ledger::is_reconsidered(situation.migration, digest, run)
    })?;
    let mut position = rest::failed(candidate.status, run);
    source_change::add_condition(&mut position, situation, &run.program_digest);
    Some(position)
}

fn dry_run_first(candidate: Candidate<'_>) -> Option<Position> {
    if candidate.kind != RunKind::Apply {
        return None;
    }
    match candidate.dry_run() {
        Some(run) if run.result == RunResult::Succeeded => None,
        Some(run) if !candidate.is_asked_again(run) => Some(rest::failed_dry_run(run)),
        Some(_) | None if candidate.runnable.target.spec.policy.dry_run_first => {
            Some(Position::new(
                Phase::Stalled,
                Standing::Stalled,
                Reason::DryRunRequired,
                format!(
                    "Target {} requires a successful dry run of the current program first \
                     (policy.dryRunFirst). Set spec.dryRun to true, look at its result, then set \
                     it to false",
                    candidate.situation.migration.spec.target.name
                ),
            ))
        }
        Some(_) | None => None,
    }
}

fn dependency_cycle(candidate: Candidate<'_>) -> Option<Position> {
    let cycle = candidate.situation.dependencies.cycle.as_ref();
    let cycle = cycle.filter(|_| candidate.runs_program())?;
    Some(Position::new(
        Phase::Stalled,
        Standing::Stalled,
        Reason::DependencyCycle,
        format!(
            "spec.dependsOn: these migrations wait for each other: {}. Remove one of the \
             dependencies",
            cycle.join(" → ")
        ),
    ))
}

fn start_time(candidate: Candidate<'_>) -> Option<Position> {
    let start = candidate.situation.migration.spec.start_at.as_ref()?.0;
    if start <= candidate.situation.now || !candidate.runs_program() {
        return None;
    }
    let time = start.strftime("%Y-%m-%dT%H:%M:%SZ");
    let mut position = waiting(
        Reason::WaitingForStart,
        types::WAITING_FOR_START,
        format!("Waiting until {time} (spec.startAt)"),
    );
    position.set_text(&format!("waiting until {time}"));
    position.next = Some(start);
    Some(position)
}

fn dependencies(candidate: Candidate<'_>) -> Option<Position> {
    let waits = candidate.situation.dependencies.waits_for.first();
    let waits = waits.filter(|_| candidate.runs_program())?;
    let mut position = waiting(
        Reason::WaitingForDependency,
        types::WAITING_FOR_DEPENDENCY,
        format!("Waiting for {waits} (spec.dependsOn)"),
    );
    position.set_text(&format!("waiting for {}", waits.name));
    Some(position)
}

fn waiting(reason: Reason, condition: &'static str, message: String) -> Position {
    let mut position = Position::new(Phase::Waiting, Standing::Reconciling, reason, message);
    position.conditions.push((condition, reason, position.message.clone()));
    position
}

fn recorded(candidate: Candidate<'_>) -> Option<Position> {
    let position = recording::before_begin(candidate.situation, candidate.status);
    position.filter(|_| candidate.kind.writes())
}

fn put_off(candidate: Candidate<'_>) -> Option<Position> {
    queue::put_off(candidate.situation, candidate.status).filter(|_| candidate.kind.writes())
}

fn queue_full(candidate: Candidate<'_>) -> Option<Position> {
    let holders = candidate.situation.holders;
    let is_full = holders.len() >= candidate.runnable.runs_at_once();
    let first = holders.first().filter(|_| is_full && candidate.kind.writes());
    first.map(queue::after_another)
}
