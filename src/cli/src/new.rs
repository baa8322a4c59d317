//! `datamigration new`: a migration's folder to begin with. It can be dry-run before it is edited.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use dm_api::name::{LABEL_RULE, is_label};

use crate::print::say;
use crate::quoted::word;
use crate::seed::SEED_FILE;

/// What kustomize has to know about our kinds, as the worked examples have it.
const CONFIGURATION: &str = include_str!("../../../migrations/kustomize/datamigration.yaml");

/// Flags of `datamigration new`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The folder to create. Its last part becomes the migration's name
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    #[command(flatten)]
    language: Language,
}

/// The language of the script.
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
#[allow(clippy::struct_excessive_bools, reason = "flags of which at most one is given")]
struct Language {
    /// A script in Python, with boto3. The default
    #[arg(long)]
    python: bool,
    /// A script for Node.js, with AWS's SDK
    #[arg(long)]
    node: bool,
    /// A shell script, with the AWS CLI
    #[arg(long)]
    shell: bool,
    /// No program: a declaration of how each item changes
    #[arg(long)]
    transform: bool,
}

const EXAMPLES: &str = "\
Examples:
  datamigration new migrations/0006-add-status-to-products
  datamigration new migrations/0006-add-status-to-products --node
  datamigration new migrations/0006-add-status-to-products --transform
  datamigration run migrations/0006-add-status-to-products";

/// Why there is no new migration.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    #[error(
        "{0:?} cannot be a migration's name: use {LABEL_RULE}, as in 0006-add-status-to-products"
    )]
    Name(String),
    #[error("{0} already exists; choose another folder")]
    Exists(PathBuf),
    #[error("writing {0}")]
    Write(PathBuf, #[source] io::Error),
}

/// What a migration begins with.
enum Source {
    Script(Script),
    Transform,
}

/// A script to begin with.
struct Script {
    file: &'static str,
    text: &'static str,
    image: &'static str,
    /// What the script needs on this machine.
    needs: &'static str,
}

impl Language {
    fn source(self) -> Source {
        if self.transform { Source::Transform } else { Source::Script(self.script()) }
    }

    fn script(self) -> Script {
        if self.node {
            Script {
                file: "main.mjs",
                text: include_str!("new/templates/main.mjs"),
                image: "my-registry.example/node-aws-sdk:1",
                needs: "Node.js, and `npm install` in the folder",
            }
        } else if self.shell {
            Script {
                file: "main.sh",
                text: include_str!("new/templates/main.sh"),
                image: "my-registry.example/aws-cli:1",
                needs: "the AWS CLI",
            }
        } else {
            Script {
                file: "main.py",
                text: include_str!("new/templates/main.py"),
                image: "my-registry.example/python-boto3:1",
                needs: "Python with boto3",
            }
        }
    }
}

pub fn new(flags: &Flags) -> Result<u8, NewError> {
    let folder = &flags.folder;
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
    if !is_label(&name) {
        return Err(NewError::Name(name));
    }
    if folder.exists() {
        return Err(NewError::Exists(folder.clone()));
    }
    let source = flags.language.source();
    for (path, text) in files(&name, &source) {
        write(&folder.join(path), &text)?;
    }
    say(&what_is_next(folder, &source));
    Ok(0)
}

/// The files of a new migration.
fn files(name: &str, source: &Source) -> Vec<(String, String)> {
    let filled = |template: &str, target: &str| {
        let text = template.replace("{{name}}", name).replace("{{target}}", target);
        match source {
            Source::Script(Script { file, image, .. }) => {
                text.replace("{{file}}", file).replace("{{image}}", image)
            }
            Source::Transform => text,
        }
    };
    let overlay = |target| {
        let text = filled(include_str!("new/templates/overlay.yaml"), target);
        (format!("overlays/{target}/kustomization.yaml"), text)
    };
    let of_base = |file: &str, text: String| (format!("base/{file}"), text);
    let mut files = vec![
        (SEED_FILE.to_owned(), include_str!("new/templates/seed.json").to_owned()),
        (".gitignore".to_owned(), ".datamigration/\nnode_modules/\n".to_owned()),
        of_base("datamigration.yaml", CONFIGURATION.to_owned()),
        overlay("dev"),
        overlay("production"),
    ];
    let (manifest, kustomization) = match source {
        Source::Script(script) => {
            files.push(of_base(script.file, script.text.to_owned()));
            if script.file == "main.mjs" {
                let package = include_str!("new/templates/package.json");
                files.push(("package.json".into(), package.into()));
            }
            (include_str!("new/templates/migration.yaml"), include_str!("new/templates/base.yaml"))
        }
        Source::Transform => (
            include_str!("new/templates/transform.yaml"),
            include_str!("new/templates/transform_base.yaml"),
        ),
    };
    files.push(of_base("migration.yaml", filled(manifest, "dev")));
    files.push(of_base("kustomization.yaml", filled(kustomization, "dev")));
    files
}

fn what_is_next(folder: &Path, source: &Source) -> String {
    let folder = folder.display().to_string();
    let word = word(&folder);
    let (needs, edit) = match source {
        Source::Script(Script { file, needs, .. }) => (
            format!(" ({needs} needed)"),
            format!(
                "  {:<24}what changes\n  base/migration.yaml     the description and the image",
                format!("base/{file}")
            ),
        ),
        Source::Transform => (
            String::new(),
            "  base/migration.yaml     the description, which items change and how".to_owned(),
        ),
    };
    format!(
        "{folder} is ready for a dry run{needs}:\n  datamigration run {word}\n\n\
         Change next, where lines are marked EDIT:\n{edit}\n\
         and {SEED_FILE}, which has the tables and items to try it on.\n\n\
         Then: datamigration lint {word}"
    )
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    let writing = |error| NewError::Write(path.to_owned(), error);
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(writing)?;
    fs::write(path, text).map_err(writing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_has_no_placeholder_left_and_is_never_written_twice() {
        let root = tempfile::tempdir().unwrap();
        let none = Language { python: false, node: false, shell: false, transform: false };
        let languages = [
            none,
            Language { node: true, ..none },
            Language { shell: true, ..none },
            Language { transform: true, ..none },
        ];
        // Names that YAML reads as numbers and a truth value, unless they are quoted.
        let names = ["20261129", "1e3", "true", "0001"];
        for (name, language) in names.into_iter().zip(languages) {
            let folder = root.path().join(name);
            let flags = Flags { folder: folder.clone(), language };
            new(&flags).unwrap();
            assert!(matches!(new(&flags), Err(NewError::Exists(_))));
            for (path, _) in files(name, &language.source()) {
                let text = fs::read_to_string(folder.join(&path)).unwrap();
                assert!(!text.contains("{{"), "{path}: {text}");
            }
            let migration = crate::folder::Folder::read(&folder).unwrap();
            let found = migration.migration.metadata.name.as_deref();
            assert_eq!(found, Some(name));
            if !language.transform {
                assert_eq!(migration.config_map(name).unwrap().len(), 1);
            }
            let found = crate::lint::findings(&folder);
            let errors: Vec<_> = found.iter().filter(|finding| finding.is_error()).collect();
            assert!(errors.is_empty(), "{errors:?}");
        }
    }
}
