//! `cargo xtask gen`: everything that is generated from the Rust types and committed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::checkout::Checkout;
use crate::command::{command, run};
use crate::console::step;

/// Writes the custom resource definitions into crds/ and into the chart.
pub fn run_all(checkout: &Checkout) -> Result<()> {
    let crds = checkout.root.join("crds");
    step("generating the custom resource definitions", || {
        empty(&crds)?;
        run(
            command("cargo", ["run", "--quiet", "--package", "dm-api", "--bin", "crdgen", "--"])
                .arg(&crds)
                .current_dir(&checkout.root),
            "generating the custom resource definitions",
        )?;
        if checkout.chart().is_dir() {
            let copies = checkout.chart().join("crds");
            empty(&copies)?;
            for entry in fs::read_dir(&crds).context("listing crds/")? {
                let path = entry.context("listing crds/")?.path();
                let name = path.file_name().context("a file in crds/ has no name")?;
                fs::copy(&path, copies.join(name))
                    .with_context(|| format!("copying {} into the chart", path.display()))?;
            }
        }
        Ok(())
    })
}

/// What is not generated any more must not stay.
fn empty(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}
