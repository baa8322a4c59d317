//! `datamigration-guard ledger`: whether the run may begin. It reads the archive and the database,
//! and writes nothing.

use std::collections::BTreeSet;

use dm_contract::error_chain::chain;
use dm_contract::identity::Seen;
use dm_contract::part::Part;
use dm_contract::plan::{Mode, Plan};
use dm_contract::verdict::{LedgerVerdict, Verdict};
use dm_engine::archive::ledger::{self, LedgerError, Question};
use dm_engine::archive::locks::{self, LockError, LockTimes};
use dm_engine::archive::{Archive, ArchiveError, LayoutError, RunName};
use dm_engine::journal::presence_locks;
use dm_engine::upstream::{ReadOnly, UpstreamError};
use dm_engine::{CredentialSource, Fault, identity};

use crate::completed;

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the plan names neither an archive nor a dry run that must come first")]
    NothingAsked,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Name(#[from] LayoutError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("connecting to the database")]
    Upstream(#[from] UpstreamError),
    #[error("identifying the database")]
    Database(#[from] Fault),
}

/// The credentials of the plan's database, by AWS's default chain.
pub async fn credentials(plan: &Plan) -> Result<CredentialSource, UpstreamError> {
    CredentialSource::default_chain(&plan.upstream.region).await
}

/// Asks for one part of a run. One that is completed may begin: its guard says its result again.
pub async fn ask_for(
    plan: &Plan,
    part: Option<Part>,
    credentials: Result<CredentialSource, UpstreamError>,
) -> LedgerVerdict {
    match is_completed(plan, part).await {
        Ok(true) => LedgerVerdict::new(Verdict::Go),
        Ok(false) => ask(plan, credentials).await,
        Err(error) => LedgerVerdict::new(Verdict::Unavailable { message: chain(&error) }),
    }
}

/// Whether another pod has completed this part of this very run.
async fn is_completed(plan: &Plan, part: Option<Part>) -> Result<bool, AskError> {
    let Some((part, named)) = part.zip(plan.archive.as_ref()) else { return Ok(false) };
    if plan.mode == Mode::DryRun {
        return Ok(false);
    }
    let archive = Archive::open(named, &plan.upstream.region).await?;
    let run = RunName::new(&named.migration, plan.run.number)?.in_part(part);
    let begun = ledger::begun(&archive, &run).await?;
    let is_own = begun.is_some_and(|begun| begun.uid == plan.run.uid && begun.parts == plan.parts);
    Ok(is_own && completed::completed(&archive, &run).await?.is_some())
}

/// Asks. What cannot be known is a verdict too.
pub async fn ask(
    plan: &Plan,
    credentials: Result<CredentialSource, UpstreamError>,
) -> LedgerVerdict {
    let verdict = match answer(plan, credentials, LockTimes::default()).await {
        Ok(verdict) => verdict,
        Err(error @ (AskError::Upstream(_) | AskError::Database(_))) => {
            Verdict::Unreachable { message: chain(&error) }
        }
        Err(error) => Verdict::Unavailable { message: chain(&error) },
    };
    LedgerVerdict::new(verdict)
}

async fn answer(
    plan: &Plan,
    credentials: Result<CredentialSource, UpstreamError>,
    times: LockTimes,
) -> Result<Verdict, AskError> {
    let Some(named) = plan.archive.as_ref() else {
        // Without an archive nothing is on record but the dry run.
        let tried = plan.tried.as_ref().ok_or(AskError::NothingAsked)?;
        let tables = tried.tables.keys().cloned().collect();
        let run = RunName::new("none", plan.run.number)?;
        let now = look(plan, credentials, &tables).await?;
        return Ok(Question { run: &run, plan }.answer(&[], Some(&now)));
    };
    let archive = Archive::open(named, &plan.upstream.region).await?;
    let run = RunName::new(&named.migration, plan.run.number)?;
    let entries = ledger::entries(&archive, Some(&named.migration)).await?;
    let question = Question { run: &run, plan };
    let now = if question.looks(&entries) {
        look(plan, credentials, &question.tables(&entries)).await?
    } else {
        question.planned()
    };
    let verdict = question.answer(&entries, Some(&now));
    if plan.mode == Mode::DryRun {
        return Ok(verdict);
    }
    match &verdict {
        Verdict::Go => {
            let locked = locks::locked(&archive, &named.tables, &plan.run.uid, times).await?;
            Ok(locked.map_or(verdict, Verdict::Locked))
        }
        // Begun and not completed is what every run is that continues.
        Verdict::Unknown(unknown) => {
            let locks = presence_locks(&RunName::new(&named.migration, unknown.run)?);
            // No uid is left out: the run may be an earlier one of the same object.
            let alive = locks::locked(&archive, &locks, "", times).await?;
            Ok(alive.map_or(verdict, Verdict::Locked))
        }
        Verdict::Adopt(_)
        | Verdict::Renumber { .. }
        | Verdict::Locked(_)
        | Verdict::Unavailable { .. }
        | Verdict::Differs(_)
        | Verdict::Unreachable { .. } => Ok(verdict),
    }
}

async fn look(
    plan: &Plan,
    credentials: Result<CredentialSource, UpstreamError>,
    tables: &BTreeSet<String>,
) -> Result<Seen, AskError> {
    let reader = ReadOnly::new(&plan.upstream, credentials?)?;
    Ok(identity::look(&reader, &plan.upstream, tables).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, credentials};

    #[tokio::test]
    async fn what_cannot_be_known_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = testing::plan(folder.path(), Mode::Apply);
        assert_eq!(ask(&plan, credentials()).await.verdict, Verdict::Go);
        let ledger = folder.path().join("ledger/m");
        std::fs::create_dir_all(&ledger).unwrap();
        std::fs::write(ledger.join("000001.begun.json"), "{\"version\":9}").unwrap();
        let verdict = ask(&plan, credentials()).await;
        assert_eq!(verdict.exit_code(), dm_contract::verdict::EXIT_UNAVAILABLE);
        assert!(verdict.to_message().contains("a version that this program does not know"));
        plan.archive = None;
        assert!(matches!(ask(&plan, credentials()).await.verdict, Verdict::Unavailable { .. }));
    }

    #[tokio::test]
    async fn a_table_of_a_living_run_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = testing::plan(folder.path(), Mode::Apply);
        let named = plan.archive.as_mut().unwrap();
        named.tables = vec!["cars".into()];
        let archive = Archive::open(named, "eu-west-1").await.unwrap();
        let times = LockTimes {
            lease: std::time::Duration::from_secs(2),
            patience: std::time::Duration::from_secs(4),
            ..LockTimes::default()
        };
        let owner = locks::Owner {
            run: "other/1".into(),
            namespace: "n".into(),
            name: "other".into(),
            uid: "other".into(),
            holder: "h".into(),
        };
        let locks = locks::TableLocks::new(archive, owner, times);
        locks.hold("cars").await.unwrap();
        let verdict = answer(&plan, credentials(), times).await.unwrap();
        assert!(matches!(verdict, Verdict::Locked(holder) if holder.by == "other/1"));
        locks.release().await;
        assert_eq!(answer(&plan, credentials(), times).await.unwrap(), Verdict::Go);
    }
}
