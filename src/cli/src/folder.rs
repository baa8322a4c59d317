//! A migration's folder as it is kept in Git: its manifest, and the files that kustomize would put
//! into its ConfigMap. It reads files and starts nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use dm_api::DataMigration;
use dm_api::script::Files;
use serde::Deserialize;
use serde_json::Value;

use crate::fields::{self, WrongField};

/// Where a folder's manifest may be.
const MANIFESTS: [&str; 2] = ["base/migration.yaml", "migration.yaml"];

/// Names of a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Files of a folder that are about the migration, not of it.
const NOT_THE_PROGRAMS: [&str; 6] = [
    "migration.yaml",
    "kustomization.yaml",
    "kustomization.yml",
    "Kustomization",
    "README.md",
    "seed.json",
];

/// What cannot be used of a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{0} has neither base/migration.yaml nor migration.yaml")]
    NoManifest(PathBuf),
    #[error("{action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("reading {path} as {what}: {}", unreadable(.error))]
    Yaml {
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        error: Box<serde_saphyr::Error>,
    },
    /// Fields that a migration does not have, or not so.
    #[error("{}", list(.wrong))]
    Fields { path: PathBuf, wrong: Vec<WrongField> },
    /// A ConfigMap that nothing generates.
    #[error(
        "{file} generates no ConfigMap {name}, which the manifest names (configMap.name); it \
         generates {there}. Give both the same name"
    )]
    NoGenerator {
        file: PathBuf,
        /// The name in the manifest.
        name: String,
        /// Names of the generators.
        there: String,
    },
    /// A path that would leave the program's folder.
    #[error("spec.script.configMap.items: {0} must stay within the program's folder")]
    Outside(String),
}

/// A migration and where its files are.
#[derive(Debug)]
pub struct Folder {
    pub migration: DataMigration,
    pub manifest: PathBuf,
    /// The folder it is in.
    pub path: PathBuf,
}

/// What of a kustomization makes ConfigMaps.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kustomization {
    #[serde(default)]
    config_map_generator: Vec<Generator>,
    #[serde(default)]
    images: Vec<Image>,
}

#[derive(Debug, Default, Deserialize)]
struct Image {
    #[serde(default)]
    name: String,
    digest: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Generator {
    #[serde(default)]
    name: String,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    literals: Vec<String>,
}

impl Folder {
    /// Reads the manifest of a folder, or one that is named itself.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let manifest = if path.is_dir() {
            let found = MANIFESTS.iter().map(|name| path.join(name)).find(|file| file.is_file());
            found.ok_or_else(|| FolderError::NoManifest(path.into()))?
        } else {
            path.to_owned()
        };
        let migration = migration(&manifest)?;
        let parent = manifest.parent().filter(|parent| !parent.as_os_str().is_empty());
        let path = parent.unwrap_or(Path::new(".")).to_owned();
        Ok(Self { migration, manifest, path })
    }

    pub fn name(&self) -> String {
        self.migration.metadata.name.clone().unwrap_or_default()
    }

    /// What the ConfigMap of this name would hold: what its generator says; every file, if there is
    /// no generator at all.
    pub fn config_map(&self, name: &str) -> Result<Files, FolderError> {
        let Some(file) = self.kustomization() else { return self.every_file() };
        let kustomization: Kustomization = yaml(&file, "a kustomization")?;
        let generators = &kustomization.config_map_generator;
        match generators.iter().find(|generator| generator.name == name) {
            Some(generator) => self.generated(generator),
            None if generators.is_empty() => self.every_file(),
            None => {
                let names = generators.iter().map(|generator| generator.name.as_str());
                let there = names.collect::<Vec<_>>().join(", ");
                Err(FolderError::NoGenerator { file, name: name.to_owned(), there })
            }
        }
    }

    /// The kustomization next to the manifest, under any name that kustomize finds.
    pub fn kustomization(&self) -> Option<PathBuf> {
        KUSTOMIZATIONS.iter().map(|name| self.path.join(name)).find(|file| file.is_file())
    }

    /// Whether the kustomization gives the image a digest.
    pub fn pins(&self, image: &str) -> bool {
        let kustomization = self
            .kustomization()
            .and_then(|file| yaml::<Kustomization>(&file, "a kustomization").ok());
        let images = kustomization.map(|kustomization| kustomization.images).unwrap_or_default();
        // A port may precede the name, and a tag follows it.
        let of = |name: &str| {
            let rest = image.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':') && !rest.contains('/'))
        };
        images.iter().any(|known| known.digest.is_some() && of(&known.name))
    }

    fn generated(&self, generator: &Generator) -> Result<Files, FolderError> {
        let mut files = Files::new();
        for entry in &generator.files {
            let (key, path) = match entry.split_once('=') {
                Some((key, path)) => (key.to_owned(), path),
                None => (file_name(Path::new(entry)), entry.as_str()),
            };
            files.insert(key, read(&self.path.join(path))?);
        }
        for (key, text) in generator.literals.iter().filter_map(|entry| entry.split_once('=')) {
            files.insert(key.to_owned(), text.as_bytes().to_vec());
        }
        Ok(files)
    }

    fn every_file(&self) -> Result<Files, FolderError> {
        let listing = || FolderError::naming("reading the folder", &self.path);
        let mut files = Files::new();
        for entry in fs::read_dir(&self.path).map_err(listing())? {
            let path = entry.map_err(listing())?.path();
            let name = file_name(&path);
            let ours = NOT_THE_PROGRAMS.contains(&name.as_str()) || name.starts_with('.');
            if path.is_file() && !ours {
                files.insert(name, read(&path)?);
            }
        }
        Ok(files)
    }

    /// The folder of Node.js's packages that a script here would find.
    pub fn node_modules(&self) -> Option<PathBuf> {
        let path = fs::canonicalize(&self.path).ok()?;
        path.ancestors().map(|folder| folder.join("node_modules")).find(|folder| folder.is_dir())
    }
}

fn list(wrong: &[WrongField]) -> String {
    wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Whether a folder has a manifest.
pub fn has_manifest(folder: &Path) -> bool {
    MANIFESTS.iter().any(|name| folder.join(name).is_file())
}

/// Writes files below a folder, those with a `#!` line executable.
pub fn write(files: &Files, to: &Path) -> Result<(), FolderError> {
    for (name, bytes) in files {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(FolderError::Outside(name.clone()));
        }
        let path = to.join(name);
        let writing = || FolderError::naming("writing", &path);
        fs::create_dir_all(path.parent().unwrap_or(to)).map_err(writing())?;
        fs::write(&path, bytes).map_err(writing())?;
        if bytes.starts_with(b"#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(writing())?;
        }
    }
    Ok(())
}

impl FolderError {
    /// An error of the system, with what was being done.
    pub fn naming(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Reads a manifest, whose fields are checked first: serde would drop those that it does not know.
fn migration(path: &Path) -> Result<DataMigration, FolderError> {
    const KIND: &str = "DataMigration";
    let written: Value = yaml(path, "YAML")?;
    let wrong = fields::wrong(&written, KIND);
    if !wrong.is_empty() {
        return Err(FolderError::Fields { path: path.to_owned(), wrong });
    }
    yaml(path, "a DataMigration")
}

fn yaml<T: serde::de::DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, FolderError> {
    let text = fs::read_to_string(path).map_err(FolderError::naming("reading", path))?;
    serde_saphyr::from_str(&text).map_err(|error| FolderError::Yaml {
        path: path.to_owned(),
        what,
        error: Box::new(error),
    })
}

/// What is wrong with a text, for the one who wrote it.
fn unreadable(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "it has several documents; write each into its own file".to_owned()
        }
        other => {
            let text = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            text.trim_start_matches("error: ").to_owned()
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    fs::read(path).map_err(FolderError::naming("reading", path))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
        apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\nmetadata: {name: m}\n\
        spec: {target: {name: t}, script: {configMap: {name: m}, image: i}}\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let root = folder(files);
        let found = Folder::read(root.path()).unwrap().config_map("m").unwrap();
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_generator_says_which_files_there_are() {
        check(
            &[
                ("base/migration.yaml", MANIFEST),
                (
                    "base/kustomization.yaml",
                    "configMapGenerator:\n- name: other\n  files: [a]\n- name: m\n  \
                     files: [main.py, data.csv=sub/x.csv]\n  literals: [k=v]\n",
                ),
                ("base/main.py", ""),
                ("base/notes", ""),
                ("base/sub/x.csv", ""),
            ],
            &["data.csv", "k", "main.py"],
        );
    }

    #[test]
    fn generators_of_other_names_are_an_error() {
        for file in KUSTOMIZATIONS {
            let text = "configMapGenerator:\n- name: other\n  files: [main.py]\n";
            let root = folder(&[("migration.yaml", MANIFEST), (file, text), ("main.py", "")]);
            let found = Folder::read(root.path()).unwrap().config_map("m");
            let error = found.unwrap_err().to_string();
            assert!(error.contains(file) && error.contains("generates other"), "{error}");
        }
    }

    #[test]
    fn without_a_generator_every_file_counts() {
        check(
            &[
                ("migration.yaml", MANIFEST),
                ("README.md", ""),
                (".hidden", ""),
                ("main.py", ""),
                ("cars.csv", ""),
                ("sub/x", ""),
            ],
            &["cars.csv", "main.py"],
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let message = |root: &tempfile::TempDir, error: FolderError| {
            error.to_string().replace(&root.path().display().to_string(), "X")
        };
        let empty = folder(&[]);
        let error = Folder::read(empty.path()).unwrap_err();
        assert_eq!(message(&empty, error), "X has neither base/migration.yaml nor migration.yaml");
        let wrong = folder(&[("migration.yaml", "kind: Job\n")]);
        let error = Folder::read(wrong.path()).unwrap_err();
        assert_eq!(
            message(&wrong, error),
            "reading X/migration.yaml as a DataMigration: missing field `metadata` at line 1, \
             column 1"
        );
        for (text, expected) in [
            ("a: 1\na: 2\n", "duplicate mapping key `a` is not allowed here"),
            ("a: 1\n---\nb: 2\n", "it has several documents; write each into its own file"),
            ("a: .nan\n", "value `.nan` is not a finite number"),
        ] {
            let wrong = folder(&[("migration.yaml", text)]);
            let error = message(&wrong, Folder::read(wrong.path()).unwrap_err());
            assert!(error.contains(expected) && !error.contains("Options"), "{error}");
        }
    }

    #[test]
    fn files_stay_in_their_folder_and_scripts_are_executable() {
        let root = folder(&[]);
        let files = |name: &str| Files::from([(name.to_owned(), b"#!/bin/sh\n".to_vec())]);
        write(&files("a/b.sh"), root.path()).unwrap();
        let mode = fs::metadata(root.path().join("a/b.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        for name in ["../x", "/x", "a/../../x", "."] {
            let wrote = write(&files(name), root.path());
            assert!(matches!(wrote, Err(FolderError::Outside(_))), "{name}");
        }
    }
}
