//! A migration without a program: the guard carries out what the manifest declares.

use std::time::Duration;

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, RunKind, RunResult};
use dm_tests::cluster::{Bed, Written, condition, effects, failure, status};
use serde_json::{Value, json};

use crate::bucket::Bucket;

const CARS: u64 = 300;

/// Cars from two countries; every tenth without one.
fn cars() -> Vec<Value> {
    let origin = |n: u64| if n.is_multiple_of(3) { "Japan" } else { "USA" };
    let car = |n: u64| {
        let id = json!({"S": format!("car-{n:04}")});
        match n % 10 {
            0 => json!({"id": id}),
            _ => json!({"id": id, "origin": {"S": origin(n)}}),
        }
    };
    (0..CARS).map(car).collect()
}

/// Replaces the names of countries by their codes.
fn codes(filter: &str) -> Written {
    let transform = json!({
        "table": "cars",
        "filter": filter,
        "set": {"origin": "lookup('codes.csv', origin, 'code')"},
        "configMap": {"name": "m"},
    });
    Written::transform("m", &transform).file("codes.csv", "origin,code\nUSA,US\nJapan,JP\n")
}

/// A table of cars and a target with an archive.
async fn bed(test: &str) -> (Bed, Bucket) {
    let bed = Bed::new(test).await;
    let bucket = Bucket::start().await;
    bucket.is_archive_of(&bed).await;
    bed.database.table("cars", "id").await;
    bed.database.put("cars", &cars()).await;
    (bed, bucket)
}

async fn coded(bed: &Bed) -> usize {
    let cars = bed.database.scan("cars").await;
    cars.iter()
        .filter(|car| ["US", "JP"].contains(&car["origin"]["S"].as_str().unwrap_or("")))
        .count()
}

#[tokio::test]
async fn a_transform_is_tried_applied_paused_and_restored() {
    let (bed, _bucket) = bed("transform").await;
    let before = bed.database.items("cars").await;
    let changed = CARS - CARS / 10;
    bed.submit(&codes("attribute_exists(origin) AND NOT origin IN ('US', 'JP')")).await;
    let tried = bed.phase("m", Phase::DryRunOk).await;
    let found = effects(&tried);
    assert_eq!(found.write_calls_that_reached_the_database, 0);
    let [table] = found.tables.as_slice() else { panic!("one table: {found:?}") };
    assert_eq!((table.name.as_str(), table.would_update), ("cars", changed));
    assert_eq!((table.would_create, table.would_delete), (0, 0));
    assert_eq!(bed.database.items("cars").await, before, "byte for byte as before");
    let logs = bed.kubectl(&["logs", "job/m-1-dry-run", "--container", "program"]);
    assert_eq!(
        logs,
        format!(
            "{CARS} items read, {changed} changed, 0 already correct, 30 not selected, 0 failed\n"
        )
    );

    // Slow enough to be paused in the middle.
    bed.patch("m", &json!({"spec": {"dryRun": false, "limits": {"writesPerSecond": 20}}})).await;
    while coded(&bed).await == 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bed.patch("m", &json!({"spec": {"suspend": true}})).await;
    let paused = bed.until("m", "paused", |m| condition(m, types::PAUSED).is_some()).await;
    assert_eq!(status(&paused).phase, Some(Phase::Suspended));
    // What had been sent to the database before has arrived by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let until_now = coded(&bed).await;
    assert!(until_now < usize::try_from(changed).unwrap(), "it was paused in the middle");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(coded(&bed).await, until_now, "nothing is written during a pause");
    print!("{}", bed.kubectl(&["describe", "datamigration", "m"]));

    bed.patch("m", &json!({"spec": {"suspend": false, "limits": null}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    let run = &status(&applied).runs[0];
    assert_eq!((run.number, run.kind, run.result), (2, RunKind::Apply, RunResult::Succeeded));
    assert_eq!(coded(&bed).await, usize::try_from(changed).unwrap());
    print!("{}", bed.kubectl(&["describe", "datamigration", "m"]));

    bed.patch("m", &json!({"spec": {"state": "Restored"}})).await;
    let restored = bed.phase("m", Phase::Restored).await;
    assert_eq!(bed.database.items("cars").await, before);
    let done = status(&restored).restored.as_ref().unwrap().effects.clone().unwrap();
    assert_eq!((done.items, done.conflicts), (changed, 0), "{done:?}");
    print!("{}", bed.kubectl(&["describe", "datamigration", "m"]));
    bed.done().await;
}

#[tokio::test]
async fn items_that_fail_are_counted_and_a_retry_changes_what_is_left() {
    let (bed, _bucket) = bed("transform-partial").await;
    // A car without an origin has no code.
    let all = codes("attribute_not_exists(origin) OR NOT origin IN ('US', 'JP')");
    bed.submit(&all.applied().set("onItemError", json!("Continue"))).await;
    let failed = bed.phase("m", Phase::PartiallyFailed).await;
    let because = failure(&failed);
    assert_eq!(because.reason, Reason::PartiallyFailed);
    assert!(
        because.message.starts_with("The transform could not change 30 items (set.origin: "),
        "{}",
        because.message
    );
    assert!(because.what_now.contains("set spec.retry to 1"), "{}", because.what_now);
    assert_eq!(coded(&bed).await, 270);
    print!("{}", bed.kubectl(&["describe", "datamigration", "m"]));

    for car in cars().iter().filter(|car| car["origin"].is_null()) {
        let mut car = car.clone();
        car["origin"] = json!({"S": "USA"});
        bed.database.put("cars", &[car]).await;
    }
    bed.patch("m", &json!({"spec": {"retry": 1}})).await;
    bed.phase("m", Phase::Applied).await;
    assert_eq!(coded(&bed).await, usize::try_from(CARS).unwrap());
    bed.done().await;
}
