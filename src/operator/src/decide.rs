//! What to do with a migration now: a pure function of what was observed. Progress is never an
//! error, and nothing here reads a clock or the cluster.

pub mod adjust;
pub mod again;
pub mod baseline;
mod begin;
mod checks;
pub mod deadline;
pub mod decision;
pub mod fresh;
mod idle;
pub mod ledger;
mod many_pods;
pub mod outcome;
mod pauses;
pub mod position;
pub mod progress;
pub mod queue;
mod recorders;
pub mod recording;
pub mod release;
pub mod rest;
pub mod restore;
mod run;
pub mod situation;
pub mod source_change;
pub mod summary;
mod superseded;
pub mod under_way;

use dm_api::status::{DataMigrationStatus, RunRecord};

use self::decision::{Action, Change, Decision};
use self::position::Position;
use self::situation::Situation;
use crate::read::view::RunObjects;
use crate::status;

/// Decides what is recorded, where the migration stands and what is done.
pub fn decide(situation: Situation<'_>) -> Decision {
    let decision = match situation.run() {
        Some(run) => run::decide(situation, &counting_retry(situation, run)),
        None => idle::decide(situation, &status::recorded(situation, &Change::Nothing)),
    };
    completed(situation, decision)
}

/// Adds what follows from a decision: where the migration stands after a run, what is done before
/// status is written, and what is released with it.
pub(crate) fn completed(situation: Situation<'_>, mut decision: Decision) -> Decision {
    let recorded = status::recorded(situation, &decision.change);
    if matches!(decision.change, Change::Finish(_) | Change::Discard) {
        decision.position = after_run(situation, &recorded);
    }
    decision.before_status = hold(situation, &decision).into_iter().collect();
    decision.before_status.extend(recorders::actions(situation));
    let mut actions = release::actions(situation, &recorded, &decision);
    actions.append(&mut decision.actions);
    Decision { actions, ..decision }
}

/// The run, with a `spec.retry` that was raised before its end: whoever raised it did not know how
/// the run ends.
fn counting_retry(situation: Situation<'_>, run: &RunRecord) -> RunRecord {
    RunRecord { retry: run.retry.max(situation.migration.spec.retry), ..run.clone() }
}

/// Where the migration stands with the result of the run that is over. This is the second decision
/// of a reconcile, and the only one: a result is final, and what a person has to do next belongs to
/// it in the same status. `None` where the next step records something itself: it is decided again,
/// on the status that was written.
fn after_run(situation: Situation<'_>, recorded: &DataMigrationStatus) -> Option<Position> {
    let mut migration = situation.migration.clone();
    migration.status = Some(recorded.clone());
    let objects = RunObjects { job: None, pods: &[] };
    let next = idle::decide(Situation { migration: &migration, objects, ..situation }, recorded);
    next.rests().then_some(next.position).flatten()
}

/// A migration with a run cannot vanish under it. Somebody may have removed the finalizer.
fn hold(situation: Situation<'_>, decision: &Decision) -> Option<Action> {
    let has_run = situation.run().is_some() || matches!(decision.change, Change::Begin(_));
    (has_run && release::needs_hold(situation.migration)).then_some(Action::Hold)
}

#[cfg(test)]
mod tests;
