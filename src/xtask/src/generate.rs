//! `cargo xtask gen`: everything that is generated and committed. The custom resource definitions
//! come from the Rust types, the chart's README from its values.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::chart_readme;
use dm_testbed::checkout::Checkout;
use dm_testbed::command::{command, run};
use dm_testbed::console::step;
use dm_testbed::fingerprint::files_below;

/// Folders that hold nothing but generated files.
const FOLDERS: &[&str] = &["crds", "charts/datamigration/crds"];

/// Files by their path in the checkout.
type Files = BTreeMap<PathBuf, String>;

/// Writes the generated files. What is not generated any more is removed.
pub fn run_all(checkout: &Checkout) -> Result<()> {
    let files = generated(checkout)?;
    for path in left_over(checkout, &files)? {
        fs::remove_file(checkout.root.join(&path))
            .with_context(|| format!("removing {}", path.display()))?;
    }
    for (path, content) in &files {
        let place = checkout.root.join(path);
        let folder = place.parent().context("a generated file has no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        fs::write(&place, content).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Fails where the files of the checkout differ from what is generated.
pub fn check(checkout: &Checkout) -> Result<()> {
    let files = generated(checkout)?;
    let mut stale = left_over(checkout, &files)?;
    for (path, content) in &files {
        if fs::read_to_string(checkout.root.join(path)).ok().as_ref() != Some(content) {
            stale.push(path.clone());
        }
    }
    if !stale.is_empty() {
        let names: Vec<String> = stale.iter().map(|path| path.display().to_string()).collect();
        bail!(
            "these files are not what is generated; run `cargo xtask gen` and commit them:\n  {}",
            names.join("\n  ")
        );
    }
    Ok(())
}

fn generated(checkout: &Checkout) -> Result<Files> {
    let crds = checkout.target().join("generated/crds");
    step("generating the custom resource definitions and the chart's README", || {
        let _ = fs::remove_dir_all(&crds);
        fs::create_dir_all(&crds).with_context(|| format!("making {}", crds.display()))?;
        run(
            command("cargo", ["run", "--quiet", "--package", "dm-api", "--bin", "crdgen", "--"])
                .arg(&crds)
                .current_dir(&checkout.root),
            "generating the custom resource definitions",
        )?;
        let mut files = Files::new();
        for path in files_below(&crds)? {
            let name = path.file_name().context("a definition has no name")?;
            for folder in FOLDERS {
                files.insert(Path::new(folder).join(name), read(&path)?);
            }
        }
        let chart = checkout.chart();
        let readme = chart_readme::render(&read(&chart.join("values.yaml"))?)?;
        files.insert("charts/datamigration/README.md".into(), readme);
        Ok(files)
    })
}

/// Definitions in the checkout that are not generated.
fn left_over(checkout: &Checkout, files: &Files) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in FOLDERS.iter().filter(|folder| checkout.root.join(folder).is_dir()) {
        for path in files_below(&checkout.root.join(folder))? {
            let path = path.strip_prefix(&checkout.root).unwrap_or(&path).to_owned();
            let is_yaml = path.extension().is_some_and(|extension| extension == "yaml");
            if is_yaml && !files.contains_key(&path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
