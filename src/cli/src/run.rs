//! `datamigration run`: a migration's script, as the cluster would run it, on this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use dm_api::migration::Script;
use dm_api::script::{self, FilesProblem};
use dm_contract::plan::{Mode, PROGRAM_ENVIRONMENT_RESERVED};
use dm_entry::args::Program;
use k8s_openapi::api::core::v1::EnvVar;

use crate::database;
use crate::embedded::{EmbeddedError, Home, Keeps};
use crate::exec::Writes;
use crate::folder::{self, Folder, FolderError};
use crate::journalled;
use crate::output;
use crate::print::say;
use crate::session::{self, Session, SessionError};

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
    /// Delete what earlier runs on the embedded database left in the folder's .datamigration, and
    /// begin with the seed again
    #[arg(long, conflicts_with = "upstream")]
    reset: bool,
    #[command(flatten)]
    journal: journalled::Flags,
    /// After a dry run that succeeded, run the program again over what it wrote: does it change
    /// anything again?
    #[arg(long, conflicts_with = "apply")]
    second_pass: bool,
    /// Accept a dry run whose program sends no request; otherwise it ends with 125, because a program
    /// that missed the guard sends none either
    #[arg(long)]
    expect_no_requests: bool,
    /// File for the result as JSON. What a dry run would change, item by item, is written next to it:
    /// that of tried.json to tried.ndjson.zst
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    output: output::Flags,
}

const EXAMPLES: &str = "\
The script runs in a copy of its folder, with this machine's interpreter; the manifest's image, target and
dryRun are the cluster's. Its exit code is passed on.

Without --upstream the database is embedded in this process and begins with the folder's seed.json. --apply
keeps it, and a journal, in .datamigration next to the seed.

Examples:
  datamigration run migrations/0001-add-price-to-cars
  datamigration run migrations/0001-add-price-to-cars --apply
  datamigration restore --folder migrations/0001-add-price-to-cars
  datamigration run migrations/0001-add-price-to-cars --dry-run --upstream aws --region eu-west-1";

/// Why a migration was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The files.
    #[error(transparent)]
    Files(#[from] FilesProblem),
    /// The program is in an image.
    #[error(
        "{name} is a program in the image {image}, which only a cluster runs; for the program itself \
         use `datamigration exec -- PROGRAM …`"
    )]
    Image {
        /// The migration.
        name: String,
        /// Its image.
        image: String,
    },
    /// The spec is not whole.
    #[error("spec: give exactly one source: script or container")]
    NoSource,
    /// A variable that leads to the guard.
    #[error("spec.script.env: {0} is set so that the program reaches the guard; remove it")]
    Reserved(String),
    /// A variable that only the cluster knows.
    #[error(
        "spec.script.env: {0} comes from an object in the cluster; set it in this environment to run \
         the script here"
    )]
    FromCluster(String),
    /// The run.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The embedded database.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// An archive for the embedded database.
    #[error(
        "--archive belongs to a database that --upstream names; the embedded one keeps its journal in \
         {0}/.datamigration"
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
            Self::Folder(_)
            | Self::Files(_)
            | Self::Image { .. }
            | Self::NoSource
            | Self::Reserved(_)
            | Self::FromCluster(_)
            | Self::Embedded(_) => session::EXIT_OURS,
        }
    }
}

/// Runs the migration; its program's exit code.
pub async fn run(flags: Flags) -> Result<u8, RunError> {
    let folder = Folder::read(&flags.folder)?;
    let name = folder.migration.metadata.name.clone().unwrap_or_default();
    let spec = &folder.migration.spec;
    let script = match (&spec.script, &spec.container) {
        (Some(script), None) => script,
        (None, Some(container)) => {
            return Err(RunError::Image { name, image: container.image.clone() });
        }
        (Some(_), Some(_)) | (None, None) => return Err(RunError::NoSource),
    };
    let files = script::lay_out(script, &folder.config_map(&script.config_map.name)?)?;
    let program = program(script, &files)?;
    let env = environment(&script.env, |name| std::env::var_os(name))?;
    let copy = copied(&folder, &files)?;

    let mut settings = flags.database.clone();
    if let Some(limits) = &spec.limits {
        settings.reads_per_second = settings.reads_per_second.or(limits.reads_per_second);
        settings.writes_per_second = settings.writes_per_second.or(limits.writes_per_second);
        settings.read_units_per_second =
            settings.read_units_per_second.or(limits.read_units_per_second);
        settings.write_units_per_second =
            settings.write_units_per_second.or(limits.write_units_per_second);
    }
    let expects_requests = !(flags.expect_no_requests || spec.expect_no_requests);
    let script = Prepared { name, program, dir: copy.path(), env, expects_requests };
    match flags.database.upstream {
        Some(_) => run_upstream(&flags, &settings, script).await,
        None => run_embedded(&flags, &settings, script).await,
    }
}

/// A script that can be started.
struct Prepared<'a> {
    name: String,
    program: Program,
    dir: &'a Path,
    env: BTreeMap<OsString, OsString>,
    expects_requests: bool,
}

/// The script's files in a folder of their own.
fn copied(folder: &Folder, files: &script::Files) -> Result<tempfile::TempDir, FolderError> {
    let copy = tempfile::Builder::new().prefix("datamigration-").tempdir();
    let copy = copy.map_err(FolderError::naming("making a folder in", &std::env::temp_dir()))?;
    folder::write(files, copy.path())?;
    if let Some(packages) = folder.node_modules() {
        // Node.js looks beside the script and above it, and the copy is somewhere else.
        let link = copy.path().join("node_modules");
        std::os::unix::fs::symlink(packages, &link)
            .map_err(FolderError::naming("linking", &link))?;
    }
    Ok(copy)
}

/// Runs it against a database that is named.
async fn run_upstream(
    flags: &Flags,
    settings: &database::Flags,
    script: Prepared<'_>,
) -> Result<u8, RunError> {
    let upstream = database::find(settings).await.map_err(SessionError::Database)?;
    flags.writes.announce(&upstream);
    let mut plan = database::plan(settings, upstream, flags.writes.mode(), &script.name);
    plan.second_pass = flags.second_pass || flags.output.needs_second_pass(plan.mode);
    let verb = journalled::Verb { migration: &script.name, apply: "--apply" };
    let journalled = journalled::begin(&flags.journal, verb, &mut plan).await;
    let journalled = journalled.map_err(SessionError::Journalled)?;
    let session = Session {
        plan: &plan,
        program: &script.program,
        dir: script.dir,
        env: script.env,
        report: flags.report.as_deref(),
        output: &flags.output,
        journalled: journalled.as_ref(),
        database: session::Database::OfChain,
        expects_requests: script.expects_requests,
    };
    Ok(Box::pin(session::run(session)).await?)
}

/// Runs it against the folder's own database.
async fn run_embedded(
    flags: &Flags,
    settings: &database::Flags,
    script: Prepared<'_>,
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
    let mut plan = database::plan(settings, served.upstream(), mode, &script.name);
    plan.second_pass = flags.second_pass || flags.output.needs_second_pass(mode);
    let journalled = match mode {
        Mode::Apply => {
            let verb = journalled::Verb { migration: &script.name, apply: "--apply" };
            let journal = journalled::Flags::in_archive(home.archive()?);
            let begun = journalled::begin(&journal, verb, &mut plan).await;
            let command = format!("datamigration restore --folder {}", home.folder().display());
            let begun = begun.map_err(SessionError::Journalled)?;
            begun.map(|journalled| journalled.restored_by_command(command))
        }
        Mode::DryRun => None,
    };
    let session = Session {
        plan: &plan,
        program: &script.program,
        dir: script.dir,
        env: script.env,
        report: flags.report.as_deref(),
        output: &flags.output,
        journalled: journalled.as_ref(),
        database: session::Database::Embedded,
        expects_requests: script.expects_requests,
    };
    let ended = Box::pin(session::run(session)).await;
    served.stop().await;
    let code = ended?;
    if code == 0 && mode == Mode::DryRun {
        let folder = home.folder().display();
        say(&format!("apply it to the embedded database: datamigration run {folder} --apply"));
    }
    Ok(code)
}

/// What is started: the command, or the file with its interpreter.
fn program(script: &Script, files: &script::Files) -> Result<Program, FilesProblem> {
    let args = script.args.iter().map(OsString::from);
    let mut command = script.command.iter().map(OsString::from);
    Ok(match command.next() {
        Some(name) => Program::Command { name, args: command.chain(args).collect() },
        None => Program::Script {
            file: script::file_to_run(script, files)?.into(),
            args: args.collect(),
        },
    })
}

/// The script's own variables. One that the cluster would look up is taken from here.
fn environment(
    variables: &[EnvVar],
    here: impl Fn(&str) -> Option<OsString>,
) -> Result<BTreeMap<OsString, OsString>, RunError> {
    let mut env = BTreeMap::from([("PYTHONUNBUFFERED".into(), "1".into())]);
    for EnvVar { name, value, value_from } in variables {
        if PROGRAM_ENVIRONMENT_RESERVED.contains(&name.as_str()) {
            return Err(RunError::Reserved(name.clone()));
        }
        let value = match (value, value_from) {
            (Some(value), _) => value.into(),
            (None, Some(_)) => here(name).ok_or_else(|| RunError::FromCluster(name.clone()))?,
            (None, None) => OsString::new(),
        };
        env.insert(name.into(), value);
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::EnvVarSource;

    fn variable(name: &str, value: Option<&str>, from_cluster: bool) -> EnvVar {
        EnvVar {
            name: name.into(),
            value: value.map(Into::into),
            value_from: from_cluster.then(EnvVarSource::default),
        }
    }

    fn check(variable: EnvVar, expected: Result<&str, &str>) {
        let here = |name: &str| (name == "HERE").then(|| OsString::from("x"));
        let name = variable.name.clone();
        let found = environment(&[variable], here)
            .map(|env| env[&OsString::from(&name)].to_string_lossy().into_owned())
            .map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{name}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn variables_come_from_the_manifest_or_from_here() {
        check(variable("A", Some("1"), false), Ok("1"));
        check(variable("A", None, false), Ok(""));
        check(variable("HERE", None, true), Ok("x"));
        check(variable("THERE", None, true), Err("THERE comes from an object in the cluster"));
        check(variable("AWS_REGION", Some("x"), false), Err("AWS_REGION is set so that"));
        check(variable("PYTHONUNBUFFERED", Some(""), false), Ok(""));
    }
}
