//! Where a scan of a dry run continues: behind keys that no item has, and over items that the
//! program creates while it scans.

use std::collections::BTreeMap;

use dm_contract::plan::{Mode, Policy};
use dm_contract::report::{Fidelity, GuardResult};
use serde_json::{Value, json};

use crate::bed::{self, Endpoint, database, fresh_name};
use crate::shorthand::{expand, shorten};
use crate::suite::table;

/// Pages of one scan, before a test gives up.
const PAGES_MAX: usize = 200;

async fn put(endpoint: &Endpoint, table: &str, item: Value) {
    endpoint.ok("PutItem", &expand(&json!({"TableName": table, "Item": item}))).await;
}

/// The positions of all items of a scan with these parameters, and how often each came.
async fn positions(endpoint: &Endpoint, parameters: Value) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut request = expand(&parameters);
    for _ in 0..PAGES_MAX {
        let mut page = endpoint.ok("Scan", &request).await;
        for item in shorten(&page)["Items"].as_array().unwrap() {
            *found.entry(format!("{} {}", item["id"], item["pos"])).or_default() += 1;
        }
        match page["LastEvaluatedKey"].take() {
            Value::Null => return found,
            last => request["ExclusiveStartKey"] = last,
        }
    }
    panic!("a scan without an end");
}

fn dry_run() -> dm_contract::plan::Plan {
    bed::plan(Mode::DryRun, Policy { control_plane: true, ..Policy::default() })
}

/// A table of the database with these positions in one partition.
async fn filled(positions: &[u32]) -> String {
    let name = fresh_name("scan");
    database().ok("CreateTable", &table("indexed", &name)).await;
    for pos in positions {
        put(&database(), &name, json!({"id": "p", "pos": pos, "g": "x"})).await;
    }
    name
}

#[tokio::test]
async fn a_scan_continues_behind_a_key_that_no_item_has() {
    // Those in the database, and those in the overlay.
    for (there, here) in [(&[][..], &[1, 2, 3, 4][..]), (&[1, 3], &[2, 4]), (&[1, 2, 3, 4], &[])] {
        let name = filled(there).await;
        let (guard, through) = bed::guard(&dry_run()).await;
        for pos in here {
            put(&through, &name, json!({"id": "p", "pos": pos, "g": "x"})).await;
        }
        // A missing item that the overlay has looked at.
        let missing = json!({"TableName": name, "Key": {"id": "p", "pos": 3.25}});
        through.ok("DeleteItem", &expand(&missing)).await;
        for (start, expected) in [
            (json!(0), vec!["1", "2", "3", "4"]),
            (json!(2.5), vec!["3", "4"]),
            (json!(3.25), vec!["4"]),
            (json!(9), vec![]),
        ] {
            let expected: BTreeMap<String, u32> =
                expected.into_iter().map(|pos| (format!("\"p\" {pos}"), 1)).collect();
            for limit in [1, 100] {
                let start = json!({"id": "p", "pos": start});
                let request =
                    json!({"TableName": name, "ExclusiveStartKey": start, "Limit": limit});
                assert_eq!(positions(&through, request).await, expected, "{here:?} {start}");
            }
            let start = json!({"id": "p", "pos": start, "g": "x"});
            let request =
                json!({"TableName": name, "IndexName": "by-g-keys", "ExclusiveStartKey": start});
            assert_eq!(positions(&through, request).await, expected, "index: {here:?} {start}");
        }
        guard.stop().await;
        database().ok("DeleteTable", &json!({"TableName": name})).await;
    }
}

#[tokio::test]
async fn a_scan_continues_behind_items_that_are_deleted_on_the_way() {
    let name = filled(&[1, 2, 3, 4, 5]).await;
    let (guard, through) = bed::guard(&dry_run()).await;
    for pos in 6..10 {
        put(&through, &name, json!({"id": "p", "pos": pos})).await;
    }
    let mut seen = Vec::new();
    let mut request = json!({"TableName": name, "Limit": 1});
    for _ in 0..PAGES_MAX {
        let mut page = through.ok("Scan", &request).await;
        for item in page["Items"].as_array().unwrap() {
            seen.push(item["pos"]["N"].as_str().unwrap().to_owned());
            let key = json!({"id": item["id"], "pos": item["pos"]});
            through.ok("DeleteItem", &json!({"TableName": name, "Key": key})).await;
        }
        match page["LastEvaluatedKey"].take() {
            Value::Null => break,
            last => request["ExclusiveStartKey"] = last,
        }
    }
    seen.sort();
    assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    guard.stop().await;
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}

#[tokio::test]
async fn segments_share_all_items_and_refuse_each_others_keys() {
    let name = fresh_name("scan");
    database().ok("CreateTable", &table("range", &name)).await;
    let (guard, through) = bed::guard(&dry_run()).await;
    for pos in 0..20 {
        let endpoint = if pos % 2 == 0 { database() } else { through.clone() };
        put(&endpoint, &name, json!({"id": format!("p{pos}"), "pos": pos})).await;
    }
    let mut all = BTreeMap::new();
    for segment in 0..3 {
        let request =
            json!({"TableName": name, "Segment": segment, "TotalSegments": 3, "Limit": 2});
        let found = positions(&through, request).await;
        for key in found.keys().filter(|key| !all.contains_key(*key)) {
            // A key of the overlay, and one of its segment only.
            let pos: u32 = key.rsplit(' ').next().unwrap().parse().unwrap();
            let start = json!({"id": format!("p{pos}"), "pos": pos});
            let request = json!({"TableName": name, "Segment": (segment + 1) % 3,
                "TotalSegments": 3, "ExclusiveStartKey": start});
            if pos % 2 == 1 {
                let (status, answer) = through.call("Scan", &expand(&request)).await;
                assert_eq!(status, 400, "{answer}");
                let message = answer["message"].as_str().unwrap();
                assert!(message.contains("ExclusiveStartKey with correct Segment"), "{message}");
            }
        }
        all.extend(found);
    }
    assert_eq!(all.len(), 20);
    assert!(all.values().all(|times| *times == 1), "{all:?}");
    guard.stop().await;
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}

fn is_approximate(result: &GuardResult, operation: &str) -> bool {
    result.remarks.iter().any(|remark| {
        remark.operation == operation
            && remark.fidelity == Fidelity::Approximate
            && remark.why.contains("created after it began")
    })
}

/// Copies every item that is no copy under another key, page by page, and scans once more.
async fn copy_all(through: &Endpoint, name: &str, scans: impl Fn(Option<Value>) -> Value) {
    let mut start = None;
    for _ in 0..PAGES_MAX {
        let mut page = through.ok("Scan", &scans(start.take())).await;
        for item in shorten(&page)["Items"].as_array().unwrap() {
            let pos = item["pos"].as_i64().unwrap();
            if pos < 1000 {
                put(through, name, json!({"id": "p", "pos": pos + 1000})).await;
            }
        }
        match page["LastEvaluatedKey"].take() {
            Value::Null => return,
            last => start = Some(last),
        }
    }
}

#[tokio::test]
async fn a_scan_that_returns_what_was_created_after_it_began_is_approximate() {
    let name = filled(&[1, 2, 3, 4, 5, 6]).await;
    let scan = |start: Option<Value>| {
        let mut request = json!({"TableName": name, "Limit": 2});
        if let Some(start) = start {
            request["ExclusiveStartKey"] = start;
        }
        request
    };
    // The table is looked at before its first page, or is not.
    for touched in [true, false] {
        let (guard, through) = bed::guard(&dry_run()).await;
        if touched {
            put(&through, &name, json!({"id": "p", "pos": 1, "n": 1})).await;
        }
        copy_all(&through, &name, scan).await;
        assert!(is_approximate(&guard.stop().await, "Scan"), "touched: {touched}");
    }

    // All is created before the scan, or is filtered out.
    let (guard, through) = bed::guard(&dry_run()).await;
    for pos in 2000..2004 {
        put(&through, &name, json!({"id": "p", "pos": pos})).await;
    }
    let whole = json!({"TableName": name, "Limit": 3});
    assert_eq!(positions(&through, whole).await.len(), 10);
    let filtered = |start: Option<Value>| {
        let mut request = scan(start);
        request["FilterExpression"] = "pos < :copies".into();
        request["ExpressionAttributeValues"] = json!({":copies": {"N": "1000"}});
        request
    };
    copy_all(&through, &name, filtered).await;
    assert!(!is_approximate(&guard.stop().await, "Scan"));
    database().ok("DeleteTable", &json!({"TableName": name})).await;
}
