//! A migration is restored, attribute by attribute: what others changed since stays. The archive
//! is a bucket on a real server; the cars are some of the demo's.

use dm_api::restore_status::{ConflictKind, RestoreEffects};
use dm_api::status::{Phase, RunKind, RunResult};
use dm_tests::cluster::{Bed, Written, failure, status};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::bucket::Bucket;

const CARS: &str = include_str!("programs/cars_of_vega_datasets.json");

/// Gives every car a price; ends with exit code 3 after this many.
const PRICE: &str = "\
import boto3, sys
cars = boto3.resource('dynamodb').Table('cars')
ids = sorted(item['id'] for item in cars.scan()['Items'])
for number, car in enumerate(ids):
    if number == LAST:
        sys.exit(3)
    cars.update_item(Key={'id': car}, UpdateExpression='SET price = :p',
                     ExpressionAttributeValues={':p': 1000 + number})
print(len(ids), 'priced')
";

fn pricing(last: &str) -> Written {
    Written::python("m", &PRICE.replace("LAST", last)).applied()
}

/// A table of cars and a target with an archive.
async fn bed(test: &str) -> (Bed, Bucket, Vec<String>) {
    let bed = Bed::new(test).await;
    let bucket = Bucket::start().await;
    bucket.is_archive_of(&bed).await;
    bed.database.table("cars", "id").await;
    let cars: Vec<Value> = serde_json::from_str(CARS).unwrap();
    bed.database.put("cars", &cars).await;
    let mut ids: Vec<String> =
        cars.iter().map(|car| car["id"]["S"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    (bed, bucket, ids)
}

/// What somebody changes by hand.
async fn by_hand(bed: &Bed, id: &str, attribute: &str, value: Value) {
    let update = json!({
        "TableName": "cars", "Key": {"id": {"S": id}}, "UpdateExpression": "SET #a = :v",
        "ExpressionAttributeNames": {"#a": attribute}, "ExpressionAttributeValues": {":v": value},
    });
    bed.database.ok("UpdateItem", &update).await;
}

fn effects(report: Option<&dm_api::restore_status::RestoreStatus>) -> RestoreEffects {
    report.and_then(|report| report.effects.clone()).expect("what it found")
}

#[tokio::test]
async fn an_applied_migration_is_previewed_and_restored_but_for_what_others_changed() {
    let (bed, _bucket, ids) = bed("restore").await;
    let count = ids.len() as u64;
    bed.submit(&pricing("-1")).await;
    bed.phase("m", Phase::Applied).await;
    for id in &ids[..10] {
        by_hand(&bed, id, "color", json!({"S": "red"})).await;
    }
    for id in &ids[4..6] {
        by_hand(&bed, id, "price", json!({"N": "7"})).await;
    }
    let changed = bed.database.items("cars").await;

    bed.patch("m", &json!({"spec": {"state": "Restored", "dryRun": true}})).await;
    let previewed = bed.phase("m", Phase::RestorePreviewOk).await;
    let found = effects(status(&previewed).restore_preview.as_ref());
    assert_eq!((found.items, found.restored, found.conflicts), (count, count - 2, 2), "{found:?}");
    let group = &found.conflict_groups[0];
    assert_eq!(
        (group.table.as_str(), group.kind, group.attribute.as_deref(), group.items),
        ("cars", ConflictKind::AttributeChanged, Some("price"), 2)
    );
    assert!(group.keys.is_empty(), "the target does not allow to show keys");
    assert_eq!(bed.database.items("cars").await, changed, "a preview writes nothing");

    bed.patch("m", &json!({"spec": {"dryRun": false}})).await;
    let restored = bed.phase("m", Phase::Restored).await;
    let done = effects(status(&restored).restored.as_ref());
    assert_eq!((done.restored, done.conflicts), (count - 2, 2), "{done:?}");
    let mut priced = Vec::new();
    for item in bed.database.scan("cars").await {
        let id = item["id"]["S"].as_str().unwrap().to_owned();
        let is_red = ids[..10].contains(&id);
        assert_eq!(item["color"] == json!({"S": "red"}), is_red, "{id}: its colour is kept");
        if !item["price"].is_null() {
            assert_eq!(item["price"], json!({"N": "7"}), "{id}");
            priced.push(id);
        }
    }
    priced.sort();
    assert_eq!(priced, ids[4..6], "only what others priced has a price");
    print!("{}", bed.kubectl(&["describe", "datamigration", "m"]));

    // Once is enough, and the other way is its own run.
    bed.no_new_pod().await;
    bed.patch("m", &json!({"spec": {"state": "Applied"}})).await;
    let again = bed
        .until("m", "it is applied anew", |m| {
            status(m).phase == Some(Phase::Applied)
                && status(m).runs.first().is_some_and(|run| run.kind == RunKind::Apply)
        })
        .await;
    assert_eq!(status(&again).runs[0].result, RunResult::Succeeded);
    let unpriced =
        bed.database.scan("cars").await.iter().filter(|car| car["price"].is_null()).count();
    assert_eq!(unpriced, 0);
    bed.done().await;
}

#[tokio::test]
async fn what_a_failed_run_managed_to_change_is_restored_although_the_restore_is_killed() {
    let (bed, _bucket, _) = bed("restore-failed").await;
    let before = bed.database.items("cars").await;
    bed.submit(&pricing("15")).await;
    let failed = bed.phase("m", Phase::Failed).await;
    assert_eq!(failure(&failed).exit_code, Some(3));
    assert!(failure(&failed).message.contains("15 items were"), "{}", failure(&failed).message);
    assert!(failure(&failed).what_now.contains("state"), "{}", failure(&failed).what_now);

    bed.patch("m", &json!({"spec": {"state": "Restored"}})).await;
    let job = "m-2-restore";
    dm_tests::cluster::until(bed.api::<Job>(), job, "it is let go", |job| {
        job.is_some_and(|job| job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(false)))
    })
    .await;
    bed.kubectl(&["delete", "pod", "--selector", &format!("job-name={job}"), "--wait=false"]);
    let restored = bed.phase("m", Phase::Restored).await;
    assert_eq!(bed.database.items("cars").await, before);
    let done = effects(status(&restored).restored.as_ref());
    assert_eq!((done.items, done.conflicts), (15, 0), "{done:?}");
    bed.done().await;
}

#[tokio::test]
async fn a_restore_under_way_goes_as_fast_as_the_limits_say_now() {
    let (bed, _bucket, _) = bed("restore-limits").await;
    // At one a second they would take longer than the test waits.
    let many: Vec<Value> = (0..400).map(|n| json!({"id": {"S": format!("many-{n}")}})).collect();
    bed.database.put("cars", &many).await;
    let before = bed.database.items("cars").await;
    bed.submit(&pricing("-1")).await;
    bed.phase("m", Phase::Applied).await;

    let slowly = json!({"state": "Restored", "limits": {"writesPerSecond": 1}});
    bed.patch("m", &json!({"spec": slowly})).await;
    bed.until("m", "some are back", |m| {
        let progress = status(m).progress.as_ref();
        status(m).phase == Some(Phase::Restoring)
            && progress.is_some_and(|progress| progress.items_written > Some(0))
    })
    .await;
    bed.patch("m", &json!({"spec": {"limits": null}})).await;
    let restored = bed.phase("m", Phase::Restored).await;
    assert_eq!(status(&restored).last_run, 2, "the same run");
    assert_eq!(bed.database.items("cars").await, before);
    bed.done().await;
}
