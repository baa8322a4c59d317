//! The script for the AWS SDK for JavaScript, in a folder of the build with the SDK beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

const SCRIPT: &str = include_str!("update.mjs");
/// The SDK that it takes; the npm registry's newest of this version.
const PACKAGE: &str = "@aws-sdk/client-dynamodb@3";

/// Returns its path, after the SDK is there.
pub fn script(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("node");
    fs::create_dir_all(&folder)?;
    let script = folder.join("update.mjs");
    fs::write(&script, SCRIPT)?;
    if !folder.join("node_modules/@aws-sdk/client-dynamodb").exists() {
        let output = Command::new("npm")
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"])
            .arg(&folder)
            .arg(PACKAGE)
            .output()
            .context("starting npm")?;
        ensure!(output.status.success(), "npm: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(script)
}
