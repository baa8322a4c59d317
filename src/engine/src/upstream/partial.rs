//! Throttles inside of answers with status 200. A batch is an error only if nothing of it could be
//! carried out (DynamoDB API Reference, BatchGetItem and BatchWriteItem), and a throttled statement
//! of a batch never is one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer_members::Members;
use crate::limits;
use crate::operation::Operation;

/// Codes that ask to slow down, of statements in a batch and of actions in a transaction.
const THROTTLES: [&str; 3] =
    ["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];

/// The code of an action that was not the reason.
const NONE: &str = "None";

/// Whether the database has throttled a part of a batch.
pub fn is_throttled(operation: Operation, answer: &[u8]) -> bool {
    match operation {
        Operation::BatchGetItem => {
            answer.len() < limits::PARTIAL_ANSWER_BYTES_MIN && leaves(answer, "UnprocessedKeys")
        }
        Operation::BatchWriteItem => leaves(answer, "UnprocessedItems"),
        Operation::BatchExecuteStatement => has_throttled_statement(answer),
        _ => false,
    }
}

#[allow(clippy::zero_sized_map_values, reason = "a JSON object whose values do not matter")]
fn leaves(answer: &[u8], member: &str) -> bool {
    let left = Members::of(answer).and_then(|m| m.get::<BTreeMap<String, IgnoredAny>>(member));
    left.is_some_and(|left| !left.is_empty())
}

fn has_throttled_statement(answer: &[u8]) -> bool {
    let failed = Members::of(answer).map(|members| members.failed_statements());
    failed.unwrap_or_default().iter().any(|code| is_throttle(code))
}

/// Whether the body of a canceled transaction says that it was canceled by throttles alone.
pub fn is_throttled_transaction(body: &[u8]) -> bool {
    let reasons = Members::of(body).and_then(|m| m.get::<Vec<Coded>>("CancellationReasons"));
    let reasons = reasons.unwrap_or_default();
    let mut causes =
        reasons.iter().filter(|reason| reason.code.as_deref() != Some(NONE)).peekable();
    causes.peek().is_some() && causes.all(|reason| reason.code.as_deref().is_some_and(is_throttle))
}

fn is_throttle(code: &str) -> bool {
    THROTTLES.contains(&code)
}

#[derive(Deserialize)]
struct Coded {
    #[serde(rename = "Code")]
    code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_batch_is_throttled_where_a_part_of_it_was_left() {
        let check = |operation, answer: Value, expected| {
            let text = answer.to_string();
            assert_eq!(is_throttled(operation, text.as_bytes()), expected, "{text:.200}");
        };
        let left = json!({"cars": {"Keys": [{"id": {"S": "a"}}]}});
        let get = Operation::BatchGetItem;
        check(get, json!({"Responses": {"cars": []}, "UnprocessedKeys": {}}), false);
        check(get, json!({"Responses": {"cars": []}, "UnprocessedKeys": left}), true);
        // An attribute may have any name.
        let item = json!({"UnprocessedKeys": {"M": {"a": {"S": "b"}}}});
        check(get, json!({"Responses": {"cars": [item]}}), false);
        let large = "x".repeat(limits::PARTIAL_ANSWER_BYTES_MIN);
        let full = json!({"Responses": {"cars": [{"v": {"S": large}}]}, "UnprocessedKeys": left});
        check(get, full, false);
        let put = Operation::BatchWriteItem;
        check(put, json!({"UnprocessedItems": {}}), false);
        check(put, json!({}), false);
        check(put, json!({"UnprocessedItems": {"cars": [{"DeleteRequest": {}}]}}), true);
        let run = Operation::BatchExecuteStatement;
        let failed = |code: &str| json!({"Responses": [{}, {"Error": {"Code": code}}]});
        check(run, failed("ConditionalCheckFailed"), false);
        check(run, failed("ThrottlingError"), true);
        check(run, failed("ProvisionedThroughputExceeded"), true);
        check(Operation::Scan, json!({"UnprocessedKeys": left}), false);
    }

    #[test]
    fn a_transaction_is_throttled_where_all_its_reasons_are_throttles() {
        let check = |codes: &[&str], expected| {
            let reasons: Vec<Value> = codes.iter().map(|code| json!({"Code": code})).collect();
            let body = json!({"CancellationReasons": reasons}).to_string();
            assert_eq!(is_throttled_transaction(body.as_bytes()), expected, "{codes:?}");
        };
        check(&["None", "ThrottlingError"], true);
        check(&["ProvisionedThroughputExceeded", "ThrottlingError"], true);
        check(&["ThrottlingError", "ConditionalCheckFailed"], false);
        check(&["TransactionConflict"], false);
        check(&["None"], false);
        check(&[], false);
    }
}
