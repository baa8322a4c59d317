//! `datamigration-guard ledger`: whether the run may begin. It reads, and writes nothing.

use dm_core::error::chain;
use dm_core::plan::{Mode, Plan};
use dm_core::verdict::{LedgerVerdict, Verdict};
use dm_engine::archive::{Archive, ArchiveError, LayoutError, RunName};
use dm_engine::ledger::{self, LedgerError, Question};
use dm_engine::table_lock::{self, LockError, LockTimes};

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the plan names no archive")]
    NoArchive,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Name(#[from] LayoutError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Asks. What cannot be known is a verdict too.
pub async fn ask(plan: &Plan) -> LedgerVerdict {
    let verdict = match answer(plan, LockTimes::default()).await {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Unavailable { message: chain(&error) },
    };
    LedgerVerdict::new(verdict)
}

async fn answer(plan: &Plan, times: LockTimes) -> Result<Verdict, AskError> {
    let named = plan.archive.as_ref().ok_or(AskError::NoArchive)?;
    let archive = Archive::open(named, &plan.upstream.region).await?;
    let run = RunName::new(&named.migration, plan.run.number)?;
    let entries = ledger::entries(&archive, Some(&named.migration)).await?;
    let verdict = Question { run: &run, plan }.answer(&entries);
    if verdict != Verdict::Go || plan.mode == Mode::DryRun {
        return Ok(verdict);
    }
    let locked = table_lock::locked(&archive, &named.tables, &plan.run.uid, times).await?;
    Ok(locked.map_or(Verdict::Go, Verdict::Locked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn what_cannot_be_known_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = testing::plan(folder.path(), Mode::Apply);
        assert_eq!(ask(&plan).await.verdict, Verdict::Go);
        let ledger = folder.path().join("ledger/m");
        std::fs::create_dir_all(&ledger).unwrap();
        std::fs::write(ledger.join("000001.begun.json"), "{\"version\":9}").unwrap();
        let verdict = ask(&plan).await;
        assert_eq!(verdict.exit_code(), dm_core::verdict::EXIT_UNAVAILABLE);
        assert!(verdict.to_message().contains("a version that this program does not know"));
        plan.archive = None;
        assert!(matches!(ask(&plan).await.verdict, Verdict::Unavailable { .. }));
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
        let owner = table_lock::Owner {
            run: "other/1".into(),
            namespace: "n".into(),
            name: "other".into(),
            uid: "other".into(),
            holder: "h".into(),
        };
        let locks = table_lock::TableLocks::new(archive, owner, times);
        locks.hold("cars").await.unwrap();
        let verdict = answer(&plan, times).await.unwrap();
        assert!(matches!(verdict, Verdict::Locked(holder) if holder.by == "other/1"));
        locks.release().await;
        assert_eq!(answer(&plan, times).await.unwrap(), Verdict::Go);
    }
}
