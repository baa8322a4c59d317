//! What the ledger said to a run: before its program started, and again before its first write,
//! when it may have to give way to another one. Pure.

use dm_contract::verdict::Verdict;

use crate::decide::ledger;
use crate::decide::outcome::cause::Cause;
use crate::decide::outcome::known::Outcome;
use crate::read::view::{self, RunObjects};

/// What the ledger said before the program started. Without an archive nothing is begun there: only
/// the database was asked.
pub fn let_in(objects: RunObjects<'_>) -> Option<Verdict> {
    let mut all = objects.pods.iter().rev().filter_map(|pod| view::ledger_verdict(pod));
    let last = all.next();
    // What was begun stays begun when another pod of the run is refused.
    let said = all.find(|verdict| *verdict == Verdict::Go).or(last);
    said.filter(|verdict| {
        *verdict != Verdict::Go || !objects.job.is_some_and(|job| view::has_no_archive(job))
    })
}

/// Whether the run gave way before its first write: then nothing else that came after matters.
pub fn cause(objects: RunObjects<'_>) -> Option<Cause> {
    let guards = objects.pods.iter().filter_map(|pod| view::guard_result(pod));
    let verdict = guards.filter_map(|guard| guard.gave_way).next_back()?;
    Some(Cause::GaveWay(Box::new(verdict)))
}

/// What such a run stands for is another one; its own entry in the ledger is complete, or there is
/// none.
pub fn complete(cause: &Cause, outcome: &mut Outcome) {
    let Cause::GaveWay(verdict) = cause else { return };
    outcome.wrote_nothing = !matches!(**verdict, Verdict::Unknown(_));
    outcome.verdict = ledger::noted_at_first_write(verdict);
}
