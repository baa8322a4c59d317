//! Every bound of the entry program, with its reason.

use std::time::Duration;

/// Lines of output kept for the result: a traceback's end, not its whole.
pub const LAST_LINES_MAX: usize = 20;

/// Bytes of all kept lines together, so that the result fits the termination message.
pub const LAST_LINES_BYTES_MAX: usize = 2048;

/// Bytes of one kept line. A longer one is cut at its end: its beginning says what it is.
pub const LINE_BYTES_MAX: usize = 512;

/// Bytes of one line held while it is read: more than [`LINE_BYTES_MAX`], as colour codes go.
pub const RAW_LINE_BYTES_MAX: usize = 1024;

/// Bytes passed on at once: the capacity of a pipe on Linux.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// How long the output is waited for after the program ended. A grandchild that keeps the pipe open
/// must not hold the run; what the program itself wrote is in the pipe and read in much less.
pub const DRAIN_WAIT: Duration = Duration::from_secs(2);

/// How long processes that the program has started may outlive it: a helper that ends with its
/// parent, as Python's resource tracker, takes some milliseconds.
pub const LEFT_WAIT: Duration = Duration::from_secs(2);

/// Between two looks at them.
pub const LEFT_CHECK: Duration = Duration::from_millis(20);

/// Processes that the result names. It counts all.
pub const LEFT_NAMED_MAX: usize = 5;

/// Bytes of a start error in the result: names of files may be 4 KiB long.
pub const START_ERROR_BYTES_MAX: usize = 1024;

/// Bytes of a script's first line that are read: Linux's own bound (`BINPRM_BUF_SIZE`).
pub const SHEBANG_BYTES_MAX: usize = 256;

/// Depth of folders in the program's files. A ConfigMap's `items` give a few; a loop of links gives
/// as many as one likes.
pub const FILES_DEPTH_MAX: usize = 32;

/// Files that are compared before and after a program: those of a base image, and more.
pub const FILES_COMPARED_MAX: usize = 100_000;

/// Bytes of a program's own files that are held to be restored: a ConfigMap has at most 1 MiB
/// (Kubernetes documentation, "ConfigMaps"), and some are in more than one place.
pub const FILES_KEPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long the guard may take to say whether it is paused: it answers when that changes, and after
/// 20 seconds in any case (`dm_contract::limits::PAUSED_ANSWER_MAX`).
pub const GUARD_PAUSED_MAX: Duration = Duration::from_secs(30);

/// Pause after a guard that did not answer: it is being started again.
pub const GUARD_RETRY: Duration = Duration::from_secs(1);

/// How long a guard may be away while it carries out a transform: the kubelet waits up to five
/// minutes before it starts a container again (Kubernetes documentation, "Pod Lifecycle").
pub const GUARD_AWAY_MAX: Duration = Duration::from_secs(10 * 60);

/// How long the guard may take to take an order in: it reads the files and checks the transform.
pub const GUARD_ORDER_MAX: Duration = Duration::from_secs(30);

/// Bytes of what the guard says of a transform: a summary, and ten items that failed with their
/// keys.
pub const GUARD_STATE_BYTES_MAX: u64 = 256 * 1024;

/// From the end of a pause until the program continues: a database answers what was held in less.
pub const RESUME_AFTER: Duration = Duration::from_millis(500);

/// How long the guard may take to say that a second pass begins: it answers from memory.
pub const GUARD_ANSWER_MAX: Duration = Duration::from_secs(5);

/// Bytes of that answer: a head and a sentence.
pub const GUARD_ANSWER_BYTES_MAX: u64 = 4096;
