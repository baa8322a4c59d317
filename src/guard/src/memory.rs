//! How much memory requests and their answers may take at once, by the limit of this process's
//! container. A further request waits; one that would take more than there is for all waits until
//! it is alone.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::limits;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Room for requests: for their bodies while they come, for what is made of them, and for their
/// answers until these are sent.
#[derive(Debug)]
pub struct Memory {
    bodies: Room,
    trees: Room,
    answers: Room,
}

#[derive(Debug)]
struct Room {
    kib: Arc<Semaphore>,
    kib_max: u32,
}

/// What a request holds of it; free again when dropped.
#[derive(Debug)]
pub struct Held(OwnedSemaphorePermit);

impl Held {
    /// Gives back what is held beyond this many bytes.
    #[must_use]
    pub fn shrunk_to(self, bytes: usize) -> Self {
        let Self(mut all) = self;
        let kept = all.split(kib(bytes) as usize);
        Self(kept.unwrap_or(all))
    }
}

impl Memory {
    pub fn of_this_process() -> Self {
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::within(limit(&cgroups, Path::new("/sys/fs/cgroup")))
    }

    fn within(limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(limits::MEMORY_ASSUMED_BYTES);
        let left = limit.saturating_sub(limits::MEMORY_RESERVED_BYTES);
        let answers = left / 7 * 2;
        let requests = left - answers;
        let requests =
            requests.clamp(limits::REQUEST_MEMORY_BYTES_MIN, limits::REQUEST_MEMORY_BYTES_MAX);
        let answers =
            answers.clamp(limits::ANSWER_MEMORY_BYTES_MIN, limits::REQUEST_MEMORY_BYTES_MAX);
        Self {
            bodies: Room::of(requests / 3),
            trees: Room::of(requests - requests / 3),
            answers: Room::of(answers),
        }
    }

    /// Waits for room for a body of this many bytes.
    pub async fn body(&self, bytes: usize) -> Result<Held, AcquireError> {
        self.bodies.take(bytes).await
    }

    /// Waits for room for what is made of a body.
    pub async fn tree(&self, bytes: usize) -> Result<Held, AcquireError> {
        self.trees.take(bytes).await
    }

    /// Waits for room for an answer and what it is made of.
    pub async fn answer(&self, bytes: usize) -> Result<Held, AcquireError> {
        self.answers.take(bytes).await
    }
}

impl Room {
    fn of(bytes: u64) -> Self {
        let kib_max = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).max(1);
        Self { kib: Arc::new(Semaphore::new(kib_max as usize)), kib_max }
    }

    async fn take(&self, bytes: usize) -> Result<Held, AcquireError> {
        let kib = kib(bytes).min(self.kib_max);
        Arc::clone(&self.kib).acquire_many_owned(kib).await.map(Held)
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// What a request takes while it is carried out: copies of its text, and items as values, of which
/// there are this many at once.
pub fn cost(body: &[u8], copies: usize) -> usize {
    // A value, or an attribute's name and value, begins at one of these. In text they count too
    // much.
    let nodes = body.iter().filter(|byte| matches!(byte, b'{' | b'[' | b',')).count();
    body.len() * limits::REQUEST_TEXT_COPIES + nodes * copies * limits::VALUE_NODE_BYTES
}

/// The lowest limit of memory of the groups that a process is in (cgroup v2, or v1).
fn limit(cgroups: &str, mounted: &Path) -> Option<u64> {
    let groups = cgroups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        match controllers {
            "" => Some((mounted.to_owned(), "memory.max", path)),
            v1 if v1.split(',').any(|one| one == "memory") => {
                Some((mounted.join("memory"), "memory.limit_in_bytes", path))
            }
            _ => None,
        }
    });
    let limits = groups.flat_map(|(root, file, path)| {
        // In a container the path may be one of the machine, where only the root is seen.
        let path = path.trim_start_matches('/');
        let folders = Path::new(path).ancestors().map(|group| root.join(group));
        folders.filter_map(|folder| of_file(&folder.join(file))).collect::<Vec<u64>>()
    });
    limits.min()
}

/// `max`, or in v1 a number beyond any machine's memory, is no limit.
fn of_file(file: &Path) -> Option<u64> {
    let bytes: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (bytes < 1 << 60).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        root
    }

    fn check(cgroups: &str, files: &[(&str, &str)], expected: Option<u64>) {
        let root = mounted(files);
        assert_eq!(limit(cgroups, root.path()), expected, "{cgroups} {files:?}");
    }

    #[test]
    fn the_lowest_limit_of_a_container_counts() {
        check("0::/\n", &[("memory.max", "805306368\n")], Some(805_306_368));
        check(
            "0::/pod/guard\n",
            &[("pod/guard/memory.max", "max\n"), ("pod/memory.max", "1000")],
            Some(1000),
        );
        check("0::/../../elsewhere\n", &[("memory.max", "2000")], Some(2000));
        check("0::/\n", &[("memory.max", "max\n")], None);
        let v1 = "12:pids:/pod\n5:cpu,memory:/pod\n0::/\n";
        check(v1, &[("memory/memory.limit_in_bytes", "3000\n")], Some(3000));
        check(v1, &[("memory/pod/memory.limit_in_bytes", "9223372036854771712\n")], None);
        check("", &[("memory.max", "1")], None);
    }

    #[tokio::test]
    async fn large_requests_come_one_after_the_other_and_small_ones_beside_them() {
        let memory = Memory::within(Some(0));
        let all = usize::try_from(limits::REQUEST_MEMORY_BYTES_MIN).unwrap();
        let waits = async |bytes| {
            tokio::time::timeout(Duration::from_millis(5), memory.tree(bytes)).await.is_err()
        };
        let small = memory.tree(1000).await.unwrap();
        assert!(waits(10 * all).await && !waits(1000).await);
        drop(small);
        let large = memory.tree(10 * all).await.unwrap();
        assert!(waits(1).await);
        drop(large);
        assert!(!waits(1).await);
    }

    #[tokio::test]
    async fn what_is_held_for_an_answer_shrinks_to_its_size() {
        let memory = Memory::within(Some(0));
        let all = usize::try_from(limits::ANSWER_MEMORY_BYTES_MIN).unwrap();
        let waits = async |bytes| {
            tokio::time::timeout(Duration::from_millis(5), memory.answer(bytes)).await.is_err()
        };
        let held = memory.answer(10 * all).await.unwrap();
        assert!(waits(1).await);
        let held = held.shrunk_to(all / 2);
        assert!(!waits(all / 2).await && waits(all / 2 + 1024).await);
        let held = held.shrunk_to(all);
        assert!(waits(all / 2 + 1024).await, "nothing more is held than before, nor less");
        drop(held);
        assert!(!waits(all).await);
    }

    #[test]
    fn a_list_of_small_maps_costs_many_times_its_text() {
        let text = "{\"M\":{\"a\":{\"N\":\"1\"}}},".repeat(1000);
        assert!(cost(text.as_bytes(), 5) > 25 * text.len());
        let long = format!("{{\"S\":\"{}\"}}", "x".repeat(100_000));
        assert!(cost(long.as_bytes(), 5) < 7 * long.len());
    }
}
