//! What a guard knows of those before it in the same pod: files in a folder that outlives the
//! container but not the pod.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use dm_contract::control::ControlState;
use dm_contract::plan::RateLimits;
use dm_engine::Start;
use serde::{Deserialize, Serialize};

use crate::run::Run;

/// Name of the file.
const MARKER: &str = "guard-started";

/// Name of the file that names this guard as the holder of locks.
const HOLDER: &str = "lock-holder";

/// Name of the file with the last settings from the control.
const ASKED: &str = "control.json";

/// The last settings that the control received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    paused: bool,
    limits: RateLimits,
}

/// Stores the settings that the control received, so that a guard that is restarted in the middle
/// of a pause lets nothing through, and goes no faster than the one before.
pub fn keep_control(state_dir: &Path, control: &ControlState) -> io::Result<()> {
    let asked = Asked { paused: control.paused, limits: control.limits.clone() };
    let (file, whole) = (state_dir.join(ASKED), state_dir.join(format!("{ASKED}.new")));
    std::fs::write(&whole, serde_json::to_vec(&asked)?)?;
    std::fs::rename(whole, file)
}

/// Loads the settings that the previous guard's control received, if any.
pub fn take_up_control(state_dir: &Path, run: &Run) -> io::Result<()> {
    let kept = match std::fs::read(state_dir.join(ASKED)) {
        Ok(kept) => kept,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let asked: Asked = serde_json::from_slice(&kept)?;
    run.set_rates(&asked.limits);
    if asked.paused {
        run.pause(true);
    }
    tracing::info!(asked.paused, ?asked.limits, "keeps the limits and the pause of the guard \
                                                 before it");
    Ok(())
}

/// The name under which this guard holds locks, and under which one that is started again in the
/// same pod holds them still.
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
    let holder = dm_engine::archive::locks::fresh_holder();
    std::fs::write(file, &holder)?;
    Ok(holder)
}

/// Whether a guard before this one served in the same pod. One that did not come so far has lost
/// nothing: no request reached it.
pub fn served(state_dir: &Path) -> io::Result<Start> {
    let before = state_dir.join(MARKER).try_exists()?;
    Ok(if before { Start::Again } else { Start::First })
}

/// Notes that a guard serves, before it accepts the first connection. The mark is never deleted: a
/// guard that ended, well or not, has lost what it held, and the kubelet restarts a sidecar while
/// the program runs.
pub fn mark_served(state_dir: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).open(state_dir.join(MARKER))?;
    Ok(())
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

    #[test]
    fn only_a_guard_that_served_is_missed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(served(folder.path()).unwrap(), Start::First);
        assert_eq!(served(folder.path()).unwrap(), Start::First, "asking marks nothing");
        for _ in 0..2 {
            mark_served(folder.path()).unwrap();
            assert_eq!(served(folder.path()).unwrap(), Start::Again);
        }
    }
}
