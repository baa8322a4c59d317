//! `datamigration run`: a migration's script or transform, as the cluster would run it, on this
//! machine. What is run is in `work.rs`.

use std::path::{Path, PathBuf};

use clap::Args;
use dm_contract::plan::Mode;
use dm_engine::archive::RunName;

use crate::database;
use crate::embedded::{EmbeddedError, Home, Keeps};
use crate::ending::EXIT_OURS;
use crate::exec::Writes;
use crate::folder::{Folder, FolderError};
use crate::journaled;
use crate::output::{self, Prepared, SecondPass};
use crate::print::say;
use crate::quoted::word;
use crate::session::SessionError;
use crate::work::{Place, Work, WorkError};

/// Flags of `datamigration run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The migration's folder, with base/migration.yaml or migration.yaml; or such a file
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    writes: Writes,
    #[command(flatten)]
    database: database::Flags,
    /// Delete the embedded database of earlier runs (the folder's .datamigration), and begin with
    /// the seed again
    #[arg(long, conflicts_with = "upstream")]
    reset: bool,
    #[command(flatten)]
    journal: journaled::Flags,
    /// After a successful dry run, run the program again over its own result, to see whether it
    /// changes anything again
    #[arg(long, conflicts_with = "apply")]
    second_pass: bool,
    /// Accept a run whose program sends no request. Without this flag its exit code is 125, because
    /// the program may have bypassed the guard
    #[arg(long)]
    expect_no_requests: bool,
    /// File for the report as JSON. A dry run also writes each changed item next to it: for
    /// tried.json, to tried.ndjson.zst
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    output: output::Flags,
}

const EXAMPLES: &str = "\
A script runs in a copy of its folder, with this machine's interpreter; the manifest's image, target
and dryRun are the cluster's. Its exit code is passed on. A transform runs in this process; its exit
code is 0, 1 if it stopped, or 3 if items failed and onItemError is Continue.

Without --upstream the database is embedded in this process and begins with the folder's seed.json.
--apply keeps it, and a journal, in .datamigration next to the seed.

Examples:
  datamigration run migrations/0001-add-price-to-cars
  datamigration run migrations/0001-add-price-to-cars --apply
  datamigration restore --folder migrations/0001-add-price-to-cars
  datamigration run migrations/0001-add-price-to-cars --dry-run --upstream aws --region eu-west-1";

/// Why a migration was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What it is to run.
    #[error(transparent)]
    Work(#[from] WorkError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// An archive for the embedded database.
    #[error(
        "--archive belongs to a database that --upstream names; the embedded one keeps its journal \
         in {0}/.datamigration"
    )]
    OwnJournal(PathBuf),
}

impl RunError {
    /// The code to end with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Session(error) => error.exit_code(),
            // A wrong command line, as clap has it.
            Self::OwnJournal(_) => 2,
            Self::Folder(_) | Self::Work(_) | Self::Embedded(_) => EXIT_OURS,
        }
    }
}

/// Runs the migration, and returns its program's exit code.
pub async fn run(flags: Flags) -> Result<u8, RunError> {
    let folder = Folder::read(&flags.folder)?;
    let spec = &folder.migration.spec;
    let mut settings = flags.database.clone();
    if let Some(limits) = &spec.limits {
        settings.reads_per_second = settings.reads_per_second.or(limits.reads_per_second);
        settings.writes_per_second = settings.writes_per_second.or(limits.writes_per_second);
        settings.read_units_per_second =
            settings.read_units_per_second.or(limits.read_units_per_second);
        settings.write_units_per_second =
            settings.write_units_per_second.or(limits.write_units_per_second);
    }
    let output = flags.output.prepare(SecondPass::of(flags.writes.mode()));
    let output = output.map_err(SessionError::Output)?;
    let mut work = Work::of(&folder)?;
    work.expects_requests = !(flags.expect_no_requests || spec.expect_no_requests);
    match flags.database.upstream {
        Some(_) => run_upstream(&flags, &settings, &output, work).await,
        None => run_embedded(&flags, &settings, &output, work).await,
    }
}

/// Runs it against a database that is named.
async fn run_upstream(
    flags: &Flags,
    settings: &database::Flags,
    output: &Prepared<'_>,
    work: Work,
) -> Result<u8, RunError> {
    let upstream = database::find(settings).await.map_err(SessionError::Database)?;
    flags.writes.announce(&upstream);
    let mut plan = database::plan(settings, upstream, flags.writes.mode(), &work.name);
    plan.second_pass = flags.second_pass || flags.output.needs_second_pass(plan.mode);
    let verb = journaled::Verb { migration: &work.name, apply: "--apply" };
    let journaled = journaled::begin(&flags.journal, verb, &mut plan).await;
    let journaled = journaled.map_err(SessionError::Journaled)?;
    let place = Place {
        plan: &plan,
        report: flags.report.as_deref(),
        output,
        journaled: journaled.as_ref(),
        database: database::Kind::OfChain,
    };
    Ok(Box::pin(work.run(place)).await?)
}

/// Runs it against the folder's own database.
async fn run_embedded(
    flags: &Flags,
    settings: &database::Flags,
    output: &Prepared<'_>,
    work: Work,
) -> Result<u8, RunError> {
    let home = Home::of(&flags.folder);
    if flags.journal.names_an_archive() {
        return Err(RunError::OwnJournal(home.folder().to_owned()));
    }
    if flags.reset {
        home.reset()?;
    }
    let mode = flags.writes.mode();
    let keeps = if mode == Mode::Apply { Keeps::FromNowOn } else { Keeps::IfBegun };
    let served = home.serve(settings.region.as_deref(), keeps).await?;
    let mut plan = database::plan(settings, served.upstream(), mode, &work.name);
    plan.second_pass = flags.second_pass || flags.output.needs_second_pass(mode);
    let journaled = match mode {
        Mode::Apply => {
            let verb = journaled::Verb { migration: &work.name, apply: "--apply" };
            let journal = journaled::Flags::in_archive(home.archive()?);
            let begun = journaled::begin(&journal, verb, &mut plan).await;
            let begun = begun.map_err(SessionError::Journaled)?;
            begun.map(|journaled| {
                let command = restore_command(home.folder(), &work.name, journaled.name());
                journaled.restored_by_command(command)
            })
        }
        Mode::DryRun => None,
    };
    let place = Place {
        plan: &plan,
        report: flags.report.as_deref(),
        output,
        journaled: journaled.as_ref(),
        database: database::Kind::Embedded,
    };
    let ended = Box::pin(work.run(place)).await;
    served.stop().await;
    let code = ended?;
    if code == 0 && mode == Mode::DryRun {
        let folder = flags.folder.display().to_string();
        let folder = word(&folder);
        say(&format!("apply it to the embedded database: datamigration run {folder} --apply"));
    }
    Ok(code)
}

/// The command that restores a run of a migration from a folder's database. A database that several
/// migrations share may have a later run of another one, so there it names the run.
fn restore_command(folder: &Path, migration: &str, run: &RunName) -> String {
    let is_own = Folder::read(folder).is_ok_and(|own| own.name() == migration);
    let run = if is_own { String::new() } else { format!(" --run {run}") };
    format!("datamigration restore --folder {}{run}", word(&folder.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_a_shared_database_is_named() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("one");
        std::fs::create_dir(&own).unwrap();
        let manifest = "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n\
                        metadata: {name: one}\nspec: {target: {name: t}}\n";
        std::fs::write(own.join("migration.yaml"), manifest).unwrap();
        let run = RunName::new("one", 2).unwrap();
        for (folder, expected) in [(own.as_path(), ""), (root.path(), " --run one/2")] {
            let command = restore_command(folder, "one", &run);
            let place = word(&folder.display().to_string()).into_owned();
            assert_eq!(command, format!("datamigration restore --folder {place}{expected}"));
        }
    }
}
