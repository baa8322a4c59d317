//! A transform whose guard dies again and again, at a request or at a put into the archive, and is
//! started again each time: in the end each item was changed once, and the restore returns the
//! table as it was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dm_contract::part::Part;
use dm_contract::report::{TransformEnd, TransformResult};
use dm_engine::{Engine, Start};
use dm_runner::{Checkpoints, Settings, Share};
use dm_transform::{Files, OnItemError, Source, Transform};
use serde_json::json;
use tokio::sync::watch;

use crate::bed::database;
use crate::differential::random::Random;
use crate::faults::Death;
use crate::kill::{Point, Scene};
use crate::pages::Pages;
use crate::transform::counts;

/// Items of the table, each of which takes one request of the run, unless `KILL_ITEMS` is set.
const ITEMS: usize = 1_000;

/// Deaths of guards in the middle of one run, unless `KILL_DEATHS` is set.
const DEATHS: usize = 100;

/// Requests in which a guard dies; more in a large table, so that deaths are spread over it.
const REQUESTS: usize = 40;

/// How large the campaign is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub items: usize,
    pub deaths: usize,
}

impl Size {
    pub fn of_environment() -> Self {
        let number = |name, or| {
            let text = std::env::var(name).ok();
            text.map_or(or, |text| text.parse().expect("a number"))
        };
        Self { items: number("KILL_ITEMS", ITEMS), deaths: number("KILL_DEATHS", DEATHS) }
    }

    /// Items of a page: about a dozen pages for each of 8 segments.
    pub fn page(self) -> u64 {
        (self.items / 100).max(1) as u64
    }
}

/// A table whose items count how often they were changed.
pub async fn scene(size: Size) -> Scene {
    let mut scene = Scene::new().await;
    scene.pages = Some(Pages::new(size.page(), "done"));
    let items: Vec<_> = (0..size.items).map(|i| json!({"id": {"S": format!("i{i}")}})).collect();
    for some in items.chunks(25) {
        let puts: Vec<_> = some.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
        database().ok("BatchWriteItem", &json!({"RequestItems": {&scene.table: puts}})).await;
    }
    scene.snapshot = database().items(&scene.table).await;
    scene
}

/// Counts one change, unless it was counted.
fn counting(table: &str) -> Transform {
    let source = json!({
        "table": table,
        "filter": "attribute_not_exists(done)",
        "set": {"changes": "if_not_exists(changes, 0) + 1", "done": "true"},
    });
    let source: Source = serde_json::from_value(source).unwrap();
    Transform::parse(&source, &Files::default()).unwrap()
}

pub async fn run(scene: &Scene, part: Option<Part>, engine: &Arc<Engine>) -> TransformResult {
    let settings = Settings {
        on_item_error: OnItemError::Stop,
        show_keys: true,
        now_s: 0,
        checkpoints: Checkpoints::of(&scene.plan, engine.archive().unwrap())
            .map(|checkpoints| checkpoints.in_part(part)),
        part: part.map(|part| Share::of(&scene.plan, part, engine.archive())),
        batches: true,
    };
    let (_asked, stop) = watch::channel(false);
    dm_runner::run(engine, counting(&scene.table), settings, stop).await
}

/// How many items were changed how often.
pub async fn changes(scene: &Scene) -> BTreeMap<String, usize> {
    let mut changes: BTreeMap<String, usize> = BTreeMap::new();
    for item in database().items(&scene.table).await {
        let times = item["changes"]["N"].as_str().unwrap_or("none").to_owned();
        *changes.entry(times).or_default() += 1;
    }
    changes
}

/// A place to die: soon, so that there are many deaths before the end.
pub fn death(random: &mut Random, size: Size) -> Point {
    let when = random.pick(&[Death::Before, Death::After]);
    if random.one_in(5) {
        Point { request: None, put: Some((1 + random.below(12), when)) }
    } else {
        let requests = REQUESTS.max(size.items / size.deaths.max(1)) as u64;
        Point { request: Some((1 + random.below(requests), when)), put: None }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_whose_guard_dies_again_and_again_changes_each_item_once() {
    let size = Size::of_environment();
    let scene = scene(size).await;
    let mut random = Random(17);
    let done = Mutex::new(None);
    let (mut deaths, mut start) = (0, Start::First);
    loop {
        let point = match deaths {
            deaths if deaths >= size.deaths => Point { request: None, put: None },
            _ => death(&mut random, size),
        };
        let whole = async |engine: Arc<Engine>| {
            let result = run(&scene, None, &engine).await;
            *done.lock().unwrap() = Some((result, engine.result()));
        };
        let (ended, ..) = scene.run_until(point, start, whole).await;
        start = Start::Again;
        if ended {
            break;
        }
        deaths += 1;
    }
    let (result, counted) = done.into_inner().unwrap().unwrap();
    assert_eq!(result.end, TransformEnd::Succeeded, "after {deaths} deaths: {result:?}");
    let changes = changes(&scene).await;
    let all = scene.snapshot.len();
    assert_eq!(changes, BTreeMap::from([("1".to_owned(), all)]), "after {deaths} deaths");
    let every = all as u64;
    assert_eq!(counts(&result), [every, 0, 0, every, 0], "of all guards together");
    assert_eq!((counted.tables[0].updated, counted.items_read), (every, every));
    assert!(counted.continued.unwrap().at_least && counted.problem.is_none(), "{counted:?}");
    assert!(deaths >= size.deaths / 2, "the run was over after {deaths} deaths");
    let (repeated, most) = scene.pages.as_ref().unwrap().repeated();
    println!(
        "{all} items, {deaths} deaths: {repeated} items read again, {most} of a segment at most"
    );
    assert!(most <= size.page(), "a guard repeats a page of a segment: {most} items");
    let report = scene.restore_as(2, dm_contract::plan::OnConflict::Skip).await;
    assert_eq!(report.conflicts, 0, "{report:?}");
    assert_eq!(database().items(&scene.table).await, scene.snapshot);
}
