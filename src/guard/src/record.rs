//! `datamigration-guard record`: notes in the ledger how a run ended whose guard could not say it:
//! its pod was killed, or its program was not started by the entry program.

use dm_contract::plan::Plan;
use dm_contract::verdict::EXIT_CONTRADICTED;
use dm_engine::archive::ledger::{self, Begun, Completed, LedgerError, RunOutcome};
use dm_engine::archive::{Archive, ArchiveError, LayoutError};
use dm_engine::journal::JournaledRun;

use crate::flags::{Outcome, Record};

/// Why nothing was noted.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the plan names no archive")]
    NoArchive,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The migration's name in the archive.
    #[error(transparent)]
    Name(#[from] LayoutError),
    /// The ledger, which may say something else already.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl RecordError {
    /// The exit code that goes with it, by which the Job knows whether to try again.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ledger(LedgerError::CompletedOtherwise { .. } | LedgerError::Taken { .. }) => {
                EXIT_CONTRADICTED
            }
            Self::NoArchive
            | Self::Archive(_)
            | Self::Name(_)
            | Self::Ledger(
                LedgerError::Archive(_)
                | LedgerError::Entry { .. }
                | LedgerError::Version(_)
                | LedgerError::LeftOver { .. },
            ) => 1,
        }
    }
}

/// Notes it. To say the same again does no harm; what contradicts is an error.
pub async fn record(plan: &Plan, said: &Record) -> Result<(), RecordError> {
    let named = plan.archive.as_ref().ok_or(RecordError::NoArchive)?;
    let run = JournaledRun::of_plan(plan)?.ok_or(RecordError::NoArchive)?;
    let archive = Archive::open(named, &plan.upstream.region).await?;
    if said.baseline {
        return Ok(ledger::record_baseline(&archive, &run.name, plan).await?);
    }
    let outcome = match said.outcome {
        Outcome::Succeeded => RunOutcome::Succeeded,
        Outcome::Failed => RunOutcome::Failed,
    };
    let completed = Completed {
        message: said.message.clone(),
        execution_time: said.execution_time.clone(),
        finalization_time: said.finalization_time.clone(),
        ..Completed::now(outcome)
    };
    let begun = Begun::now(plan, run.kind.clone());
    ledger::record(&archive, &run.name, &begun, &completed).await?;
    if plan.parts.is_some() {
        // No pod of the run is left. Locks that cannot be released expire.
        if let Err(error) = run.release_locks(&archive).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "giving the run's locks back");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dm_contract::error_chain::chain;
    use dm_contract::plan::Mode;
    use dm_contract::verdict::Verdict;

    fn said(outcome: Outcome) -> Record {
        Record {
            baseline: false,
            outcome,
            message: Some("seen by hand".into()),
            execution_time: Some("2026-12-01T00:00:00Z".into()),
            finalization_time: None,
        }
    }

    #[tokio::test]
    async fn a_baseline_is_on_record_once_and_adopted_until_it_is_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = testing::plan(folder.path(), Mode::Apply);
        let baseline = Record { baseline: true, ..said(Outcome::Succeeded) };
        let archive = Archive::open(plan.archive.as_ref().unwrap(), "r").await.unwrap();
        // The number may be taken: an attempt of which nobody knows how it ended.
        let other = Begun { uid: "other".into(), ..Begun::now(&plan, ledger::Kind::Apply) };
        let run = JournaledRun::of_plan(&plan).unwrap().unwrap();
        ledger::begin(&archive, &run.name, &other).await.unwrap();
        for uid in ["u", "u", "another object"] {
            plan.run.uid = uid.into();
            record(&plan, &baseline).await.unwrap();
        }
        let entries = ledger::entries(&archive, Some("m")).await.unwrap();
        let told: Vec<_> = entries.iter().map(|e| (e.run.number(), e.begun.baseline)).collect();
        assert_eq!(told, [(1, false), (2, true)]);
        plan.run.number = 3;
        let verdict = |plan: &Plan| {
            let run = JournaledRun::of_plan(plan).unwrap().unwrap();
            ledger::Question { run: &run.name, plan }.answer(&entries, None)
        };
        assert!(matches!(verdict(&plan), Verdict::Adopt(adopted) if adopted.run == 2));
        plan.archive.as_mut().unwrap().overrule = 2;
        assert_eq!(verdict(&plan), Verdict::Go);
    }

    #[tokio::test]
    async fn it_is_noted_once_and_a_contradiction_names_both() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = testing::plan(folder.path(), Mode::Apply);
        record(&plan, &said(Outcome::Succeeded)).await.unwrap();
        record(&plan, &said(Outcome::Succeeded)).await.unwrap();
        let error = record(&plan, &said(Outcome::Failed)).await.unwrap_err();
        let text = chain(&error);
        assert!(text.contains("outcome Succeeded") && text.contains("Failed cannot be"), "{text}");
        assert_eq!(error.exit_code(), EXIT_CONTRADICTED);
        let Verdict::Adopt(adopted) =
            crate::ledger::ask(&plan, testing::credentials()).await.verdict
        else {
            panic!("not adopted")
        };
        assert_eq!(adopted.execution_time.as_deref(), Some("2026-12-01T00:00:00Z"));
        assert_eq!(adopted.message.as_deref(), Some("seen by hand"));

        plan.run.number = 2;
        record(&plan, &said(Outcome::Failed)).await.unwrap();
        plan.run.number = 3;
        let archive = Archive::open(plan.archive.as_ref().unwrap(), "r").await.unwrap();
        let run = JournaledRun::of_plan(&plan).unwrap().unwrap();
        let mut other = plan.clone();
        other.run.uid = "other".into();
        let begun = Begun::now(&other, run.kind.clone());
        ledger::begin(&archive, &run.name, &begun).await.unwrap();
        let error = record(&plan, &said(Outcome::Succeeded)).await.unwrap_err();
        assert!(chain(&error).contains("uid other"), "{error}");
        assert_eq!(error.exit_code(), EXIT_CONTRADICTED);

        // What may be mended is tried again.
        plan.archive.as_mut().unwrap().url = "file:///dev/null/nowhere".into();
        let error = record(&plan, &said(Outcome::Failed)).await.unwrap_err();
        assert_eq!(error.exit_code(), 1);
    }
}
