//! The kill campaign for entries ahead of their writes: a program reads a table page by page and
//! changes every item, and the guard dies at every request and every put. In strict mode all is as
//! if there were nothing ahead. In the other modes a guard that dies may leave items of which
//! nobody knows who changed them: each is listed, and none is overwritten unless that is asked for.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::JournalMode;
use dm_contract::plan::OnConflict;
use dm_engine::{Call, Engine, Operation, Start};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::bed::{canonical, database};
use crate::faults::Death;
use crate::kill::{Point, Scene, Told};

/// Runs under way at once.
const AT_ONCE: usize = 6;

async fn call(engine: &Arc<Engine>, operation: &str, body: Value) -> Value {
    let Value::Object(body) = body else { unreachable!() };
    let operation = Operation::named(operation).unwrap();
    let answer = engine.handle(Call::new(operation, body)).await;
    assert_eq!(answer.status, 200, "{operation:?}: {answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

/// Reads five items at a time and changes each: in strict mode all in the same way, in the others
/// each in its own.
async fn program(engine: &Arc<Engine>, table: &str, mode: JournalMode) {
    let mut start = Value::Null;
    loop {
        let mut scan = json!({"TableName": table, "Limit": 5});
        if !start.is_null() {
            scan["ExclusiveStartKey"] = start;
        }
        let mut page = call(engine, "Scan", scan).await;
        for item in page["Items"].as_array().unwrap() {
            // As busy as any program, so that there is something ahead of it.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let stock = item["stock"]["N"].as_str().unwrap();
            let price = if mode == JournalMode::Strict { "7" } else { stock };
            let update = json!({"TableName": table, "Key": {"id": item["id"]},
                "UpdateExpression": "SET price = :p REMOVE color",
                "ExpressionAttributeValues": {":p": {"N": price}}});
            call(engine, "UpdateItem", update).await;
        }
        start = page["LastEvaluatedKey"].take();
        if start.is_null() {
            return;
        }
    }
}

async fn scene(mode: JournalMode) -> Scene {
    let mut scene = Scene::new().await;
    for stock in 10..20 {
        let item = json!({"id": {"S": format!("i{stock}")}, "color": {"S": "red"},
            "stock": {"N": stock.to_string()}});
        database().ok("PutItem", &json!({"TableName": scene.table, "Item": item})).await;
    }
    scene.snapshot = database().items(&scene.table).await;
    scene.plan.policy.journal = mode;
    scene
}

/// What one point came to: whether the guard died there, items in doubt, and failures in words.
async fn check(mode: JournalMode, point: Point) -> (bool, u64, Vec<String>) {
    let mut wrong = Vec::new();
    let mut expect = |good: bool, what: &str| {
        if !good {
            wrong.push(format!("{mode:?} {point:?}: {what}"));
        }
    };
    let scene = scene(mode).await;
    let whole = async |engine: Arc<Engine>| program(&engine, &scene.table, mode).await;
    let (ended, ..) = scene.run_until(point, Start::First, whole).await;
    let told = if mode == JournalMode::Strict { Told::Values } else { Told::Names };
    expect(scene.untold(told).await == 0, "something changed without an entry");
    let report = scene.restore_as(2, OnConflict::Skip).await;
    let restored = database().items(&scene.table).await;
    let listed = |item: &Value| {
        let id = canonical(&item["id"]);
        report
            .listed
            .iter()
            .any(|conflict| conflict.key.as_ref().is_some_and(|key| canonical(&key["id"]) == id))
    };
    let differ: Vec<&Value> =
        restored.iter().filter(|item| !scene.snapshot.contains(item)).collect();
    if mode == JournalMode::Strict {
        expect(report.conflicts == 0, "the restore found conflicts");
        expect(differ.is_empty(), "the restored table is another");
    }
    expect(differ.iter().all(|item| listed(item)), "an item was left and not listed");
    expect(restored.len() == scene.snapshot.len(), "items are missing");
    let in_doubt = differ.len() as u64;
    scene.restore_as(3, OnConflict::Overwrite).await;
    let restored = database().items(&scene.table).await;
    expect(restored == scene.snapshot, "the table is another although all was restored");
    scene.drop_table().await;
    (!ended, in_doubt, wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_dies_ahead_of_writes_and_nothing_is_lost() {
    for mode in [JournalMode::Strict, JournalMode::Ahead, JournalMode::Cheap] {
        let scene = scene(mode).await;
        let none = Point { request: None, put: None };
        let whole = async |engine: Arc<Engine>| program(&engine, &scene.table, mode).await;
        let (ended, requests, puts) = scene.run_until(none, Start::First, whole).await;
        assert!(ended);
        assert_ne!(database().items(&scene.table).await, scene.snapshot);
        assert_eq!(scene.untold(Told::Values).await, 0);
        scene.restore_as(2, OnConflict::Skip).await;
        assert_eq!(database().items(&scene.table).await, scene.snapshot);
        scene.drop_table().await;

        // What continues beside the program has no fixed number of requests and puts: some of the
        // last points are not reached.
        let deaths = [Death::Before, Death::After];
        let of_requests = (1..=requests)
            .flat_map(|at| deaths.map(|death| Point { request: Some((at, death)), put: None }));
        let of_puts = (1..=puts)
            .flat_map(|at| deaths.map(|death| Point { request: None, put: Some((at, death)) }));
        let points: Vec<Point> = of_requests.chain(of_puts).collect();
        let checks = points.iter().map(|point| check(mode, *point));
        let results: Vec<_> =
            futures::stream::iter(checks).buffer_unordered(AT_ONCE).collect().await;
        let died = results.iter().filter(|(died, ..)| *died).count();
        let in_doubt: u64 = results.iter().map(|(_, in_doubt, _)| in_doubt).sum();
        let wrong: Vec<String> = results.into_iter().flat_map(|(_, _, wrong)| wrong).collect();
        println!(
            "{mode:?}: {requests} requests, {puts} puts: {died} of {} kill points reached, \
             {in_doubt} items in doubt, all of them listed",
            points.len()
        );
        assert!(died * 10 >= points.len() * 8, "{died} of {}", points.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
