//! Every bound of the controller, with its reason.

use std::time::Duration;

use jiff::SignedDuration;

/// Runs kept in `status.runs`: recorded executions show that 16 % of migrations run more than
/// once, and hardly any more than ten times.
pub const RUNS_MAX: usize = 10;

/// Runs kept in all: older ones stay while what they changed was not restored, so that it can
/// be. Each is a few hundred bytes of an object that may have 1.5 MB.
pub const RUNS_HELD_MAX: usize = 50;

/// Times that the Job of a restore starts a new pod after one that failed: what happens to a pod by
/// chance (deleted, killed, a node lost) is over with the next one, and a restore continues where
/// it was. The Job controller waits longer before each, some ten minutes in all.
pub const RESTORE_BACKOFF_LIMIT: i32 = 6;

/// Times that the Job of a transform starts another pod after one that failed, for each part of the
/// run: the same accidents as those of a restore, and the transform continues at its checkpoint.
pub const TRANSFORM_BACKOFF_LIMIT: i32 = 6;

/// Calls that changed tables themselves which status keeps of a restore; all are in the journal.
pub const NOT_RESTORED_MAX: usize = 20;

/// Groups of conflicts that status lists.
pub const CONFLICT_GROUPS_MAX: usize = 20;

/// Keys of one such group that a sentence names; status lists more.
pub const CONFLICT_KEYS_TOLD_MAX: usize = 2;

/// Groups of conflicts that a sentence names.
pub const CONFLICT_GROUPS_TOLD_MAX: usize = 3;

/// Tables, and attributes of one table, that status lists; the rest is counted in a remark.
pub const TABLES_MAX: usize = 20;

/// Tables that a sentence names; of more, the first and the number of the others. Status lists
/// them.
pub const TABLES_TOLD_MAX: usize = 4;

/// Attributes of one table that status lists.
pub const ATTRIBUTES_MAX: usize = 50;

/// Characters of one message in status: what fits a terminal's screen.
pub const MESSAGE_CHARS_MAX: usize = 1_000;

/// Migrations followed when looking for a circle of dependencies.
pub const DEPENDENCIES_FOLLOWED_MAX: usize = 1_000;

/// Migrations reconciled at once: enough to hide the API server's latency, few enough not to
/// burden it (kube has no client-side rate limit).
pub const CONCURRENT_RECONCILES: u16 = 16;

/// How long one reconcile may take. It makes some ten requests, and one that is never answered
/// would keep its place, and perhaps the lock that all others wait for.
pub const RECONCILE_MAX: Duration = Duration::from_secs(120);

/// How long one reconcile may hold the lock of those that begin or launch a run: a fraction of the
/// time that the others have.
pub const START_MAX: Duration = Duration::from_secs(30);

/// How long the API server may be silent in an answer: longer than a watch that it ends itself (290
/// s, kube's default).
pub const API_SILENCE_MAX: Duration = Duration::from_secs(295);

/// Longest deadline of a run, as in `spec.activeDeadlineSeconds`: a year. Kubernetes counts in
/// nanoseconds, which overflow after 292 years, and ends the Job at once.
pub const DEADLINE_SECONDS_MAX: i64 = 365 * 24 * 3600;

/// When a migration is looked at again that the watch still shows although it is gone.
pub const POLL_BEHIND: Duration = Duration::from_secs(1);

/// How long the Job controller may take to create a pod that it had begun to create when its Job
/// was deleted: until then no pod does not mean that none comes. Admission webhooks have 10 s by
/// default (Kubernetes documentation, "Dynamic Admission Control").
pub const LATE_POD_MAX: SignedDuration = SignedDuration::from_secs(12);

/// How long to wait before a transient error is tried again, doubled each time.
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// The longest wait after repeated errors.
pub const BACKOFF_MAX: Duration = Duration::from_secs(120);

/// The first wait after a watch broke, doubled each time.
pub const WATCH_BACKOFF_MIN: Duration = Duration::from_millis(500);

/// The longest wait: a broken watch costs one small request each time, and new objects wait as
/// long.
pub const WATCH_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long a watch holds before its next break counts as the first again.
pub const WATCH_BACKOFF_RESET_AFTER: Duration = Duration::from_secs(60);

/// How often an object that waits for something we do not watch is looked at.
pub const POLL_WAITING: Duration = Duration::from_secs(10);

/// How often a run under way is looked at, beside the watch on its pod.
pub const POLL_RUNNING: Duration = Duration::from_secs(30);

/// When a run is reconciled again after its guard got new limits or a pause, to see the effect.
pub const POLL_ADJUSTED: Duration = Duration::from_secs(1);

/// How often an object at rest is looked at, in case an event was missed.
pub const POLL_RESTING: Duration = Duration::from_secs(600);

/// How long a pod may take to appear or start before status says that it is late.
pub const LATE_AFTER: Duration = Duration::from_secs(60);

/// How long a finished run's Job and pods are kept after their outcome is in status: a week, so
/// that `kubectl logs` still works after a weekend.
pub const JOB_TTL_SECONDS: i32 = 7 * 24 * 3600;

/// Bytes of a ConfigMap's keys and values that can be copied (the API server's own limit is
/// 1 MiB for the whole object, Kubernetes documentation, "ConfigMaps").
pub const FILES_BYTES_MAX: usize = 1024 * 1024 - 16 * 1024;

/// Bytes of memory the guard may use: 96 MiB for the items of a dry run and 32 MiB for remembered
/// answers (`dm_engine::limits`), and the requests and answers that are being worked on.
pub const GUARD_MEMORY_LIMIT: &str = "768Mi";

/// Seconds until the guard must answer its probe, at one probe a second.
pub const GUARD_START_SECONDS_MAX: i32 = 120;

/// Last lines of a program that status shows.
pub const LAST_LINES_MAX: usize = 20;

/// Seconds that a run's pod has at least between the request to stop and the kill, where the target
/// has an archive. With 0 the kubelet kills the guard at once; with any time the guard closes the
/// journal as far as it gets, and a Job notes what is left.
pub const GRACE_SECONDS_ARCHIVE_MIN: i64 = 1;

/// Bytes of a spec as JSON: far more than any that was written by hand, and a sixth of what the API
/// server stores (etcd's default request limit, 1.5 MiB).
pub const SPEC_BYTES_MAX: usize = 256 * 1024;

/// Objects in one page of a list: each may have 1.5 MB, and several migrations are looked at at
/// once.
pub const PAGE_OBJECTS_MAX: u32 = 20;

/// Migrations of one target in one page of the queue's list. Only one reconcile reads the queue at
/// a time, so that the largest page is 100 objects of at most 1.5 MB, and a queue of 100 costs one
/// request.
pub const QUEUE_PAGE_OBJECTS_MAX: u32 = 100;

/// Bytes of the contents of ConfigMaps that are held: a hundred programs of usual size, and at
/// least 16 of the largest.
pub const CONTENTS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long the pod of a Job that was released may take to appear before the events of the Job are
/// read: the Job controller takes less than a second, and who is over a quota reads why soon.
pub const POD_EXPECTED_WITHIN: Duration = Duration::from_secs(5);

/// Events of one Job that are read: they repeat each other.
pub const EVENTS_READ_MAX: u32 = 20;

/// Jobs that a controller remembers as created by itself: their uids take little, and most are let
/// go at the next look.
pub const CREATED_REMEMBERED_MAX: usize = 10_000;

/// Seconds by which a time that a program's container claims may lie outside the container's life:
/// the kubelet cuts its times to whole seconds.
pub const CONTAINER_TIME_SLACK_SECONDS: i64 = 2;

/// How long a client of the health port may take to send its request.
pub const HEALTH_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a guard may take to say how far its run is: it answers from memory.
pub const GUARD_ANSWER_MAX: Duration = Duration::from_secs(1);

/// Bytes of that answer: many tables and attributes, and still no burden.
pub const GUARD_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How soon a run that is being stopped is reconciled again: its pods have a grace period, and
/// their watch reports the end.
pub const POLL_STOPPING: Duration = Duration::from_secs(2);

/// How often a run in its first minutes is asked how far it is.
pub const POLL_PROGRESS: Duration = Duration::from_secs(5);

/// How old a run is when it is asked less often, so that days of running write little status.
pub const PROGRESS_SLOWS_AFTER: Duration = Duration::from_secs(600);

/// The first wait after a run was put off by a lock or by an archive that does not answer.
pub const RETRY_LEDGER_MIN: Duration = Duration::from_secs(10);

/// The longest wait between two such attempts: a person who has corrected the cause watches about
/// this long.
pub const RETRY_LEDGER_MAX: Duration = Duration::from_secs(120);

/// How long a migration that is being deleted waits until its run's outcome is in the archive.
pub const RECORD_BEFORE_RELEASE_MAX: Duration = Duration::from_secs(120);

/// How often the Job that records an end in the archive tries again by itself; then a new Job does.
pub const RECORD_BACKOFF_LIMIT: i32 = 4;

/// How long such a Job is kept after its end, and how long one that failed is left alone.
pub const RECORD_TTL_SECONDS: i32 = 120;

/// How often a migration checks whether the previous one on its target has ended, in addition to
/// the watch: no watch shows what is left of a deleted migration.
pub const POLL_QUEUE: Duration = Duration::from_secs(60);

/// How long the Job of an attempt is kept that another migration's lock or the archive postponed.
pub const PUT_OFF_TTL_SECONDS: i32 = 60;

/// Bytes of memory that a container may use which reads or writes the ledger.
pub const LEDGER_MEMORY_LIMIT: &str = "128Mi";

/// Bytes of a program's output kept until it is in the archive. The entry program stops keeping
/// before (see its limits): a pod whose volume is fuller than this is evicted.
pub const LOG_SIZE_LIMIT: &str = "1Gi";

/// How often a target is checked whose last check succeeded: keys expire and buckets are deleted by
/// day, and a check costs one small pod.
pub const CHECK_EVERY: Duration = Duration::from_secs(6 * 3600);

/// The first wait after a check that failed, doubled each time; also the shortest time between the
/// starts of two checks.
pub const CHECK_AGAIN_MIN: Duration = Duration::from_secs(60);

/// The longest wait after checks that failed in a row.
pub const CHECK_AGAIN_MAX: Duration = Duration::from_secs(30 * 60);

/// How long the Job of a check may take: two parts of 60 s at the same time, and the pull of an
/// image. A missing Secret that is created within it is found by the same Job.
pub const CHECK_DEADLINE_SECONDS: i64 = 300;

/// How long the Job of a check stays that no operator reads.
pub const CHECK_TTL_SECONDS: i32 = 3600;

/// How often a check under way is looked at, next to the watch on its Job and pod.
pub const POLL_CHECK: Duration = Duration::from_secs(15);

/// Targets reconciled at the same time: checks are short and few.
pub const CONCURRENT_CHECKS: u16 = 4;
