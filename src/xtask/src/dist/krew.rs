//! The archives of programs, and the manifest by which krew installs the command line as kubectl's
//! plugin.

use std::fmt::Write as _;

use anyhow::Result;

use super::pages::Pages;
use super::programs::{Built, COMMAND_LINE, in_image};
use super::release::Release;
use super::tarball::Tree;
use dm_testbed::fingerprint::sha256;

/// A downloadable archive of the command line.
#[derive(Clone, Debug)]
pub struct Download {
    pub name: String,
    /// The architecture, as krew names it.
    pub architecture: &'static str,
    pub content: Vec<u8>,
}

/// The command line with completions, man pages and license.
pub fn command_line(
    release: &Release,
    built: &Built,
    pages: &Pages,
    license: &str,
) -> Result<Download> {
    let mut tree = Tree::default();
    tree.file(COMMAND_LINE, 0o755, built.program(COMMAND_LINE)?);
    tree.file("LICENSE", 0o644, license);
    for (path, content) in pages {
        tree.file(path, 0o644, content.as_str());
    }
    let architecture = built.architecture()?;
    Ok(Download {
        name: format!("datamigration-{}-linux-{architecture}.tar.gz", release.version),
        architecture,
        content: tree.tar_gz(release.time)?,
    })
}

/// The programs of the image, for those who make their own.
pub fn image_programs(release: &Release, built: &Built, license: &str) -> Result<Download> {
    let mut tree = Tree::default();
    for name in in_image() {
        tree.file(name, 0o755, built.program(name)?);
    }
    tree.file("LICENSE", 0o644, license);
    let architecture = built.architecture()?;
    Ok(Download {
        name: format!("datamigration-programs-{}-linux-{architecture}.tar.gz", release.version),
        architecture,
        content: tree.tar_gz(release.time)?,
    })
}

/// krew's manifest (krew, "Developer guide", `v1alpha2`). It links the program as
/// `kubectl-datamigration`, by which the program knows that it is a plugin.
pub fn manifest(release: &Release, downloads: &[Download]) -> String {
    let mut text = format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: datamigration
spec:
  version: v{}
",
        release.version
    );
    if let Some(url) = &release.source {
        let _ = writeln!(text, "  homepage: {url}");
    }
    text.push_str(
        "  shortDescription: Data migrations on DynamoDB
  description: |
    Lists, describes, watches, promotes and restores DataMigration objects,
    and runs migrations on a laptop. The operator must be installed in the
    cluster for the verbs that need one.
  platforms:
",
    );
    for download in downloads {
        let _ = write!(
            text,
            "    - selector:
        matchLabels:
          os: linux
          arch: {}
      uri: {}/{}
      sha256: {}
      files:
        - from: {COMMAND_LINE}
          to: .
        - from: LICENSE
          to: .
      bin: {COMMAND_LINE}
",
            download.architecture,
            release.download,
            download.name,
            sha256(&download.content)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dist::tests::release;

    #[test]
    fn the_manifest_names_each_archive_with_its_checksum() {
        let download = |architecture, content: &str| Download {
            name: format!("datamigration-1.2.3-linux-{architecture}.tar.gz"),
            architecture,
            content: content.into(),
        };
        let downloads = [download("amd64", "one"), download("arm64", "two")];
        let manifest: Value = serde_saphyr::from_str(&manifest(&release(), &downloads)).unwrap();
        let platforms = manifest["spec"]["platforms"].as_array().unwrap();
        assert_eq!(platforms.len(), downloads.len());
        for (platform, download) in platforms.iter().zip(&downloads) {
            assert_eq!(platform["sha256"], sha256(&download.content));
            assert_eq!(
                platform["uri"],
                format!("https://source.example/downloads/{}", download.name)
            );
            let labels = json!({"os": "linux", "arch": download.architecture});
            assert_eq!(platform["selector"]["matchLabels"], labels);
        }
        let short = manifest["spec"]["shortDescription"].as_str().unwrap();
        assert!(short.len() <= 50, "krew's limit");
    }
}
