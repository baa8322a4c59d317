//! Parts of the test bed that are built once per machine and kept in the cache under a key of their
//! recipe. A part is built beside its place and moved there whole, so a broken build is never used.

pub mod clients;
pub mod dynamodb;
pub mod golang;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Returns a part's folder, building it first if this machine has not got it.
pub fn cached(
    cache: &Path,
    kind: &str,
    name: &str,
    key: &str,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let place = cache.join(kind).join(format!("{name}-{key}"));
    if place.is_dir() {
        return Ok(place);
    }
    let unfinished = cache.join(kind).join(format!("{name}-{key}.unfinished"));
    fs::create_dir_all(&unfinished)
        .with_context(|| format!("making the folder {}", unfinished.display()))?;
    build(&unfinished)?;
    fs::rename(&unfinished, &place)
        .with_context(|| format!("moving what was built to {}", place.display()))?;
    Ok(place)
}
