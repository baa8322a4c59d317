//! Bounds that more than one process relies on, each with its reason. Nothing here computes.

use std::time::Duration;

/// How long the guard keeps waiting who asks whether it is paused, before it says that nothing
/// changed.
pub const PAUSED_ANSWER_MAX: Duration = Duration::from_secs(20);

/// Characters of an access key that a person chooses; shorter ones could be guessed by other users
/// of the machine.
pub const ACCESS_KEY_CHARS_MIN: usize = 16;

/// What a guard may need to stop: requests in work, journal, locks, ledger, uploads, cleaning. A
/// pod's grace period must not be shorter, or the kubelet ends it in the middle.
pub const GUARD_STOP_MAX: Duration = Duration::from_secs(100);

/// Most parts of a run. Each has a guard to ask, a journal to merge and a row of the run's status;
/// with one pod's rate (docs/design/performance.md) 64 of them are beyond a table's default quota
/// of 40,000 write units per second.
pub const PARTS_MAX: u32 = 64;

/// Failed items that a transform's report lists; the others are counted.
pub const FAILURES_LISTED_MAX: usize = 1000;

/// Keys of one kind of conflict that a restore names: enough to find the others like them. The
/// definition of `status` (src/api) has the same bound.
pub const CONFLICT_KEYS_MAX: usize = 5;

/// Items of each table that a dry run's result shows.
pub const SAMPLES_PER_TABLE_MAX: usize = 3;

/// Bytes of the beginning of a program's output that are kept.
pub const PROGRAM_LOG_HEAD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of each of the two last pieces of a program's output that are kept beyond its beginning.
/// With it they take at most 32 MiB of the pod's folder.
pub const PROGRAM_LOG_PIECE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Containers of a run's pod: those that prepare it, ask the ledger, guard the database, and run
/// the program.
pub const POD_CONTAINERS_MAX: usize = 4;

/// The kubelet keeps this many bytes of a container's termination message: at most 4,096, and of
/// all containers of a pod together 12 KiB, in equal shares (Kubernetes documentation, "Determine
/// the Reason for Pod Failure").
pub const TERMINATION_MESSAGE_BYTES_MAX: usize = 12 * 1024 / POD_CONTAINERS_MAX;
