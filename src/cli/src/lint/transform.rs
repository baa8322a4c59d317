//! What is wrong with a transform: its declaration, its fit to the tables of the seed, and what
//! other readers of YAML make of its manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dm_api::transform::TransformSource;
use dm_dynamodb::schema::TableSchema;
use dm_transform::Transform;

use super::Finding;
use super::lines::{line_of, line_of_field};
use crate::folder::Folder;
use crate::seed::{SEED_FILE, Seed};
use crate::work::{self, Kind};

/// Words that YAML 1.1 reads as truth values, and kubectl with it.
const TRUTH_WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];

/// Returns what is wrong with the transform of a folder with this seed.
pub fn findings(folder: &Folder, seed: &Path, source: &TransformSource) -> Vec<Finding> {
    let manifest = &folder.manifest;
    let mut found = truth_words(manifest);
    // It is read as `run` reads it.
    let transform = match work::of_transform(folder, source) {
        Ok(Kind::Transform { transform, .. }) => transform,
        Ok(Kind::Script { .. }) => return found,
        Err(error) => {
            let message = error.to_string();
            let line = line_of_field(manifest, &message);
            found.push(Finding::error(manifest, line, message));
            return found;
        }
    };
    if source.delete && source.filter.is_none() {
        let message = format!(
            "spec.transform.delete: without filter, every item of {} is deleted",
            source.table
        );
        found.push(Finding::warning(manifest, line_of(manifest, "delete"), message));
    }
    if let Ok(seed) = Seed::read(seed) {
        found.extend(unfit(manifest, &transform, &seed.schemas()));
    }
    found
}

/// What does not fit the tables of the seed.
fn unfit(
    manifest: &Path,
    transform: &Transform,
    tables: &BTreeMap<String, TableSchema>,
) -> Option<Finding> {
    let names = [("table", Some(&transform.table)), ("to.table", transform.to.as_ref())];
    for (field, name) in names.into_iter().filter_map(|(field, name)| Some((field, name?))) {
        if !tables.contains_key(name) {
            let message = format!(
                "spec.transform.{field}: {SEED_FILE} has no table {name}, so `datamigration run` \
                 cannot run the transform"
            );
            return Some(Finding::warning(manifest, line_of_field(manifest, &message), message));
        }
    }
    let to = transform.to.as_ref().and_then(|name| tables.get(name));
    let error = transform.check_tables(tables.get(&transform.table)?, to).err()?;
    let message = error.in_spec();
    Some(Finding::error(manifest, line_of_field(manifest, &message), message))
}

/// Members that are named with a bare word such as `n`. Their text is searched: a parsed manifest
/// no longer has quotes.
fn truth_words(manifest: &Path) -> Vec<Finding> {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let transform = text.lines().enumerate().skip_while(|(_, line)| !line.contains("transform:"));
    let mut found = Vec::new();
    for (at, line) in transform {
        let members = line.split(['{', ',']).filter_map(|part| part.split_once(':'));
        for (name, _) in members {
            let name = name.trim();
            if TRUTH_WORDS.contains(&name.to_ascii_lowercase().as_str()) {
                let message = format!(
                    "kubectl reads the bare word {name} as a truth value; write \"{name}\" with \
                     quotes"
                );
                found.push(Finding::error(manifest, at + 1, message));
            }
        }
    }
    found
}
