//! Knows whether this guard is the first of its run: a file in a folder that outlives the
//! container but not the pod.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use dm_engine::Start;

/// Name of the file.
const MARKER: &str = "guard-started";

/// Marks the start. The mark is never taken away: a guard that ended, well or not, has lost what
/// it held, and the kubelet starts a sidecar again while the program runs.
pub fn mark(state_dir: &Path) -> io::Result<Start> {
    let created = OpenOptions::new().write(true).create_new(true).open(state_dir.join(MARKER));
    match created {
        Ok(_) => Ok(Start::First),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Start::Again),
        Err(error) => Err(error),
    }
}
