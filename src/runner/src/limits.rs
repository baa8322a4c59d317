//! Bounds of a run, each with its reason.

use std::time::Duration;

/// Segments that are scanned at the same time. Each waits for the writes of its page before it
/// queues those of the next one, so a few keep the writers busy.
pub const SCANNERS: usize = 8;

/// The same while throttles hold the lanes of all of these and writers have nothing to do: each
/// further segment is in another partition of a large table. A page of 1 MB each is in memory.
pub const SCANNERS_MAX: usize = 32;

/// How often it is asked whether a further segment would be of use.
pub const SCANNERS_INTERVAL: Duration = Duration::from_millis(250);

/// Most writes under way. At 5 ms for a write that is some 12,000 per second, above what a new
/// on-demand table takes. Throttled ones that wait for another turn are not among them.
pub const WRITERS: usize = 64;

/// The same where each waits for a put of the journal, which takes some 20 ms longer, and those
/// that one put has made durable take processors for as long again.
pub const WRITERS_JOURNALED: usize = 512;

/// Most writes under way where batches carry them: some 16 batches.
pub const WRITERS_BATCHED: usize = 16 * BATCH_STATEMENTS;

/// Statements of a batch (API reference, `BatchExecuteStatement`).
pub const BATCH_STATEMENTS: usize = dm_dynamodb::partiql::BATCH_STATEMENTS_MAX;

/// How long a batch that is not full waits for more: a part of a round trip.
pub const BATCH_LINGER: Duration = Duration::from_millis(2);

/// Bytes of a lane's items that wait for a writer or are being written, as text, so 8 MiB for all
/// lanes. Their values, before and after, take up to ten times that. A quarter of a second of what
/// a partition takes: as long as the next page may need to come.
pub const LANE_BYTES_MAX: usize = 8 * 1024 * 1024 / SCANNERS_MAX;

/// Items that a lane has at most: a scan that is far ahead of its writes reads items that are out
/// of date when their turn comes.
pub const LANE_ITEMS_MAX: usize = 64;

/// The same as a share of the writers where there are many, so that all lanes together keep them
/// busy.
pub const LANE_WRITERS_SHARE: usize = 4;

/// Items of one partition key, one after the other, from which on it may have a partition to
/// itself: five seconds of what that takes. Learning the rate again behind it costs some throttles.
pub const LANE_KEY_ITEMS: u32 = 5_000;

/// Bytes of one segment to aim at: 16 pages of a scan.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Most segments of a scan. Above that a checkpoint becomes large, and each segment still is a
/// small share of any table's partitions.
pub const SEGMENTS_MAX: u32 = 1024;

/// Times that one item is read and evaluated again because others changed it in between.
pub const CONFLICTS_MAX: u32 = 20;

/// Pause before it is read again the second time, at most; a random share of it, so that two who
/// change the same item do not meet again. It doubles each time.
pub const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// Longest of these pauses, so that 20 take some seconds.
pub const CONFLICT_PAUSE_MAX: Duration = Duration::from_millis(500);

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

/// Pause of an item that is visited again before a throttled attempt is repeated. There is one such
/// item at a time.
pub const OCCUPIED_PAUSE: Duration = Duration::from_millis(100);

/// Failed items whose keys a checkpoint keeps: a megabyte or less, and 30 with the longest keys;
/// written every few seconds.
/// With more, a run that continues scans the table again.
pub const FAILED_KEYS_MAX: usize = 10_000;

/// How much later than the first pass `now()` is in a second one: it shows what a repetition
/// another day would change, and does not depend on how long the first pass took.
pub const SECOND_PASS_LATER_S: i64 = 24 * 60 * 60;

/// Most time between two checkpoints. A segment waits for one after each of its pages, so an
/// interruption repeats the writes of one page of each segment.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// How long a segment waits for a checkpoint at most: a hundred times what a put takes.
pub const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(2);

/// Failed keys with which a checkpoint is still written for each page: some ten kilobytes, three
/// megabytes at most. With more it is written in its interval only.
pub const CHECKPOINT_KEYS_MAX: usize = 1_000;

/// Units a second with which a lane begins: what a partition takes (DynamoDB Developer Guide,
/// "Burst and adaptive capacity"). Until a throttle comes, the rate doubles after each
/// [`LANE_RISE`], so that the first burst is bounded.
pub const LANE_RATE_FIRST: f64 = 1_000.0;

/// Units a second with which a table begins: what a new on-demand table takes (DynamoDB Developer
/// Guide, "DynamoDB warm throughput"). It rises as that of a lane.
pub const TABLE_RATE_FIRST: f64 = 4_000.0;

/// Pages a second with which the scan of a segment begins: with 1 MB each, twice what a partition
/// takes.
pub const LANE_PAGES_FIRST: f64 = 50.0;

/// How long a rate that no throttle has limited takes to double: some round trips.
pub const LANE_RISE: Duration = Duration::from_millis(50);

/// The least rate that throttles lead to: a held request is to be sent again within its time.
pub const LANE_RATE_MIN: f64 = 0.2;

/// Above this a rate limits nothing.
pub const LANE_RATE_MAX: f64 = 1e6;

/// What a lane may send without a pause after it had nothing to send, or no timer woke it.
pub const LANE_BURST: Duration = Duration::from_millis(100);

/// Units from a throttle until the rate is that capacity again. A cycle of twice as many leads to
/// one throttle, or to two.
pub const LANE_CYCLE_UNITS: f64 = 200.0;

/// Least time for these: many round trips, each of which adds to the requests throttled.
pub const LANE_CYCLE_SHORTEST: Duration = Duration::from_millis(500);

/// Most time for these, so that a capacity that has grown is found.
pub const LANE_CYCLE_LONGEST: Duration = Duration::from_secs(10);
