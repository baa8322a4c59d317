//! Further restores of a run: what others wrote between two of them stays, also if it is what the
//! run had left.

use bytes::Bytes;
use dm_contract::plan::{Mode, OnConflict};
use dm_engine::archive::RunName;
use serde_json::{Value, json};

use super::{Bed, set};
use crate::shorthand::expand;

fn item(item: Value) -> Value {
    expand(&json!({"Item": item}))["Item"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_set_away_and_back_again_is_theirs() {
    let seeds = ["conflict", "reverted", "restored"].map(|id| json!({"id": id, "color": "red"}));
    let bed = Bed::new("hash", &seeds).await;
    let mut writes: Vec<(&str, Value)> = ["conflict", "reverted", "restored"]
        .map(|id| ("UpdateItem", set(id, "color", &json!("blue"))))
        .to_vec();
    for id in ["made", "removed"] {
        writes.push(("PutItem", json!({"Item": {"id": id, "v": 1}})));
    }
    bed.migrate(&writes).await;
    // Others have changed some of it before the first restore.
    bed.others("UpdateItem", set("conflict", "color", &json!("green"))).await;
    bed.others("UpdateItem", set("reverted", "color", &json!("red"))).await;
    bed.others("UpdateItem", set("made", "v", &json!(2))).await;
    bed.others("DeleteItem", json!({"Key": {"id": "removed"}})).await;
    let first = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((first.counts.restored, first.conflicts), (1, 2));

    // And after it they write just what the run had left.
    for id in ["conflict", "reverted", "restored"] {
        bed.others("UpdateItem", set(id, "color", &json!("blue"))).await;
    }
    for id in ["made", "removed"] {
        bed.others("PutItem", json!({"Item": {"id": id, "v": 1}})).await;
    }
    let theirs = bed.items().await;
    for (number, mode) in [(3, Mode::DryRun), (3, Mode::Apply), (4, Mode::Apply)] {
        let again = bed.restore(1, number, mode, OnConflict::Skip).await;
        assert_eq!((again.counts.unchanged, again.conflicts), (5, 4), "{:?}", again.listed);
        assert_eq!(bed.items().await, theirs);
    }
    // Overwriting discards it, but for what a restore has already restored.
    bed.restore(1, 5, Mode::Apply, OnConflict::Overwrite).await;
    let mut items = bed.items().await;
    items.sort_by_key(|item| item["id"]["S"].to_string());
    let left = [("conflict", "red"), ("restored", "blue"), ("reverted", "red")];
    assert_eq!(items, left.map(|(id, color)| item(json!({"id": id, "color": color}))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_a_restore_brings_back_the_runs_own_values() {
    let bed = Bed::new("hash", &[json!({"id": "a", "v": 1})]).await;
    let before = bed.items().await;
    bed.migrate(&[("UpdateItem", set("a", "v", &json!(2)))]).await;
    let after = bed.items().await;
    bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    bed.restore(1, 3, Mode::Apply, OnConflict::Skip).await;
    bed.restore(2, 4, Mode::Apply, OnConflict::Skip).await;
    assert_eq!(bed.items().await, after);
    let report = bed.restore(1, 5, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((report.counts.restored, report.conflicts), (1, 0));
    assert_eq!(bed.items().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_conflicts_that_is_missing_or_damaged_fails_no_restore() {
    for damage in [None, Some("not json\n"), Some("{\"table\": \"x\"}\n"), Some("")] {
        let bed = Bed::new("hash", &[json!({"id": "a", "v": 1})]).await;
        bed.migrate(&[("UpdateItem", set("a", "v", &json!(2)))]).await;
        bed.others("UpdateItem", set("a", "v", &json!(3))).await;
        assert_eq!(bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await.conflicts, 1);
        let path = RunName::new(&bed.plan.archive.as_ref().unwrap().migration, 2).unwrap();
        match damage {
            None => bed.archive.delete(&path.conflicts()).await.unwrap(),
            Some(text) => {
                bed.archive.replace(&path.conflicts(), Bytes::from(text)).await.unwrap();
            }
        }
        let again = bed.restore(1, 3, Mode::Apply, OnConflict::Skip).await;
        assert_eq!((again.conflicts, again.counts.restored), (1, 0), "{damage:?}");
        let forced = bed.restore(1, 4, Mode::Apply, OnConflict::Overwrite).await;
        assert_eq!((forced.conflicts, forced.counts.restored), (1, 1), "{damage:?}");
    }
}
