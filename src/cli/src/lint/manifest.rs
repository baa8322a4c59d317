//! What is wrong with a manifest.

use std::fs;
use std::path::Path;

use crate::fields::WrongField;
use crate::folder::{Folder, FolderError};

use super::Finding;
use super::lines::{line_of, line_of_field};

/// A folder whose manifest cannot be used at all.
pub fn unreadable(path: &Path, error: &FolderError) -> Vec<Finding> {
    let message = dm_contract::error_chain::chain(error);
    vec![match error {
        FolderError::Fields { path, wrong } => {
            let finding = |wrong: &WrongField| {
                Finding::error(path, line_of_field(path, &wrong.path), wrong.to_string())
            };
            return wrong.iter().map(finding).collect();
        }
        FolderError::Yaml { path, error, .. } => {
            let line = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1));
            Finding::error(path, line, message)
        }
        FolderError::Io { path, .. } => Finding::error(path, 1, message),
        FolderError::NoManifest(_) | FolderError::Outside(_) | FolderError::NoGenerator { .. } => {
            Finding::error(path, 1, message)
        }
    }]
}

/// What is wrong with the manifest of a folder that was asked for by this path.
pub fn findings(folder: &Folder, path: &Path, seed: &Path) -> Vec<Finding> {
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
            found.extend(super::transform::findings(folder, seed, source));
            return found;
        }
        _ => {
            let message = "spec: give exactly one source: script, container or transform";
            found.push(Finding::error(manifest, line_of(manifest, "spec"), message));
            return found;
        }
    };
    if !image.contains("@sha256:") && !folder.pins(image) {
        let message = format!(
            "image {image} has no digest, so an apply may run an image that differs from the dry \
             run's; pin it as IMAGE@sha256:… here or with `digest` in the kustomization's images"
        );
        found.push(Finding::warning(manifest, line_of(manifest, "image"), message));
    }
    found
}
