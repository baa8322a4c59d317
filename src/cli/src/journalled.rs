//! A run on a laptop that is journalled: its name in an archive, and its end in the ledger.

use clap::{Args, ValueEnum};
use dm_core::plan::{JournalMode, Plan};
use dm_engine::archive::{Archive, LayoutError, RunName};
use dm_engine::ledger::{self, Completed, RunOutcome};

use crate::archive::ArchiveVerbError;
use crate::print::say;

/// Flags of verbs whose runs can be journalled.
#[derive(Clone, Debug, Args)]
#[group(id = "journal")]
pub struct Flags {
    /// Journal every change in this archive before it happens, so that the run can be restored:
    /// s3://bucket/prefix or file:///folder. With --apply only
    #[arg(long, value_name = "URL", requires = "apply")]
    archive: Option<String>,
    /// An endpoint of S3's protocol other than AWS's, as http(s)://host[:port]
    #[arg(long, value_name = "URL", requires = "archive")]
    archive_endpoint: Option<String>,
    /// Region of the archive's bucket [default: the database's]
    #[arg(long, value_name = "REGION", requires = "archive")]
    archive_region: Option<String>,
    /// The migration's name in the archive
    #[arg(long, value_name = "NAME", requires = "archive", default_value = "exec")]
    migration: String,
    /// What the journal promises, and what it may cost
    #[arg(
        long = "journal", value_name = "MODE", value_enum, requires = "archive",
        default_value_t = JournalFlag::Strict
    )]
    journal_mode: JournalFlag,
}

/// What a journal promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum JournalFlag {
    /// Image and digest are durable before a write is sent
    Strict,
    /// The image is durable before a write of an item that was just read; the digest follows
    Ahead,
    /// As ahead, with eventually consistent reads, and batches as batches, which are not checked
    Cheap,
}

/// Why a run could not be named or ended in the archive.
#[derive(Debug, thiserror::Error)]
pub enum JournalledError {
    /// The archive or its ledger.
    #[error(transparent)]
    Archive(#[from] ArchiveVerbError),
    /// The name.
    #[error(transparent)]
    Name(#[from] LayoutError),
}

/// A run that is journalled.
#[derive(Debug)]
pub struct Journalled {
    archive: Archive,
    run: RunName,
}

/// Names the plan's run in the archive, if there is to be one.
pub async fn name(flags: &Flags, plan: &mut Plan) -> Result<Option<Journalled>, JournalledError> {
    let Some(url) = &flags.archive else { return Ok(None) };
    let named = dm_core::plan::ArchivePlan {
        url: url.clone(),
        endpoint: flags.archive_endpoint.clone(),
        region: flags.archive_region.clone(),
        migration: flags.migration.clone(),
        again: true,
        ..dm_core::plan::ArchivePlan::default()
    };
    let archive =
        Archive::open(&named, &plan.upstream.region).await.map_err(ArchiveVerbError::Archive)?;
    let run = next(&archive, &named.migration).await?;
    plan.run.number = run.number();
    // No other process of this machine or another has it: it tells this run from theirs.
    plan.run.uid = format!("{}-{}", ledger::now(), std::process::id());
    plan.archive = Some(named);
    plan.policy.journal = match flags.journal_mode {
        JournalFlag::Strict => JournalMode::Strict,
        JournalFlag::Ahead => JournalMode::Ahead,
        JournalFlag::Cheap => JournalMode::Cheap,
    };
    say(&format!("run: {run}"));
    Ok(Some(Journalled { archive, run }))
}

/// The next run of a migration.
pub async fn next(archive: &Archive, migration: &str) -> Result<RunName, JournalledError> {
    let entries = ledger::entries(archive, Some(migration)).await;
    let entries = entries.map_err(ArchiveVerbError::Ledger)?;
    let last = entries.iter().map(|entry| entry.run.number()).max().unwrap_or(0);
    Ok(RunName::new(migration, last + 1)?)
}

impl Journalled {
    /// Says in the ledger how the run ended. A run that wrote nothing is not in it.
    pub async fn end(&self, succeeded: bool) -> Result<(), JournalledError> {
        let entries = ledger::entries(&self.archive, Some(self.run.migration())).await;
        let entries = entries.map_err(ArchiveVerbError::Ledger)?;
        if !entries.iter().any(|entry| entry.run == self.run) {
            return Ok(());
        }
        let outcome = if succeeded { RunOutcome::Succeeded } else { RunOutcome::Failed };
        let completed = Completed::now(outcome);
        let ended = ledger::complete(&self.archive, &self.run, &completed).await;
        Ok(ended.map_err(ArchiveVerbError::Ledger)?)
    }
}
