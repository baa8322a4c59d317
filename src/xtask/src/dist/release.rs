//! What is released: the commit, its version and time, and the addresses under which people get it.
//! It reads Git and Cargo and builds nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Options;
use dm_testbed::command::{capture, command, last_lines};

/// How many changed files an error names.
const CHANGED_MAX: usize = 20;

/// The package whose version is the release's. All packages have the same.
const VERSIONED: &str = "dm-cli";

/// Where files are, unless something else is given. The name is reserved (RFC 2606), so that
/// nothing is ever downloaded from it; `krew install --manifest --archive` does without.
const NOWHERE: &str = "https://releases.example";

#[derive(Clone, Debug)]
pub struct Release {
    /// The version without a leading `v`.
    pub version: String,
    /// The commit's full name.
    pub commit: String,
    /// The commit's time in seconds since 1970: the time of every file.
    pub time: u64,
    /// The same as RFC 3339.
    pub created: String,
    /// The image's repository, without tag and digest.
    pub image: String,
    /// The address of the source repository.
    pub source: Option<String>,
    /// The address of the folder from which files are downloaded.
    pub download: String,
}

impl Release {
    /// Reads the commit that is checked out. Files that differ from it are an error unless allowed.
    pub fn read(root: &Path, options: &Options) -> Result<Self> {
        let git = |arguments: &[&str], doing: &str| {
            capture(command("git", arguments).current_dir(root).env("TZ", "UTC"), doing)
                .map(|text| text.trim_end().to_owned())
        };
        let changed = git(&["status", "--porcelain"], "asking git what has changed")?;
        if !changed.is_empty() && !options.allow_dirty {
            bail!(
                "a release is built from a commit, and these files differ from it:\n{}\nCommit or \
                 stash them, or pass --allow-dirty to try the recipe",
                last_lines(&changed, CHANGED_MAX)
            );
        }
        let time = git(&["log", "-1", "--format=%ct"], "asking git for the commit's time")?;
        let format = "--date=format-local:%Y-%m-%dT%H:%M:%SZ";
        let version = version(root)?;
        let source = options.source.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let download = match (&options.download_url, &source) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(source)) => format!("{source}/releases/download/v{version}"),
            (None, None) => NOWHERE.to_owned(),
        };
        Ok(Self {
            commit: git(&["rev-parse", "HEAD"], "asking git for the commit")?,
            time: time.parse().with_context(|| format!("git names the time {time}"))?,
            created: git(&["log", "-1", "--format=%cd", format], "asking git for the time")?,
            image: image_name(&options.image)?,
            version,
            source,
            download,
        })
    }

    /// Whether the version is one before a release, by Semantic Versioning.
    pub fn is_prerelease(&self) -> bool {
        self.version.contains('-')
    }
}

/// The version of the packages, which the chart must share.
fn version(root: &Path) -> Result<String> {
    let metadata = capture(
        command("cargo", ["metadata", "--no-deps", "--format-version", "1", "--locked"])
            .current_dir(root),
        "asking cargo for the version",
    )?;
    let metadata: Value = serde_json::from_str(&metadata).context("reading cargo's answer")?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == VERSIONED)
        .with_context(|| format!("cargo does not name the package {VERSIONED}"))?;
    let version = package["version"].as_str().context("the package has no version")?.to_owned();
    let chart = root.join("charts/datamigration/Chart.yaml");
    let chart =
        fs::read_to_string(&chart).with_context(|| format!("reading {}", chart.display()))?;
    for field in ["version", "appVersion"] {
        let line = format!("{field}: {version}");
        if !chart.lines().any(|found| found == line) {
            bail!(
                "the packages have the version {version}; charts/datamigration/Chart.yaml must \
                 have the line `{line}`"
            );
        }
    }
    Ok(version)
}

/// A repository as registries accept it: a tag or a digest in it would end up twice in a pod.
fn image_name(name: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.is_empty() || last.contains(':') || !name.chars().all(allowed) {
        bail!(
            "--image {name}: give the repository in lower case without a tag, for example \
             registry.example/team/datamigration"
        );
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_without_its_tag() {
        for name in ["datamigration", "r.example:5000/a/b", "a/b_c"] {
            assert_eq!(image_name(name).unwrap(), name);
        }
        for wrong in ["", "a:1", "r.example/a:1", "a/", "A", "a@sha256:0"] {
            assert!(image_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn chart_and_packages_have_one_version() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert_eq!(version(&root).unwrap(), env!("CARGO_PKG_VERSION"));
    }
}
