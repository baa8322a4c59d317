//! What to do with a migration that has no run under way. Pure.

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase};

use crate::decide::checks::{self, Candidate};
use crate::decide::decision::{Action, Change, Decision};
use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::decide::{baseline, begin, recording, rest, restore, under_way};
use crate::history;
use crate::runnable::{Problem, Restoration};

/// Decides where the migration stands, or which run begins.
pub fn decide(situation: Situation<'_>, status: &DataMigrationStatus) -> Decision {
    if situation.migration.metadata.deletion_timestamp.is_some() {
        return match recording::before_release(situation, status) {
            Some(position) => Decision::rest(position),
            None => Decision::record(Change::Nothing).and_do(Action::ReleaseMigration),
        };
    }
    if history::is_baseline_wanted(situation.migration) && !status.is_applied() {
        return baseline(situation, status);
    }
    if let Some(position) = fulfilled(situation, status) {
        return Decision::rest(position);
    }
    if situation.migration.spec.suspend {
        return Decision::rest(suspended());
    }
    let runnable = match situation.runnable {
        Ok(runnable) => runnable,
        Err(problem) => return Decision::rest(cannot_run(problem)),
    };
    let candidate = Candidate {
        situation,
        status,
        runnable,
        kind: history::kind_wanted(situation.migration),
        restoration: history::restoration_wanted(situation.migration),
    };
    checks::first_failed(candidate).map_or_else(|| begin(candidate), Decision::rest)
}

/// The spec is fulfilled: what is to be applied is applied, or nothing is left to restore.
fn fulfilled(situation: Situation<'_>, status: &DataMigrationStatus) -> Option<Position> {
    let restoration = history::restoration_wanted(situation.migration);
    let applied = status.is_applied() && !history::is_baseline_withdrawn(situation.migration);
    match (restoration, &status.applied) {
        (None, Some(report)) if applied => Some(rest::applied(situation, report)),
        (Some(Restoration { run: None, .. }), _) => Some(restore::restored(situation, status)),
        (None | Some(_), _) => None,
    }
}

fn suspended() -> Position {
    let mut position = Position::new(
        Phase::Suspended,
        Standing::Resting,
        Reason::Suspended,
        "Suspended by spec.suspend. No run starts until it is false".into(),
    );
    position.set_text("paused by spec.suspend");
    position.conditions.push((types::PAUSED, Reason::Suspended, position.message.clone()));
    position
}

fn cannot_run(problem: &Problem) -> Position {
    let message = problem.message.clone();
    Position::new(Phase::Stalled, Standing::Stalled, problem.reason, message)
}

/// Records that the migration was applied before this operator existed.
fn baseline(situation: Situation<'_>, status: &DataMigrationStatus) -> Decision {
    match situation.runnable {
        Ok(runnable) => {
            let record = baseline::record(situation, status, runnable);
            Decision::record(Change::Baseline(Box::new(record))).at(baseline::position())
        }
        Err(problem) => Decision::rest(cannot_run(problem)),
    }
}

/// Gives a run its number, and creates its objects once the number is in status.
fn begin(candidate: Candidate<'_>) -> Decision {
    let run = Box::new(begin::record(candidate));
    let runnable = Box::new(candidate.runnable.clone());
    Decision::record(Change::Begin(run.clone()))
        .at(under_way::starting(&run))
        .and_do(Action::CreateRun { run, runnable })
}
