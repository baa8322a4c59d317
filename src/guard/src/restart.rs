//! Knows whether this guard is the first of its run: a file in a folder that outlives the
//! container but not the pod.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use dm_engine::Start;

/// Name of the file.
const MARKER: &str = "guard-started";

/// Name of the file that names this guard as the holder of locks.
const HOLDER: &str = "lock-holder";

/// The name under which this guard holds locks, and under which one that is started again in the same
/// pod holds them still.
pub fn holder(state_dir: &Path) -> io::Result<String> {
    let file = state_dir.join(HOLDER);
    match std::fs::read_to_string(&file) {
        Ok(holder) if !holder.is_empty() => Ok(holder),
        Ok(_) => fresh(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fresh(&file),
        Err(error) => Err(error),
    }
}

fn fresh(file: &Path) -> io::Result<String> {
    let holder = dm_engine::table_lock::fresh_holder();
    std::fs::write(file, &holder)?;
    Ok(holder)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_keeps_its_name_and_another_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = holder(one.path()).unwrap();
        assert_eq!(holder(one.path()).unwrap(), name);
        assert_ne!(holder(other.path()).unwrap(), name);
    }
}
