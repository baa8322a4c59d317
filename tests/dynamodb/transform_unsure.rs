//! A transform without a journal, of whose writes some are carried out and not answered: each item
//! counts as what became of it.

use dm_contract::report::TransformEnd;
use serde_json::{Value, json};

use crate::bed::database;
use crate::faults::{Trouble, troubled_proxy};
use crate::transform::{counts, table_of};
use crate::transform_batches::run;

const ITEMS: u64 = 60;

async fn check(source: impl Fn(&str, &str) -> Value, left: usize, there: usize) {
    let table = table_of((0..ITEMS).map(|i| json!({"id": format!("c{i}"), "n": i}))).await;
    let other = table_of([]).await;
    let source = source(&table, &other);
    let cut = |number| if number % 6 == 5 { Trouble::Cut } else { Trouble::None };
    let endpoint = troubled_proxy(&database().url, cut).await;
    let (result, report) = run(&source, false, Some(endpoint)).await;
    assert_eq!(result.end, TransformEnd::Succeeded, "{source}: {result:?}");
    assert_eq!(counts(&result), [ITEMS, 0, 0, ITEMS, 0], "{source}");
    assert!(report.write_calls_upstream > ITEMS, "{source}: no write was sent again");
    let items = (database().items(&table).await.len(), database().items(&other).await.len());
    assert_eq!(items, (left, there), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_a_lost_request_has_changed_counts_as_changed() {
    let all = 60;
    check(|table, _| json!({"table": table, "set": {"m": "n + 1"}}), all, 0).await;
    check(
        |table, _| json!({"table": table, "filter": "attribute_exists(n)", "delete": true}),
        0,
        0,
    )
    .await;
    let moved = |table: &str, to: &str| {
        json!({"table": table, "filter": "attribute_exists(n)",
            "rekey": {"id": "concat('x#', id)"}, "to": {"table": to}})
    };
    check(moved, 0, all).await;
    let copied = |table: &str, to: &str| {
        let mut source = moved(table, to);
        source["keepOriginal"] = true.into();
        source
    };
    check(copied, all, all).await;
}
