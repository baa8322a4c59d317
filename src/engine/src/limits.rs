//! The engine's bounds, each with its reason. Nothing here computes.

use std::time::Duration;

/// An answer of DynamoDB is at most 16 MB (BatchGetItem) of items; their JSON, with binary values
/// in base64 and type tags, may be larger. A bound well above it stops a broken upstream.
pub const RESPONSE_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Time to connect to the database, TLS handshake included.
pub const UPSTREAM_CONNECT_MAX: Duration = Duration::from_secs(5);

/// Time for one attempt to be answered by the database. Scans of 1 MB take well under a second;
/// SDKs themselves wait for 60 s.
pub const UPSTREAM_ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// Least time for an attempt to be worth its request: most answers come within it.
pub const UPSTREAM_ATTEMPT_LEAST: Duration = Duration::from_secs(1);

/// How far the database's clock must be from the time of a rejected signature to be the reason. AWS
/// accepts signatures of five minutes (IAM User Guide, "Elements of an AWS API request signature");
/// the answer has taken some seconds.
pub const CLOCK_OFFSET_LEAST: Duration = Duration::from_secs(240);

/// Bytes of an answer to BatchGetItem below which only a throttle leaves out keys. DynamoDB also
/// leaves out those of a partition behind its first MB and those behind 16 MB. Such an answer has
/// 1 MB at least, less an item of 400 KB, and JSON is longer than what it holds.
pub const PARTIAL_ANSWER_BYTES_MIN: usize = 600_000;

/// Attempts of one call at the database, the first included, as far as the call's time allows.
pub const UPSTREAM_ATTEMPTS_MAX: u32 = 10;

/// Time for one call with all its attempts: under the 60 s after which boto3 and others give up
/// reading and send the call again.
pub const UPSTREAM_CALL_MAX: Duration = Duration::from_secs(50);

/// Sendings of one journaled write, or one transaction, whose outcome is unknown; each is bound to
/// the images that it changes, so that it happens once. What three do not tell, a fourth would not.
pub const SENDINGS_MAX: u32 = 3;

/// Time to look whether a write of unknown outcome was carried out: with the sendings before it,
/// less than the 60 s after which SDKs give up.
pub const SETTLING_READ_MAX: Duration = Duration::from_secs(5);

/// First pause between two attempts; it doubles, with jitter.
pub const UPSTREAM_BACKOFF_FIRST: Duration = Duration::from_millis(25);

/// Longest pause between two attempts.
pub const UPSTREAM_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long a throttled call is tried again before the program gets the error: SDKs give up after 3
/// to 9 throttle answers, and a call held much longer meets the timeouts that programs set
/// themselves.
pub const UPSTREAM_THROTTLED_MAX: Duration = Duration::from_secs(10);

/// Connections to the database at a time, idle ones included; further requests wait for one. Each
/// costs a TLS session there and a buffer here. At 5 ms for a request that is 50,000 a second.
pub const UPSTREAM_CONNECTIONS_MAX: usize = 256;

/// Of this many files that the process may have open one may be a connection to the database: the
/// archive, clients and the overlay's file need the rest.
pub const OPEN_FILES_PER_UPSTREAM_CONNECTION: usize = 4;

/// Idle connections to the database are closed before the service closes them, else the next
/// call would be cut.
pub const UPSTREAM_IDLE_MAX: Duration = Duration::from_secs(20);

/// Calls whose answers are remembered for a retry: those of 8 s at 1,000 writes a second, where the
/// age is not what ends it. SDKs retry within seconds.
pub const REMEMBERED_ANSWERS_MAX: usize = 8_192;

/// Bytes of remembered answers. Answers to writes are mostly tiny; old images can be 400 KB.
pub const REMEMBERED_ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long an answer is remembered at most: longer than any SDK's whole series of attempts by
/// default.
pub const REMEMBERED_ANSWER_AGE_MAX: Duration = Duration::from_secs(600);

/// Characters of what was said when archive or database did not answer: two of them are in a
/// result.
pub const OUTAGE_MESSAGE_CHARS_MAX: usize = 200;

/// Different remarks kept in a result. More say nothing new to a reader.
pub const REMARKS_MAX: usize = 200;

/// Different errors, of an operation each, that are counted: a program meets few.
pub const ERRORS_MAX: usize = 50;

/// Operations that are counted by name: all of DynamoDB's, and some of other services, whose names
/// a program chooses.
pub const OPERATIONS_COUNTED_MAX: usize = 128;

/// Tables counted separately in a result. DynamoDB's default quota is 2,500 per region.
pub const TABLES_COUNTED_MAX: usize = 2_500;

/// Tables of one record whose ids are compared with what is there: with more, a run would wait for
/// seconds before it begins. A migration writes a handful.
pub const IDENTITY_TABLES_MAX: usize = 200;

/// Tables that are looked at together: DescribeTable is limited to 2,500 calls per second.
pub const IDENTITY_CALLS_AT_ONCE: usize = 8;

/// Longest time to ask at a run's end which database it was: its result waits for it.
pub const IDENTITY_AT_END_MAX: Duration = Duration::from_secs(3);

/// Attributes counted separately per table. Programs that use values as attribute names would
/// otherwise fill the memory.
pub const ATTRIBUTES_COUNTED_MAX: usize = 1_000;

/// Length of a path, table name or operation quoted in a message, against hostile ones.
pub const QUOTED_BYTES_MAX: usize = 255;

/// Bytes of items that one BatchGetItem returns (API Reference, BatchGetItem).
pub const BATCH_GET_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Items of a batch that are carried out at once where the batch is large; others wait for theirs.
pub const LARGE_BATCH_AT_ONCE: usize = 4;

/// Bytes of items from which on a batch is large.
pub const LARGE_BATCH_BYTES: usize = 1024 * 1024;
/// Client request tokens a dry run remembers. DynamoDB remembers each for ten minutes; at more than
/// 160 a second a dry run does so for less.
pub const REMEMBERED_TOKENS_MAX: usize = 100_000;

/// Ends of pages that a dry run remembers, of scans and of queries each, so that it knows what the
/// next page begins behind: one for each segment of a scan that is as parallel as scans are, at
/// about 100 bytes.
pub const REMEMBERED_PAGE_ENDS_MAX: usize = 10_000;

/// Time for one attempt of a call at the archive. A put of some MB takes S3 well under a second.
pub const ARCHIVE_ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// Time for one call at the archive with all its attempts. The journal's puts are tried on, as the
/// requests that wait for them have a separate limit.
pub const ARCHIVE_CALL_MAX: Duration = Duration::from_secs(30);

/// First pause between two attempts at the archive; it doubles, with jitter.
pub const ARCHIVE_BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// Longest pause between two attempts at the archive.
pub const ARCHIVE_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Bytes of one object that is read from the archive into memory: segments of journals and reports.
pub const ARCHIVE_OBJECT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Objects of one listing kept in memory, some 200 MB. A journal may have more: of its listing only
/// numbers are kept.
pub const ARCHIVE_LISTED_MAX: usize = 1_000_000;

/// Bytes of journal lines after which a segment is closed, before compression. One more entry may
/// come on top: twice an item of 400 KB, in JSON.
pub const JOURNAL_SEGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one segment's lines when it is read: the bound above, one entry more, and room.
pub const JOURNAL_SEGMENT_INFLATED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Segments that are put into the archive at once. They hide the archive's latency from writers who
/// come while another put is under way; more would only make more and smaller objects.
pub const JOURNAL_PUTS_AT_ONCE: usize = 8;

/// Time between the beginnings of two puts while one is under way: entries that come in the
/// meantime go into one segment. So a journal has at most a hundred segments a second.
pub const JOURNAL_PUT_SPACING: Duration = Duration::from_millis(10);

/// How long a write waits for its journal entry before the program is asked to retry: as long as
/// throttled calls are held.
pub const JOURNAL_HOLD_MAX: Duration = Duration::from_secs(10);

/// Bytes of answers that are kept until a run writes: the images of what it has just read.
pub const AHEAD_PAGES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of images that are kept for writes to come, as JSON.
pub const AHEAD_IMAGES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Entries ahead of their writes: more than any program writes during one put. Those that are not
/// used are written for nothing.
pub const AHEAD_ENTRIES_MAX: usize = 512;

/// Bytes of the images of such entries, as JSON.
pub const AHEAD_ENTRIES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How far behind the item that is written now an entry is given up: programs with many threads do
/// not write in the order in which they read.
pub const AHEAD_SKIPPED_MAX: u64 = 1_024;

/// How long what became of writes may stay unwritten when no entry takes it along.
pub const JOURNAL_SETTLE_DELAY: Duration = Duration::from_secs(2);

/// How often a write is prepared again because the item changed under it. Each time somebody else
/// got through, so this only ends where one item is written by many at once.
pub const JOURNAL_TRIES_MAX: u32 = 16;

/// Notes of how far a journal has come that are written one right after the other: a short run is
/// noted whole even if its guard is killed.
pub const JOURNAL_NOTES_AT_ONCE: u32 = 64;

/// Time between two such notes afterwards: a long run must not write as many notes as segments.
pub const JOURNAL_NOTE_SPACING: Duration = Duration::from_secs(1);

/// Locks over the keys of a run: many more than requests in flight, so that two keys seldom share
/// one.
pub const JOURNAL_KEY_LOCKS: usize = 4_096;

/// How long a transaction's token is honoured (DynamoDB API Reference, TransactWriteItems).
pub const TRANSACTION_TOKEN_AGE_MAX: Duration = Duration::from_secs(600);

/// Transactions whose outcome is unknown that are kept with their images, of up to 4 MB each, until
/// the program sends them again: as many as threads of a program mostly have.
pub const TRANSACTIONS_IN_DOUBT_MAX: usize = 64;

/// Segments of an earlier guard's journal that are searched for tokens: ten minutes of them, as
/// long as tokens are honoured, at one every 10 ms.
pub const RECOVERED_SEGMENTS_MAX: u32 = 60_000;

/// How long a stopping guard waits for the last of its journal.
pub const JOURNAL_CLOSE_MAX: Duration = Duration::from_secs(15);

/// Items read at once to find out what became of an earlier guard's last writes: a second for
/// thousands of them, and a small part of what a table of any size allows.
pub const IN_DOUBT_READS_AT_ONCE: usize = 16;

/// Large segments of a journal that a restore reads at once.
pub const RESTORE_READS_AHEAD: usize = 4;

/// Segments of a journal read at once where they are small, as those of a program with one thread
/// are.
pub const RESTORE_SEGMENTS_AHEAD_MAX: usize = 64;

/// Bytes of segments in the archive that are read at once, beyond [`RESTORE_READS_AHEAD`] of them.
pub const RESTORE_SEGMENT_BYTES_AHEAD: u64 = 1024 * 1024;

/// Pages of a hundred items that a restore reads and restores at once. Each write waits for its
/// entry in the restore's own journal, so they have to be more than come during one put.
pub const RESTORE_PAGES_AT_ONCE: usize = 4;

/// Values and attributes of items that could not be recreated, by which a restore finds their
/// copies: some 50 MB. With more, it keeps every item that the run created.
pub const MOVED_VALUES_MAX: usize = 1_000_000;

/// Missing items with one value in common. A value that more of them have identifies none of them,
/// and each created item would be compared with all.
pub const MOVED_VALUE_ITEMS_MAX: usize = 64;

/// Created items that may all be the copy of one missing item: those of a batch of 25 (DynamoDB API
/// Reference, BatchWriteItem). What more of them have in common with it identifies none of them.
pub const MOVED_COPIES_MAX: usize = 25;

/// Bytes of entries that a restore keeps in memory at once, as values.
pub const RESTORE_PARTITION_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much larger entries are in memory than in the archive. Measured with items that are much
/// like each other, which compress to a tenth; values then take some eight times their JSON.
pub const RESTORE_INFLATION: u64 = 80;

/// Files that a restore sorts entries into. More than this many are not open at once, so journals
/// of more than 400 MB in the archive take more memory than the bound above.
pub const RESTORE_PARTITIONS_MAX: usize = 512;

/// How often one key is decided again because it changed under the restore.
pub const RESTORE_TRIES_MAX: u32 = 16;

/// How often one write of a restore is tried again when the database throttles or does not answer,
/// or the archive does not take its entry: some ten minutes.
pub const RESTORE_THROTTLES_MAX: u32 = 60;

/// Conflicts that a restore keeps in memory with their keys; all are in files of the archive.
pub const RESTORE_CONFLICTS_LISTED_MAX: usize = 10_000;

/// Bytes of conflicts in one object of the archive: read and put whole.
pub const RESTORE_CONFLICTS_PART_BYTES: u64 = 8 * 1024 * 1024;

/// Tables and kinds of conflicts that are counted separately. An attribute is a separate kind,
/// and programs that use values as names of attributes would otherwise fill the memory.
pub const RESTORE_CONFLICT_GROUPS_MAX: usize = 1_000;

/// Calls that changed tables which a restore lists; all are in the journal.
pub const RESTORE_TABLE_CALLS_LISTED_MAX: usize = 100;

/// How long a request is held for its rate before the program is asked to retry. A held request
/// costs a program nothing, where a throttle costs one of its few attempts; most clients wait for
/// 30 s or 60 s.
pub const RATE_HELD_MAX: Duration = Duration::from_secs(20);

/// How long a request is held by a pause. SDKs without their own time limit wait as long; the
/// others give up before, and send it again.
pub const PAUSE_HELD_MAX: Duration = Duration::from_secs(3_600);

/// What may be owed at a rate that nobody asked for, but throttles of the database have led to: one
/// large page must not hold up what comes behind it for longer.
pub const RATE_OBSERVED_DEBT_MAX: Duration = Duration::from_secs(5);

/// A held request looks again after this long, so that a changed rate is felt.
pub const RATE_RECHECK: Duration = Duration::from_millis(250);

/// Tokens saved up while nobody asks: what comes in during this time.
pub const RATE_BURST: Duration = Duration::from_millis(250);

/// Longest time that one page of a dry run reads items of the database that the program has deleted
/// or moved, or passes over items that it has created, before the page ends without further ones:
/// SDKs wait for 60 s, and the request that is under way then may take half of that.
pub const HIDDEN_ITEMS_TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes of a scan's insertions that are read at a time where it passes over many: all other calls
/// wait that long.
pub const INSERTIONS_READ_BYTES: usize = 256 * 1024;

/// Bytes of items that a dry run keeps in memory, with what holding them takes; further ones go to
/// a file. Some 25,000 changed items of 1 KB, so that most dry runs never touch a disk.
pub const OVERLAY_MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of digests that a journaled run keeps in memory to count what it changed; further ones go
/// to a file. Some 150,000 updated items.
pub const JOURNAL_EFFECTS_MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of that file kept in memory: its inner pages, and those of a part that is being written.
pub const OVERLAY_DISK_CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of that file. It lies on the node's disk, which others need too; a dry run that wants more
/// is ended by its guard, with the reason, before the kubelet evicts pods. Some 7 million changed
/// items of 1 KB whose text does not repeat (docs/design/performance.md).
pub const OVERLAY_DISK_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// Bytes of a dry run's items read at a time for its difference: calls of the program wait that
/// long.
pub const DIFFERENCE_READ_BYTES: usize = 1024 * 1024;

/// zstd's default: about a tenth of the lines' size, at some hundred MB a second.
pub const DIFFERENCE_COMPRESSION_LEVEL: i32 = 3;

pub use dm_contract::limits::SAMPLES_PER_TABLE_MAX;

/// Bytes of JSON of each image in them, and of their keys: they are shown in a line.
pub const SAMPLE_IMAGE_BYTES_MAX: usize = 256;

/// How long a table's lock outlives its owner's last heartbeat. A run whose node died holds up
/// others for so long; an archive that is away for longer stops writes until the lock is taken
/// again.
pub const LOCK_LEASE: Duration = Duration::from_secs(30);

/// Heartbeats of a lock in one lease: some may fail or be late.
pub const LOCK_BEATS_PER_LEASE: u32 = 4;

/// How often a contender looks at another's lock in one lease.
pub const LOCK_LOOKS_PER_LEASE: u32 = 10;

/// The part of a lease, one in this many, at whose beginning an owner stops to write: by so much
/// two boot-time clocks may differ in a lease.
pub const LOCK_MARGIN_PART: u32 = 6;

/// How long a write waits for a table that a living run has, before the program gets an error: well
/// under the timeouts of clients.
pub const LOCK_HOLD_MAX: Duration = Duration::from_secs(10);

/// How often a write under way looks whether its table's lock has run out: its timers stand still
/// while the machine is suspended, and the lock does not.
pub const LOCK_RECHECK: Duration = Duration::from_secs(1);

/// Pause before the next number of a lock is tried after somebody else got the one before.
pub const LOCK_AGAIN: Duration = Duration::from_millis(50);

/// How long a stopping guard tries to give its locks back; they run out by themselves.
pub const LOCK_RELEASE_MAX: Duration = Duration::from_secs(5);

/// Entries and locks of a run's parts that are read at the same time: a store answers that many
/// requests of one client without slowing down.
pub const ARCHIVE_READS_AT_ONCE: usize = 16;

/// Numbers of each table's lock that stay in the archive for people to look at, with the last one.
pub const LOCKS_KEPT: u32 = 5;

/// Numbers above the highest listed that are looked for by their names in a folder: runs of one
/// migration that others began since its listing was made.
pub const LEDGER_LOOKED_AHEAD: u32 = 16;

/// Attempts of one run whose logs and reports are kept beside each other.
pub const KEPT_ATTEMPTS_MAX: u32 = 100;
