//! Which migrations are in a folder: by their manifests, their scripts, and the names of both.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use dm_api::name::{DnsName, LABEL_CHARS_MAX, is_label};
use dm_contract::interpreters;

use super::BaselineError;
use crate::folder::{Folder, FolderError, has_manifest};

/// Characters of the digest in a name that was too long.
const DIGEST_CHARS: usize = 8;

/// Levels of folders below the given one that are searched: for example a folder for each year, and
/// in it one for each migration.
const DEPTH_MAX: usize = 4;

/// Folders that hold no scripts of the team.
const NOT_THEIRS: [&str; 5] = ["node_modules", "__pycache__", "venv", "vendor", "overlays"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// The script or folder of the migration.
    pub path: PathBuf,
    /// The purpose of the migration, or its path.
    pub description: String,
    /// The target that its manifest names.
    pub target: Option<String>,
    /// The namespace that its manifest names.
    pub namespace: Option<String>,
}

/// The migrations of a script or a folder, in the order of their paths.
pub fn all(path: &Path, prefix: &str) -> Result<Vec<Found>, BaselineError> {
    let mut found = Vec::new();
    if path.is_dir() {
        folder(path, path, prefix, &mut found)?;
    } else if path.is_file() {
        if path.extension().is_some_and(|suffix| suffix == "yaml" || suffix == "yml") {
            found.push(of_manifest(path)?);
        } else if !is_script(path) {
            return Err(BaselineError::NotScript(path.to_owned()));
        } else {
            let path = fs::canonicalize(path).map_err(FolderError::naming("reading", path))?;
            let stem = path.file_stem().filter(|stem| *stem != "main");
            // A script called main has the name of its folder.
            let stem = stem.or_else(|| path.parent()?.file_name());
            found.push(of_path(&path, stem, prefix)?);
        }
    } else {
        listed(path)?;
    }
    Ok(found)
}

/// A folder is one migration where it has a manifest, a script called `main`, or only one script
/// and no folders; else each of its scripts and folders is one.
fn folder(
    path: &Path,
    root: &Path,
    prefix: &str,
    found: &mut Vec<Found>,
) -> Result<(), BaselineError> {
    if has_manifest(path) {
        found.push(of_manifest(path)?);
        return Ok(());
    }
    let (scripts, folders) = listed(path)?;
    let has_main = scripts.iter().any(|script| script.file_stem().is_some_and(|s| s == "main"));
    let alone = path != root && scripts.len() == 1 && folders.is_empty();
    if has_main || alone {
        let path = fs::canonicalize(path).map_err(FolderError::naming("reading", path))?;
        found.push(of_path(&path, path.file_name(), prefix)?);
        return Ok(());
    }
    // Scripts of two folders, for example for years, may have the same names.
    let prefix = match (path == root, path.file_name()) {
        (false, Some(name)) => join(prefix, &name.to_string_lossy()),
        (true, _) | (false, None) => prefix.to_owned(),
    };
    for script in scripts {
        found.push(of_path(&script, script.file_stem(), &prefix)?);
    }
    for below in folders {
        let depth = below.components().count() - root.components().count();
        if depth <= DEPTH_MAX {
            folder(&below, root, &prefix, found)?;
        }
    }
    Ok(())
}

/// The scripts and the folders in a folder.
fn listed(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), BaselineError> {
    let failed = || FolderError::naming("reading the folder", path);
    let (mut scripts, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) || NOT_THEIRS.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if is_script(&path) {
            scripts.push(path);
        }
    }
    scripts.sort();
    folders.sort();
    Ok((scripts, folders))
}

fn is_script(path: &Path) -> bool {
    let suffix = path.extension().map(|suffix| suffix.to_string_lossy().into_owned());
    if let Some(suffix) = suffix {
        return !interpreters::of_suffix(&suffix).is_empty();
    }
    let mut start = [0; 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"#!"
}

fn of_manifest(path: &Path) -> Result<Found, BaselineError> {
    let migration = Folder::read(path)?.migration;
    let target = migration.spec.target.name.as_str();
    let name = migration.metadata.name.clone().unwrap_or_default();
    let namespace = migration.metadata.namespace.as_deref();
    for (field, text, is_right) in [
        ("metadata.name", name.as_str(), is_label(&name)),
        ("metadata.namespace", namespace.unwrap_or_default(), namespace.is_none_or(is_label)),
        ("spec.target.name", target, DnsName::parse(target).is_some()),
    ] {
        if !is_right {
            let (path, value) = (path.to_owned(), text.to_owned());
            return Err(BaselineError::WrongName { path, field, value });
        }
    }
    let path = fs::canonicalize(path).map_err(FolderError::naming("reading", path))?;
    Ok(Found {
        description: migration.spec.description.unwrap_or_else(|| told(&path)),
        target: Some(migration.spec.target.name),
        namespace: migration.metadata.namespace,
        name,
        path,
    })
}

fn of_path(
    path: &Path,
    stem: Option<&std::ffi::OsStr>,
    prefix: &str,
) -> Result<Found, BaselineError> {
    let name = name(&join(prefix, &stem.unwrap_or_default().to_string_lossy()));
    let name = name.ok_or_else(|| BaselineError::NoName(path.to_owned()))?;
    let path = fs::canonicalize(path).map_err(FolderError::naming("reading", path))?;
    Ok(Found { name, description: told(&path), target: None, namespace: None, path })
}

/// The last two parts of the path, which are the same on every machine.
fn told(path: &Path) -> String {
    let parts: Vec<_> = path.components().rev().take(2).collect();
    let short: PathBuf = parts.into_iter().rev().collect();
    format!("Applied before: {}", short.display())
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") }
}

/// A valid name of an object: lower-case letters, digits and single dashes. A name that is too long
/// ends in a digest of the whole, so that names with equal beginnings differ.
fn name(text: &str) -> Option<String> {
    let mut name = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    if name.len() <= LABEL_CHARS_MAX {
        return (!name.is_empty()).then(|| name.to_owned());
    }
    let kept = name[..LABEL_CHARS_MAX - DIGEST_CHARS - 1].trim_end_matches('-');
    Some(format!("{kept}-{:08x}", fnv(text)))
}

/// FNV-1a in 32 bits (its authors' definition): the same on every machine and in every version.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_the_same_each_time() {
        for (text, expected) in [
            ("0001_Add Price", "0001-add-price"),
            ("--a..b--", "a-b"),
            ("Überall", "berall"),
            ("2024-01-31T12:00 fix", "2024-01-31t12-00-fix"),
        ] {
            assert_eq!(name(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(name("ü_"), None);
        let (long, other) = ("x-".repeat(60) + "1", "x-".repeat(60) + "2");
        let (long, other) = (name(&long).unwrap(), name(&other).unwrap());
        assert!(long.len() <= LABEL_CHARS_MAX && long != other, "{long} {other}");
        assert!(!long.contains("--"), "{long}");
    }
}
