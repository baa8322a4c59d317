//! The parts of a transform, all at the same time, whose guards die again and again, each on its
//! own, and are replaced by others: in the end each item was changed once, the run is completed by
//! the last part, and the restore returns the table as it was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dm_contract::part::Part;
use dm_contract::plan::OnConflict;
use dm_contract::report::{GuardResult, TransformEnd, merged};
use dm_contract::verdict::Verdict;
use dm_engine::{Engine, Start};
use futures::future::join_all;

use crate::bed::database;
use crate::differential::random::Random;
use crate::kill::{Point, Scene};
use crate::kill_transform::{Size, changes, death, run, scene};
use crate::transform::counts;

/// Parts of the run.
const PARTS: u32 = 4;

/// Does one part to its end, through all its deaths, which are counted.
async fn survive(scene: &Scene, size: Size, part: Part, died: &AtomicUsize) -> GuardResult {
    let counted = Mutex::new(None);
    let mut random = Random(1_000 + u64::from(part.index));
    let (mut deaths, mut start) = (0, Start::First);
    loop {
        let point = match deaths {
            deaths if deaths >= size.deaths / PARTS as usize => Point { request: None, put: None },
            _ => death(&mut random, size),
        };
        let whole = async |engine: Arc<Engine>| {
            let result = run(scene, Some(part), &engine).await;
            assert_eq!(
                result.end,
                TransformEnd::Succeeded,
                "{part} after {deaths} deaths: {result:?}"
            );
            let transform = Some(result);
            *counted.lock().unwrap() = Some(GuardResult { transform, ..engine.result() });
        };
        let (ended, ..) = scene.run_part_until(Some(part), point, start, whole).await;
        if ended {
            return counted.into_inner().unwrap().unwrap();
        }
        start = Start::Again;
        deaths += 1;
        died.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_whose_guards_die_again_and_again_change_each_item_once() {
    let size = Size::of_environment();
    let mut scene = scene(size).await;
    scene.plan.parts = Some(PARTS);
    let died = AtomicUsize::new(0);
    let results = join_all(Part::all(PARTS).map(|part| survive(&scene, size, part, &died))).await;
    let deaths = died.into_inner();
    let (repeated, most) = scene.pages.as_ref().unwrap().repeated();
    println!(
        "{deaths} deaths of the guards of {PARTS} parts: {repeated} items read again, {most} of a \
         segment at most"
    );
    assert!(most <= size.page(), "a guard repeats a page of a segment: {most} items");
    let all = scene.snapshot.len();
    assert_eq!(changes(&scene).await, BTreeMap::from([("1".to_owned(), all)]), "{deaths} deaths");
    assert!(deaths >= size.deaths / 2, "the run was over after {deaths} deaths");
    assert!(matches!(scene.verdict().await, Verdict::Adopt(_)), "{:?}", scene.verdict().await);
    // The last guard of each part counts for all of them.
    let whole = merged(results).unwrap();
    let every = all as u64;
    assert_eq!(counts(whole.transform.as_ref().unwrap()), [every, 0, 0, every, 0]);
    assert_eq!((whole.tables[0].updated, whole.items_read, whole.problem), (every, every, None));
    assert!(whole.journal.unwrap().entries >= every);
    let report = scene.restore_as(2, OnConflict::Skip).await;
    assert_eq!((report.conflicts, report.counts.restored), (0, all as u64), "{report:?}");
    assert_eq!(database().items(&scene.table).await, scene.snapshot);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_some_parts_never_finished_is_restored_all_the_same() {
    let mut scene = scene(Size::of_environment()).await;
    scene.plan.parts = Some(PARTS);
    let none = Point { request: None, put: None };
    for part in Part::all(PARTS).take(3) {
        let point = match part.index {
            0 => none,
            _ => Point { request: Some((40, crate::faults::Death::After)), put: None },
        };
        let whole = async |engine| {
            let result = run(&scene, Some(part), &engine).await;
            assert_eq!((part.index, result.end), (0, TransformEnd::Succeeded), "{result:?}");
        };
        let (ended, ..) = scene.run_part_until(Some(part), point, Start::First, whole).await;
        assert_eq!(ended, part.index == 0);
    }
    let changed = changes(&scene).await;
    let times: Vec<&str> = changed.keys().map(String::as_str).collect();
    assert_eq!(times, ["1", "none"], "{changed:?}");
    // Whoever restores it waits until no part shows life any more.
    let report = scene.restore_as(2, OnConflict::Skip).await;
    assert_eq!(report.conflicts, 0, "{report:?}");
    assert_eq!(database().items(&scene.table).await, scene.snapshot);
}
