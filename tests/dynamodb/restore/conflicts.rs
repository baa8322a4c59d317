//! Restores that meet the work of others, of indexes that came later, and of themselves.

use std::sync::Arc;
use std::time::Duration;

use dm_contract::plan::{Mode, OnConflict, Plan, RateLimits};
use dm_engine::archive::RunName;
use dm_engine::archive::ledger;
use dm_engine::restore::{Restore, RestoreError, RestoreOptions, RestoreReport};
use dm_engine::{Call, Engine, Operation};
use serde_json::{Value, json};

use super::{Bed, set};
use crate::bed::{self, database};
use crate::shorthand::expand;

#[tokio::test(flavor = "multi_thread")]
async fn what_others_did_to_whole_items_between_two_writes_of_a_run_is_theirs() {
    let seeds = [
        json!({"id": "expired", "color": "red"}),
        json!({"id": "replaced", "color": "red", "old": 1}),
        json!({"id": "last", "color": "red"}),
    ];
    let bed = Bed::new("hash", &seeds).await;
    let archive = Some(bed.archive.clone());
    let engine = Arc::new(Engine::open(&bed.plan, bed::options(archive)).unwrap());
    let run = async |operation: &str, body: Value| {
        let Value::Object(body) = bed.body(&body) else { unreachable!() };
        let call = Call::new(Operation::named(operation).unwrap(), body);
        assert_eq!(engine.handle(call).await.status, 200);
    };
    run("PutItem", json!({"Item": {"id": "created", "a": 1}})).await;
    bed.others("UpdateItem", set("created", "b", &json!(2))).await;
    run("UpdateItem", set("created", "a", &json!(3))).await;
    run("UpdateItem", set("expired", "price", &json!(1))).await;
    bed.others("DeleteItem", json!({"Key": {"id": "expired"}})).await;
    run("UpdateItem", set("expired", "price", &json!(2))).await;
    run("DeleteItem", json!({"Key": {"id": "replaced"}})).await;
    bed.others("PutItem", json!({"Item": {"id": "replaced", "color": "blue"}})).await;
    run("UpdateItem", set("replaced", "price", &json!(1))).await;
    run("UpdateItem", set("last", "color", &json!("green"))).await;
    assert!(engine.close().await);

    let preview = bed.restore(1, 2, Mode::DryRun, OnConflict::Skip).await;
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!(
        listed(&report),
        ["\"created\" ItemChanged", "\"expired\" ItemDeleted", "\"replaced\" PlaceTaken"]
    );
    assert_eq!((preview.conflicts, preview.counts.restored, preview.counts.deleted), (3, 2, 1));
    assert_eq!((report.conflicts, report.counts.restored, report.counts.deleted), (3, 2, 1));
    let mut items: Vec<Value> = bed.items().await;
    items.sort_by_key(|item| item["id"]["S"].to_string());
    let expected = [
        json!({"id": "created", "a": 3, "b": 2}),
        json!({"id": "last", "color": "red"}),
        json!({"id": "replaced", "color": "blue"}),
    ];
    assert_eq!(items, expected.map(|item| expand(&json!({"Item": item}))["Item"].take()));
}

/// The conflicts of a report as text, in order.
fn listed(report: &RestoreReport) -> Vec<String> {
    let text = |listed: &dm_engine::restore::ListedConflict| {
        format!("{} {:?}", listed.key.as_ref().unwrap()["id"]["S"], listed.conflict)
    };
    let mut all: Vec<String> = report.listed.iter().map(text).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_an_index_that_came_later_rejects_stays_and_all_else_goes_back() {
    let ids = ["a", "b", "c"];
    let cars: Vec<Value> =
        ids.iter().map(|id| json!({"id": id, "price": "10", "color": "red"})).collect();
    let bed = Bed::new("hash", &cars).await;
    let mut writes = Vec::new();
    for id in ids {
        writes.push(("UpdateItem", set(id, "color", &json!("blue"))));
    }
    for id in ["a", "c"] {
        writes.push(("UpdateItem", set(id, "price", &json!(10))));
    }
    bed.migrate(&writes).await;
    bed.others("UpdateItem", json!({"Key": {"id": "b"}, "UpdateExpression": "REMOVE price"})).await;
    let index = json!({"TableName": bed.table,
        "AttributeDefinitions": [{"AttributeName": "price", "AttributeType": "N"}],
        "GlobalSecondaryIndexUpdates": [{"Create": {"IndexName": "prices",
            "KeySchema": [{"AttributeName": "price", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}}]});
    database().ok("UpdateTable", &index).await;

    let preview = bed.restore(1, 2, Mode::DryRun, OnConflict::Skip).await;
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    let expected = ["\"a\" Rejected(Some(\"price\"))", "\"c\" Rejected(Some(\"price\"))"];
    assert_eq!(
        (listed(&report), report.counts.restored),
        (expected.map(str::to_owned).to_vec(), 3)
    );
    assert_eq!((listed(&preview), preview.counts.restored), (listed(&report), 3));
    for item in bed.items().await {
        assert_eq!(item["color"], json!({"S": "red"}), "{item}");
    }
}

/// Items whose prices others have changed since the run, and a plan of a slow restore as run 2.
async fn changed_by_others(count: usize) -> (Bed, Plan) {
    let ids: Vec<String> = (0..count).map(|i| format!("car-{i:02}")).collect();
    let cars: Vec<Value> = ids.iter().map(|id| json!({"id": id, "price": 1})).collect();
    let bed = Bed::new("hash", &cars).await;
    let writes: Vec<(&str, Value)> =
        ids.iter().map(|id| ("UpdateItem", set(id, "price", &json!(2)))).collect();
    bed.migrate(&writes).await;
    for id in &ids {
        bed.others("UpdateItem", set(id, "price", &json!(3))).await;
    }
    let mut plan = bed.plan.clone();
    plan.run.number = 2;
    plan.limits = RateLimits { writes_per_second: Some(2), ..RateLimits::default() };
    (bed, plan)
}

fn restoring(bed: &Bed, plan: &Plan, on_conflict: OnConflict) -> Restore {
    let options = bed::restore_options(bed.archive.clone());
    Restore::open(plan, RestoreOptions { on_conflict, ..options }).unwrap()
}

fn overwriting(bed: &Bed, plan: &Plan) -> Restore {
    restoring(bed, plan, OnConflict::Overwrite)
}

async fn until_written(restore: &Restore, count: u64) {
    while restore.report().counts.restored < count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a restore until it has written two items.
async fn interrupted(restore: &Restore) {
    let stop = async {
        until_written(restore, 2).await;
        restore.stop();
    };
    let (ended, ()) = tokio::join!(restore.run(), stop);
    assert!(matches!(ended, Err(RestoreError::Interrupted)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_restore_has_overwritten_is_listed_by_the_one_that_ends() {
    // The same run again, as a second pod; and another run, as a second command.
    for number in [2, 3] {
        let (bed, slow) = changed_by_others(8).await;
        interrupted(&overwriting(&bed, &slow)).await;
        let mut plan = Plan { limits: RateLimits::default(), ..slow };
        plan.run.number = number;
        let report = overwriting(&bed, &plan).run().await.unwrap();
        assert!(report.counts.restored < 8, "some were done: {}", report.counts.restored);
        assert_eq!((report.conflicts, report.listed.len()), (8, 8));
        assert_eq!((report.groups.len(), report.groups[0].count), (1, 8));
        let run = RunName::new(&plan.archive.as_ref().unwrap().migration, number).unwrap();
        let completed = ledger::completed(&bed.archive, &run).await.unwrap().unwrap();
        assert_eq!(completed.conflicts, Some(8));
        let lines = bed.archive.get(&run.conflicts()).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&lines).lines().count(), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_restore_has_overwritten_is_listed_by_one_that_keeps_conflicts() {
    let (bed, slow) = changed_by_others(8).await;
    let restore = overwriting(&bed, &slow);
    interrupted(&restore).await;
    let mut plan = Plan { limits: RateLimits::default(), ..slow };
    plan.run.number = 3;
    let report = restoring(&bed, &plan, OnConflict::Skip).run().await.unwrap();
    assert_eq!((report.counts.restored, report.conflicts), (0, 8));
    // Behind that one only what is left is in conflict.
    let overwritten = restore.report().counts.restored;
    plan.run.number = 4;
    let report = overwriting(&bed, &plan).run().await.unwrap();
    assert_eq!((report.counts.restored, report.conflicts), (8 - overwritten, 8 - overwritten));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_after_a_restore_stays_also_where_the_run_had_left_the_same() {
    let seeds = ["updated", "deleted", "conflict"].map(|id| json!({"id": id, "price": 1}));
    let bed = Bed::new("hash", &seeds).await;
    let created = json!({"Item": {"id": "created", "price": 2}});
    bed.migrate(&[
        ("UpdateItem", set("updated", "price", &json!(2))),
        ("UpdateItem", set("conflict", "price", &json!(2))),
        ("DeleteItem", json!({"Key": {"id": "deleted"}})),
        ("PutItem", created.clone()),
    ])
    .await;
    bed.others("UpdateItem", set("conflict", "price", &json!(3))).await;
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!(
        (report.counts.restored, report.counts.recreated, report.counts.deleted, report.conflicts),
        (1, 1, 1, 1)
    );
    bed.others("UpdateItem", set("updated", "price", &json!(2))).await;
    bed.others("DeleteItem", json!({"Key": {"id": "deleted"}})).await;
    bed.others("PutItem", created.clone()).await;
    let left = bed.items().await;
    for (number, mode) in [(3, Mode::DryRun), (3, Mode::Apply)] {
        let again = bed.restore(1, number, mode, OnConflict::Skip).await;
        assert_eq!((again.counts.unchanged, again.conflicts), (4, 1), "{mode:?}");
        assert_eq!(bed.items().await, left);
    }
    let forced = bed.restore(1, 4, Mode::Apply, OnConflict::Overwrite).await;
    assert_eq!((forced.counts.unchanged, forced.counts.restored, forced.conflicts), (3, 1, 1));
    let mut expected = [
        json!({"id": "conflict", "price": 1}),
        json!({"id": "created", "price": 2}),
        json!({"id": "updated", "price": 2}),
    ];
    let expected = expected.each_mut().map(|item| expand(&json!({"Item": item}))["Item"].take());
    assert_eq!(bed.items().await, expected);
    // Restores of the restores apply the run again: then it can be restored once more.
    for (of, own) in [(4, 5), (2, 6)] {
        bed.restore(of, own, Mode::Apply, OnConflict::Overwrite).await;
    }
    let again = bed.restore(1, 7, Mode::Apply, OnConflict::Overwrite).await;
    assert_eq!((again.counts.restored, again.counts.recreated, again.counts.deleted), (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn overwriting_what_a_restore_left_brings_back_no_values_of_an_older_run() {
    let seeds = ["own", "conflict"].map(|id| json!({"id": id, "price": 1}));
    let bed = Bed::new("hash", &seeds).await;
    for number in [1, 2] {
        let price = json!(10 * number);
        let writes = ["own", "conflict"].map(|id| ("UpdateItem", set(id, "price", &price)));
        bed.migrate_as(number, &writes).await;
    }
    bed.others("UpdateItem", set("conflict", "price", &json!(99))).await;
    // The newest first. The conflict is of both.
    for (of, own) in [(2, 3), (1, 4)] {
        let report = bed.restore(of, own, Mode::Apply, OnConflict::Skip).await;
        assert_eq!((report.counts.restored, report.conflicts), (1, 1));
    }
    for (of, own) in [(2, 5), (1, 6)] {
        let report = bed.restore(of, own, Mode::Apply, OnConflict::Overwrite).await;
        assert_eq!(
            (report.counts.restored, report.counts.unchanged, report.conflicts > 0),
            (1, 1, of == 2)
        );
        let items = bed.items().await;
        let own = items.iter().find(|item| item["id"]["S"] == "own").unwrap();
        assert_eq!(own["price"]["N"], "1", "after {of}");
    }
    let before = seeds.map(|seed| expand(&json!({"Item": seed}))["Item"].take());
    assert_eq!(bed.items().await, [before[1].clone(), before[0].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_whose_own_journal_is_gone_is_no_success() {
    let (bed, slow) = changed_by_others(6).await;
    let restore = overwriting(&bed, &slow);
    let run = RunName::new(&slow.archive.as_ref().unwrap().migration, 2).unwrap();
    let remove = async {
        until_written(&restore, 2).await;
        bed.archive.delete(&run.segment(1)).await.unwrap();
    };
    let (ended, ()) = tokio::join!(restore.run(), remove);
    assert!(matches!(ended, Err(RestoreError::OwnJournal(_))), "{ended:?}");
    assert!(ledger::completed(&bed.archive, &run).await.unwrap().is_none());
}
