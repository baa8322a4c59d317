//! `datamigration-entry transform`: has the guard carry out a transform, waits for its end, and
//! ends as a program would have that did the same.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use dm_contract::transform::{ORDER_VERSION, TransformOrder};

use crate::args::TransformArgs;
use crate::guard::{Guard, GuardError};
use crate::limits::{FILES_DEPTH_MAX, GUARD_AWAY_MAX, GUARD_RETRY};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// A file of the folder.
    #[error("reading {0}")]
    File(PathBuf, #[source] io::Error),
    #[error("{0} has more folders in each other than a ConfigMap's files make")]
    Depth(PathBuf),
    #[error(transparent)]
    Guard(#[from] GuardError),
}

/// Has the transform carried out, and returns its exit code.
pub fn transform(args: &TransformArgs) -> Result<u8, TransformError> {
    let guard = Guard::at(&args.guard)?;
    let mut files = BTreeMap::new();
    collect(&args.dir, &args.dir, FILES_DEPTH_MAX, &mut files)?;
    let order = TransformOrder { version: ORDER_VERSION, files };
    // Text and a number: nothing that JSON cannot hold.
    let order = serde_json::to_string(&order).unwrap_or_default();
    let mut away_since = None;
    let mut begun = false;
    loop {
        let asked = if begun {
            guard.transform_state()
        } else {
            guard.begin_transform(&order).map(|()| None)
        };
        match asked {
            Ok(state) => {
                begun = true;
                away_since = None;
                if let Some((state, code)) =
                    state.and_then(|state| state.exit_code.map(|code| (state.lines, code)))
                {
                    for line in &state {
                        println!("{line}");
                    }
                    return Ok(code);
                }
            }
            // A guard that was started again knows of no transform.
            Err(GuardError::NoTransform) => begun = false,
            Err(error @ (GuardError::Address(_) | GuardError::Refused(_))) => {
                return Err(error.into());
            }
            Err(error @ GuardError::Connection(_)) => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > GUARD_AWAY_MAX {
                    return Err(error.into());
                }
                thread::sleep(GUARD_RETRY);
            }
        }
    }
}

/// The files of a folder by their paths in it.
fn collect(
    root: &Path,
    folder: &Path,
    depth: usize,
    found: &mut BTreeMap<String, String>,
) -> Result<(), TransformError> {
    if depth == 0 {
        return Err(TransformError::Depth(folder.to_owned()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| TransformError::File(path, error)
    };
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.is_dir() {
            collect(root, &path, depth - 1, found)?;
            continue;
        }
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        let name = path.strip_prefix(root).unwrap_or(&path);
        found.insert(name.to_string_lossy().into_owned(), text);
    }
    Ok(())
}
