//! Several writes in one request, as statements of PartiQL. It is a first attempt: what a batch
//! does not do for an item is done by its own write ([`Work::change`]), so items, counts and
//! failures are those of single writes.

use std::sync::Arc;

use dm_engine::{Call, Operation, Reach, RetryPacing, Throttle};
use dm_transform::Statement;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::change::{Attempt, Change, Work};
use crate::request::error_name;
use crate::tally::Happened;

/// What a batch did for one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was carried out.
    Made,
    /// A deletion found no item.
    NotThere,
    /// Nothing, or nobody knows: it is for its own write.
    Left(Left),
}

/// How the write that follows begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    First(Attempt),
    /// As soon as its queue calls it.
    Throttled(Throttle),
}

/// An answer to a batch.
#[derive(Debug, Default, Deserialize)]
struct Answered {
    #[serde(default, rename = "Responses")]
    responses: Vec<Response>,
}

#[derive(Debug, Deserialize)]
struct Response {
    #[serde(rename = "Error")]
    error: Option<StatementError>,
    #[serde(rename = "Item")]
    item: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct StatementError {
    #[serde(default, rename = "Code")]
    code: String,
}

impl Work {
    /// Sends the statements of these changes in one request; what it did for each of them.
    pub async fn send_batch(&self, statements: &[&Statement]) -> Vec<Done> {
        let sent_at = Instant::now();
        let throttle = Arc::new(Mutex::new(Throttle { sent_at, reach: Reach::KeyRange }));
        let throttled = Arc::clone(&throttle);
        let pacing = RetryPacing::new(move |throttle| {
            *throttled.lock() = throttle;
            // Each item waits for its own turn.
            std::future::ready(false)
        });
        let call = Call::new(Operation::BatchExecuteStatement, parameters(statements));
        let answer = self.engine.handle(call.patient().paced(pacing)).await;
        let throttle = *throttle.lock();
        if answer.status == 200
            && let Ok(Answered { responses }) = serde_json::from_slice(&answer.body)
            && responses.len() == statements.len()
        {
            let done: Vec<Done> = statements
                .iter()
                .zip(&responses)
                .map(|(statement, response)| response.done(statement, throttle))
                .collect();
            self.judge_batches(&responses);
            return done;
        }
        let name = error_name(&serde_json::from_slice(&answer.body).unwrap_or_default());
        let left = match (answer.status, name.as_str()) {
            // Of an answer that is not understood nothing is known either.
            (200 | 500.., _) => Left::First(Attempt::Conflicted { is_unsure: true }),
            (_, "ProvisionedThroughputExceededException") => {
                self.give_up_batches(THROTTLED);
                Left::Throttled(throttle)
            }
            (_, _) => {
                self.give_up_batches(&name);
                Left::First(Attempt::None)
            }
        };
        vec![Done::Left(left); statements.len()]
    }

    /// Ends the use of batches where none of a batch's statements is accepted, or where the
    /// database throttles: then its rate is the bound and not our processors, and single writes
    /// follow the rate of each segment more closely.
    fn judge_batches(&self, responses: &[Response]) {
        let codes = || responses.iter().map(|response| response.error.as_ref().map(|e| &*e.code));
        if codes().flatten().any(is_throttle) {
            self.give_up_batches(THROTTLED);
        }
        let refused = |code: Option<&str>| code.is_some_and(|code| REFUSED.contains(&code));
        if responses.len() > 1 && codes().all(refused) {
            self.give_up_batches(codes().flatten().next().unwrap_or_default());
        }
    }

    fn give_up_batches(&self, why: &str) {
        if self.batches.swap(false, std::sync::atomic::Ordering::Relaxed) {
            tracing::info!(why, "items are written singly from now on, without batches");
        }
    }

    /// Takes note of a change that a batch has made, or of an item that was not there.
    pub fn batched(&self, change: &Change, is_there: bool) {
        let what = if is_there { self.made(&change.evaluation) } else { Happened::Skipped };
        self.happened(&change.item, &change.origin, what);
    }
}

/// Codes of a statement that will not be accepted another time: permissions are missing
/// (`dynamodb:PartiQLUpdate`, `dynamodb:PartiQLDelete`), or the database reads it otherwise.
const REFUSED: [&str; 2] = ["AccessDenied", "ValidationError"];

/// Why batches end where the database throttles.
const THROTTLED: &str = "the database throttles";

fn is_throttle(code: &str) -> bool {
    ["ProvisionedThroughputExceeded", "ThrottlingError", "RequestLimitExceeded"].contains(&code)
}

impl Response {
    fn done(&self, statement: &Statement, throttle: Throttle) -> Done {
        let Some(error) = &self.error else {
            let is_there = !statement.is_deletion || self.item.is_some();
            return if is_there { Done::Made } else { Done::NotThere };
        };
        Done::Left(match error.code.as_str() {
            "ConditionalCheckFailed" | "TransactionConflict" => {
                Left::First(Attempt::Conflicted { is_unsure: false })
            }
            code if is_throttle(code) => Left::Throttled(throttle),
            "InternalServerError" => Left::First(Attempt::Conflicted { is_unsure: true }),
            // Its own write says why, in the words of single writes.
            _ => Left::First(Attempt::None),
        })
    }
}

fn parameters(statements: &[&Statement]) -> Map<String, Value> {
    let statement = |statement: &&Statement| {
        let parameters: Vec<Value> =
            statement.parameters.iter().map(dm_dynamodb::value::AttributeValue::to_json).collect();
        Value::Object(Map::from_iter([
            ("Statement".to_owned(), Value::from(statement.text.as_str())),
            ("Parameters".to_owned(), Value::from(parameters)),
        ]))
    };
    let statements: Vec<Value> = statements.iter().map(statement).collect();
    Map::from_iter([("Statements".to_owned(), statements.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_is_answered_for_itself() {
        let throttle = Throttle { sent_at: Instant::now(), reach: Reach::KeyRange };
        let check = |is_deletion, response: &str, expected| {
            let response: Response = serde_json::from_str(response).unwrap();
            let statement = Statement { text: String::new(), parameters: Vec::new(), is_deletion };
            let done = response.done(&statement, throttle);
            match (done, expected) {
                (Done::Left(Left::Throttled(_)), None) => {}
                (done, expected) => assert_eq!(Some(done), expected, "{response:?}"),
            }
        };
        let error = |code: &str| format!(r#"{{"Error":{{"Code":"{code}","Message":"m"}}}}"#);
        check(false, r#"{"TableName":"t"}"#, Some(Done::Made));
        check(true, r#"{"TableName":"t"}"#, Some(Done::NotThere));
        check(true, r#"{"TableName":"t","Item":{"id":{"S":"a"}}}"#, Some(Done::Made));
        let conflicted =
            |is_unsure| Some(Done::Left(Left::First(Attempt::Conflicted { is_unsure })));
        check(false, &error("ConditionalCheckFailed"), conflicted(false));
        check(false, &error("TransactionConflict"), conflicted(false));
        check(false, &error("InternalServerError"), conflicted(true));
        for code in ["ProvisionedThroughputExceeded", "ThrottlingError", "RequestLimitExceeded"] {
            check(false, &error(code), None);
        }
        let single = Some(Done::Left(Left::First(Attempt::None)));
        for code in ["ValidationError", "AccessDenied", "ResourceNotFound", "tomorrow's"] {
            check(false, &error(code), single);
        }
    }
}
