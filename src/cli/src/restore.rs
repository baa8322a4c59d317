//! `datamigration restore`: undoes what a journaled run changed. With a migration's name the
//! cluster restores (`cluster_restore`), with an archive and a run this process does.

pub mod words;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dm_contract::identity::Mismatch;
use dm_contract::plan::{Mode, OnConflict, Plan, Upstream};
use dm_engine::CredentialSource;
use dm_engine::archive::RunName;
use dm_engine::archive::ledger::{self, LedgerEntry};
use dm_engine::journal::JournalReader;
use dm_engine::restore::{Restore, RestoreError, RestoreOptions, RestoreReport};
use dm_report::markdown;
use dm_report::restore::Restored;

use crate::answer::{self, AnswerError, Words};
use crate::archive;
use crate::archive_place::{ArchiveVerbError, Place};
use crate::cluster;
use crate::cluster_restore::{self, Asked, ClusterRestoreError};
use crate::database::{self, DatabaseError};
use crate::embedded::{EmbeddedError, Home, Keeps, Served};
use crate::folder::Folder;
use crate::journaled::{self, JournaledError};
use crate::output::Format;
use crate::print;
use crate::quoted::word;
use words::{already, text};

/// Flags of `datamigration restore`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The migration of a cluster, whose operator restores it. Without it give --folder, or
    /// --archive and --run
    #[arg(
        required_unless_present_any = ["archive", "folder"],
        // `archive_region` is set wherever the variable AWS_REGION is.
        conflicts_with_all = [
            "archive", "folder", "run", "json", "output", "accept", "archive_endpoint", "database",
        ]
    )]
    name: Option<String>,
    /// Write nothing, and print what a restore would do
    #[arg(long)]
    dry_run: bool,
    /// What happens to attributes and items that changed after the run
    #[arg(long, value_enum, default_value_t = OnConflictFlag::Skip)]
    on_conflict: OnConflictFlag,
    /// In a cluster: skip the confirmation. Required if standard input is not a terminal
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    cluster: cluster::Flags,
    /// A migration's folder, for a run that was applied to its embedded database
    #[arg(
        long,
        value_name = "FOLDER",
        conflicts_with_all = ["archive", "upstream", "region", "cluster"],
        help_heading = HERE
    )]
    folder: Option<PathBuf>,
    /// The archive: s3://bucket/prefix or file:///folder
    #[arg(
        long,
        value_name = "URL",
        requires = "run",
        conflicts_with = "cluster",
        help_heading = HERE
    )]
    archive: Option<String>,
    /// Endpoint of an S3-compatible server, as http(s)://host[:port] [default: AWS's]
    #[arg(long, value_name = "URL", help_heading = HERE)]
    archive_endpoint: Option<String>,
    /// Region of the bucket
    #[arg(
        long,
        value_name = "REGION",
        env = "AWS_REGION",
        default_value = "us-east-1",
        help_heading = HERE
    )]
    archive_region: String,
    /// The run to restore, as MIGRATION/NUMBER [default with --folder: the last apply that changed
    /// something and is not restored]
    #[arg(
        long,
        value_name = "RUN",
        value_parser = archive::run,
        help_heading = HERE
    )]
    run: Option<RunName>,
    /// Restore although the run was of another database, or of a table that was replaced since. The
    /// ledger records it
    #[arg(long, value_enum, value_name = "DIFFERENCE", value_delimiter = ',', help_heading = HERE)]
    accept: Vec<Accept>,
    /// Format of the result
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        conflicts_with = "json",
        help_heading = HERE
    )]
    output: Format,
    /// The result as JSON on one line
    #[arg(long, help_heading = HERE)]
    json: bool,
    #[command(flatten, next_help_heading = HERE)]
    database: database::Flags,
}

/// Runs that a message names.
const RUNS_NAMED_MAX: usize = 5;

/// Above the flags of a restore without a cluster.
const HERE: &str = "Without a cluster";

const EXAMPLES: &str = "\
An attribute is restored only if it still has the value that the run wrote. Anything that changed
after the run is listed as a conflict and left unchanged; the exit code is then 3. A restore is a
run with its own number and journal. After an interruption, run the command again: it continues.

With a name it sets spec.state to Restored. Where Git is the source, commit that change instead.

Examples:
  datamigration restore --folder migrations/0001-add-price-to-cars --dry-run
  kubectl datamigration restore 0001-add-price-to-cars --dry-run
  kubectl datamigration restore 0001-add-price-to-cars
  datamigration restore --archive file:///var/lib/archive --run 0001-add-price-to-cars/1 --dry-run
  datamigration restore --archive s3://bucket/prefix --run 0001-add-price-to-cars/1";

/// What happens to conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnConflictFlag {
    /// They stay unchanged
    Skip,
    /// They are restored to what they were before the run
    Overwrite,
}

/// A difference between a run and the place of its restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Accept {
    /// Another partition, account, region or endpoint
    OtherDatabase,
    /// A table that was deleted, and created or restored under the same name
    TableReplaced,
}

impl From<Accept> for Mismatch {
    fn from(accept: Accept) -> Self {
        match accept {
            Accept::OtherDatabase => Self::OtherDatabase,
            Accept::TableReplaced => Self::TableReplaced,
        }
    }
}

/// Why a run was not restored, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum RestoreVerbError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Archive(#[from] ArchiveVerbError),
    #[error(transparent)]
    Cluster(#[from] ClusterRestoreError),
    /// Neither a migration nor a run.
    #[error("name a migration of the cluster, or give --folder, or --archive and --run")]
    NothingNamed,
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("there is no folder {0}")]
    NoFolder(PathBuf),
    /// Nothing that could be restored.
    #[error("{0} has no applied run; `datamigration run {1} --apply` makes one")]
    NoRun(PathBuf, String),
    /// Journals of runs that the ledger does not know.
    #[error(
        "{0} has journals, among them that of {1}, and no run in its ledger: the ledger was lost \
         or deleted. Nothing was changed. Put the folder `ledger` back to restore a run. \
         `datamigration run --reset` deletes database and journals"
    )]
    LedgerLost(String, RunName),
    /// Applied runs of other migrations.
    #[error(
        "{folder} has no applied run of {migration} that could be restored. It has runs of \
         {others}: if the migration was renamed, name its run with --run"
    )]
    OtherRuns { folder: PathBuf, migration: String, others: String },
    /// The restore's own run.
    #[error(transparent)]
    Run(#[from] JournaledError),
    #[error(transparent)]
    Restore(RestoreError),
    /// The run was of another database or table.
    #[error("{0}. {1}")]
    Differs(RestoreError, &'static str),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("writing the answer")]
    Output(#[from] io::Error),
}

impl From<RestoreError> for RestoreVerbError {
    fn from(error: RestoreError) -> Self {
        let RestoreError::Differs { difference, .. } = &error else { return Self::Restore(error) };
        let next = match difference.reason {
            Mismatch::TableReplaced => {
                "Look at the table. To restore the run's items in it nevertheless, pass --accept \
                 table-replaced"
            }
            Mismatch::OtherDatabase | Mismatch::OtherProgram => {
                "Pass the --region and --upstream of the run's database; if this is the same data, \
                 pass --accept other-database"
            }
        };
        Self::Differs(error, next)
    }
}

/// Restores; 0, or 3 where there are conflicts. In a cluster 0: the restore is asked for.
pub async fn restore(flags: Flags) -> Result<u8, RestoreVerbError> {
    match (&flags.name, &flags.folder, &flags.archive, &flags.run) {
        (Some(name), ..) => Ok(cluster_restore::ask(&flags.cluster, &flags.asked(name)).await?),
        (None, Some(folder), ..) => Box::pin(restore_folder(&flags, folder)).await,
        (None, None, Some(archive), Some(run)) => {
            Box::pin(restore_named(&flags, archive, run)).await
        }
        (None, None, ..) => Err(RestoreVerbError::NothingNamed),
    }
}

impl Flags {
    fn place(&self, archive: String) -> Place {
        Place {
            archive,
            archive_endpoint: self.archive_endpoint.clone(),
            archive_region: self.archive_region.clone(),
        }
    }

    /// The result in the format that is asked for; `words` for a terminal.
    fn formatted(
        &self,
        report: &mut RestoreReport,
        of: &RunName,
        words: impl FnOnce(&RestoreReport) -> String,
    ) -> Result<String, AnswerError> {
        if self.database.hide_values {
            report.hide_keys();
        }
        let report = &*report;
        if self.json {
            return Ok(serde_json::to_string(report)? + "\n");
        }
        answer::formatted(self.output, report, |style| match style {
            Words::Terminal => words(report),
            Words::Markdown => {
                let of = of.to_string();
                markdown::restore::comment(&Restored { report, of: &of })
            }
        })
    }

    fn asked<'a>(&self, name: &'a str) -> Asked<'a> {
        let on_conflict = match self.on_conflict {
            OnConflictFlag::Skip => dm_api::migration::OnConflict::Skip,
            OnConflictFlag::Overwrite => dm_api::migration::OnConflict::Overwrite,
        };
        Asked { name, dry_run: self.dry_run, on_conflict, yes: self.yes }
    }
}

/// Restores a run of an archive that is named.
async fn restore_named(
    flags: &Flags,
    archive: &str,
    run: &RunName,
) -> Result<u8, RestoreVerbError> {
    let upstream = database::find(&flags.database).await?;
    let credentials = database::credentials(&upstream).await?;
    let accept = flags.accept.iter().copied().map(Mismatch::from).collect();
    let at = Database { upstream, credentials, accept };
    restore_here(flags, flags.place(archive.to_owned()), run, at).await
}

/// Restores a run that was applied to a folder's own database.
async fn restore_folder(flags: &Flags, folder: &Path) -> Result<u8, RestoreVerbError> {
    if !folder.exists() {
        return Err(RestoreVerbError::NoFolder(folder.to_owned()));
    }
    let home = Home::of(folder);
    if !home.is_kept() {
        return Err(home.missing().into());
    }
    let place = flags.place(home.archive()?);
    let run = match &flags.run {
        Some(run) => run.clone(),
        None => last_applied(&place, &home, folder).await?,
    };
    let served = home.serve(None, Keeps::FromNowOn).await?;
    // It serves at another port each time. That it is the same follows from the ids of its tables.
    let accept = flags.accept.iter().copied().map(Mismatch::from);
    let accept = accept.chain([Mismatch::OtherDatabase]).collect();
    let credentials = Served::credentials();
    let at = Database { upstream: served.upstream(), credentials, accept };
    let restored = restore_here(flags, place, &run, at).await;
    served.stop().await;
    restored
}

/// The folder's last apply that changed something and is not restored yet. An apply that failed at
/// its start, or found nothing to do, is not what a person wants to undo. Folders whose migrations
/// share a database share its archive, too.
async fn last_applied(
    place: &Place,
    home: &Home,
    folder: &Path,
) -> Result<RunName, RestoreVerbError> {
    let archive = place.open().await.map_err(ArchiveVerbError::Archive)?;
    let (entries, damaged) =
        ledger::readable(&archive, None).await.map_err(ArchiveVerbError::Ledger)?;
    let migration = Folder::read(folder).ok().map(|folder| folder.name());
    for error in damaged {
        let of = error.run().map(|run| run.migration().to_owned());
        if migration.is_none() || of.is_none() || of == migration {
            return Err(ArchiveVerbError::Ledger(error).into());
        }
    }
    let is_of_it = |entry: &&LedgerEntry| {
        entry.begun.kind == ledger::Kind::Apply
            && migration.as_ref().is_none_or(|name| entry.run.migration() == name)
    };
    let mut applies: Vec<&LedgerEntry> = entries.iter().filter(is_of_it).collect();
    applies.sort_by(|one, other| other.begun.begun_at.cmp(&one.begun.begun_at));
    let open = applies.iter().filter(|apply| ledger::restored_by(&entries, &apply.run).is_none());
    for entry in open {
        // A journal that cannot be read may have entries, and its restore says what is wrong.
        let journal = JournalReader::of_run(&archive, &entry.run).await;
        if journal.map_or(true, |parts| !parts.iter().all(JournalReader::is_empty)) {
            return Ok(entry.run.clone());
        }
    }
    if let Some(entry) = applies.first() {
        return Ok(entry.run.clone());
    }
    let folder = home.folder().to_owned();
    let others: BTreeSet<String> = entries
        .iter()
        .filter(|entry| entry.begun.kind == ledger::Kind::Apply)
        .map(|entry| entry.run.to_string())
        .collect();
    match migration {
        Some(migration) if !others.is_empty() => {
            let others = others.into_iter().take(RUNS_NAMED_MAX).collect::<Vec<_>>().join(", ");
            Err(RestoreVerbError::OtherRuns { folder, migration, others })
        }
        _ => {
            let journals = archive::journaled(&archive).await?;
            if let Some(run) = journals.into_iter().next().filter(|_| entries.is_empty()) {
                return Err(RestoreVerbError::LedgerLost(place.archive.clone(), run));
            }
            let named = word(&folder.display().to_string()).into_owned();
            Err(RestoreVerbError::NoRun(folder, named))
        }
    }
}

/// Where a restore writes.
struct Database {
    upstream: Upstream,
    credentials: CredentialSource,
    accept: Vec<Mismatch>,
}

async fn restore_here(
    flags: &Flags,
    place: Place,
    run: &RunName,
    at: Database,
) -> Result<u8, RestoreVerbError> {
    let Database { upstream, credentials, accept } = at;
    let mode = if flags.dry_run { Mode::DryRun } else { Mode::Apply };
    let archive = place.open().await.map_err(ArchiveVerbError::Archive)?;
    if mode == Mode::Apply {
        archive.probe().await.map_err(ArchiveVerbError::Archive)?;
    }
    let own = journaled::next(&archive, run.migration()).await?;
    let entries = ledger::entries(&archive, Some(run.migration())).await;
    let entries = entries.map_err(ArchiveVerbError::Ledger)?;
    let earlier = ledger::restored_by(&entries, run).filter(|_| mode == Mode::Apply);
    let mut plan = database::plan(&flags.database, upstream, mode, run.migration());
    plan.archive = Some(place.named(run.migration()));
    plan.run.number = own.number();
    plan.run.uid = format!("{}-{}", ledger::now(), std::process::id());
    let on_conflict = match flags.on_conflict {
        OnConflictFlag::Skip => OnConflict::Skip,
        OnConflictFlag::Overwrite => OnConflict::Overwrite,
    };
    plan.accept = accept;
    let number = run.number();
    if let Some(earlier) = earlier {
        // What the table holds decides, not only the ledger.
        let preview = Plan { mode: Mode::DryRun, ..plan.clone() };
        let options = RestoreOptions::new(credentials.again(), archive.clone(), number);
        let preview = Restore::open(&preview, RestoreOptions { on_conflict, ..options })?;
        let mut report = preview.run().await?;
        if report.changes_nothing() {
            print::answer(&flags.formatted(&mut report, run, |_| already(run, earlier))?)?;
            return Ok(0);
        }
    }
    let options = RestoreOptions::new(credentials, archive, number);
    let restore = Restore::open(&plan, RestoreOptions { on_conflict, ..options })?;
    let mut report = restore.run().await?;
    let own = (mode == Mode::Apply).then_some(&own);
    print::answer(&flags.formatted(&mut report, run, |report| text(report, run, own))?)?;
    Ok(if report.conflicts == 0 { 0 } else { 3 })
}
