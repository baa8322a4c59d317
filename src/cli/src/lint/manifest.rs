//! What is wrong with a manifest. Lines are found by their text: a parsed manifest has none.

use std::fs;
use std::path::Path;

use crate::folder::{Folder, FolderError};
use crate::work;

use super::Finding;

/// A folder whose manifest cannot be used at all.
pub fn unreadable(path: &Path, error: &FolderError) -> Finding {
    let message = dm_contract::error_chain::chain(error);
    match error {
        FolderError::Yaml { path, source, .. } => {
            let line = source.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1));
            Finding::error(path, line, message)
        }
        FolderError::Io { path, .. } => Finding::error(path, 1, message),
        FolderError::NoManifest(_) | FolderError::Outside(_) => Finding::error(path, 1, message),
    }
}

/// What is wrong with the manifest of a folder that was asked for by this path.
pub fn findings(folder: &Folder, path: &Path) -> Vec<Finding> {
    let (spec, manifest) = (&folder.migration.spec, &folder.manifest);
    let mut found = Vec::new();
    let name = folder.migration.metadata.name.as_deref().unwrap_or_default();
    let of_folder = fs::canonicalize(path).ok().filter(|path| path.is_dir());
    let of_folder = of_folder.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    if name.is_empty() {
        found.push(Finding::error(
            manifest,
            line_of(manifest, "metadata"),
            "metadata.name is missing",
        ));
    } else if let Some(of_folder) = of_folder.filter(|of_folder| of_folder != name) {
        let message = format!("metadata.name is {name}, and the folder is called {of_folder}");
        found.push(Finding::warning(manifest, line_of(manifest, "name"), message));
    }
    let image = match (&spec.script, &spec.container, &spec.transform) {
        (Some(script), None, None) => &script.image,
        (None, Some(container), None) => &container.image,
        (None, None, Some(source)) => {
            // The transform itself is read as `run` reads it.
            if let Err(error) = work::of_transform(folder, source) {
                let line = line_of(manifest, "transform");
                found.push(Finding::error(manifest, line, error.to_string()));
            }
            return found;
        }
        _ => {
            let message = "spec: give exactly one source: script, container or transform";
            found.push(Finding::error(manifest, line_of(manifest, "spec"), message));
            return found;
        }
    };
    if !image.contains("@sha256:") {
        let message = format!(
            "image {image} has no digest, so what is applied may differ from what was tried; pin it as \
             IMAGE@sha256:… here or in kustomize's images"
        );
        found.push(Finding::warning(manifest, line_of(manifest, "image"), message));
    }
    found
}

/// The first line of a file with this YAML member, or 1.
pub fn line_of(file: &Path, member: &str) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    let has = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        let rest = line.strip_prefix(member).or_else(|| {
            // Within braces, as in `{name: x}`.
            line.split(['{', ',']).find_map(|part| part.trim_start().strip_prefix(member))
        });
        rest.is_some_and(|rest| rest.starts_with(':'))
    };
    text.lines().position(has).map_or(1, |at| at + 1)
}
