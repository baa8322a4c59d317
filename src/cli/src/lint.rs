//! `datamigration lint`: what would go wrong with a migration's folder, before anything runs.

mod code;
mod language;
mod lines;
mod manifest;
mod past_guard;
mod transform;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use dm_api::script::{self, Files};
use dm_engine::Engine;
use dm_entry::args::Program;
use dm_entry::program;
use serde::Serialize;

use crate::answer::{self, AnswerError, Words};
use crate::embedded::Home;
use crate::folder::{self, Folder, FolderError};
use crate::local::REGION;
use crate::seed::{SEED_FILE, Seed};
use crate::{layout, print};

/// Bytes of a ConfigMap's data (Kubernetes documentation, "ConfigMaps": 1 MiB).
const CONFIG_MAP_BYTES_MAX: usize = 1024 * 1024;

/// Flags of `datamigration lint`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// Folders of migrations
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Exit with code 1 for warnings too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    answer: answer::Flags,
}

const EXAMPLES: &str = "\
It reads files and runs nothing. The exit code is 1 if it finds an error.

Examples:
  datamigration lint migrations/0001-add-price-to-cars
  datamigration lint --strict migrations/0*";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
enum Severity {
    /// It runs, perhaps not as intended.
    Warning,
    /// It does not run, or not behind a guard.
    Error,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    file: PathBuf,
    line: usize,
    severity: Severity,
    message: String,
}

impl Finding {
    fn error(file: &Path, line: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { file: file.to_owned(), line, severity: Severity::Error, message }
    }

    fn warning(file: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, line, message) }
    }

    /// Whether it has to be repaired.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = self.severity.word();
        write!(f, "{}:{}: {severity}: {}", self.file.display(), self.line, self.message)
    }
}

/// All findings, as they are printed.
#[derive(Debug, Serialize)]
struct Answer {
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

impl Answer {
    fn words(&self, words: Words) -> String {
        let findings = self.findings.iter();
        match words {
            Words::Terminal => findings.map(|finding| finding.to_string() + "\n").collect(),
            Words::Markdown => {
                let row = |found: &Finding| {
                    let place = format!("{}:{}", found.file.display(), found.line);
                    vec![place, found.severity.word().to_owned(), found.message.clone()]
                };
                let rows: Vec<Vec<String>> = findings.map(row).collect();
                layout::markdown_table(&["PLACE", "SEVERITY", "FINDING"], &rows)
            }
        }
    }
}

/// Prints all findings; the exit code.
pub async fn lint(flags: &Flags) -> Result<u8, AnswerError> {
    let mut all: Vec<Finding> = flags.folders.iter().flat_map(|folder| findings(folder)).collect();
    for folder in &flags.folders {
        all.extend(unloadable(&Home::of(folder).folder().join(SEED_FILE)).await);
    }
    all.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let errors = all.iter().filter(|finding| finding.is_error()).count();
    let answer = Answer { errors, warnings: all.len() - errors, findings: all };
    flags.answer.print(&answer, |words| answer.words(words))?;
    print::say(&format!("errors: {errors}, warnings: {}", answer.warnings));
    Ok(u8::from(errors > 0 || (flags.strict && !answer.findings.is_empty())))
}

/// What is wrong with a folder.
pub fn findings(path: &Path) -> Vec<Finding> {
    let folder = match Folder::read(path) {
        Ok(folder) => folder,
        Err(error) => return manifest::unreadable(path, &error),
    };
    // The seed is where `run` finds it, also if a manifest is named.
    let seed_file = Home::of(path).folder().join(SEED_FILE);
    let mut found = manifest::findings(&folder, path, &seed_file);
    found.extend(seed(&seed_file));
    let transform = folder.migration.spec.transform.as_ref();
    if let Some(config_map) = transform.and_then(|source| source.config_map.as_ref())
        && let Ok(keys) = folder.config_map(&config_map.name)
    {
        found.extend(size(&folder, &keys));
    }
    let Some(script) = &folder.migration.spec.script else { return found };
    let keys = match folder.config_map(&script.config_map.name) {
        Ok(keys) => keys,
        Err(error) => {
            let kustomization = folder.kustomization();
            let kustomization = kustomization.unwrap_or_else(|| folder.manifest.clone());
            let word = match &error {
                FolderError::NoGenerator { .. } => "configMapGenerator",
                _ => "files",
            };
            let line = lines::line_of(&kustomization, word);
            found.push(Finding::error(
                &kustomization,
                line,
                dm_contract::error_chain::chain(&error),
            ));
            return found;
        }
    };
    found.extend(size(&folder, &keys));
    match script::lay_out("spec.script.configMap", &script.config_map, &keys) {
        Ok(files) => {
            found.extend(startable(&folder, &files));
            found.extend(code::findings(&folder.path, &files));
        }
        Err(problem) => {
            let line = lines::line_of(&folder.manifest, "configMap");
            found.push(Finding::error(&folder.manifest, line, problem.to_string()));
        }
    }
    found
}

fn size(folder: &Folder, keys: &Files) -> Option<Finding> {
    let bytes: usize = keys.iter().map(|(key, bytes)| key.len() + bytes.len()).sum();
    let message = format!(
        "the files have {bytes} bytes; a ConfigMap holds {CONFIG_MAP_BYTES_MAX}. Put them \
         into an image, or read the data from the database"
    );
    let line = lines::line_of(&folder.manifest, "configMap");
    (bytes > CONFIG_MAP_BYTES_MAX).then(|| Finding::error(&folder.manifest, line, message))
}

/// Whether something here would start the script.
fn startable(folder: &Folder, files: &Files) -> Option<Finding> {
    let script = folder.migration.spec.script.as_ref()?;
    let line = lines::line_of(&folder.manifest, "script");
    if !script.command.is_empty() {
        return None;
    }
    let file = match script::file_to_run(script, files) {
        Ok(file) => file,
        Err(problem) => {
            return Some(Finding::error(&folder.manifest, line, problem.to_string()));
        }
    };
    let copy = tempfile::tempdir().ok()?;
    folder::write(files, copy.path()).ok()?;
    let program = Program::Script { file: file.clone().into(), args: Vec::new() };
    let path = std::env::var_os("PATH");
    let file = folder.path.join(file);
    match program::resolve(copy.path(), &program, path.as_deref().or(Some(OsStr::new("")))) {
        Ok(_) => None,
        Err(program::StartError::NoInterpreter { wanted, .. }) => {
            let message =
                format!("none of {wanted} is on this machine, so it runs only in a cluster");
            Some(Finding::warning(&file, 1, message))
        }
        Err(error) => Some(Finding::error(&file, 1, error.to_string())),
    }
}

/// What the embedded database rejects of a seed that can be read.
async fn unloadable(file: &Path) -> Option<Finding> {
    let seed = Seed::read(file).ok()?;
    let engine = Arc::new(Engine::embedded(REGION, None).ok()?);
    let error = seed.load(&engine).await.err()?;
    Some(Finding::error(file, error.line(), dm_contract::error_chain::chain(&error)))
}

fn seed(file: &Path) -> Option<Finding> {
    if !file.is_file() {
        let message = "there is no seed, so `datamigration run` has no data to run the migration \
                       on (docs/reference/seed.md)";
        return Some(Finding::warning(file, 1, message));
    }
    let error = Seed::read(file).err()?;
    Some(Finding::error(file, error.line(), dm_contract::error_chain::chain(&error)))
}

#[cfg(test)]
mod tests;
