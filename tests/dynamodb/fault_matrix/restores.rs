//! Restores whose writes have unknown outcomes: the table is as before the run in the end, however
//! often one is begun again.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::JournalMode;
use dm_engine::{Call, Operation, Start};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::proxy::{First, Proxy, Script, Then};
use super::{AT_ONCE, Bed, firsts, new_table};
use crate::shorthand::expand;

/// Writes of the restore: an update, an item that goes, and one that comes back.
const WRITES: usize = 3;

/// Longer than the guard looks for a write of unknown outcome.
const SILENCE: Duration = Duration::from_secs(6);

const THENS: [Then; 5] =
    [Then::Healthy, Then::Again, Then::Throttled(2), Then::Condition, Then::Silent(SILENCE)];

async fn check(table: &str, number: usize, (at, first, then): (usize, First, Then)) -> Vec<String> {
    let bed = Bed::new(table, number, Some(JournalMode::Strict)).await;
    let engine = bed.engine(&bed.database.url, Start::First);
    let id = |name| json!({"id": bed.items.id(name)});
    let program = [
        (
            Operation::UpdateItem,
            json!({"Key": id("a"), "UpdateExpression": "ADD n :n",
            "ExpressionAttributeValues": {":n": 1}}),
        ),
        (Operation::DeleteItem, json!({"Key": id("b")})),
        (Operation::PutItem, json!({"Item": id("new")})),
    ];
    for (operation, mut body) in program {
        body["TableName"] = table.into();
        let Value::Object(body) = expand(&body) else { unreachable!() };
        let answer = engine.handle(Call::new(operation, body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    engine.close().await;
    let script = Script::new(at, first, then);
    let proxy = Proxy::start(&bed.database.url, Arc::clone(&script)).await;
    let restore = bed.restore(2, &proxy.url);
    let ended = tokio::time::timeout(Duration::from_secs(60), restore.run()).await;
    let mut wrong = Vec::new();
    match ended {
        Ok(Ok(report)) if report.conflicts > 0 => {
            wrong.push(format!("{} conflicts", report.conflicts));
        }
        Ok(Ok(report)) => {
            let restored = report.counts.written();
            if restored != WRITES as u64 {
                wrong.push(format!("{restored} of {WRITES} are said to be restored"));
            }
        }
        Ok(Err(error)) => wrong.push(format!("it failed: {error}")),
        Err(_) => wrong.push("it did not end".to_owned()),
    }
    let changed = bed.changed().await;
    if !changed.is_empty() {
        wrong.push(format!("{changed:?} are not restored"));
    }
    let again = bed.restore(3, &bed.database.url).run().await.unwrap();
    if again.counts.written() + again.conflicts > 0 {
        wrong.push(format!("a second restore did something: {again:?}"));
    }
    wrong.iter().map(|why| format!("{number} {at} {first:?} {then:?}: {why}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_ends_with_the_table_as_it_was_whatever_becomes_of_its_answers() {
    let table = new_table().await;
    let cells = (1..=WRITES)
        .flat_map(|at| firsts().flat_map(move |first| THENS.map(|then| (at, first, then))));
    let cells: Vec<_> = cells.enumerate().collect();
    let count = cells.len();
    let checks = cells.into_iter().map(|(number, cell)| check(&table, number, cell));
    let wrong: Vec<String> =
        futures::stream::iter(checks).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.concat();
    println!("{count} cells of restores");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
