//! A transform: its declaration and lookup files, checked before anything runs. Pure.

use dm_api::transform::{OnItemError, TransformSource};
use dm_contract::transform::{TRANSFORM_FILE, check_files};
use dm_transform::{Declaration, Transform};

use crate::identified::Target;
use crate::objects::digest;
use crate::runnable::{Files, FilesFound, Problem, Program};
use crate::validate::files::collect_files;
use crate::validate::problem::invalid_spec;

/// Returns what carries it out, the digest of that on its target, and the digest of that alone.
pub fn program(
    source: &TransformSource,
    on_item_error: OnItemError,
    target: &Target,
    found: &FilesFound,
) -> Result<(Program, String, String), Problem> {
    let mut files = match &source.config_map {
        Some(config_map) => collect_files("spec.transform.configMap", config_map, found)?,
        None => Files::new(),
    };
    let declaration = source.declaration(on_item_error).to_string().into_bytes();
    check_files(&files).map_err(invalid_spec)?;
    check(&declaration, &files)?;
    files.insert(TRANSFORM_FILE.into(), declaration);
    let digest = digest::of_transform(Some(target), &files);
    let identity = digest::of_transform(None, &files);
    Ok((Program::Transform { files }, digest, identity))
}

fn check(declaration: &[u8], files: &Files) -> Result<(), Problem> {
    let declaration = Declaration::from_json(declaration)
        .map_err(|error| invalid_spec(format!("spec.transform: {error}")))?;
    let files = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let files = dm_transform::Files::of(files);
    match Transform::parse(&declaration.transform, &files) {
        Ok(_) => Ok(()),
        Err(error) => Err(invalid_spec(error.in_spec())),
    }
}
