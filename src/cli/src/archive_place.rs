//! Where an archive is, by its flags, and why it could not be looked at.

use std::io;

use clap::Args;
use dm_contract::plan::ArchivePlan;
use dm_engine::archive::ledger::LedgerError;
use dm_engine::archive::locks::LockError;
use dm_engine::archive::{Archive, ArchiveError, RunName};
use dm_engine::journal::ReadError;

use crate::answer::AnswerError;

/// Where an archive is.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The archive: s3://bucket/prefix or file:///folder
    #[arg(long, value_name = "URL")]
    pub archive: String,
    /// Endpoint of an S3-compatible server, as http(s)://host[:port] [default: AWS's]
    #[arg(long, value_name = "URL")]
    pub archive_endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = "us-east-1")]
    pub archive_region: String,
}

impl Place {
    /// The archive as a plan names it.
    pub fn named(&self, migration: &str) -> ArchivePlan {
        ArchivePlan {
            url: self.archive.clone(),
            endpoint: self.archive_endpoint.clone(),
            region: Some(self.archive_region.clone()),
            migration: migration.to_owned(),
            again: true,
            ..ArchivePlan::default()
        }
    }

    /// Opens it, if it is there.
    pub async fn open(&self) -> Result<Archive, ArchiveError> {
        Archive::existing(&self.named("any"), &self.archive_region).await
    }
}

/// Why an archive could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveVerbError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Nobody is there to be asked.
    #[error("a run may still write; pass --yes to remove its lock nevertheless")]
    Unasked,
    #[error("the archive has no run {0}")]
    NoRun(RunName),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("writing the answer")]
    Output(#[from] io::Error),
}

pub type Answered<T> = Result<T, ArchiveVerbError>;
