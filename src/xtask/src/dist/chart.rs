//! The chart as helm's package: the files of charts/datamigration with the release's image as the
//! default, and with the changelog as Artifact Hub shows it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::release::Release;
use super::tarball::Tree;
use dm_testbed::fingerprint::files_below;

/// The chart's name, which is the folder in its package.
const NAME: &str = "datamigration";

/// Sections of the changelog and the kinds of change that Artifact Hub knows (Artifact Hub, "Helm
/// annotations").
const KINDS: &[(&str, &str)] = &[
    ("Breaking", "changed"),
    ("Added", "added"),
    ("Changed", "changed"),
    ("Deprecated", "deprecated"),
    ("Removed", "removed"),
    ("Fixed", "fixed"),
    ("Security", "security"),
];

/// Packs the chart. `digest` is the image's.
pub fn package(root: &Path, release: &Release, digest: &str) -> Result<Vec<u8>> {
    let chart = root.join("charts/datamigration");
    let ignored = Ignored::read(&chart)?;
    let mut tree = Tree::default();
    for path in files_below(&chart)? {
        let name = path.strip_prefix(&chart).unwrap_or(&path).to_string_lossy().into_owned();
        if name == ".helmignore" || ignored.matches(&name) {
            continue;
        }
        let mut content = read(&path)?;
        if name == "values.yaml" {
            content = values(&content, release, digest)?;
        } else if name == "Chart.yaml" {
            content = description(&content, &read(&root.join("CHANGELOG.md"))?, release)?;
        }
        tree.file(&format!("{NAME}/{name}"), 0o644, content);
    }
    tree.file(&format!("{NAME}/LICENSE"), 0o644, read(&root.join("LICENSE"))?);
    tree.tar_gz(release.time)
}

/// The values with the release's image as their default.
fn values(text: &str, release: &Release, digest: &str) -> Result<String> {
    let text = replace_once(
        text,
        "  repository: datamigration\n",
        &format!("  repository: {}\n", release.image),
    )?;
    replace_once(&text, "  digest: \"\"\n", &format!("  digest: {digest}\n"))
}

/// The chart's description with what only a release knows. Its annotations are the last part of the
/// file.
fn description(text: &str, changelog: &str, release: &Release) -> Result<String> {
    let image = format!("image: datamigration:{}\n", release.version);
    let mut text =
        replace_once(text, &image, &format!("image: {}:{}\n", release.image, release.version))?;
    let last_key = text.lines().rev().find(|line| line.starts_with(char::is_alphabetic));
    if last_key != Some("annotations:") {
        bail!("charts/datamigration/Chart.yaml must end with its annotations");
    }
    let mut annotations = vec![
        ("prerelease", Value::Bool(release.is_prerelease()).to_string()),
        ("changes", list(&changes(changelog, &release.version)?)),
    ];
    if let Some(url) = &release.source {
        annotations.push(("links", list(&[json!({"name": "Source", "url": url})])));
        text = replace_once(
            &text,
            "\nannotations:\n",
            &format!("\nhome: {url}\nsources: [{url}]\nannotations:\n"),
        )?;
    }
    for (name, value) in annotations {
        // A JSON string is one of YAML's, too: no line of it needs to be indented.
        let _ = writeln!(text, "  artifacthub.io/{name}: {}", Value::String(value));
    }
    Ok(text)
}

/// A list as YAML, one entry a line.
fn list(entries: &[Value]) -> String {
    entries.iter().fold(String::new(), |text, entry| text + "- " + &entry.to_string() + "\n")
}

/// The changelog's entries for a version, or those that no version has yet.
fn changes(changelog: &str, version: &str) -> Result<Vec<Value>> {
    let sections: Vec<&str> = changelog.split("\n## ").collect();
    let of = |name: &str| sections.iter().find(|text| text.starts_with(&format!("[{name}]")));
    let section = of(version).or_else(|| of("Unreleased")).with_context(|| {
        format!("CHANGELOG.md has neither a section [{version}] nor [Unreleased]")
    })?;
    let mut found: Vec<(&str, String)> = Vec::new();
    for part in section.split("\n### ").skip(1) {
        let (title, text) = part.split_once('\n').unwrap_or((part, ""));
        let kind = KINDS.iter().find(|(name, _)| *name == title.trim());
        let kind =
            kind.with_context(|| format!("CHANGELOG.md: the section `{title}` is unknown"))?.1;
        for line in text.lines() {
            if let Some(begin) = line.strip_prefix("- ") {
                found.push((kind, begin.to_owned()));
            } else if let (Some(rest), Some((_, last))) =
                (line.strip_prefix("  "), found.last_mut())
            {
                last.push(' ');
                last.push_str(rest.trim());
            }
        }
    }
    if found.is_empty() {
        bail!("CHANGELOG.md names no change for version {version}");
    }
    let entry = |(kind, text): &(&str, String)| json!({"kind": kind, "description": text});
    Ok(found.iter().map(entry).collect())
}

/// Replaces text that must be there exactly once: a chart that has changed is not patched by
/// accident.
fn replace_once(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replacen(from, to, 1)),
        count => bail!("the chart has `{}` {count} times instead of once", from.trim()),
    }
}

/// The chart's .helmignore: names, `*.suffix` and `folder/`.
struct Ignored(Vec<String>);

impl Ignored {
    fn read(chart: &Path) -> Result<Self> {
        let lines = read(&chart.join(".helmignore"))?;
        let patterns: Vec<String> = lines
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        let simple = |pattern: &str| {
            let rest = pattern.strip_prefix("*.").unwrap_or(pattern);
            !rest.trim_end_matches('/').contains(['*', '?', '[', '!', '/'])
        };
        match patterns.iter().find(|pattern| !simple(pattern)) {
            None => Ok(Self(patterns)),
            Some(other) => bail!(".helmignore: {other}: only name, *.suffix and folder/ are known"),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        let name = parts.next_back().unwrap_or_default();
        let folders: Vec<&str> = parts.collect();
        self.0.iter().any(|pattern| {
            if let Some(folder) = pattern.strip_suffix('/') {
                folders.contains(&folder)
            } else if let Some(suffix) = pattern.strip_prefix('*') {
                name.ends_with(suffix)
            } else {
                name == pattern || folders.contains(&pattern.as_str())
            }
        })
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;
    use crate::dist::tests::{release, root};

    /// The files of the packed chart.
    fn packed(release: &Release) -> BTreeMap<String, String> {
        let digest = format!("sha256:{}", "a".repeat(64));
        let package = package(&root(), release, &digest).unwrap();
        let reader = flate2::read::GzDecoder::new(package.as_slice());
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(reader).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
        files
    }

    #[test]
    fn the_package_installs_the_releases_image_by_digest() {
        let files = packed(&release());
        let values: Value = serde_saphyr::from_str(&files["datamigration/values.yaml"]).unwrap();
        assert_eq!(values["image"]["repository"], "registry.example/team/datamigration");
        assert_eq!(values["image"]["digest"], format!("sha256:{}", "a".repeat(64)));
        assert!(files.contains_key("datamigration/crds/datamigrations.yaml"));
        assert!(files.contains_key("datamigration/LICENSE"));
        assert!(
            !files.keys().any(|name| name.contains("/ci/")),
            "what .helmignore names stays out"
        );
    }

    #[test]
    fn artifact_hub_gets_images_changes_and_links() {
        let files = packed(&release());
        let chart: Value = serde_saphyr::from_str(&files["datamigration/Chart.yaml"]).unwrap();
        let annotation = |name: &str| -> Value {
            let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap();
            serde_saphyr::from_str(text).unwrap()
        };
        let image = format!("registry.example/team/datamigration:{}", release().version);
        assert_eq!(annotation("images")[0]["image"], image);
        assert_eq!(annotation("links")[0]["url"], "https://source.example/datamigration");
        assert_eq!(annotation("prerelease"), false);
        let changes = annotation("changes");
        assert!(changes.as_array().unwrap().len() > 10, "{changes}");
        assert!(changes.as_array().unwrap().iter().all(|change| {
            let kind = change["kind"].as_str().unwrap();
            KINDS.iter().any(|(_, known)| *known == kind) && change["description"].is_string()
        }));
        let kinds: Vec<Value> = annotation("crds")
            .as_array()
            .unwrap()
            .iter()
            .map(|definition| definition["kind"].clone())
            .collect();
        assert_eq!(kinds, ["DataMigration", "MigrationTarget"]);
        assert_eq!(annotation("crdsExamples").as_array().unwrap().len(), 2);
    }

    #[test]
    fn entries_of_the_changelog_are_whole_sentences_with_their_kind() {
        let log = "# Log\n\n## [Unreleased]\n\n### Added\n\n- One\n  and a half: \"x\".\n- Two.\n\n\
                   ### Breaking\n\n- Three.\n\n## [0.9.0]\n\n### Fixed\n\n- Old.\n";
        let one = |kind: &str, text: &str| json!({"kind": kind, "description": text});
        assert_eq!(
            changes(log, "1.0.0").unwrap(),
            [
                one("added", "One and a half: \"x\"."),
                one("added", "Two."),
                one("changed", "Three.")
            ]
        );
        assert_eq!(changes(log, "0.9.0").unwrap(), [one("fixed", "Old.")]);
        assert!(changes("# Log\n", "1.0.0").is_err());
        assert!(changes("\n## [1.0.0]\n\n### News\n\n- x\n", "1.0.0").is_err());
    }

    #[test]
    fn helmignore_is_followed() {
        let ignored = Ignored(vec![".git".into(), "*.orig".into(), "ci/".into()]);
        for name in [".git", "a/b.orig", "ci/x.yaml"] {
            assert!(ignored.matches(name), "{name}");
        }
        for name in ["templates/ci", "orig", "a.orig.yaml"] {
            assert!(!ignored.matches(name), "{name}");
        }
    }
}
