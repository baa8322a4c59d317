//! `datamigration baseline`: manifests for migrations that were applied before the operator
//! existed. It reads folders and writes manifests; it starts nothing and asks no cluster.

mod found;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use dm_api::name::{DnsName, LABEL_RULE, is_label};
use serde_json::{Value, json};

use crate::folder::FolderError;
use crate::print::{self, say};
use found::Found;

/// Flags of `datamigration baseline`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// Scripts that have run, folders of one migration each, or folders with many of them
    #[arg(required = true, value_name = "FOLDER")]
    paths: Vec<PathBuf>,
    /// Target on which they were applied [default: the one that a manifest names]
    #[arg(short, long, value_name = "TARGET", value_parser = target)]
    target: Option<String>,
    /// Namespace of the objects [default: kubectl's when they are applied]
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,
    /// Prefix for each name that comes from a file or folder
    #[arg(long, value_name = "PREFIX", default_value = "", value_parser = prefix)]
    prefix: String,
    /// Write one file for each migration into this folder, instead of all to standard output
    #[arg(short, long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Each manifest is a DataMigration with spec.baseline true: the operator records it as applied, with
times unknown, and never runs it. A folder with migration.yaml or base/migration.yaml gives that
name; a folder with a script called main gives the folder's; in other folders each script and each
folder is one migration.

Examples:
  datamigration baseline scripts/ --target production | kubectl apply --server-side -f -
  datamigration baseline migrations/0001-* --target production --namespace shop -o baselines/";

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// A folder or a manifest.
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("{0} has no script and no migration.yaml")]
    Nothing(PathBuf),
    /// A file that is named itself.
    #[error(
        "{0} is not a script: its name has no suffix of a known interpreter, and it does not begin \
         with #!"
    )]
    NotScript(PathBuf),
    /// The API server would reject it.
    #[error("{path}: {field} {value:?} is not a valid name: use {LABEL_RULE}")]
    WrongName {
        path: PathBuf,
        /// Its path in the manifest.
        field: &'static str,
        value: String,
    },
    /// A name is empty.
    #[error("{0} gives no name: letters or digits are needed; rename it, or give --prefix")]
    NoName(PathBuf),
    /// Two of one name.
    #[error(
        "{first} and {second} both give the name {name}; rename one, or give them in two calls \
         with different --prefix"
    )]
    SameName { name: String, first: PathBuf, second: PathBuf },
    /// Nothing names the target.
    #[error("{0} names no target; give --target")]
    NoTarget(PathBuf),
    /// A file is there already, and is another.
    #[error("{0} exists and differs; nothing was written. Remove it, or choose another folder")]
    Exists(PathBuf),
    #[error("writing the answer")]
    Output(#[from] io::Error),
}

fn target(text: &str) -> Result<String, String> {
    DnsName::parse(text).map(|name| name.to_string()).ok_or_else(|| format!("use {LABEL_RULE}"))
}

fn namespace(text: &str) -> Result<String, String> {
    if is_label(text) { Ok(text.to_owned()) } else { Err(format!("use {LABEL_RULE}")) }
}

/// What names begin with: of other characters nothing would be left in them.
fn prefix(text: &str) -> Result<String, &'static str> {
    let is_right = text.is_ascii() && text.contains(|c: char| c.is_ascii_alphanumeric());
    if text.is_empty() || is_right {
        Ok(text.to_owned())
    } else {
        Err("use ASCII letters or digits")
    }
}

/// Writes the manifests; 0.
pub fn baseline(flags: &Flags) -> Result<u8, BaselineError> {
    let mut manifests: BTreeMap<String, (PathBuf, String)> = BTreeMap::new();
    for path in &flags.paths {
        let all = found::all(path, &flags.prefix)?;
        if all.is_empty() {
            return Err(BaselineError::Nothing(path.clone()));
        }
        for found in all {
            let text = manifest(&found, flags)?;
            if let Some((first, _)) = manifests.get(&found.name) {
                let (first, second) = (first.clone(), found.path);
                // The same folder twice, such as by two patterns.
                if first == second {
                    continue;
                }
                return Err(BaselineError::SameName { name: found.name, first, second });
            }
            manifests.insert(found.name, (found.path, text));
        }
    }
    let texts = manifests.iter().map(|(name, (_, text))| (name.as_str(), text.as_str()));
    match &flags.output_dir {
        None => print::answer(&texts.flat_map(|(_, text)| ["---\n", text]).collect::<String>())?,
        Some(dir) => write(dir, texts)?,
    }
    say(&match manifests.len() {
        1 => "1 manifest written; apply it to record this migration as applied".to_owned(),
        many => {
            format!("{many} manifests written; apply them to record these migrations as applied")
        }
    });
    Ok(0)
}

/// All or none: one that is there already and differs is somebody's work.
fn write<'a>(
    dir: &Path,
    texts: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<(), BaselineError> {
    let file = |name: &str| dir.join(format!("{name}.yaml"));
    for (name, text) in texts.clone() {
        match fs::read_to_string(file(name)) {
            Ok(there) if there != text => return Err(BaselineError::Exists(file(name))),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FolderError::naming("reading", &file(name))(error).into()),
        }
    }
    fs::create_dir_all(dir).map_err(FolderError::naming("making", dir))?;
    for (name, text) in texts {
        fs::write(file(name), text).map_err(FolderError::naming("writing", &file(name)))?;
    }
    Ok(())
}

/// The manifest of one migration: strings as JSON, which is YAML too.
fn manifest(found: &Found, flags: &Flags) -> Result<String, BaselineError> {
    let target = flags.target.as_ref().or(found.target.as_ref());
    let target = target.ok_or_else(|| BaselineError::NoTarget(found.path.clone()))?;
    let text = |text: &str| Value::from(text).to_string();
    let namespace = flags.namespace.as_ref().or(found.namespace.as_ref());
    let namespace = namespace.map(|namespace| format!("  namespace: {}\n", text(namespace)));
    Ok(format!(
        "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\nmetadata:\n  name: {}\n\
         {}spec:\n  \
         description: {}\n  target: {}\n  baseline: true\n",
        text(&found.name),
        namespace.unwrap_or_default(),
        text(&found.description),
        json!({"name": target}),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if name.ends_with("migration.yaml") {
                "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n\
                 metadata: {name: 0007-from-manifest}\n\
                 spec: {target: {name: named}, description: Said there., script: {configMap: \
                 {name: m}, image: i}}\n"
            } else {
                ""
            };
            fs::write(path, text).unwrap();
        }
        root
    }

    fn run(root: &Path, line: &str) -> Result<Vec<String>, String> {
        let out = root.join("out");
        let line = line.replace("ROOT", &root.display().to_string());
        let line = format!("x {line} -o {}", out.display());
        let flags = Line::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())?.flags;
        baseline(&flags).map_err(|error| error.to_string())?;
        let mut names: Vec<String> = fs::read_dir(out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn scripts_folders_and_manifests_each_give_a_migration() {
        let root = folder(&[
            "s/0001_Add Price.py",
            "s/0002.add--tags.mjs",
            "s/__init__.py",
            "s/README.md",
            "s/cars.csv",
            "s/0003-move/main.py",
            "s/0003-move/tool.py",
            "s/0004-with-data/load.py",
            "s/0004-with-data/cars.csv",
            "s/0007/base/migration.yaml",
            "s/0007/base/main.py",
            "s/.git/hook.sh",
            "s/node_modules/x/index.js",
            "s/2025/005_a.py",
            "s/2025/006_b.py",
        ]);
        let expected = [
            "0001-add-price",
            "0002-add-tags",
            "0003-move",
            "0004-with-data",
            "0007-from-manifest",
            "2025-005-a",
            "2025-006-b",
        ];
        let expected: Vec<String> = expected.iter().map(|name| format!("{name}.yaml")).collect();
        assert_eq!(run(root.path(), "ROOT/s --target production"), Ok(expected.clone()));
        // Once more, and by two ways: nothing else comes of it.
        assert_eq!(run(root.path(), "ROOT/s ROOT/s/0003-move --target production"), Ok(expected));
        let text = fs::read_to_string(root.path().join("out/0007-from-manifest.yaml")).unwrap();
        let read: dm_api::DataMigration = serde_saphyr::from_str(&text).unwrap();
        assert!(read.spec.baseline && read.spec.script.is_none() && read.spec.dry_run);
        assert_eq!(read.spec.target.name, "production");
        assert_eq!(read.spec.description.as_deref(), Some("Said there."));
        let differs = run(root.path(), "ROOT/s --target staging").unwrap_err();
        assert!(differs.contains("exists and differs; nothing was written"), "{differs}");
    }

    #[test]
    fn a_manifest_with_names_that_the_api_server_rejects_is_said() {
        for (metadata, target, field) in [
            ("{name: A_b}", "t", "metadata.name \"A_b\""),
            ("{name: a, namespace: a.b}", "t", "metadata.namespace \"a.b\""),
            ("{name: a}", "T", "spec.target.name \"T\""),
        ] {
            let root = tempfile::tempdir().unwrap();
            let text = format!(
                "apiVersion: datamigration.dev/v1alpha1\nkind: DataMigration\n\
                 metadata: {metadata}\nspec: {{target: {{name: {target}}}, baseline: true}}\n"
            );
            fs::write(root.path().join("migration.yaml"), text).unwrap();
            let error = run(root.path(), "ROOT").unwrap_err();
            assert!(error.contains(field) && error.contains("is not a valid name"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_named_is_said() {
        let check = |files: &[&str], line: &str, expected: &str| {
            let root = folder(files);
            let error = run(root.path(), line).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(&["s/a_b.py", "s/a-b.py"], "ROOT/s --target t", "both give the name a-b");
        check(&["s/a.py"], "ROOT/s", "names no target; give --target");
        check(&["s/a.csv"], "ROOT/s --target t", "has no script and no migration.yaml");
        check(&["s/ü.py"], "ROOT/s --target t", "gives no name");
        check(&["s/a.csv"], "ROOT/s/a.csv --target t", "a.csv is not a script");
        check(&["s/a.py"], "ROOT/s --target Prod", "invalid value 'Prod'");
        check(&["s/a.py"], "ROOT/s --target t --namespace a.b", "invalid value 'a.b'");
        check(&["s/a.py"], "ROOT/s --target t --prefix Älter", "invalid value 'Älter'");
        check(&["s/a.py"], "ROOT/none --target t", "reading the folder");
        let root = folder(&["s/ü.py"]);
        assert_eq!(
            run(root.path(), "ROOT/s --target t --prefix legacy"),
            Ok(vec!["legacy.yaml".to_owned()])
        );
    }
}
