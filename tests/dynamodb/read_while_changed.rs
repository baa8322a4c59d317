//! Reads of a dry run over items that the program deletes or creates between two pages, and that
//! others change during the run.

use std::collections::BTreeSet;

use dm_contract::plan::{Mode, Policy};
use dm_contract::report::Fidelity;
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, database, fresh_name};
use crate::shorthand::{expand, shorten};
use crate::suite::table;

/// Calls of one read, before a test gives up.
const CALLS_MAX: usize = 100;

async fn put(endpoint: &Endpoint, table: &str, item: Value) {
    endpoint.ok("PutItem", &expand(&json!({"TableName": table, "Item": item}))).await;
}

async fn delete(endpoint: &Endpoint, table: &str, item: &Value) {
    let key = json!({"id": item["id"], "pos": item["pos"]});
    endpoint.ok("DeleteItem", &expand(&json!({"TableName": table, "Key": key}))).await;
}

async fn set(endpoint: &Endpoint, table: &str, pos: u32, change: &str, value: Value) {
    let request = json!({
        "TableName": table, "Key": {"id": "p", "pos": pos},
        "UpdateExpression": format!("SET {change} = \
                                     :v"), "ExpressionAttributeValues": {":v": value},
    });
    endpoint.ok("UpdateItem", &expand(&request)).await;
}

/// One page, and where the next begins.
async fn page(endpoint: &Endpoint, operation: &str, request: &Value) -> (Vec<Value>, Value) {
    let answer = shorten(&endpoint.ok(operation, &expand(request)).await);
    (answer["Items"].as_array().unwrap().clone(), answer["LastEvaluatedKey"].clone())
}

/// The `pos` of every item of all pages, in their order.
async fn all(endpoint: &Endpoint, operation: &str, request: &Value) -> Vec<Value> {
    let (mut found, mut request) = (Vec::new(), request.clone());
    for _ in 0..CALLS_MAX {
        let (items, last) = page(endpoint, operation, &request).await;
        found.extend(items.iter().map(|item| item["pos"].clone()));
        if last.is_null() {
            return found;
        }
        request["ExclusiveStartKey"] = last;
    }
    panic!("{operation} has no end: {request}");
}

fn dry_run() -> dm_contract::plan::Plan {
    bed::plan(Mode::DryRun, Policy::default())
}

/// A table of the database with these items in one partition, each of this many bytes.
async fn filled(positions: std::ops::Range<u32>, bytes: usize) -> String {
    let name = fresh_name("changed");
    database().ok("CreateTable", &table("indexed", &name)).await;
    let filling = "x".repeat(bytes);
    for pos in positions {
        let item = json!({"id": "p", "pos": pos, "g": "open", "r": pos, "filling": filling});
        put(&database(), &name, item).await;
    }
    name
}

fn query(table: &str, of: Value) -> Value {
    let mut request = json!({
        "TableName": table, "KeyConditionExpression": "id = :p",
        "ExpressionAttributeValues": {":p": "p"},
    });
    for (name, value) in of.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

fn query_open(table: &str, of: Value) -> Value {
    let of_index = json!({
        "IndexName": "by-g-r", "KeyConditionExpression": "g = :g",
        "ExpressionAttributeValues": {":g": "open"},
    });
    let mut request = query(table, of_index);
    for (name, value) in of.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

#[tokio::test]
async fn a_program_that_deletes_what_it_reads_until_nothing_is_left_deletes_everything() {
    // More than two pages of the database.
    let name = filled(0..9, 300_000).await;
    for (operation, request) in [
        ("Scan", json!({"TableName": name})),
        ("Query", query(&name, json!({}))),
        ("Query", query_open(&name, json!({"IndexName": "by-g"}))),
    ] {
        let (guard, through) = bed::guard(&dry_run()).await;
        let mut deleted = 0;
        for _ in 0..CALLS_MAX {
            let (items, _) = page(&through, operation, &request).await;
            if items.is_empty() {
                break;
            }
            for item in &items {
                delete(&through, &name, item).await;
                deleted += 1;
            }
        }
        assert_eq!(deleted, 9, "{request}");
        assert_eq!(guard.stop().await.tables[0].deleted, 9);
    }
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}

#[tokio::test]
async fn items_that_the_program_deleted_cost_few_requests() {
    let name = filled(0..60, 0).await;
    let (guard, through) = bed::guard(&dry_run()).await;
    let request = query(&name, json!({"Limit": 1}));
    for pos in 0..60 {
        let before = guard.result().read_calls_upstream;
        let (items, _) = page(&through, "Query", &request).await;
        assert_eq!(items[0]["pos"], pos);
        let calls = guard.result().read_calls_upstream - before;
        assert!(calls <= 8, "{calls} requests behind {pos} deleted items");
        delete(&through, &name, &items[0]).await;
    }
    guard.stop().await;
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}

#[tokio::test]
async fn a_read_continues_behind_an_item_that_others_deleted_and_the_program_wrote() {
    for (operation, touched) in [("Scan", false), ("Scan", true), ("Query", false), ("Query", true)]
    {
        let name = filled(0..5, 0).await;
        let (guard, through) = bed::guard(&dry_run()).await;
        if touched {
            set(&through, &name, 4, "x", json!(1)).await;
        }
        let mut request = json!({"TableName": name, "Limit": 2});
        if operation == "Query" {
            request = query_open(&name, json!({"Limit": 2}));
        }
        let (items, last) = page(&through, operation, &request).await;
        assert_eq!(items.len(), 2);
        delete(&database(), &name, &items[1]).await;
        for item in &items {
            let item =
                json!({"id": "p", "pos": item["pos"], "g": "open", "r": item["pos"], "x": 1});
            put(&through, &name, item).await;
        }
        request["ExclusiveStartKey"] = last;
        let rest = all(&through, operation, &request).await;
        assert_eq!(rest, [2, 3, 4].map(|pos| json!(pos)), "{operation} touched: {touched}");
        guard.stop().await;
        database().ok("DeleteTable", &json!({"TableName": name})).await;
    }
}

#[tokio::test]
async fn a_query_continues_behind_an_item_that_others_moved_in_the_index() {
    let name = filled(0..5, 0).await;
    let (guard, through) = bed::guard(&dry_run()).await;
    let by_g = json!({"IndexName": "by-g", "Limit": 2});
    let mut request = query_open(&name, by_g);
    let whole: BTreeSet<String> = (0..5).map(|pos| pos.to_string()).collect();
    let (items, last) = page(&through, "Query", &request).await;
    let pos = items[1]["pos"].as_u64().unwrap().try_into().unwrap();
    set(&database(), &name, pos, "g", json!("closed")).await;
    set(&through, &name, pos, "x", json!(1)).await;
    request["ExclusiveStartKey"] = last;
    let mut found: BTreeSet<String> = items.iter().map(|item| item["pos"].to_string()).collect();
    found.extend(all(&through, "Query", &request).await.iter().map(ToString::to_string));
    assert_eq!(found, whole);
    guard.stop().await;
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}

#[tokio::test]
async fn an_item_that_others_move_in_an_index_stays_where_the_program_saw_it() {
    for forward in [true, false] {
        let name = filled(0..6, 0).await;
        let (guard, through) = bed::guard(&dry_run()).await;
        set(&through, &name, 2, "x", json!(1)).await;
        set(&through, &name, 3, "x", json!(1)).await;
        // One is moved within its partition, one to another.
        set(&database(), &name, 2, "r", json!(if forward { 1000 } else { -1000 })).await;
        set(&database(), &name, 3, "g", json!("closed")).await;
        let open = query_open(&name, json!({"Limit": 1, "ScanIndexForward": forward}));
        let closed = query_open(&name, json!({"ExpressionAttributeValues": {":g": "closed"}}));
        assert_eq!(all(&through, "Query", &closed).await, Vec::<Value>::new());
        // The first pass meets the one that was moved.
        all(&through, "Query", &open).await;
        let mut expected = [0, 1, 2, 3, 4, 5].map(|pos| json!(pos));
        if !forward {
            expected.reverse();
        }
        assert_eq!(all(&through, "Query", &open).await, expected, "forward: {forward}");
        let result = guard.stop().await;
        assert_eq!(result.dry_run.unwrap().changed_underneath, 2);
        database().ok("DeleteTable", &json!({"TableName": name})).await;
    }
}

#[tokio::test]
async fn a_scan_ends_although_the_program_creates_an_item_for_each_that_it_reads() {
    let name = filled(0..6, 0).await;
    let (guard, through) = bed::guard(&dry_run()).await;
    let mut request = json!({"TableName": name, "Limit": 2});
    let mut read = 0;
    for calls in 0.. {
        assert!(calls < CALLS_MAX, "the scan has no end");
        let (items, last) = page(&through, "Scan", &request).await;
        read += items.len();
        for item in &items {
            let pos = 1000 + item["pos"].as_i64().unwrap();
            put(&through, &name, json!({"id": "p", "pos": pos})).await;
        }
        if last.is_null() {
            break;
        }
        request["ExclusiveStartKey"] = last;
    }
    assert_eq!(read, 6);
    // A later scan returns what there is, and is exact.
    assert_eq!(all(&through, "Scan", &json!({"TableName": name})).await.len(), 12);
    let result = guard.stop().await;
    let scans = result.dry_run.unwrap().operations;
    let scans = scans.iter().find(|count| count.operation == "Scan").unwrap();
    assert_eq!((scans.exact, scans.approximate), (4, 1), "the last page passes over all six");
    let remarks = result.remarks.iter().filter(|one| one.fidelity == Fidelity::Approximate);
    assert_eq!(remarks.map(|remark| remark.count).collect::<Vec<_>>(), [1]);
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}

#[tokio::test]
async fn a_query_of_a_range_returns_the_items_of_the_program_that_are_in_it() {
    let name = filled(0..0, 0).await;
    let (guard, through) = bed::guard(&dry_run()).await;
    for pos in 0..14 {
        let endpoint = if pos % 2 == 0 { database() } else { through.clone() };
        put(&endpoint, &name, json!({"id": "p", "pos": pos})).await;
    }
    for (range, low, high, expected) in [
        ("pos < :l", 3, None, 0..3),
        ("pos <= :l", 3, None, 0..4),
        ("pos > :l", 11, None, 12..14),
        ("pos >= :l", 11, None, 11..14),
        ("pos = :l", 5, None, 5..6),
        ("pos BETWEEN :l AND :h", 3, Some(7), 3..8),
    ] {
        let mut values = json!({":p": "p", ":l": low});
        if let Some(high) = high {
            values[":h"] = json!(high);
        }
        for (forward, limit) in [(true, 1), (false, 1), (true, 100), (false, 100)] {
            let of = json!({
                "KeyConditionExpression": format!("id = :p AND {range}"), "Limit": limit,
                "ExpressionAttributeValues": values, "ScanIndexForward": forward,
            });
            let mut found = all(&through, "Query", &query(&name, of)).await;
            if !forward {
                found.reverse();
            }
            let expected: Vec<i32> = expected.clone().collect();
            assert_eq!(json!(found), json!(expected), "{range} {forward} {limit}");
        }
    }
    guard.stop().await;
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}
