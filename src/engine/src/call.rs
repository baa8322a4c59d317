//! One operation's request and its answer, between the wire and the layers. No HTTP here.

use bytes::Bytes;
use dm_dynamodb::value::write_json;
use serde_json::{Map, Value};

use crate::error_name::{TRANSACTION_IN_PROGRESS, error_name};
use crate::operation::Operation;

/// Errors of status 400 that pass: whoever sends the call again may get another answer (DynamoDB
/// Developer Guide, "Error handling": those with "OK to retry").
const TRANSIENT: [&str; 10] = [
    TRANSACTION_IN_PROGRESS,
    "ExpiredTokenException",
    "ItemCollectionSizeLimitExceededException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
    "UnrecognizedClientException",
];

fn is_transient(name: &str) -> bool {
    TRANSIENT.contains(&name)
}

/// One request for one operation, decoded.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub operation: Operation,
    /// With which parameters. What is sent upstream is written from this value, never the bytes
    /// received, so that what was checked and what is sent cannot be read differently.
    pub body: Map<String, Value>,
    /// The SDK's id of the call, the same over its retries.
    pub invocation: Option<Invocation>,
}

/// Identifies a call over its retries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invocation {
    /// The header `amz-sdk-invocation-id`.
    pub id: String,
    /// Digest of target and body by value: a client that reuses an id for another request is not answered
    /// with the first one's answer.
    pub digest: [u8; 32],
}

/// An answer: status and a JSON body, the same for an error.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, or DynamoDB's status of the error.
    pub status: u16,
    /// JSON.
    pub body: Bytes,
    /// Seconds after which a throttled client is asked to come back.
    pub retry_after_s: Option<u32>,
}

impl Answer {
    /// A success with this body.
    pub fn ok(body: Bytes) -> Self {
        Self { status: 200, body, retry_after_s: None }
    }

    /// A success with this value as its body.
    pub fn json(value: &Value) -> Self {
        Self::ok(Bytes::from(write_json(value)))
    }

    /// Whether a client that sends the call again should get this very answer: it succeeded, or it
    /// failed for a reason that lies in the request or the data.
    pub fn is_final(&self) -> bool {
        let transient = || error_name(&self.body).is_some_and(|name| is_transient(&name));
        self.status < 500 && self.retry_after_s.is_none() && (self.status < 400 || !transient())
    }
}
