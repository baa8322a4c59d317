//! Bounds of a run, each with its reason.

use std::time::Duration;

/// Segments that are scanned at the same time. Each waits for the writes of its page before the
/// last, so a few keep the writers busy.
pub const SCANNERS: usize = 8;

/// Most writes under way. At 5 ms for a journaled write that is some 12,000 per second, above what
/// a new on-demand table takes.
pub const WRITERS: usize = 64;

/// Items that wait for a writer. A few pages of small items; a scan that is far ahead of its writes
/// reads items that are out of date when their turn comes.
pub const QUEUE_ITEMS_MAX: usize = 512;

/// Bytes of the items that wait for a writer or are being written, as text. Their values, before
/// and after, take up to ten times that.
pub const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of one segment to aim at: 16 pages of a scan.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Most segments of a scan. Above that a checkpoint becomes large, and each segment still is a
/// small share of any table's partitions.
pub const SEGMENTS_MAX: u32 = 1024;

/// Times that one item is read and evaluated again because others changed it in between.
pub const CONFLICTS_MAX: u32 = 20;

/// Times that a request is sent again after a throttle, a time-out or an error of the database.
/// With the pauses below that is more than four minutes; the engine itself has waited before each.
pub const RETRIES_MAX: u32 = 12;

/// Pause before the first of them; it doubles each time.
pub const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Longest of these pauses.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a run that is asked to stop waits for answers to what it has sent: half of what a guard
/// that stops has for everything.
pub const STOP_MAX: Duration = Duration::from_secs(5);

/// How long the last checkpoint may take. Without it a run that continues reads more again.
pub const LAST_CHECKPOINT_MAX: Duration = Duration::from_secs(3);

pub use dm_contract::limits::FAILURES_LISTED_MAX;

/// Failed items whose keys a checkpoint keeps: some megabytes at most, written every few seconds.
/// With more, a run that continues scans the table again.
pub const FAILED_KEYS_MAX: usize = 10_000;

/// How much later than the first pass `now()` is in a second one: it shows what a repetition
/// another day would change, and does not depend on how long the first pass took.
pub const SECOND_PASS_LATER_S: i64 = 24 * 60 * 60;

/// Time between two checkpoints: what an interruption makes a run read again.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
