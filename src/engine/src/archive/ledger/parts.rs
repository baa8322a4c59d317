//! The ledger's entries of a run that is spread over pods: each part has its own tables, its own
//! end and its own note of its journal, next to the one entry that the run was begun.

use dm_contract::part::Part;
use dm_contract::verdict::RunSummary;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::archive::RunName;
use crate::archive::ledger::{Begun, Completed, Result, RunOutcome, begun, completed, enter_end};
use crate::archive::store::Archive;
use crate::limits;

/// Returns the names under which a run with this many parts writes: its own where it is whole, or
/// where it is the name of a part.
pub fn part_names(run: &RunName, parts: Option<u32>) -> Vec<RunName> {
    match parts {
        Some(of) if !run.is_part() => Part::all(of).map(|part| run.in_part(part)).collect(),
        Some(_) | None => vec![run.clone()],
    }
}

/// Returns the same of a run that was begun, by its entry.
pub async fn begun_parts(archive: &Archive, run: &RunName) -> Result<Vec<RunName>> {
    let parts = begun(archive, run).await?.and_then(|begun| begun.parts);
    Ok(part_names(run, parts))
}

/// Completes the run of a part that has ended, if the others have too and nobody has: the pod of
/// the last part may have been lost between the two entries. Returns whether it completed it.
pub async fn complete_run_of(archive: &Archive, part: &RunName) -> Result<bool> {
    if completed(archive, &part.whole()).await?.is_some() {
        return Ok(false);
    }
    if let Some(begun) = begun(archive, part).await? {
        complete_whole(archive, part, begun).await?;
    }
    Ok(completed(archive, &part.whole()).await?.is_some())
}

/// Completes the run of a part whose end is on record, if all others have succeeded too. Two parts
/// that do it at the same time say the same.
pub(super) async fn complete_whole(archive: &Archive, part: &RunName, begun: Begun) -> Result<()> {
    let whole = part.whole();
    let names = part_names(&whole, begun.parts);
    let ends = names.iter().map(|name| completed(archive, name)).collect::<Vec<_>>();
    let ends = stream::iter(ends).buffered(limits::ARCHIVE_READS_AT_ONCE);
    let ends: Vec<Option<Completed>> = ends.try_collect().await?;
    let succeeded = |end: Option<Completed>| end.filter(|end| end.outcome == RunOutcome::Succeeded);
    let Some(ends) = ends.into_iter().map(succeeded).collect::<Option<Vec<_>>>() else {
        return Ok(());
    };
    enter_end(archive, &whole, Some(begun), &end_of(ends)).await
}

/// The end of a run whose parts ended like this.
fn end_of(ends: Vec<Completed>) -> Completed {
    // RFC 3339 in UTC: in the order of time.
    let first = |times: Vec<Option<String>>| times.into_iter().flatten().min();
    let last = |times: Vec<Option<String>>| times.into_iter().flatten().max();
    let execution_time = first(ends.iter().map(|end| end.execution_time.clone()).collect());
    let finalization_time = last(ends.iter().map(|end| end.finalization_time.clone()).collect());
    let summaries: Option<Vec<RunSummary>> = ends.iter().map(|end| end.summary.clone()).collect();
    let mut whole = Completed {
        execution_time,
        finalization_time,
        summary: summaries.map(RunSummary::merged),
        ..Completed::now(RunOutcome::Succeeded)
    };
    for end in ends {
        whole.database = whole.database.or(end.database);
        whole.program = whole.program.or(end.program);
        whole.tables.extend(end.tables);
    }
    whole
}
