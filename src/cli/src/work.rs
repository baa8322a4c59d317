//! What `datamigration run` carries out: a migration's script behind a guard, or its transform.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use dm_api::migration::Script;
use dm_api::script::{self, FilesProblem};
use dm_api::transform::TransformSource;
use dm_contract::plan::{PROGRAM_ENVIRONMENT_RESERVED, Plan};
use dm_contract::transform::check_files;
use dm_entry::args::Program;
use dm_transform::{Declaration, OnItemError, SpecError, Transform};
use k8s_openapi::api::core::v1::EnvVar;

use crate::database;
use crate::folder::{self, Folder, FolderError};
use crate::journaled::Journaled;
use crate::output;
use crate::session::{self, Session, SessionError};
use crate::transform::{self, TransformSession};

/// Why a folder's migration cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Files(#[from] FilesProblem),
    /// The program is in an image.
    #[error(
        "{name} is a program in the image {image}, which only a cluster runs; for the program \
         itself use `datamigration exec -- PROGRAM …`"
    )]
    Image { name: String, image: String },
    /// The spec is not whole.
    #[error("spec: give exactly one source: script, container or transform")]
    NoSource,
    #[error("{0}")]
    Transform(String),
    /// A transform that this build does not read.
    #[error("reading spec.transform: {0}")]
    Declaration(String),
    /// A variable that leads to the guard.
    #[error("spec.script.env: {0} is set so that the program reaches the guard; remove it")]
    Reserved(String),
    /// A variable that only the cluster knows.
    #[error(
        "spec.script.env: {0} comes from an object in the cluster; set it in this environment to \
         run the script here"
    )]
    FromCluster(String),
}

impl From<SpecError> for WorkError {
    fn from(error: SpecError) -> Self {
        // Its source would repeat the message with another path.
        Self::Transform(error.in_spec())
    }
}

/// Work that was read from a folder and checked.
pub struct Work {
    pub name: String,
    /// Whether a program that sends no request has failed.
    pub expects_requests: bool,
    kind: Kind,
}

/// What kind of work it is.
pub enum Kind {
    /// A program behind a guard.
    Script {
        program: Program,
        /// The folder that it starts in, a copy, and one for a second pass.
        copies: [tempfile::TempDir; 2],
        env: BTreeMap<OsString, OsString>,
    },
    Transform {
        /// What becomes of each item.
        transform: Box<Transform>,
        /// What a failed item means.
        on_item_error: OnItemError,
    },
}

/// Where work is carried out.
#[derive(Debug)]
pub struct Place<'a> {
    /// What the guard does.
    pub plan: &'a Plan,
    /// File for the result.
    pub report: Option<&'a Path>,
    /// What is printed of it.
    pub output: &'a output::Prepared<'a>,
    /// The run in the archive, whose end is noted there.
    pub journaled: Option<&'a Journaled>,
    /// Which credentials the guard has.
    pub database: database::Kind,
}

impl Work {
    /// Reads the work of a folder's migration.
    pub fn of(folder: &Folder) -> Result<Self, WorkError> {
        let spec = &folder.migration.spec;
        let name = folder.name();
        let kind = match (&spec.script, &spec.container, &spec.transform) {
            (Some(script), None, None) => of_script(folder, script)?,
            (None, None, Some(source)) => of_transform(folder, source)?,
            (None, Some(container), None) => {
                return Err(WorkError::Image { name, image: container.image.clone() });
            }
            _ => return Err(WorkError::NoSource),
        };
        Ok(Self { name, expects_requests: true, kind })
    }

    /// Carries it out, and returns its exit code.
    pub async fn run(self, place: Place<'_>) -> Result<u8, SessionError> {
        let Place { plan, report, output, journaled, database } = place;
        match self.kind {
            Kind::Script { program, copies: [copy, again], env } => {
                let (program, dir, again_in) = (&program, copy.path(), Some(again.path()));
                Box::pin(session::run(Session {
                    plan,
                    program,
                    dir,
                    again_in,
                    env,
                    report,
                    output,
                    journaled,
                    database,
                    expects_requests: self.expects_requests,
                }))
                .await
            }
            Kind::Transform { transform, on_item_error } => {
                let transform = *transform;
                Box::pin(transform::run(TransformSession {
                    plan,
                    transform,
                    on_item_error,
                    report,
                    output,
                    journaled,
                    database,
                }))
                .await
            }
        }
    }
}

fn of_script(folder: &Folder, script: &Script) -> Result<Kind, WorkError> {
    let keys = folder.config_map(&script.config_map.name)?;
    let files = script::lay_out("spec.script.configMap", &script.config_map, &keys)?;
    let program = program(script, &files)?;
    let env = environment(&script.env, |name| std::env::var_os(name))?;
    let copies = [copied(folder, &files)?, copied(folder, &files)?];
    Ok(Kind::Script { program, copies, env })
}

/// Reads and checks a transform with its lookup files.
pub fn of_transform(folder: &Folder, source: &TransformSource) -> Result<Kind, WorkError> {
    let declaration = source.declaration(folder.migration.spec.on_item_error);
    let declaration = Declaration::from_json(declaration.to_string().as_bytes());
    let declaration = declaration.map_err(WorkError::Declaration)?;
    let mut files = match &source.config_map {
        Some(config_map) => {
            let keys = folder.config_map(&config_map.name)?;
            script::lay_out("spec.transform.configMap", config_map, &keys)?
        }
        None => script::Files::new(),
    };
    // A folder also holds what was written next to its manifest, such as a report.
    files.retain(|name, _| [".csv", ".json"].iter().any(|suffix| name.ends_with(suffix)));
    check_files(&files).map_err(WorkError::Transform)?;
    let files = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let files = dm_transform::Files::of(files);
    let transform = Box::new(Transform::parse(&declaration.transform, &files)?);
    Ok(Kind::Transform { transform, on_item_error: declaration.on_item_error })
}

/// The script's files in a separate folder.
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
) -> Result<BTreeMap<OsString, OsString>, WorkError> {
    let mut env = BTreeMap::from([("PYTHONUNBUFFERED".into(), "1".into())]);
    for EnvVar { name, value, value_from } in variables {
        if PROGRAM_ENVIRONMENT_RESERVED.contains(&name.as_str()) {
            return Err(WorkError::Reserved(name.clone()));
        }
        let value = match (value, value_from) {
            (Some(value), _) => value.into(),
            (None, Some(_)) => here(name).ok_or_else(|| WorkError::FromCluster(name.clone()))?,
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
