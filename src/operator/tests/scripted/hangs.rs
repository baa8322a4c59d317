//! A controller whose requests are not answered, and one that meets an object that it cannot read:
//! the other migrations go on.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dm_operator::{controller, limits};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::api_server::{NAMESPACE, Objects};
use crate::connection::{Connection, Gate, Held, lock};
use crate::world::{NAME, World, context, migration};

const SECOND: &str = "0002-add-wheels";

/// Looks at the gate after which the controller has had its time, also for what it does after a
/// time-out.
const LOOKS_MAX: usize = 2_000;

fn insert(world: &World, changes: impl FnOnce(&mut Value)) {
    let mut second = migration();
    second["metadata"]["name"] = json!(SECOND);
    changes(&mut second);
    world.with_objects(|objects| objects.insert("datamigrations", second));
}

/// The whole controller, with its watches.
fn start(connection: Connection) -> JoinHandle<()> {
    let (context, watches) = context(connection);
    let writers = watches.into_writers();
    let ready = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move { controller::run(context, writers, Some(NAMESPACE), ready).await })
}

fn is_launched(objects: &Objects) -> bool {
    let migration = objects.get("datamigrations", NAME).unwrap();
    migration["status"]["runs"][0]["jobUid"].is_string()
}

/// Lets requests pass, but for those that are never answered, until something holds. Returns how
/// many those were.
async fn until(
    world: &World,
    gate: &Gate,
    hangs: impl Fn(&Held) -> bool,
    holds: impl Fn(&Objects) -> bool,
) -> usize {
    let mut hanging = Vec::new();
    for _ in 0..LOOKS_MAX {
        let next = gate.lock().unwrap().pop_front();
        match next {
            Some(held) if hangs(&held) => hanging.push(held),
            Some(held) => held.pass(&world.server),
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
        if holds(&lock(&world.server).objects) {
            return hanging.len();
        }
    }
    panic!("it does not come");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_holds_nobody_else_up() {
    let world = World::new();
    insert(&world, |_| {});
    let gate = Gate::default();
    let running = start(Connection::gated(&world.server, &gate));
    // It is made while the lock is held, which every run needs that begins. Which of the two comes
    // first is open.
    let first = RefCell::new(None);
    let hangs = |held: &Held| {
        let (call, mut first) = (&held.call, first.borrow_mut());
        call.method == "PUT" && first.get_or_insert_with(|| call.name.clone()) == &call.name
    };
    let begun = tokio::time::Instant::now();
    let any_job = |objects: &Objects| !objects.all("jobs").is_empty();
    let hanging = until(&world, &gate, hangs, any_job).await;
    assert_eq!(hanging, 1);
    assert!(begun.elapsed() < 2 * limits::START_MAX, "{:?}", begun.elapsed());
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_holds_nobody_else_up() {
    let world = World::new();
    world.promote();
    insert(&world, |second| {
        second["spec"]["startAt"] = json!("9999-12-31T23:59:59Z");
        second["spec"]["dryRun"] = json!(false);
    });
    let gate = Gate::default();
    let running = start(Connection::gated(&world.server, &gate));
    // It is in the list of all, and in that of those who write to the target.
    until(&world, &gate, |_| false, is_launched).await;
    assert_eq!(
        lock(&world.server).objects.get("datamigrations", SECOND).unwrap()["status"],
        Value::Null
    );
    running.abort();
}
