//! The content of the image: three static programs, CA certificates, and what names and users are
//! looked up in. There is no shell and no package manager.

use anyhow::{Context, Result};

use super::oci::{self, Archive, Description, Platform};
use super::programs::{Built, in_image};
use super::release::Release;
use super::tarball::Tree;
use dm_testbed::images::datamigration::{USER, certificates};

/// Files that the C library and Kubernetes look into. Names are looked up in /etc/hosts, then by
/// the cluster's DNS: other sources would be libraries, which a static program cannot load.
const LOOKED_UP: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/home/nonroot:/none\n"),
    ("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// Makes the image for all targets.
pub fn archive(release: &Release, built: &[Built]) -> Result<Archive> {
    let path = certificates().context(
        "this machine has no bundle of CA certificates; install the package ca-certificates",
    )?;
    let bundle = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut platforms = Vec::new();
    for one in built {
        let mut programs = Vec::new();
        for name in in_image() {
            programs.push((name, one.program(name)?));
        }
        platforms.push(Platform {
            architecture: one.architecture()?,
            layer: layer(&programs, &bundle).tar(release.time)?,
        });
    }
    oci::archive(&description(release), &platforms)
}

fn layer(programs: &[(&str, Vec<u8>)], bundle: &[u8]) -> Tree {
    let mut tree = Tree::default();
    for (name, program) in programs {
        tree.file(&format!("usr/bin/{name}"), 0o755, program.as_slice());
    }
    tree.file("etc/ssl/certs/ca-certificates.crt", 0o644, bundle);
    for (path, content) in LOOKED_UP {
        tree.file(path, 0o644, *content);
    }
    tree.folder("home/nonroot", 0o755);
    tree.folder("tmp", 0o1777);
    tree
}

fn description(release: &Release) -> Description {
    let mut labels = vec![
        ("title", "datamigration".to_owned()),
        ("description", "Operator, guard and entry program of datamigration".to_owned()),
        ("version", release.version.clone()),
        ("revision", release.commit.clone()),
        ("created", release.created.clone()),
        ("licenses", "Apache-2.0".to_owned()),
    ];
    labels.extend(release.source.iter().map(|url| ("source", url.clone())));
    Description {
        name: release.image.clone(),
        tag: release.version.clone(),
        created: release.created.clone(),
        user: USER,
        entrypoint: vec!["/usr/bin/datamigration-operator"],
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_holds_the_programs_and_nothing_to_log_in_with() {
        let programs: Vec<(&str, Vec<u8>)> = in_image().map(|name| (name, vec![1])).collect();
        let packed = layer(&programs, b"certificates").tar(1).unwrap();
        let mut archive = tar::Archive::new(packed.as_slice());
        let mut files = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            if entry.header().entry_type().is_file() {
                files.push(entry.path().unwrap().display().to_string());
            }
        }
        assert_eq!(
            files,
            [
                "etc/group",
                "etc/nsswitch.conf",
                "etc/passwd",
                "etc/ssl/certs/ca-certificates.crt",
                "usr/bin/datamigration-entry",
                "usr/bin/datamigration-guard",
                "usr/bin/datamigration-operator",
            ]
        );
    }
}
