//! Finds what ended a run, or a part of it: by its Job, its pods and what is believed of their
//! words. Pure.

use dm_contract::verdict::Verdict;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use crate::decide::outcome::cause::{Cause, StopReason};
use crate::decide::outcome::{claims, facts, gave_way};
use crate::objects::STOP_REASON_ANNOTATION;
use crate::read::view::{self, JobEnd, RunObjects};

/// Returns what ended the run of these objects, of which this pod came last.
pub fn of(objects: RunObjects<'_>, pod: Option<&Pod>) -> Cause {
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

fn stopped(job: &Job) -> Option<StopReason> {
    use StopReason::{ImageChanged, Superseded, Suspended, Terminating};
    let annotation = job.metadata.annotations.as_ref()?.get(STOP_REASON_ANNOTATION)?;
    [Superseded, Terminating, Suspended, ImageChanged]
        .into_iter()
        .find(|reason| reason.as_str() == annotation)
}

/// A program that ended well while its guard did not is no success.
fn success(pods: &[&Pod]) -> Cause {
    let Some(pod) = pods.iter().rev().find(|pod| view::ended_well(pod)) else {
        return Cause::Success;
    };
    match view::guard_result(pod) {
        Some(guard) => guard.problem.map_or(Cause::Success, Cause::Guard),
        // What it says of the writes is not known, and the program may not have noticed.
        None if view::guard_has_ended(pod) => Cause::Guard(NO_RESULT.to_owned()),
        None => Cause::Success,
    }
}

/// Problem of a run whose guard has ended without words that can be read.
const NO_RESULT: &str =
    "The guard left no result, or the kubelet cut it, so what became of the requests is not known.";

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
    if let Some(left) = claims.left_running {
        return Cause::LeftRunning(left.to_string());
    }
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
