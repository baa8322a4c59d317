//! Archives whose bytes depend on nothing but their content: entries are sorted, owners are 0,
//! modes and the time are given. It does not know what a release consists of.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// Mode of a folder that nothing else is said of.
const FOLDER_MODE: u32 = 0o755;

/// gzip's own default. The last percent of a higher one takes minutes in a task runner that is not
/// optimized.
const LEVEL: Compression = Compression::new(6);

/// gzip's number of an unknown system: the builder's own would be recorded otherwise.
const UNKNOWN_SYSTEM: u8 = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(Vec<u8>),
}

/// Files and folders by their path, which is the order they are packed in.
#[derive(Clone, Debug, Default)]
pub struct Tree(BTreeMap<String, (Node, u32)>);

impl Tree {
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.parents(path);
        self.0.insert(path.to_owned(), (Node::Folder, mode));
    }

    /// Adds a file, and the folders that it is in.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.parents(path);
        self.0.insert(path.to_owned(), (Node::File(content.into()), mode));
    }

    /// Packs the tree. `time` is in seconds since 1970.
    pub fn tar(&self, time: u64) -> Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, (node, mode)) in &self.0 {
            let mut header = Header::new_gnu();
            header.set_mtime(time);
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            let (name, content): (String, &[u8]) = match node {
                Node::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    (format!("{path}/"), &[])
                }
                Node::File(content) => {
                    header.set_entry_type(EntryType::Regular);
                    (path.clone(), content)
                }
            };
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, &name, content)
                .with_context(|| format!("packing {path}"))?;
        }
        builder.into_inner().context("packing an archive")
    }

    /// Packs and compresses the tree.
    pub fn tar_gz(&self, time: u64) -> Result<Vec<u8>> {
        gzip(&self.tar(time)?)
    }

    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            self.0.entry(path[..end].to_owned()).or_insert((Node::Folder, FOLDER_MODE));
        }
    }
}

/// Compresses without a name and a time in the header.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder =
        GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(Vec::new(), LEVEL);
    encoder.write_all(content).context("compressing an archive")?;
    encoder.finish().context("compressing an archive")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dm_testbed::fingerprint::sha256;

    /// Paths, modes, owners and times of an archive.
    fn listed(archive: &[u8]) -> Vec<(String, u32, u64, u64)> {
        let mut archive = tar::Archive::new(archive);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
            })
            .collect()
    }

    #[test]
    fn entries_are_sorted_and_folders_come_first() {
        let mut tree = Tree::default();
        tree.file("usr/bin/b", 0o755, "b");
        tree.file("usr/bin/a", 0o755, "a");
        tree.folder("tmp", 0o1777);
        let long = format!("long/{}", "x".repeat(150));
        tree.file(&long, 0o644, "l");
        let found = listed(&tree.tar(7).unwrap());
        let expected: Vec<(String, u32, u64, u64)> = [
            ("long/", 0o755),
            (long.as_str(), 0o644),
            ("tmp/", 0o1777),
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("usr/bin/a", 0o755),
            ("usr/bin/b", 0o755),
        ]
        .iter()
        .map(|(path, mode)| ((*path).to_owned(), *mode, 0, 7))
        .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_order_of_additions_does_not_matter_and_content_does() {
        let packed = |names: [&str; 2], content: &str| {
            let mut tree = Tree::default();
            for name in names {
                tree.file(name, 0o644, content);
            }
            sha256(&tree.tar_gz(1).unwrap())
        };
        assert_eq!(packed(["a", "b/c"], "x"), packed(["b/c", "a"], "x"));
        assert_ne!(packed(["a", "b/c"], "x"), packed(["a", "b/c"], "y"));
    }

    #[test]
    fn a_compressed_archive_records_neither_time_nor_system() {
        let header = &gzip(b"x").unwrap()[..10];
        assert_eq!(header[4..8], [0, 0, 0, 0], "time");
        assert_eq!(header[9], UNKNOWN_SYSTEM);
    }
}
