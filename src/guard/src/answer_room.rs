//! How much memory the answer to a call will take, before it is there: what DynamoDB allows at
//! most, and, as soon as answers to the same operation were seen, what these took.

use std::collections::HashMap;

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::operation::Operation;
use dm_dynamodb::request::Returned;
use dm_engine::{Answer, Call};
use parking_lot::Mutex;

use crate::memory::Held;

/// An item (DynamoDB's quotas: 400 KB), as JSON.
const ITEM: usize = 400 * 1024 * limits::ANSWER_JSON_BYTES;

/// A page of a Query or Scan (1 MB).
const PAGE: usize = 1024 * 1024 * limits::ANSWER_JSON_BYTES;

/// The items of a transaction (4 MB).
const TRANSACTION: usize = 4 * PAGE;

/// The items of a BatchGetItem (16 MB).
const BATCH: usize = 16 * PAGE;

/// Sizes of recent answers, by operation.
#[derive(Debug, Default)]
pub struct AnswerSizes(Mutex<HashMap<Operation, usize>>);

impl AnswerSizes {
    /// Bytes that are expected of the answer to a call; 0 if it has no items.
    pub fn expected(&self, call: &Call) -> usize {
        match most(call) {
            0 => 0,
            most => self.0.lock().get(&call.operation).copied().unwrap_or(most),
        }
    }

    /// Records an answer's size. A larger one counts immediately, a smaller one gradually.
    pub fn seen(&self, operation: Operation, bytes: usize) {
        let mut recent = self.0.lock();
        let before = recent.get(&operation).copied().unwrap_or(bytes);
        let fallen = before - before / limits::ANSWER_EXPECTED_DECAY;
        recent.insert(operation, bytes.max(fallen).max(limits::ANSWER_EXPECTED_BYTES_MIN));
    }
}

/// The same answer, which holds memory until it is sent.
pub fn accounted(answer: Answer, held: Held) -> Answer {
    let held = held.shrunk_to(answer.body.len());
    let body = Bytes::from_owner(Accounted { body: answer.body, _held: held });
    Answer { body, ..answer }
}

struct Accounted {
    body: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Accounted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Bytes of items that DynamoDB returns at most.
fn most(call: &Call) -> usize {
    let items = |count: usize, most: usize| count.saturating_mul(ITEM).min(most);
    match call.outline().returned() {
        Returned::Nothing => 0,
        Returned::Item => ITEM,
        Returned::Page(limit) => items(limit.unwrap_or(usize::MAX), PAGE),
        Returned::Batch(count) => items(count, BATCH),
        Returned::Transaction(count) => items(count, TRANSACTION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn call(operation: Operation, body: Value) -> Call {
        let Value::Object(body) = body else { unreachable!() };
        Call::new(operation, body)
    }

    #[test]
    fn an_answer_is_expected_to_have_what_dynamodb_returns_at_most() {
        let check = |operation, body: Value, expected| {
            assert_eq!(most(&call(operation, body.clone())), expected, "{operation:?} {body}");
        };
        let keys = |count| json!({"Keys": vec![json!({}); count]});
        check(Operation::GetItem, json!({}), ITEM);
        check(Operation::Scan, json!({}), PAGE);
        check(Operation::Query, json!({"Limit": 1}), ITEM);
        check(Operation::Query, json!({"Limit": 1000}), PAGE);
        let few = json!({"RequestItems": {"a": keys(2), "b": keys(1)}});
        check(Operation::BatchGetItem, few, 3 * ITEM);
        check(Operation::BatchGetItem, json!({"RequestItems": {"a": keys(100)}}), BATCH);
        let gets = json!({"TransactItems": vec![json!({}); 100]});
        check(Operation::TransactGetItems, gets, TRANSACTION);
        check(Operation::BatchExecuteStatement, json!({"Statements": [{}]}), ITEM);
        check(Operation::UpdateItem, json!({"ReturnValues": "ALL_OLD"}), ITEM);
        check(Operation::UpdateItem, json!({"ReturnValues": "NONE"}), 0);
        check(Operation::PutItem, json!({}), 0);
        check(Operation::DescribeTable, json!({}), 0);
    }

    #[test]
    fn the_largest_of_recent_answers_is_expected_again() {
        let sizes = AnswerSizes::default();
        let scan = || call(Operation::Scan, json!({}));
        assert_eq!(sizes.expected(&scan()), PAGE, "nothing is known yet");
        sizes.seen(Operation::Scan, 5_000_000);
        assert_eq!(sizes.expected(&scan()), 5_000_000);
        sizes.seen(Operation::Scan, 100);
        assert_eq!(sizes.expected(&scan()), 4_375_000);
        for _ in 0..50 {
            sizes.seen(Operation::Scan, 100);
        }
        assert_eq!(sizes.expected(&scan()), limits::ANSWER_EXPECTED_BYTES_MIN);
        sizes.seen(Operation::Scan, 1_000_000);
        assert_eq!(sizes.expected(&scan()), 1_000_000);
        assert_eq!(sizes.expected(&call(Operation::GetItem, json!({}))), ITEM, "by operation");
    }
}
