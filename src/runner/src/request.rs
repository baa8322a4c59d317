//! Requests to the engine, sent again where that helps, and their errors sorted by what they mean.

use std::sync::Arc;

use bytes::Bytes;
use dm_engine::{Call, Engine, Operation, RetryPacing};
use serde_json::{Map, Value};

use crate::going::Going;
use crate::limits::{RETRIES_MAX, RETRY_PAUSE, RETRY_PAUSE_MAX};

/// Why a request was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// The item is no longer what it was when it was read, or its new place is taken.
    #[error("the item has changed")]
    Conflict {
        /// Whether an earlier attempt of the request may have been carried out.
        is_unsure: bool,
    },
    /// The database does not take this item.
    #[error("the database rejects the item: {0}")]
    Item(String),
    /// The run ends, and the request was not sent again.
    #[error("the run has ended")]
    Halted,
    /// Nothing of this kind will be carried out.
    #[error("{operation} failed with {name}: {message}")]
    Run {
        /// The operation.
        operation: &'static str,
        name: String,
        message: String,
    },
}

/// What an answer's error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Conflict,
    Item,
    Again,
    Run,
}

/// Sends a request through the engine, as a program's would arrive, and returns the body of its
/// answer. The parameters are built again for each retry. The run's limits and a pause hold it as
/// long as they last; what is counted are answers of the database. Once the run is halted nothing
/// is sent again.
pub(crate) async fn send(
    engine: &Arc<Engine>,
    going: &Going,
    operation: Operation,
    parameters: impl Fn() -> Map<String, Value>,
) -> Result<Bytes, RequestError> {
    send_paced(engine, going, || Call::new(operation, parameters()), None).await
}

/// The same of a call; a throttled attempt waits until a queue calls it, if there is one.
pub(crate) async fn send_paced(
    engine: &Arc<Engine>,
    going: &Going,
    mut call: impl FnMut() -> Call,
    pacing: Option<&RetryPacing>,
) -> Result<Bytes, RequestError> {
    let (mut pause, mut is_unsure) = (RETRY_PAUSE, false);
    for retries in 0.. {
        if going.is_halted() {
            return Err(RequestError::Halted);
        }
        let call = call().patient();
        let operation = call.operation;
        let call = match pacing {
            Some(pacing) => call.paced(pacing.clone()),
            None => call,
        };
        let answer = engine.handle(call).await;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let name = error_name(&body);
        let message = body["message"].as_str().or(body["Message"].as_str());
        let message = message.unwrap_or_default().to_owned();
        match meaning(answer.status, &name, &body) {
            Meaning::Conflict => return Err(RequestError::Conflict { is_unsure }),
            Meaning::Item if operation != Operation::Scan => {
                return Err(RequestError::Item(message));
            }
            Meaning::Again if retries < RETRIES_MAX => {
                is_unsure |= answer.status >= 500;
                // Whether it was halted is asked above.
                let _ = tokio::time::timeout(pause, going.ended()).await;
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
            }
            _ => {
                let operation = operation.name();
                return Err(RequestError::Run { operation, name, message });
            }
        }
    }
    // The loop has no other end.
    Err(RequestError::Halted)
}

/// The name of an error, without its namespace.
pub(crate) fn error_name(body: &Value) -> String {
    let name = body["__type"].as_str().unwrap_or("an answer that is not DynamoDB's");
    name.rsplit('#').next().unwrap_or(name).to_owned()
}

fn meaning(status: u16, name: &str, body: &Value) -> Meaning {
    match name {
        "ConditionalCheckFailedException" | "TransactionConflictException" => Meaning::Conflict,
        "TransactionCanceledException" => canceled(body),
        "ValidationException" | "ItemCollectionSizeLimitExceededException" => Meaning::Item,
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException" => Meaning::Again,
        _ if status >= 500 => Meaning::Again,
        _ => Meaning::Run,
    }
}

/// The reason that decides: an item that is not taken will not be taken later.
fn canceled(body: &Value) -> Meaning {
    let reasons = body["CancellationReasons"].as_array();
    let codes: Vec<&str> =
        reasons.into_iter().flatten().filter_map(|reason| reason["Code"].as_str()).collect();
    if codes
        .iter()
        .any(|code| ["ValidationError", "ItemCollectionSizeLimitExceeded"].contains(code))
    {
        Meaning::Item
    } else if codes
        .iter()
        .any(|code| ["ConditionalCheckFailed", "TransactionConflict"].contains(code))
    {
        Meaning::Conflict
    } else {
        Meaning::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_are_sorted_by_what_they_mean() {
        let canceled = |codes: &[&str]| {
            let reasons: Vec<Value> = codes.iter().map(|code| json!({"Code": code})).collect();
            json!({"CancellationReasons": reasons})
        };
        for (status, name, body, expected) in [
            (400, "ConditionalCheckFailedException", json!({}), Meaning::Conflict),
            (400, "ValidationException", json!({}), Meaning::Item),
            (400, "ThrottlingException", json!({}), Meaning::Again),
            (400, "AccessDeniedException", json!({}), Meaning::Run),
            (400, "ResourceNotFoundException", json!({}), Meaning::Run),
            (500, "InternalServerError", json!({}), Meaning::Again),
            (503, "an answer that is not DynamoDB's", json!({}), Meaning::Again),
            (
                400,
                "TransactionCanceledException",
                canceled(&["None", "ConditionalCheckFailed"]),
                Meaning::Conflict,
            ),
            (
                400,
                "TransactionCanceledException",
                canceled(&["ConditionalCheckFailed", "ValidationError"]),
                Meaning::Item,
            ),
            (
                400,
                "TransactionCanceledException",
                canceled(&["ThrottlingError", "None"]),
                Meaning::Again,
            ),
        ] {
            assert_eq!(meaning(status, name, &body), expected, "{status} {name} {body}");
        }
    }
}
