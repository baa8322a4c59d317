//! Shell completions and man pages of the command line, written by the command line itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::programs::{self, Built, COMMAND_LINE, Recipe};
use dm_testbed::command::{capture, command, run, succeeds};
use dm_testbed::fingerprint::files_below;

/// Pages by their path in an archive.
pub type Pages = BTreeMap<String, String>;

/// Shells, and the names under which they look for the completion of a program.
const SHELLS: &[(&str, &str)] = &[
    ("bash", "datamigration.bash"),
    ("zsh", "_datamigration"),
    ("fish", "datamigration.fish"),
    ("elvish", "datamigration.elv"),
    ("powershell", "_datamigration.ps1"),
];

/// Collects the pages. The program of a target is asked if it runs here, else one is built for this
/// machine.
pub fn collect(recipe: Recipe<'_>, built: &[Built]) -> Result<Pages> {
    let ours = built.iter().map(|one| one.path(COMMAND_LINE));
    let program = match ours.into_iter().find(|path| succeeds(&mut command(path, ["--version"]))) {
        Some(program) => program,
        None => programs::build(recipe, &programs::host()?)?.path(COMMAND_LINE),
    };
    let mut pages = Pages::new();
    for (shell, name) in SHELLS {
        let script = capture(
            &mut quiet(&program, &["completion", shell]),
            &format!("writing the completion for {shell}"),
        )?;
        pages.insert(format!("completions/{name}"), script);
    }
    let folder = recipe.folder.join("man1");
    let _ = fs::remove_dir_all(&folder);
    run(quiet(&program, &["man"]).arg(&folder), "writing the man pages")?;
    for path in files_below(&folder)? {
        let name = path.file_name().context("a man page has no name")?.to_string_lossy();
        let text = fs::read_to_string(&path).with_context(|| format!("reading {name}"))?;
        pages.insert(format!("man/man1/{name}"), text);
    }
    Ok(pages)
}

/// The program under a name and in an environment that do not depend on who builds.
fn quiet(program: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = command(program, arguments);
    command.env_clear().env("LC_ALL", "C");
    command
}
