//! What a script's source means: which keys become which files, and which file is run. Pure; the
//! same in the cluster and on a laptop.

use std::collections::BTreeMap;
use std::fmt;

use crate::files::FilesConfigMap;
use crate::migration::Script;

/// The files of a script, by their path in the program's folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is wrong with a script's files, by the field's name, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesProblem(String);

impl fmt::Display for FilesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FilesProblem {}

/// Returns the files of a ConfigMap's keys under their paths. `field` is where the spec names it.
pub fn lay_out(
    field: &str,
    config_map: &FilesConfigMap,
    keys: &Files,
) -> Result<Files, FilesProblem> {
    if config_map.items.is_empty() {
        return Ok(keys.clone());
    }
    let mut files = Files::new();
    for (index, item) in config_map.items.iter().enumerate() {
        let field = format!("{field}.items[{index}]");
        let Some(bytes) = keys.get(&item.key) else {
            return Err(FilesProblem(format!(
                "{field}.key: ConfigMap {} has no key {}; it has {}",
                config_map.name,
                item.key,
                list(keys)
            )));
        };
        if files.insert(item.path.clone(), bytes.clone()).is_some() {
            return Err(FilesProblem(format!("{field}.path: {} is given twice", item.path)));
        }
    }
    Ok(files)
}

/// The file to run: the one named, or the only one, or the only one called `main`.
pub fn file_to_run(script: &Script, files: &Files) -> Result<String, FilesProblem> {
    if let Some(file) = &script.file {
        return files.contains_key(file).then(|| file.clone()).ok_or_else(|| {
            FilesProblem(format!(
                "spec.script.file: there is no file {file}; there are {}",
                list(files)
            ))
        });
    }
    let stem = |path: &str| path.split_once('.').map_or(path, |(stem, _)| stem).to_owned();
    let mains: Vec<&String> = files.keys().filter(|path| stem(path) == "main").collect();
    match (files.len(), mains.as_slice()) {
        (0, _) => Err(FilesProblem(format!(
            "spec.script.configMap: ConfigMap {} has no files",
            script.config_map.name
        ))),
        (1, _) => Ok(files.keys().next().cloned().unwrap_or_default()),
        (_, [main]) => Ok((*main).clone()),
        (_, _) => Err(FilesProblem(format!(
            "spec.script.file: say which file to run, or name it main with a suffix; there are {}",
            list(files)
        ))),
    }
}

/// A few names for a message; not all of a long list.
fn list(files: &Files) -> String {
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    match names.as_slice() {
        [] => "none".into(),
        all if all.len() <= 10 => all.join(", "),
        all => format!("{} and {} more", all[..10].join(", "), all.len() - 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileItem;

    const FIELD: &str = "spec.script.configMap";

    fn script(file: Option<&str>, items: &[(&str, &str)]) -> Script {
        let item =
            |(key, path): &(&str, &str)| FileItem { key: (*key).into(), path: (*path).into() };
        Script {
            config_map: FilesConfigMap {
                name: "files".into(),
                items: items.iter().map(item).collect(),
            },
            file: file.map(Into::into),
            image: "image".into(),
            command: vec![],
            args: vec![],
            env: vec![],
            image_pull_policy: None,
        }
    }

    fn config_map(items: &[(&str, &str)]) -> FilesConfigMap {
        script(None, items).config_map
    }

    fn files(names: &[&str]) -> Files {
        names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect()
    }

    fn check(file: Option<&str>, names: &[&str], expected: &str) {
        let found = file_to_run(&script(file, &[]), &files(names));
        let found = found.unwrap_or_else(|problem| problem.to_string());
        assert!(found.starts_with(expected), "{names:?}: {found}");
    }

    #[test]
    fn the_file_to_run_is_named_or_the_only_one_or_main() {
        check(Some("a.py"), &["a.py", "b.py"], "a.py");
        check(None, &["a.py"], "a.py");
        check(None, &["a.py", "main.py"], "main.py");
        check(None, &["a", "main"], "main");
        check(None, &["main.js", "main.py"], "spec.script.file: say which file to run");
        check(None, &["a.py", "b.py"], "spec.script.file: say which file to run");
        check(None, &[], "spec.script.configMap: ConfigMap files has no files");
        check(Some("c.py"), &["a.py"], "spec.script.file: there is no file c.py; there are a.py");
    }

    #[test]
    fn keys_become_files_by_their_items() {
        let laid_out =
            lay_out(FIELD, &config_map(&[("a", "x/a.py")]), &files(&["a", "b"])).unwrap();
        assert_eq!(laid_out, BTreeMap::from([("x/a.py".to_owned(), b"a".to_vec())]));
        assert_eq!(lay_out(FIELD, &config_map(&[]), &files(&["a"])).unwrap(), files(&["a"]));
        let missing = lay_out(FIELD, &config_map(&[("c", "c")]), &files(&["a"])).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "spec.script.configMap.items[0].key: ConfigMap files has no key c; it has a"
        );
        let twice = lay_out(FIELD, &config_map(&[("a", "x"), ("b", "x")]), &files(&["a", "b"]));
        assert!(twice.unwrap_err().to_string().ends_with("items[1].path: x is given twice"));
    }
}
