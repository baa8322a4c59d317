//! A migration that was applied before the operator existed: a run that nobody ran, on record so
//! that no cluster with this archive runs it.

use dm_contract::plan::Plan;

use crate::archive::ledger::{
    Archive, Begin, Begun, Completed, Kind, LedgerError, Result, RunName, RunOutcome, begin,
    complete, entries, verdict,
};

/// Attempts to find a free number: more means that others begin runs all the time.
const ATTEMPTS_MAX: u32 = 16;

/// Puts the plan's migration on record as applied, unless it is. To say it again does no harm.
pub async fn record_baseline(archive: &Archive, run: &RunName, plan: &Plan) -> Result<()> {
    let completed = Completed {
        message: Some("Applied before this operator existed (spec.baseline).".into()),
        ..Completed::now(RunOutcome::Succeeded)
    };
    let begun = Begun { baseline: true, ..Begun::now(plan, Kind::Apply) };
    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        let there = entries(archive, Some(run.migration())).await?;
        if verdict::is_applied(&there) {
            return Ok(());
        }
        // The own entry of an attempt that was cut off is gone on with.
        let own = there.iter().find(|entry| {
            let begun_before = entry.begun.baseline && begun.is_same_run(&entry.begun);
            entry.completed.is_none() && begun_before
        });
        let highest = there.last().map_or(0, |entry| entry.run.number());
        let number = own.map_or(run.number().max(highest + 1), |entry| entry.run.number());
        let Ok(free) = RunName::new(run.migration(), number) else { break };
        match begin(archive, &free, &begun).await? {
            Begin::New | Begin::Again => return complete(archive, &free, &completed).await,
            Begin::Taken(other) => last = Some((free, other)),
            Begin::Over(_) => {}
        }
    }
    match last {
        Some((run, begun)) => Err(LedgerError::Taken { run, begun: Box::new(begun) }),
        None => Ok(()),
    }
}
