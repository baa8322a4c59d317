//! Parts of a run that a guard has completed: what it said is in the ledger, and a pod that is
//! started once more for the part says it again.

use dm_contract::report::{Archived, GuardResult};
use dm_contract::verdict::RunOutcome;
use dm_engine::archive::ledger::{self, LedgerError};
use dm_engine::archive::{Archive, RunName};

/// Returns the result of a part that was completed, with where things are kept of it.
pub async fn completed(
    archive: &Archive,
    part: &RunName,
) -> Result<Option<GuardResult>, LedgerError> {
    let end = ledger::completed(archive, part).await?;
    let end = end.filter(|end| end.outcome == RunOutcome::Succeeded);
    let Some(result) = end.and_then(|end| end.result) else { return Ok(None) };
    let there = async |path: String| {
        let there = archive.exists(&path).await.map_err(LedgerError::Archive)?;
        Ok::<_, LedgerError>(there.then_some(path))
    };
    let archived = Archived {
        run: part.whole().to_string(),
        report: there(part.report()).await?,
        log: there(part.log()).await?,
        completed: Some(RunOutcome::Succeeded),
        ..Archived::default()
    };
    Ok(Some(GuardResult { archived: Some(archived), ..*result }))
}
