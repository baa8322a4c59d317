//! A program that ended well and sent its guard nothing: what it did elsewhere was real, and nobody
//! knows of it. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::report::GuardResult;
use dm_contract::verdict::RunOutcome;
use k8s_openapi::api::core::v1::Pod;

use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::words::{bounded, duration};
use crate::read::view::{self, RunObjects};

/// What such a program may have done, the most likely first. Clients with a fixed endpoint and old
/// SDKs are what people have; a program that did nothing at all is rarer.
pub const LIKELY_CAUSES: &str = "The likely causes, the most likely first: its client names an \
     endpoint itself (endpoint_url, a configuration file, a local database); its SDK is too old \
     for AWS_ENDPOINT_URL_DYNAMODB (boto3 needs 1.28.0, Go SDK v2 config 1.22, Java SDK 2.28.1; JS \
     SDK v2 and Go SDK v1 never read it); it ended before its first call, because of a switch, an \
     argument or a caught error; it does not use DynamoDB";

/// Makes a run without one request what it is, unless its author has said that none is expected.
pub fn complete(
    record: &RunRecord,
    objects: RunObjects<'_>,
    expected: bool,
    mut outcome: Outcome,
) -> Outcome {
    if outcome.result != RunResult::Succeeded || !is_silent(record.kind, objects, &outcome) {
        return outcome;
    }
    // The guard has recorded what its run was begun with; the spec may have changed since.
    let archived = outcome.guard.as_ref().and_then(|guard| guard.archived.as_ref());
    let is_accepted = match archived.and_then(|archived| archived.completed) {
        Some(recorded) => recorded == RunOutcome::Succeeded,
        None => expected,
    };
    if is_accepted {
        return outcome;
    }
    outcome.result = RunResult::Failed;
    outcome.reason = Reason::NoRequestsSeen;
    // What it wrote past the guard is not known.
    outcome.wrote_nothing = false;
    outcome.message = bounded(message(record.kind, &duration(&outcome)));
    outcome.what_now = what_now(record);
    outcome
}

/// Whether the program has sent nothing through the guard. A transform is carried out by the guard
/// itself. Of an apply that was repeated, each pod counts: what one has sent is known.
fn is_silent(kind: RunKind, objects: RunObjects<'_>, outcome: &Outcome) -> bool {
    let none = |guard: &GuardResult| guard.requests == 0 && guard.transform.is_none();
    let last = outcome.guard.as_ref().is_some_and(none);
    match kind {
        RunKind::DryRun => last,
        RunKind::Apply => {
            let sent_none = |pod: &&Pod| view::guard_result(pod).as_ref().is_some_and(none);
            last && objects.pods.iter().all(sent_none)
        }
        RunKind::RestorePreview | RunKind::Restore => false,
    }
}

fn message(kind: RunKind, after: &str) -> String {
    let means = match kind {
        RunKind::Apply => {
            "It did nothing, or it wrote past the guard: nothing is journaled, and what it wrote \
             cannot be restored"
        }
        RunKind::DryRun | RunKind::RestorePreview | RunKind::Restore => {
            "The dry run shows nothing. Nothing was written through the guard; writes that the \
             program sent elsewhere were real"
        }
    };
    format!(
        "The program ended with exit code 0{after} without one request to the guard. {means}. \
         {LIKELY_CAUSES}."
    )
}

fn what_now(record: &RunRecord) -> String {
    let retry = record.next_retry();
    if record.kind == RunKind::Apply {
        return format!(
            "Look at the data. Let the program's client take the endpoint and the credentials from \
             the environment, or set spec.expectNoRequests to true if it needs no request. Then \
             set spec.retry to {retry}, which runs it again."
        );
    }
    format!(
        "Let its client take the endpoint and the credentials from the environment; a changed \
         program gets a new dry run. If no request is expected, set spec.expectNoRequests to true. \
         To repeat the same program, set spec.retry to {retry}."
    )
}
