//! Programs that speak to DynamoDB by AWS's SDKs, one for each SDK: their packages come from each
//! language's own registry into the cache, and a folder gets one small starter for each.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cached;
use crate::checkout::Checkout;
use crate::command::{command, run};
use crate::console::step;
use crate::fingerprint::Fingerprint;
use crate::machine;

/// The variable that tells tests where the starters are.
pub const CLIENTS_VARIABLE: &str = "SDK_CLIENTS";

/// Prepares every client; the folder with their starters.
pub fn all(checkout: &Checkout) -> Result<PathBuf> {
    machine::prepare_for_clients()?;
    let sources = checkout.root.join("tests/sdks/clients");
    let starters = checkout.target().join("sdk-clients");
    fs::create_dir_all(&starters)
        .with_context(|| format!("making the folder {}", starters.display()))?;
    let packages = python(checkout, &sources.join("python"))?;
    for name in ["boto3", "aioboto3"] {
        let script = sources.join(format!("python/{name}_client.py"));
        let line = format!("PYTHONPATH={} exec python3 {}", quoted(&packages), quoted(&script));
        starter(&starters, name, &line)?;
    }
    let modules = node(checkout, &sources.join("node"))?;
    let script = sources.join("node/client.mjs");
    let line = format!("SDK_MODULES={} exec node {}", quoted(&modules), quoted(&script));
    starter(&starters, "js", &line)?;
    let program = go(checkout, &sources.join("go"))?;
    starter(&starters, "go", &format!("exec {}", quoted(&program)))?;
    let folder = java(checkout, &sources.join("java"))?;
    let line = format!("exec java -cp {}:{}'/*' Client", quoted(&folder), quoted(&folder));
    starter(&starters, "java", &line)?;
    Ok(starters)
}

fn starter(folder: &Path, name: &str, line: &str) -> Result<()> {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{line} \"$@\"\n"))
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("writing {}", file.display()))
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn python(checkout: &Checkout, source: &Path) -> Result<PathBuf> {
    let requirements = source.join("requirements.txt");
    let key = Fingerprint::default().text("python 1").file(&requirements)?.key();
    cached(&checkout.cache, "clients", "python", &key, |place| {
        step("installing boto3 and aioboto3 with pip", || {
            run(
                command("python3", ["-m", "pip", "install", "--quiet", "--no-compile"])
                    .args(["--root-user-action=ignore", "--disable-pip-version-check"])
                    .arg("--requirement")
                    .arg(&requirements)
                    .arg("--target")
                    .arg(place),
                "installing the Python packages with pip",
            )
        })
    })
}

fn node(checkout: &Checkout, source: &Path) -> Result<PathBuf> {
    let files = ["package.json", "package-lock.json"];
    let mut recipe = Fingerprint::default().text("node 1");
    for file in files {
        recipe = recipe.file(&source.join(file))?;
    }
    cached(&checkout.cache, "clients", "node", &recipe.key(), |place| {
        step("installing the AWS SDK for JavaScript with npm", || {
            for file in files {
                fs::copy(source.join(file), place.join(file))
                    .with_context(|| format!("copying {file}"))?;
            }
            run(
                command("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                    .current_dir(place),
                "installing the AWS SDK with npm",
            )
        })
    })
}

fn go(checkout: &Checkout, source: &Path) -> Result<PathBuf> {
    let key = Fingerprint::default().text("go 1").folder(source)?.key();
    let place = cached(&checkout.cache, "clients", "go", &key, |place| {
        step("building the client of the AWS SDK for Go", || {
            run(
                command("go", ["build", "-mod=readonly", "-trimpath", "-o"])
                    .arg(place.join("client"))
                    .arg(".")
                    .current_dir(source)
                    .env("CGO_ENABLED", "0")
                    .env("GOTOOLCHAIN", "local")
                    .env("GOWORK", "off"),
                "building the client with Go",
            )
        })
    })?;
    Ok(place.join("client"))
}

fn java(checkout: &Checkout, source: &Path) -> Result<PathBuf> {
    let key = Fingerprint::default().text("java 1").folder(source)?.key();
    cached(&checkout.cache, "clients", "java", &key, |place| {
        step("building the client of the AWS SDK for Java", || {
            run(
                command("mvn", ["-q", "-B", "-f"])
                    .arg(source.join("pom.xml"))
                    .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                    .arg(format!("-DoutputDirectory={}", place.display())),
                "copying the AWS SDK for Java with Maven",
            )?;
            run(
                command("javac", ["-encoding", "UTF-8", "-cp"])
                    .arg(format!("{}/*", place.display()))
                    .arg("-d")
                    .arg(place)
                    .arg(source.join("Client.java")),
                "compiling the client with javac",
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_it_holds() {
        assert_eq!(quoted(Path::new("/a b/$x")), "'/a b/$x'");
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
