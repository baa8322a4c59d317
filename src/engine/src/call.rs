//! One operation's request and its answer, between the wire and the layers. No HTTP here.

use std::sync::OnceLock;

use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::partiql::Statement;
use dm_dynamodb::request::{Outline, Request, StatementRequest};
use dm_dynamodb::value::{Item, write_json, write_members};
use serde_json::{Map, Value};

use crate::error_name::{TRANSACTION_IN_PROGRESS, error_name};
use crate::operation::Operation;
use crate::retry_pacing::RetryPacing;

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

/// One request for one operation: its body, and beside it what the body asks for.
#[derive(Clone, Debug)]
pub struct Call {
    /// The operation.
    pub operation: Operation,
    /// The SDK's id of the call, the same over its retries.
    pub invocation: Option<Invocation>,
    /// Whether it waits for rates and pauses as long as they last.
    patient: bool,
    /// When its throttled attempts are sent again.
    pub(crate) pacing: Option<RetryPacing>,
    /// The item that it is about, as its caller has read it.
    pub(crate) read: Option<ReadItem>,
    body: Map<String, Value>,
    /// Decoded when the first layer needs it, and then once for all of them: what only passes to a
    /// database that checks it itself is not decoded at all.
    /// Boxed, because each layer's future has room for the call.
    request: OnceLock<Box<Result<Request, ServiceError>>>,
}

impl Call {
    /// A call of an operation with these parameters.
    pub fn new(operation: Operation, body: Map<String, Value>) -> Self {
        Self {
            operation,
            invocation: None,
            patient: false,
            pacing: None,
            read: None,
            body,
            request: OnceLock::new(),
        }
    }

    /// The same, identified over its retries.
    #[must_use]
    pub fn with_invocation(self, invocation: Option<Invocation>) -> Self {
        Self { invocation, ..self }
    }

    /// The same of a caller in this process, which has no time-out: rates and pauses
    /// hold it as long as they last, and are no errors.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// The same for a caller that adapts to throttles itself: the caller decides when a throttled
    /// attempt is sent again, and throttles lower no rate of the run.
    #[must_use]
    pub fn paced(self, pacing: RetryPacing) -> Self {
        Self { pacing: Some(pacing), ..self }
    }

    /// The same of a caller that has read the whole item of this table, perhaps a while ago: it
    /// need not be read again before it is written.
    #[must_use]
    pub fn of_read_item(self, table: &str, item: Item) -> Self {
        Self { read: Some(ReadItem { table: table.to_owned(), item }), ..self }
    }

    /// Whether it waits for rates and pauses as long as they last.
    pub fn is_patient(&self) -> bool {
        self.patient
    }

    /// The parameters. What is sent upstream is written from these, never from the bytes received,
    /// so that what was checked and what is sent cannot be read differently.
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    /// Returns what the body says of the call, whether or not the body is right. What only passes
    /// to a database that checks it itself is not decoded.
    pub fn outline(&self) -> Outline<'_> {
        Outline::of(self.operation, &self.body)
    }

    /// The parameters as JSON.
    pub fn to_json(&self) -> Bytes {
        let members = self.body.iter().map(|(name, value)| (name.as_str(), value));
        Bytes::from(write_members(members))
    }

    /// What the call asks for, or DynamoDB's error of a request that is wrong in itself.
    pub fn request(&self) -> Result<&Request, &ServiceError> {
        let decode = || Box::new(Request::decode(self.operation, &self.body));
        self.request.get_or_init(decode).as_ref().as_ref()
    }

    /// The statements of the call, in their order; none of other operations.
    pub fn statements(&self) -> Result<&[StatementRequest], ServiceError> {
        match self.operation {
            Operation::ExecuteStatement
            | Operation::BatchExecuteStatement
            | Operation::ExecuteTransaction => {
                self.request().map(Request::statements).map_err(Clone::clone)
            }
            _ => Ok(&[]),
        }
    }

    /// Whether the call only reads, although its operation may write: all its statements are
    /// SELECT. One that is not understood may write, and EXISTS is part of a transaction of writes.
    pub fn only_reads(&self) -> bool {
        let statements = self.statements().unwrap_or_default();
        let selects = |one: &StatementRequest| matches!(one.statement, Ok(Statement::Select(_)));
        !statements.is_empty() && statements.iter().all(selects)
    }

    pub fn into_body(self) -> Map<String, Value> {
        self.body
    }

    /// The parameters, and what they ask for.
    pub fn into_decoded(self) -> (Map<String, Value>, Result<Request, ServiceError>) {
        let Self { operation, body, request, .. } = self;
        let request = match request.into_inner() {
            Some(request) => *request,
            None => Request::decode(operation, &body),
        };
        (body, request)
    }
}

/// An item that the caller of a write has read.
#[derive(Clone, Debug)]
pub(crate) struct ReadItem {
    pub table: String,
    pub item: Item,
}

/// Identifies a call over its retries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invocation {
    /// The header `amz-sdk-invocation-id`.
    pub id: String,
    /// Digest of target and body by value: a client that reuses an id for another request is not
    /// answered with the first one's answer.
    pub digest: [u8; 32],
}

/// An answer: status and a JSON body, the same for an error.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, or DynamoDB's status of the error.
    pub status: u16,
    pub body: Bytes,
    /// Seconds after which a throttled client is asked to retry.
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_only_reads_when_all_its_statements_do() {
        let check = |operation, body: Value, expected| {
            let Value::Object(body) = body else { unreachable!() };
            assert_eq!(Call::new(operation, body.clone()).only_reads(), expected, "{body:?}");
        };
        let one = |text: &str| json!({"Statement": text});
        let (select, update) =
            ("select * from cars where id = 'a'", "UPDATE cars SET b = 1 WHERE id = 'a'");
        check(Operation::ExecuteStatement, one(select), true);
        check(Operation::ExecuteStatement, one(update), false);
        check(Operation::ExecuteStatement, one("SELECT of nothing"), false);
        let batch = |all: &[&str]| {
            let all: Vec<Value> = all.iter().map(|text| one(text)).collect();
            json!({"Statements": all})
        };
        check(Operation::BatchExecuteStatement, batch(&[select, select]), true);
        check(Operation::BatchExecuteStatement, batch(&[select, update]), false);
        check(Operation::BatchExecuteStatement, batch(&[]), false);
        check(Operation::PutItem, json!({"TableName": "cars"}), false);
        check(Operation::Scan, json!({"TableName": "cars"}), false);
    }
}
