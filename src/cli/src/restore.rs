//! `datamigration restore`: takes back what a journalled run changed.

use std::io;

use clap::{Args, ValueEnum};
use dm_core::plan::Mode;
use dm_core::restore::{Conflict, OnConflict};
use dm_engine::archive::RunName;
use dm_engine::restore::{Restore, RestoreError, RestoreReport};

use crate::archive::{self, ArchiveVerbError, Place};
use crate::database::{self, DatabaseError};
use crate::journalled::{self, JournalledError};
use crate::{layout, print};

/// Conflicts shown; all are in the archive.
const CONFLICTS_SHOWN_MAX: usize = 20;

/// Flags of `datamigration restore`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    #[command(flatten)]
    place: Place,
    /// The run to take back, as MIGRATION/NUMBER
    #[arg(long, value_name = "RUN", value_parser = archive::run)]
    run: RunName,
    /// Write nothing, and say what would be put back
    #[arg(long)]
    dry_run: bool,
    /// What happens to what others changed since
    #[arg(long, value_enum, default_value_t = OnConflictFlag::Skip)]
    on_conflict: OnConflictFlag,
    /// The result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: database::Flags,
}

const EXAMPLES: &str = "\
An attribute goes back only if it still has what the run left. What others changed since is listed and
left alone. A restore is a run of its own: interrupted, it is begun again.

Examples:
  datamigration restore --archive file:///var/lib/archive --run 0001-add-price-to-cars/1 --dry-run
  datamigration restore --archive s3://bucket/prefix --run 0001-add-price-to-cars/1";

/// What happens to conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnConflictFlag {
    /// They stay as they are
    Skip,
    /// They get back what they had before the run
    Overwrite,
}

/// Why a run was not taken back, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum RestoreVerbError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveVerbError),
    /// The restore's own run.
    #[error(transparent)]
    Run(#[from] JournalledError),
    /// The restore.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Standard output.
    #[error("writing the answer")]
    Output(#[from] io::Error),
}

/// Restores; 0, or 3 where there are conflicts.
pub async fn restore(flags: Flags) -> Result<u8, RestoreVerbError> {
    let mode = if flags.dry_run { Mode::DryRun } else { Mode::Apply };
    let upstream = database::find(&flags.database).await?;
    let archive = flags.place.open().await.map_err(ArchiveVerbError::Archive)?;
    let own = journalled::next(&archive, flags.run.migration()).await?;
    let credentials = database::credentials(&upstream).await?;
    let mut plan = database::plan(&flags.database, upstream, mode, flags.run.migration());
    plan.archive = Some(flags.place.named(flags.run.migration()));
    plan.run.number = own.number();
    plan.run.uid = format!("{}-{}", dm_engine::ledger::now(), std::process::id());
    let on_conflict = match flags.on_conflict {
        OnConflictFlag::Skip => OnConflict::Skip,
        OnConflictFlag::Overwrite => OnConflict::Overwrite,
    };
    let restore = Restore::over(&plan, credentials, flags.run.number(), on_conflict, archive)?;
    let report = restore.run().await?;
    let text = if flags.json {
        serde_json::json!(report).to_string() + "\n"
    } else {
        text(&report, &flags.run, (mode == Mode::Apply).then_some(&own))
    };
    print::answer(&text)?;
    Ok(if report.conflicts == 0 { 0 } else { 3 })
}

fn text(report: &RestoreReport, of: &RunName, own: Option<&RunName>) -> String {
    let count = layout::count;
    let (done, would) = match own {
        Some(own) => (format!("restored {of} as {own}"), ""),
        None => (format!("restore of {of} (dry run): nothing was written"), "would "),
    };
    let mut text = format!(
        "{done}\n  {would}put back attributes of {} items, {would}delete {}, {would}bring back {}; \
         {} untouched\n  {} conflicts\n",
        count(report.updated),
        count(report.deleted),
        count(report.put),
        count(report.untouched),
        count(report.conflicts),
    );
    for listed in report.listed.iter().take(CONFLICTS_SHOWN_MAX) {
        let what = match &listed.conflict {
            Conflict::AttributeChanged(name) => format!("{name} was changed since"),
            Conflict::ItemChanged => "the item was changed since".to_owned(),
            Conflict::ItemDeleted => "the item was deleted since".to_owned(),
            Conflict::PlaceTaken => "another item has taken its place".to_owned(),
        };
        text.extend([format!("    {} {}: {what}\n", listed.table, listed.key)]);
    }
    text
}
