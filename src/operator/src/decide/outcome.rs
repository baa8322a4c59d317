//! How a run ended, what state the data is in, and what to do: from the last status of its Job
//! and pods. Pure.

mod advice;
mod claims;
mod facts;
mod gave_way;
pub(crate) mod outage;
mod recorded;
mod restored;
mod split;
mod transform;
pub mod unseen;
mod words;

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::report::{Archived, Fidelity, GuardResult, SecondRun};
use dm_contract::restored::RestoreResult;
use dm_contract::verdict::Verdict;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use crate::decide::ledger;
use crate::objects::STOP_REASON_ANNOTATION;
use crate::read::view::{self, JobEnd, RunObjects};
pub use split::reason_of_part;
pub use words::{bounded, state_of_data};
use words::{duration, items_written, message};

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: RunResult,
    pub reason: Reason,
    /// What happened, and what state the data is in.
    pub message: String,
    /// What to do now; empty after a success.
    pub what_now: String,
    /// Whether the program started, or may have.
    pub started: bool,
    /// When the program began.
    pub execution_time: Option<Timestamp>,
    /// When it had ended.
    pub finalization_time: Option<Timestamp>,
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The last lines it wrote.
    pub last_lines: Vec<String>,
    /// What the guard saw.
    pub guard: Option<GuardResult>,
    /// How the program's second run ended, if it had one.
    pub second_run: Option<SecondRun>,
    /// What a restore did, all of its pods together.
    pub restore: Option<RestoreResult>,
    /// Of a run that applies: whether it is known to have changed nothing.
    pub wrote_nothing: bool,
    /// What the archive's ledger said to it, if it was asked: the program started only after
    /// [`Verdict::Go`], with which the run was begun there.
    pub verdict: Option<Verdict>,
    /// URL of the archive that the run used.
    pub archive: Option<String>,
    /// The image that the program ran, as the kubelet has it.
    pub image_id: Option<String>,
}

impl Outcome {
    /// Where something is that the guard, or a restore, has kept in the archive.
    pub fn kept(&self, which: impl Fn(&Archived) -> Option<&String>) -> Option<String> {
        let of_guard = self.guard.as_ref().and_then(|guard| guard.archived.as_ref());
        let of_restore = self.restore.as_ref().and_then(|restore| restore.archived.as_ref());
        let path = which(of_guard.or(of_restore)?)?;
        Some(format!("{}/{path}", self.archive.as_ref()?.trim_end_matches('/')))
    }

    /// How many changes were journaled, each before it was made.
    pub fn journaled(&self) -> Option<u64> {
        Some(self.guard.as_ref()?.journal.as_ref()?.entries)
    }
}

/// Why the controller itself stops a run; kept on the Job, so that it is known after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The spec changed before it mattered.
    Superseded,
    /// The migration is being deleted.
    Terminating,
    /// `spec.suspend` became true before the program started.
    Suspended,
    /// An apply runs another image than its dry run.
    ImageChanged,
}

impl StopReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "Superseded",
            Self::Terminating => "Terminating",
            Self::Suspended => "Suspended",
            Self::ImageChanged => "ImageChanged",
        }
    }
}

/// The end of a run whose objects say that it is over; `None` while it goes on.
pub fn of(record: &RunRecord, objects: RunObjects<'_>) -> Option<Outcome> {
    if !is_over(objects) {
        return None;
    }
    if record.parts() > 1 {
        return Some(split::of(record, objects));
    }
    let (cause, mut outcome) = seen(record, objects);
    if record.kind.restores() {
        restored::complete(record, objects, &cause, &mut outcome);
        return Some(outcome);
    }
    outcome.wrote_nothing = record.kind == RunKind::Apply && wrote_nothing(objects, &outcome);
    Some(complete(record, &cause, outcome))
}

/// What ended the run, or a part of it, and what is known of that.
fn seen(record: &RunRecord, objects: RunObjects<'_>) -> (Cause, Outcome) {
    let mut outcome = facts::of(record, objects);
    let recorded = recorded::of(record, objects);
    let cause = match &recorded {
        Some(_) => Cause::Success,
        None => cause(objects, objects.pods.last().copied()),
    };
    if let Some(adopted) = &recorded {
        recorded::complete(adopted, &mut outcome);
    }
    outcome.reason = cause.reason();
    outcome.result = result(record.kind, &cause, &outcome);
    if let Cause::Signal(signal) = cause {
        outcome.signal = Some(signal);
    }
    (cause, outcome)
}

/// Adds the reason, the sentences and the advice.
fn complete(record: &RunRecord, cause: &Cause, mut outcome: Outcome) -> Outcome {
    gave_way::complete(cause, &mut outcome);
    complete_dry_run(record.kind, &mut outcome);
    transform::complete(cause, &mut outcome);
    outcome.message = message(record.kind, cause, &outcome);
    outage::complete(cause, &mut outcome);
    outcome.what_now = advice::what_now(record, &outcome);
    outcome
}

/// Whether the database is known to have seen no write: the program did not start, by the kubelet
/// or the guard, or the guard of its only pod sent none.
fn wrote_nothing(objects: RunObjects<'_>, outcome: &Outcome) -> bool {
    let counted = outcome.guard.as_ref().filter(|_| objects.pods.len() == 1);
    // Of one that did not start because of an earlier one, that one counts.
    let stands_for = matches!(outcome.verdict, Some(Verdict::Adopt(_) | Verdict::Unknown(_)));
    if stands_for {
        return false;
    }
    !outcome.started
        || counted.is_some_and(|guard| guard.problem.is_none() && guard.write_calls_upstream == 0)
}

/// The end of a run whose objects are all gone.
pub fn unknown(record: &RunRecord) -> Outcome {
    let mut outcome = facts::of(record, RunObjects { job: None, pods: &[] });
    outcome.started = true;
    outcome.result = RunResult::Unknown;
    outcome.reason = Reason::OutcomeUnknown;
    if record.kind.restores() {
        let none = RunObjects { job: None, pods: &[] };
        restored::complete(record, none, &Cause::Gone, &mut outcome);
        return outcome;
    }
    outcome.message = message(record.kind, &Cause::Gone, &outcome);
    outcome.what_now = advice::what_now(record, &outcome);
    outcome
}

/// Whether nothing of the run can still be running.
fn is_over(objects: RunObjects<'_>) -> bool {
    let pods_over = objects.pods.iter().all(|pod| view::pod_is_over(pod));
    match objects.job {
        // Somebody removed the finalizer with the Job: what the pods say is all there is.
        None => pods_over,
        Some(job) if job.metadata.deletion_timestamp.is_some() => pods_over,
        Some(job) => view::job_end(job) != JobEnd::No && pods_over,
    }
}

/// What ended the run.
#[derive(Clone, Debug, PartialEq)]
enum Cause {
    Success,
    /// After so many seconds, if the Job still says it.
    Deadline(Option<i64>),
    Stopped(StopReason),
    JobDeleted,
    Disruption(String),
    PodDeleted,
    OutOfMemory,
    NotStarted(String),
    Prepare(String),
    Container(String),
    Signal(i32),
    ExitCode(i32),
    /// It ended with 0 after it was asked to end: by this signal, if that is known.
    Interrupted(Option<i32>),
    Guard(String),
    Ledger(Box<Verdict>),
    GaveWay(Box<Verdict>),
    /// Its program had started, and the ledger let no other pod continue.
    Refused(Box<Verdict>),
    Gone,
}

impl Cause {
    const fn reason(&self) -> Reason {
        match self {
            // The controller's words for a success depend on the kind; see `complete_dry_run`.
            Self::Success => Reason::Applied,
            Self::Deadline(_) => Reason::DeadlineExceeded,
            Self::Stopped(StopReason::Superseded) => Reason::Superseded,
            Self::Stopped(StopReason::Terminating) => Reason::Terminating,
            Self::Stopped(StopReason::Suspended) => Reason::Suspended,
            Self::Stopped(StopReason::ImageChanged) => Reason::ImageChanged,
            Self::JobDeleted => Reason::JobDeleted,
            Self::Disruption(_) => Reason::Evicted,
            Self::PodDeleted => Reason::PodDeleted,
            Self::OutOfMemory => Reason::OutOfMemory,
            Self::NotStarted(_) => Reason::ProgramNotStarted,
            Self::Prepare(_) | Self::Container(_) => Reason::ContainerStartFailed,
            Self::Signal(_) => Reason::ProgramKilled,
            Self::ExitCode(_) => Reason::ProgramFailed,
            Self::Interrupted(_) => Reason::Interrupted,
            Self::Guard(_) => Reason::GuardFailed,
            Self::Ledger(verdict) => ledger::reason(verdict),
            Self::GaveWay(verdict) | Self::Refused(verdict) => {
                ledger::reason_at_first_write(verdict)
            }
            Self::Gone => Reason::OutcomeUnknown,
        }
    }
}

fn cause(objects: RunObjects<'_>, pod: Option<&Pod>) -> Cause {
    let end = objects.job.map_or(JobEnd::No, |job| view::job_end(job));
    // Where the ledger kept the program from starting, nothing that came after matters.
    if let Some(verdict) = pod.and_then(view::ledger_verdict).filter(|said| *said != Verdict::Go) {
        // Of a run whose program had started in an earlier pod it is the end all the same.
        let started = objects.pods.iter().any(|pod| view::may_have_started(pod));
        let verdict = Box::new(verdict);
        return if started { Cause::Refused(verdict) } else { Cause::Ledger(verdict) };
    }
    if let Some(cause) = gave_way::cause(objects) {
        return cause;
    }
    let ended_well = objects.pods.iter().any(|pod| view::ended_well(pod));
    let any_ended = objects.pods.iter().any(|pod| view::program_end(pod).is_some());
    // A Job is complete, too, whose program was asked to stop half way and ended with 0.
    if end == JobEnd::Complete && (ended_well || !any_ended) {
        return success(objects.pods);
    }
    // The guard was still storing log and report when the deadline stopped its pod.
    let before_stop =
        |pod: &&Pod| pod.metadata.deletion_timestamp.is_some() && view::ended_well(pod);
    if end == JobEnd::Failed("DeadlineExceeded".into()) && !objects.pods.iter().any(before_stop) {
        let spec = objects.job.and_then(|job| job.spec.as_ref());
        return Cause::Deadline(spec.and_then(|spec| spec.active_deadline_seconds));
    }
    if let Some(job) = objects.job {
        // A Job that was deleted just when its program had ended well did its work.
        if job.metadata.deletion_timestamp.is_some() && !ended_well {
            return stopped(job).map_or(Cause::JobDeleted, Cause::Stopped);
        }
    }
    let Some(pod) = pod else { return Cause::Gone };
    if view::ended_well(pod) {
        return success(objects.pods);
    }
    if let Some(message) = view::disruption(pod) {
        return Cause::Disruption(message);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return if objects.job.is_some() { Cause::PodDeleted } else { Cause::JobDeleted };
    }
    program_cause(objects, pod)
}

fn stopped(job: &k8s_openapi::api::batch::v1::Job) -> Option<StopReason> {
    use StopReason::{ImageChanged, Superseded, Suspended, Terminating};
    let annotation = job.metadata.annotations.as_ref()?.get(STOP_REASON_ANNOTATION)?;
    [Superseded, Terminating, Suspended, ImageChanged]
        .into_iter()
        .find(|reason| reason.as_str() == annotation)
}

/// A program that ended well while its guard did not is no success.
fn success(pods: &[&Pod]) -> Cause {
    let problem = pods
        .iter()
        .rev()
        .find(|pod| view::ended_well(pod))
        .and_then(|pod| view::guard_result(pod))
        .and_then(|guard| guard.problem);
    problem.map_or(Cause::Success, Cause::Guard)
}

fn program_cause(objects: RunObjects<'_>, pod: &Pod) -> Cause {
    if let Some(failed) = view::prepare_failure(pod) {
        return Cause::Prepare(text_of(failed));
    }
    let Some(ended) = view::program_end(pod) else {
        let problem = view::guard_result(pod).and_then(|guard| guard.problem);
        return problem.map_or(Cause::Gone, Cause::Guard);
    };
    if ended.reason.as_deref() == Some("OOMKilled") {
        return Cause::OutOfMemory;
    }
    let claims = claims::of(pod).unwrap_or_default();
    match (claims.start_error, claims.signal, claims.interrupted, claims.exit_code) {
        (Some(error), ..) if facts::sent_nothing(objects) => return Cause::NotStarted(error),
        (_, Some(signal), ..) => return Cause::Signal(signal),
        (_, _, Some(signal), _) => return Cause::Interrupted(Some(signal)),
        (_, _, _, Some(code)) => return Cause::ExitCode(code),
        (_, None, None, None) => {}
    }
    match (ended.reason.as_deref(), ended.signal) {
        (Some("StartError" | "ContainerCannotRun"), _) => Cause::Container(text_of(ended)),
        (Some(view::STATUS_UNKNOWN), _) => Cause::Gone,
        (_, Some(signal)) if signal != 0 => Cause::Signal(signal),
        // The kernel's convention for a process that a signal ended.
        _ if ended.exit_code > 128 && ended.exit_code < 128 + 65 => {
            Cause::Signal(ended.exit_code - 128)
        }
        // Otherwise it would have ended well.
        _ if ended.exit_code == 0 => Cause::Interrupted(None),
        _ => Cause::ExitCode(ended.exit_code),
    }
}

fn text_of(ended: &ContainerStateTerminated) -> String {
    ended.message.clone().unwrap_or_else(|| format!("exit code {}", ended.exit_code))
}

fn result(kind: RunKind, cause: &Cause, outcome: &Outcome) -> RunResult {
    match cause {
        Cause::Success => RunResult::Succeeded,
        // It says nothing of what is wanted now, and has left nothing behind.
        Cause::Stopped(reason)
            if *reason != StopReason::ImageChanged && (!outcome.started || !kind.writes()) =>
        {
            RunResult::Canceled
        }
        Cause::Gone => RunResult::Unknown,
        Cause::Ledger(verdict) => ledger::result(verdict),
        Cause::GaveWay(verdict) if matches!(**verdict, Verdict::Unknown(_)) => RunResult::Unknown,
        _ => RunResult::Failed,
    }
}

/// A dry run whose guard refused calls has not shown what applying would do, whatever the
/// program made of the errors.
fn complete_dry_run(kind: RunKind, outcome: &mut Outcome) {
    if kind != RunKind::DryRun || outcome.result != RunResult::Succeeded {
        return;
    }
    outcome.reason = Reason::DryRunSucceeded;
    let refused = outcome.guard.iter().flat_map(|guard| &guard.remarks);
    if refused.clone().any(|remark| remark.fidelity == Fidelity::Refused) {
        outcome.result = RunResult::Failed;
        outcome.reason = Reason::DryRunIncomplete;
    } else if outcome.guard.as_ref().is_none_or(|guard| guard.write_calls_upstream > 0) {
        outcome.result = RunResult::Failed;
        outcome.reason = Reason::GuardFailed;
    }
}

#[cfg(test)]
mod tests;
