//! Processes that the program has started and that still run when it has ended. They end with its
//! container, in the middle of what they do.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use dm_contract::report::LeftRunning;
use rustix::process::WaitOptions;

use crate::limits::{LEFT_CHECK, LEFT_NAMED_MAX, LEFT_WAIT};

/// A process as `/proc/PID/stat` has it (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// The name of its program, up to 15 bytes. Its arguments may contain values.
    name: String,
    /// Whether it has ended, and only waits for its parent to take note of that.
    has_ended: bool,
}

/// Waits a moment for the program's processes to end, and returns those that did not. What a signal
/// ends that came with the end of the pod has not ended by itself.
pub fn left_running(asked_to_end: &AtomicBool) -> io::Result<Option<LeftRunning>> {
    let until = Instant::now() + LEFT_WAIT;
    let mut found = None;
    loop {
        reap();
        let now = descendants(&processes()?, std::process::id());
        let is_asked = asked_to_end.load(Ordering::SeqCst);
        match now {
            None if is_asked => return Ok(found),
            None => return Ok(None),
            Some(left) if is_asked || Instant::now() >= until => return Ok(Some(left)),
            Some(left) => found = Some(left),
        }
        thread::sleep(LEFT_CHECK);
    }
}

/// Takes note of the orphans that have ended.
fn reap() {
    while matches!(rustix::process::wait(WaitOptions::NOHANG), Ok(Some(_))) {}
}

/// All processes of this namespace by their ids.
fn processes() -> io::Result<BTreeMap<u32, Process>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since the folder was listed.
        let Ok(stat) = fs::read(format!("/proc/{id}/stat")) else { continue };
        if let Some(process) = parse(&String::from_utf8_lossy(&stat)) {
            all.insert(id, process);
        }
    }
    Ok(all)
}

/// Reads `PID (NAME) STATE PARENT …`, whose name may contain anything.
fn parse(stat: &str) -> Option<Process> {
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Process { parent, name, has_ended: matches!(state, "Z" | "X" | "x") })
}

/// Those that run and descend from this one. Orphans are its children. Processes of others, as of
/// `kubectl exec`, have a parent outside.
fn descendants(all: &BTreeMap<u32, Process>, own: u32) -> Option<LeftRunning> {
    let descends = |process: &Process| {
        let chain = std::iter::successors(Some(process), |one| all.get(&one.parent));
        // No chain of parents is longer, and one that was read while it changed may be a ring.
        chain.take(all.len()).any(|one| one.parent == own)
    };
    let running = all.values().filter(|one| !one.has_ended && descends(one));
    let names: Vec<&str> = running.map(|one| one.name.as_str()).collect();
    let first = names.iter().take(LEFT_NAMED_MAX).map(|name| (*name).to_owned());
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
    (count > 0).then(|| LeftRunning { count, names: first.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(stat: &str) -> (u32, Process) {
        let id = stat.split(' ').next().unwrap().parse().unwrap();
        (id, parse(stat).unwrap())
    }

    #[test]
    fn running_descendants_are_found_and_others_are_not() {
        let check = |stats: &[&str], expected: &[&str]| {
            let all: BTreeMap<_, _> = stats.iter().map(|stat| process(stat)).collect();
            let found = descendants(&all, 1);
            let names = found.map(|found| (found.count as usize, found.names)).unwrap_or_default();
            assert_eq!(names.1, expected, "{stats:?}");
            assert_eq!(names.0, expected.len());
        };
        check(&["1 (entry) S 0 1"], &[]);
        check(&["1 (entry) S 0 1", "9 (python) S 1 9"], &["python"]);
        check(&["1 (entry) S 0 1", "9 (sh) S 1 9", "10 (sleep) T 9 9"], &["sh", "sleep"]);
        // One that has ended, and one whose parent has ended and is not seen any more.
        check(&["1 (entry) S 0 1", "9 (sh) Z 1 9", "10 (a) S 11 9"], &[]);
        // What a person runs by `kubectl exec` comes from outside.
        check(&["1 (entry) S 0 1", "20 (bash) S 0 20", "21 (ps) R 20 20"], &[]);
        check(&["1 (entry) S 0 1", "9 (a) b) (c) R 1 9"], &["a) b) (c"]);
        // Read while ids were used again.
        check(&["1 (entry) S 0 1", "8 (a) S 9 8", "9 (b) S 8 8"], &[]);
    }

    #[test]
    fn what_is_no_process_is_left_out() {
        for stat in ["", "9", "9 (a", "9 (a)", "9 (a) S", "9 (a) S x", "9 a S 1"] {
            assert_eq!(parse(stat), None, "{stat}");
        }
    }

    #[test]
    fn all_processes_can_be_listed() {
        let all = processes().unwrap();
        assert!(!all[&std::process::id()].has_ended);
    }
}
