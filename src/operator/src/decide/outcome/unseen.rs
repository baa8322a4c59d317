//! A program that ended well and sent its guard nothing: a dry run of it shows nothing, and what it
//! did elsewhere was real. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};

use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::words::{bounded, duration};

/// What such a program may have done, the likeliest first. Clients with a fixed endpoint and old
/// SDKs are what people have; a program that did nothing at all is rarer.
pub const LIKELY_CAUSES: &str = "The likely causes, the likeliest first: its client names an endpoint itself (endpoint_url, a \
     configuration file, a local database); its SDK is too old for AWS_ENDPOINT_URL_DYNAMODB (boto3 \
     needs 1.28.0, Go SDK v2 config 1.22, Java SDK 2.28.1; JS SDK v2 and Go SDK v1 never read it); it \
     ended before its first call, because of a switch, an argument or a caught error; it does not use \
     DynamoDB";

/// Makes a dry run without one request what it is, unless its author has said that none is
/// expected.
pub fn complete(record: &RunRecord, expected: bool, mut outcome: Outcome) -> Outcome {
    let silent = outcome.guard.as_ref().is_some_and(|guard| guard.requests == 0);
    let counts = record.kind == RunKind::DryRun && outcome.result == RunResult::Succeeded;
    if !silent || !counts || expected {
        return outcome;
    }
    outcome.result = RunResult::Failed;
    outcome.reason = Reason::NoRequestsSeen;
    outcome.message = bounded(format!(
        "The program ended with exit code 0{} without one request to the guard, so the dry run shows \
         nothing. Through the guard nothing was written; what the program sent elsewhere was real. \
         {LIKELY_CAUSES}.",
        duration(&outcome)
    ));
    outcome.what_now = format!(
        "Let its client take the endpoint and the credentials from the environment; a changed program is \
         given a new dry run. If no request is expected, set spec.expectNoRequests to true. To repeat \
         the same program, set spec.retry to {}.",
        record.retry + 1
    );
    outcome
}
