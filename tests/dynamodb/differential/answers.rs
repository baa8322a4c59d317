//! Answers and tables as far as they are defined, so that two sides can be compared.

use serde_json::{Value, json};

use super::Names;
use super::database::Database;
use super::generate::Step;
use crate::bed::{Endpoint, canonical};
use crate::shorthand::expand;
use crate::suite::statements_in_full;

/// Where DynamoDB Local is known to depart from AWS: a transaction's update that cannot be
/// evaluated is a reason of its cancellation ("Troubleshooting TransactionCanceledException",
/// ValidationError).
pub fn is_known_departure(expected: &str, found: &str) -> bool {
    // No answer of AWS; where DynamoDB Local fails is listed in tests/README.md.
    expected.starts_with("InternalFailure")
        || expected.starts_with("ValidationException")
            && found.starts_with("TransactionCanceledException")
            && found.contains("ValidationError")
        || without_last_key(expected) == without_last_key(found) && !expected.contains(LAST_KEY)
}

const LAST_KEY: &str = "\"LastEvaluatedKey\":";

/// DynamoDB Local tells no LastEvaluatedKey when the limit is reached by the last sort key that a
/// condition includes; AWS tells one whenever the limit is reached. It stands before ScannedCount.
fn without_last_key(answer: &str) -> String {
    match (answer.find(LAST_KEY), answer.find("\"ScannedCount\":")) {
        (Some(from), Some(to)) if from < to => answer[..from].to_owned() + &answer[to..],
        _ => answer.to_owned(),
    }
}

pub async fn items(endpoint: &Endpoint, table: &str) -> Vec<String> {
    let mut items = endpoint.items(table).await;
    items.iter_mut().for_each(sort_sets);
    let mut items: Vec<String> = items.iter().map(canonical).collect();
    items.sort();
    items
}

/// The answer as text, as far as it is defined: scans have no order, nor have equal index keys.
pub async fn answer(step: &Step, names: &Names, endpoint: &Endpoint) -> String {
    let text = expand(&statements_in_full(&step.body)).to_string();
    let mut body: Value = serde_json::from_str(&names.put_into(&text)).unwrap();
    let (status, answer) = if step.pages {
        pages(step, &mut body, endpoint).await
    } else {
        endpoint.call(step.operation, &body).await
    };
    let text = names.take_out_of(&answer.to_string());
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    sort_sets(&mut answer);
    if status != 200 {
        return error(&answer);
    }
    if step.operation.contains("Execute") {
        comparable(&mut answer);
    }
    for member in ["Items", "Responses"] {
        if let Some(order) = &step.order
            && let Some(items) = answer.get_mut(member)
        {
            sort(items, order.as_deref());
        }
    }
    told_beside(&mut answer, &step.body);
    format!("{status} {}", canonical(&answer))
}

/// Capacities, and sizes of item collections, as far as they are defined: the tables of a call have
/// no order, and a size is an estimate.
fn told_beside(answer: &mut Value, request: &Value) {
    let members = answer.as_object_mut().unwrap();
    match members.get_mut("ConsumedCapacity") {
        // DynamoDB Local tells the capacity of a delete without effect unasked.
        _ if request.get("ReturnConsumedCapacity").is_none_or(|level| level == "NONE") => {
            members.remove("ConsumedCapacity");
        }
        Some(Value::Array(tables)) => tables.sort_by_cached_key(canonical),
        _ => {}
    }
    match members.get_mut("ItemCollectionMetrics") {
        Some(Value::Object(one)) if one.contains_key("ItemCollectionKey") => {
            one.remove("SizeEstimateRangeGB");
        }
        Some(Value::Object(tables)) => {
            for collections in tables.values_mut().filter_map(Value::as_array_mut) {
                for one in collections.iter_mut().filter_map(Value::as_object_mut) {
                    one.remove("SizeEstimateRangeGB");
                }
                collections.sort_by_cached_key(canonical);
            }
        }
        _ => {}
    }
}

/// An answer to statements as far as it is defined: tokens and words are each side's own, and
/// DynamoDB Local tells no key beside a token.
fn comparable(answer: &mut Value) {
    let members = answer.as_object_mut().unwrap();
    members.remove("LastEvaluatedKey");
    if let Some(token) = members.get_mut("NextToken") {
        *token = "a token".into();
    }
    let responses = members.get_mut("Responses").and_then(Value::as_array_mut);
    for response in responses.into_iter().flatten() {
        if let Some(Value::Object(error)) = response.get_mut("Error") {
            error.remove("Message");
            let refused = error["Code"] == "ValidationError";
            // Of a statement that was refused, dynoxide does not tell the table.
            if refused && let Some(members) = response.as_object_mut() {
                members.remove("TableName");
            }
        }
    }
}

/// Sorts what has no order: items within equal values of the attribute they are ordered by.
fn sort(items: &mut Value, by: Option<&str>) {
    match items {
        Value::Array(items) => {
            let sorted_by: Vec<Value> =
                items.iter().map(|item| by.map_or(Value::Null, |by| item[by].clone())).collect();
            let mut from = 0;
            for at in 1..=items.len() {
                if at == items.len() || sorted_by[at] != sorted_by[from] {
                    items[from..at].sort_by_cached_key(canonical);
                    from = at;
                }
            }
        }
        Value::Object(tables) => tables.values_mut().for_each(|items| sort(items, by)),
        _ => {}
    }
}

fn sort_sets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("SS" | "NS" | "BS", Value::Array(elements)) => {
                        elements.sort_by_cached_key(canonical);
                    }
                    ("N", Value::String(number)) => trim(number),
                    (_, value) => sort_sets(value),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(sort_sets),
        _ => {}
    }
}

/// DynamoDB Local keeps the zeros of a sum of fractions ("3.0"); AWS trims them, as dynoxide does.
fn trim(number: &mut String) {
    if Database::under_test() == Database::Local && number.contains('.') {
        number.truncate(number.trim_end_matches('0').trim_end_matches('.').len());
    }
}

fn error(answer: &Value) -> String {
    let name = answer["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap();
    let codes: Vec<&str> = answer["CancellationReasons"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|reason| match reason["Message"].as_str() {
            // DynamoDB Local calls it a ValidationError.
            Some("Duplicate primary key exists in table") => "DuplicateItem",
            _ => reason["Code"].as_str().unwrap_or_default(),
        })
        .collect();
    // As DynamoDB Local calls it.
    let name = if name == "DuplicateItem" { "DuplicateItemException" } else { name };
    let message = answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or_default();
    if name == "AccessDeniedException" {
        return format!("refused: {message}");
    }
    format!("{name} {codes:?} {}", canonical(&answer["Item"]))
}

async fn pages(step: &Step, body: &mut Value, endpoint: &Endpoint) -> (u16, Value) {
    let mut items: Vec<Value> = Vec::new();
    let mut segment = 0;
    if let Some(segments) = step.segments {
        body["TotalSegments"] = segments.into();
        body["Segment"] = segment.into();
    }
    for _ in 0..500 {
        let (status, mut answer) = endpoint.call(step.operation, body).await;
        if status != 200 {
            return (status, answer);
        }
        items.extend(answer["Items"].as_array().unwrap().iter().cloned());
        let (next, start) = match step.operation {
            "ExecuteStatement" => ("NextToken", "NextToken"),
            _ => ("LastEvaluatedKey", "ExclusiveStartKey"),
        };
        match answer.as_object_mut().unwrap().remove(next) {
            Some(key) => body[start] = key,
            // Which segment an item is in is each side's own; that it is in one is not.
            None if step.segments.is_some_and(|segments| segment + 1 < segments) => {
                segment += 1;
                body["Segment"] = segment.into();
                body.as_object_mut().unwrap().remove(start);
            }
            None => return (200, json!({"Items": items})),
        }
    }
    (200, json!({"Items": "pages without end"}))
}
