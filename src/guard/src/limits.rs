//! The guard's bounds, each with its reason. Nothing here computes.

use std::time::Duration;

/// DynamoDB's own bound on a request body ("Quotas": 16 MB for BatchWriteItem, the largest).
pub const REQUEST_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A compressed body may not be larger than this after decompression, so that a small one cannot
/// fill the memory: the same bound, because DynamoDB applies it to the decompressed body.
pub const REQUEST_BODY_INFLATED_BYTES_MAX: usize = REQUEST_BODY_BYTES_MAX;

/// How long an idle connection is kept: SDKs keep theirs open between calls and find out only on
/// writing that it is closed.
pub const CLIENT_IDLE_MAX: Duration = Duration::from_secs(300);

/// Time for a client to send a request's head once it has begun; up to half as much again. SDKs
/// send it in one piece.
pub const CLIENT_HEAD_MAX: Duration = Duration::from_secs(10);

/// Bytes of one connection that are read ahead, a request's head among them: a head of DynamoDB's
/// SDKs has 1 KB, with a long session token some 4 KB.
pub const CLIENT_BUFFER_BYTES_MAX: usize = 32 * 1024;

/// Time for a client to send its body. On loopback a body of 16 MB takes far less, but where
/// clients and guard share a fraction of a core, each waits for the others' large requests.
pub const CLIENT_BODY_MAX: Duration = Duration::from_secs(300);

/// Time for the next piece of a body. A client that is slower holds memory that others wait for.
pub const CLIENT_BODY_SILENCE_MAX: Duration = Duration::from_secs(30);

/// Connections served at once, where the limit of open files allows it; for a further one the one
/// that has been idle for longest is closed. High enough for a program that opens ten thousand, at
/// some 10 KB each when idle.
pub const CLIENT_CONNECTIONS_MAX: usize = 16_384;

/// Open files that clients' connections leave to the rest: a connection to the database for each
/// request in flight, the archive, the overlay's file.
pub const OPEN_FILES_RESERVED: usize = REQUESTS_IN_FLIGHT_MAX + 256;

/// A connection that waits for room looks again for an idle one after this long.
pub const CONNECTION_RECHECK: Duration = Duration::from_millis(50);

/// Time for a connection that makes room to finish writing an answer.
pub const CONNECTION_CLOSING_MAX: Duration = Duration::from_millis(250);

/// Connections of the probe and the operator served at once; for a further one the one that has
/// been silent for longest is closed.
pub const CONTROL_CONNECTIONS_MAX: usize = 64;

/// Those of one address: the kubelet has one, each operator one, and whatever else reaches the pod
/// is not to take theirs.
pub const CONTROL_CONNECTIONS_PER_SOURCE_MAX: usize = 16;

/// Requests worked on at once; further ones wait. Bounds memory by bodies held: most are small, and
/// SDKs time out after about a minute, so requests in a longer queue would time out.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1_024;

/// How long a guard that was asked to stop waits for its requests under way.
pub const GUARD_DRAIN_MAX: Duration = Duration::from_secs(10);

/// Length of a region's or service's name quoted in a message; real ones have some 20 characters.
pub const QUOTED_NAME_BYTES_MAX: usize = 64;

/// Bytes of the body of a request that is refused anyway which are looked at, because DynamoDB
/// names what is no JSON first. Whoever has no access key is not to make the guard read more.
pub const REFUSED_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the rest of a refused request that are read and dropped: a client that is still sending
/// sees the answer then, and not a cut connection. Four times what a request may have.
pub const DRAINED_BYTES_MAX: usize = 4 * REQUEST_BODY_BYTES_MAX;

/// Time for that. On loopback 64 MB take a fraction of it.
pub const DRAINED_MAX: Duration = Duration::from_secs(5);

/// Memory that a guard reckons with where its container has no limit, as on a laptop: what a run's
/// pod has.
pub const MEMORY_ASSUMED_BYTES: u64 = 768 * 1024 * 1024;

/// Of its memory, what is neither for requests nor for answers: itself and idle connections
/// (64 MiB), a dry run's items (96 MiB) or a journal's images and segments (128 MiB), remembered
/// answers (32 MiB), what the allocator keeps of all this (96 MiB).
pub const MEMORY_RESERVED_BYTES: u64 = 320 * 1024 * 1024;

/// Memory for requests where a container has hardly any: one of 16 MB must pass.
pub const REQUEST_MEMORY_BYTES_MIN: u64 = 96 * 1024 * 1024;

/// Memory for requests at most: more at once would wait for the database, not for memory.
pub const REQUEST_MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Memory for answers where a container has hardly any: one of 16 MB, in two copies, must pass.
pub const ANSWER_MEMORY_BYTES_MIN: u64 = 32 * 1024 * 1024;

/// Bytes that an answer is reckoned with at least, so that a few large ones among many small do
/// not come unexpected.
pub const ANSWER_EXPECTED_BYTES_MIN: usize = 16 * 1024;

/// By what part, one in this many, the size that is expected of an answer falls with each smaller
/// one: some thirty small answers make a large one forgotten.
pub const ANSWER_EXPECTED_DECAY: usize = 8;

/// Bytes of JSON for each byte of an item as DynamoDB measures it, about. Numbers and lists take
/// more, long texts half.
pub const ANSWER_JSON_BYTES: usize = 2;

/// Copies of a request's text while it is carried out: received, folded, of single writes, and
/// sent.
pub const REQUEST_TEXT_COPIES: usize = 5;

/// Memory of an item for each brace, bracket and comma of its text. Measured with lists of small
/// maps.
pub const VALUE_NODE_BYTES: usize = 36;

/// Length of an SDK's id of a call that is remembered; they are UUIDs. Longer ones are ignored.
pub const INVOCATION_ID_BYTES_MAX: usize = 128;

/// Bytes of a body that the control accepts: four numbers and their names.
pub const CONTROL_BODY_BYTES_MAX: usize = 4 * 1024;

/// Characters of a control token; shorter ones could be guessed by the program beside the guard.
pub const CONTROL_TOKEN_CHARS_MIN: usize = 16;

/// Time for the probe or the operator to send a request's headers, or its body.
pub const CONTROL_HEADERS_MAX: Duration = Duration::from_secs(10);

/// A pause after a failed accept, so that a lack of file handles does not become a busy loop.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Bytes of one part of a difference in the archive, about; two are in memory at once.
pub const DIFFERENCE_PART_BYTES: usize = 16 * 1024 * 1024;

/// How long a stopping guard tries to note in the ledger how the run ended.
pub const KEEP_LEDGER_MAX: Duration = Duration::from_secs(10);

/// How long a stopping guard has for the log, the report and the difference together.
pub const KEEP_UPLOADS_MAX: Duration = Duration::from_secs(30);

/// How long a stopping guard cleans up the archive; the next run continues with it.
pub const KEEP_RETENTION_MAX: Duration = Duration::from_secs(10);

/// Memory of a request's JSON besides its items. The largest that DynamoDB accepts have some
/// hundred actions with as many placeholders as an expression of 4 KB names.
pub const REQUEST_TREE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a check waits for the database, and for the archive. Longer than one call with its
/// attempts at either (50 s and 30 s), whose last error says more than a time-out.
pub const CHECK_PART_MAX: Duration = Duration::from_secs(60);

/// Time in which the connections of a program that has ended are seen to be closed: the kernel
/// closes them with the process, and what is still open then is somebody else's.
pub const CLIENTS_LEAVE_MAX: Duration = Duration::from_millis(500);

/// Between two looks at them.
pub const CLIENTS_LEAVE_CHECK: Duration = Duration::from_millis(5);
