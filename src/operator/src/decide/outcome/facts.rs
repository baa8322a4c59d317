//! What is known of a run's end whatever its cause: from the kubelet, the guard and the ledger, and
//! of the program's own words what is believed. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunRecord, RunResult};
use dm_contract::report::GuardResult;
use k8s_openapi::api::core::v1::Pod;

use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::{claims, gave_way};
use crate::limits;
use crate::read::counts;
use crate::read::indexes::PartPods;
use crate::read::view::{self, RunObjects};

/// Returns times, exit code, last lines and counts.
pub fn of(record: &RunRecord, objects: RunObjects<'_>) -> Outcome {
    let pod = objects.pods.iter().rev().find(|pod| view::program_end(pod).is_some());
    // The exit code of an unknown end is the kubelet's, and so are its words.
    let ended = pod
        .and_then(|pod| view::program_end(pod))
        .filter(|ended| ended.reason.as_deref() != Some(view::STATUS_UNKNOWN));
    let claims = pod.and_then(|pod| claims::of(pod));
    // The container of a program that could not be started ran only our entry program.
    let never = claims.as_ref().is_some_and(|claims| claims.start_error.is_some());
    let began = !never || !sent_nothing(objects);
    let first = objects.pods.iter().find_map(|pod| view::program_started(pod));
    // What was seen once stays true when the pod that showed it is gone.
    let first = first.or(record.execution_time.as_ref().map(|time| time.0)).filter(|_| began);
    let may_have = began && objects.pods.iter().any(|pod| view::may_have_started(pod));
    // The only words of a restore's container are its result, as JSON.
    let lines = match &claims {
        _ if record.kind.restores() => Vec::new(),
        Some(claims) => claims.last_lines.clone(),
        None => {
            ended.and_then(|ended| ended.message.as_deref()).map(last_lines).unwrap_or_default()
        }
    };
    Outcome {
        result: RunResult::Unknown,
        reason: Reason::OutcomeUnknown,
        message: String::new(),
        what_now: String::new(),
        started: first.is_some() || may_have,
        execution_time: claims
            .as_ref()
            .and_then(|claims| claims.started_at)
            .or(first)
            .filter(|_| began),
        finalization_time: claims
            .as_ref()
            .and_then(|claims| claims.finished_at)
            .or_else(|| ended.and_then(|ended| ended.finished_at.as_ref()).map(|time| time.0))
            .filter(|_| began),
        exit_code: ended.map(|ended| ended.exit_code),
        signal: claims.as_ref().and_then(|claims| claims.signal),
        last_lines: lines,
        guard: counted(record, objects, pod.copied()),
        second_run: claims.and_then(|claims| claims.second_run),
        verdict: gave_way::let_in(objects),
        archive: objects.job.and_then(|job| view::archive_url(job)),
        image_id: pod
            .or(objects.pods.last())
            .and_then(|pod| view::program_image(pod))
            .map(str::to_owned),
        restore: None,
        wrote_nothing: false,
    }
}

/// What the guard saw: of a program its last pod's, of a transform that of all its pods.
fn counted(record: &RunRecord, objects: RunObjects<'_>, pod: Option<&Pod>) -> Option<GuardResult> {
    let last = pod.or(objects.pods.last().copied()).and_then(view::guard_result);
    let is_transform = last.as_ref().is_some_and(|result| result.transform.is_some());
    if objects.pods.len() < 2 || !is_transform {
        return last;
    }
    let part = PartPods { index: 0, pods: objects.pods.to_vec() };
    counts::of_part(record, &part, None).result
}

/// The last lines of a log's tail as the kubelet gives it for a container without our entry.
fn last_lines(tail: &str) -> Vec<String> {
    let lines: Vec<String> = tail.lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(limits::LAST_LINES_MAX)..].to_vec()
}

/// Whether the guard of the run's only pod was there to its end and had not one request of the
/// program: only then a program is believed that says it never started.
pub fn sent_nothing(objects: RunObjects<'_>) -> bool {
    let [pod] = objects.pods else { return false };
    view::guard_result(pod).is_some_and(|guard| {
        guard.problem.is_none() && guard.requests == 0 && guard.write_calls_upstream == 0
    })
}
