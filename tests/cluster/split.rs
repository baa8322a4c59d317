//! A transform that is split among the pods of an Indexed Job: one run, one status, one restore.

use std::collections::BTreeSet;
use std::time::Duration;

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, RunKind, RunResult};
use dm_tests::cluster::{Bed, Written, condition, effects, failure, ready, status};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::bucket::Bucket;

const CARS: u64 = 400;

/// Annotation of a pod with its index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

fn cars() -> Vec<Value> {
    let car = |n: u64| json!({"id": {"S": format!("car-{n:04}")}, "weight": {"N": n.to_string()}});
    (0..CARS).map(car).collect()
}

/// Gives each car a price, on four pods.
fn priced() -> Written {
    let transform = json!({
        "table": "cars",
        "filter": "attribute_not_exists(price)",
        "set": {"price": "weight * 2"},
    });
    Written::transform("m", &transform).set("parallelism", json!(4))
}

async fn bed(test: &str) -> (Bed, Bucket) {
    let bed = Bed::new(test).await;
    let bucket = Bucket::start().await;
    bucket.is_archive_of(&bed).await;
    bed.database.table("cars", "id").await;
    bed.database.put("cars", &cars()).await;
    (bed, bucket)
}

async fn with_price(bed: &Bed) -> u64 {
    let cars = bed.database.scan("cars").await;
    u64::try_from(cars.iter().filter(|car| !car["price"].is_null()).count()).unwrap()
}

async fn pods_of(bed: &Bed, run: &str) -> Vec<Pod> {
    let pods = bed.pods().await.into_iter();
    pods.filter(|pod| pod.labels().get(dm_api::RUN_LABEL).is_some_and(|own| own == run)).collect()
}

fn indexes(pods: &[Pod]) -> BTreeSet<&str> {
    pods.iter().map(|pod| pod.annotations()[INDEX].as_str()).collect()
}

#[tokio::test]
async fn a_transform_on_four_pods_is_tried_applied_paused_and_restored() {
    let (bed, _bucket) = bed("split").await;
    let before = bed.database.items("cars").await;
    bed.submit(&priced()).await;
    let tried = bed.phase("m", Phase::DryRunOk).await;
    let found = effects(&tried);
    assert_eq!(found.write_calls_that_reached_the_database, 0);
    let [table] = found.tables.as_slice() else { panic!("one table: {found:?}") };
    assert_eq!((table.would_update, found.items_read), (CARS, CARS));
    assert_eq!(bed.database.items("cars").await, before, "byte for byte as before");
    let pods = pods_of(&bed, "1").await;
    assert_eq!((pods.len(), indexes(&pods)), (4, BTreeSet::from(["0", "1", "2", "3"])));

    // Slow enough to be paused in the middle.
    bed.patch("m", &json!({"spec": {"dryRun": false, "limits": {"writesPerSecond": 20}}})).await;
    while with_price(&bed).await == 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bed.patch("m", &json!({"spec": {"suspend": true}})).await;
    let paused = bed.until("m", "paused", |m| condition(m, types::PAUSED).is_some()).await;
    assert_eq!(status(&paused).phase, Some(Phase::Suspended));
    // What had been sent to the database before has arrived by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let until_now = with_price(&bed).await;
    assert!(until_now < CARS, "it was paused in the middle");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(with_price(&bed).await, until_now, "no pod writes during a pause");
    print!("{}", bed.kubectl(&["describe", "datamigration", "m"]));

    bed.patch("m", &json!({"spec": {"suspend": false}})).await;
    bed.until("m", "resumed", |m| status(m).phase == Some(Phase::Running)).await;
    let pods = pods_of(&bed, "2").await;
    let deleted = pods.iter().find(|pod| pod.annotations()[INDEX] == "1").unwrap().name_any();
    bed.kubectl(&["delete", "pod", &deleted, "--wait=false"]);
    let replaced = |m: &dm_api::DataMigration| ready(m).1.contains("1 pod was replaced");
    bed.until("m", "a pod replaced", replaced).await;
    bed.patch("m", &json!({"spec": {"limits": null}})).await;
    let applied = bed.phase("m", Phase::Applied).await;
    print!("{}", bed.kubectl(&["describe", "datamigration", "m"]));
    let run = &status(&applied).runs[0];
    assert_eq!((run.number, run.kind, run.result), (2, RunKind::Apply, RunResult::Succeeded));
    assert_eq!(run.parallelism, Some(4));
    assert_eq!(with_price(&bed).await, CARS);
    // The deleted one goes once its end is on record.
    let mut pods = pods_of(&bed, "2").await;
    pods.retain(|pod| pod.name_any() != deleted);
    assert_eq!((pods.len(), indexes(&pods).len()), (4, 4));
    let report = status(&applied).applied.clone().unwrap();
    assert_eq!(report.journaled, Some(CARS), "{report:?}");
    assert_eq!(report.effects.unwrap().tables[0].updated, CARS, "both pods of the part count");
    assert!(report.report.unwrap().contains("/part-*/"));

    bed.patch("m", &json!({"spec": {"state": "Restored"}})).await;
    let restored = bed.phase("m", Phase::Restored).await;
    assert_eq!(bed.database.items("cars").await, before);
    let done = status(&restored).restored.as_ref().unwrap().effects.clone().unwrap();
    assert_eq!((done.items, done.conflicts), (CARS, 0), "{done:?}");
    bed.done().await;
}

#[tokio::test]
async fn a_part_that_fails_is_named_and_stops_the_others() {
    let (bed, _bucket) = bed("split-fails").await;
    let text = json!({"id": {"S": "car-0007"}, "weight": {"S": "heavy"}});
    bed.database.put("cars", &[text]).await;
    bed.submit(&priced().applied()).await;
    let failed = bed.phase("m", Phase::Failed).await;
    let because = failure(&failed);
    assert_eq!(because.reason, Reason::TransformFailed);
    let message = &because.message;
    assert!(message.starts_with("Part ") && message.contains(" (pod m-1-apply-"), "{message}");
    assert!(message.contains("The transform stopped at 1 item (set.price"), "{message}");
    assert_eq!(pods_of(&bed, "1").await.len(), 4, "nothing was started again");

    // What it had written is in the journals of all parts.
    bed.patch("m", &json!({"spec": {"state": "Restored"}})).await;
    bed.phase("m", Phase::Restored).await;
    assert_eq!(with_price(&bed).await, 0);
    bed.done().await;
}
