//! Restores of scripts that move items by separate writes, and change them on the way: a copy whose
//! item cannot return stays.

use dm_contract::plan::{Mode, OnConflict};
use dm_contract::restored::Conflict;
use serde_json::{Value, json};

use super::Bed;

/// Moves an item of the key `id` to `id-new` as `copy`.
fn moved(id: &str, copy: Value) -> [(&'static str, Value); 2] {
    let mut copy = copy;
    copy["id"] = format!("{id}-new").into();
    [("PutItem", json!({"Item": copy})), ("DeleteItem", json!({"Key": {"id": id}}))]
}

fn customer(number: usize) -> Value {
    json!({"id": format!("c{number}"), "name": format!("Ann {number}"), "type": "customer",
        "status": "active", "plan": format!("plan-{}", number % 7), "joined": 2000 + number % 20})
}

/// Restores after others have taken the keys `taken`, and returns which copies stay.
async fn kept(bed: &Bed, taken: &[usize]) -> Vec<String> {
    for number in taken {
        bed.others("PutItem", json!({"Item": {"id": format!("c{number}"), "seen": true}})).await;
    }
    let preview = bed.restore(1, 2, Mode::DryRun, OnConflict::Skip).await;
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((preview.conflicts, preview.counts), (report.conflicts, report.counts));
    let copies = report.listed.iter().filter(|listed| listed.conflict == Conflict::OnlyCopy);
    let id = |key: Option<Value>| key.unwrap()["id"]["S"].as_str().unwrap().to_owned();
    let mut copies: Vec<String> = copies.map(|listed| id(listed.key.clone())).collect();
    copies.sort();
    assert_eq!(report.conflicts, (taken.len() + copies.len()) as u64);
    let stays = bed.items().await.into_iter().map(|item| id(Some(item)));
    let mut stays: Vec<String> = stays.filter(|id| id.ends_with("-new")).collect();
    stays.sort();
    assert_eq!(stays, copies);
    copies
}

/// A run that moves this many customers, each changed by this, and the ids of the copies that stay
/// if others take the key of the third.
async fn check(count: usize, changed: impl Fn(usize, &mut Value)) -> Vec<String> {
    let customers: Vec<Value> = (0..count).map(customer).collect();
    let bed = Bed::new("hash", &customers).await;
    let moves = customers.iter().enumerate().flat_map(|(number, customer)| {
        let mut copy = customer.clone();
        changed(number, &mut copy);
        moved(customer["id"].as_str().unwrap(), copy)
    });
    bed.migrate(&moves.collect::<Vec<_>>()).await;
    kept(&bed, &[3]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_has_something_of_a_missing_item_stays_and_the_others_go() {
    // More attributes, others, under other names, and only some of them.
    let copies = check(60, |_, copy| copy["version"] = 2.into()).await;
    assert_eq!(copies, ["c3-new"]);
    let copies = check(60, |_, copy| {
        copy["status"] = "migrated".into();
        copy["fullName"] = copy["name"].take();
        copy.as_object_mut().unwrap().remove("name");
    })
    .await;
    assert_eq!(copies, ["c3-new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_value_of_its_own_the_copies_that_have_most_in_common_stay() {
    let copies = check(60, |number, copy| copy["name"] = format!("ANN {number}").into()).await;
    // Of these customers each has a pair of plan and year of its own.
    assert_eq!(copies, ["c3-new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_little_is_in_common_the_copies_written_about_then_stay() {
    for has_former_key in [true, false] {
        let copies = check(90, |number, copy| {
            *copy = json!({"packed": format!("{{\"name\": {number}}}")});
            if has_former_key {
                copy["formerId"] = format!("c{number}").into();
            }
        });
        let copies = copies.await;
        assert!(copies.contains(&"c3-new".to_owned()), "{copies:?}");
        // Those of three items before it, and of 25 after it.
        assert_eq!(copies.len(), 29, "{copies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_place_keeps_no_items_that_have_little_to_do_with_it() {
    // Three hundred reports that the run created share the status of one deleted customer.
    let bed = Bed::new("hash", &[customer(3)]).await;
    let mut writes: Vec<(&str, Value)> = (0..300)
        .map(|i| json!({"id": format!("report-{i}-new"), "status": "active", "type": "customer"}))
        .map(|item| ("PutItem", json!({"Item": item})))
        .collect();
    let mut copy = customer(3);
    copy["status"] = "moved".into();
    writes.extend(moved("c3", copy));
    bed.migrate(&writes).await;
    assert_eq!(kept(&bed, &[3]).await, ["c3-new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_copy_goes_once_its_item_can_return() {
    let customers: Vec<Value> = (0..5).map(customer).collect();
    let bed = Bed::new("hash", &customers).await;
    let before = bed.items().await;
    let moves = customers.iter().flat_map(|customer| {
        let mut copy = customer.clone();
        copy["status"] = "moved".into();
        moved(customer["id"].as_str().unwrap(), copy)
    });
    bed.migrate(&moves.collect::<Vec<_>>()).await;
    assert_eq!(kept(&bed, &[1, 3]).await, ["c1-new", "c3-new"]);
    // Repeated, it does the same.
    let again = bed.restore(1, 3, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((again.conflicts, again.counts.deleted, again.counts.recreated), (4, 0, 0));
    bed.others("DeleteItem", json!({"Key": {"id": "c1"}})).await;
    let report = bed.restore(1, 4, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((report.conflicts, report.counts.deleted, report.counts.recreated), (2, 1, 1));
    bed.others("DeleteItem", json!({"Key": {"id": "c3"}})).await;
    let report = bed.restore(1, 5, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((report.conflicts, report.counts.deleted, report.counts.recreated), (0, 1, 1));
    assert_eq!(bed.items().await, before);
}
