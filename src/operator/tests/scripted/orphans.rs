//! Migrations that somebody removed with their finalizer: what is left of them is stopped, stands
//! in the way of others until it is, and holds nothing up. And migrations at rest, which nothing
//! holds.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dm_api::status::Phase;
use dm_api::{OUTCOME_FINALIZER, RUN_FINALIZER};
use dm_operator::{controller, sweep};
use serde_json::json;

use crate::api_server::{NAMESPACE, finalizers};
use crate::connection::{Connection, lock};
use crate::invariants::applied;
use crate::world::{NAME, World, context, migration};

const SECOND: &str = "0002-add-wheels";

/// Looks after which a controller on the scripted server has had its time.
const WAITS_MAX: usize = 500;

/// Strips the finalizer and deletes, as people do at night.
fn remove_by_force(world: &World) {
    world.with_objects(|objects| {
        objects.change("datamigrations", NAME, |m| m["metadata"]["finalizers"] = json!([]));
        objects.delete("datamigrations", NAME);
    });
    assert_eq!(world.migration(), None);
}

/// A world in which a program writes until it is stopped.
async fn writing() -> World {
    let mut world = World::new();
    world.until_quiet().await;
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Running));
    world
}

fn add_second(world: &World) {
    let mut second = migration();
    second["metadata"]["name"] = json!(SECOND);
    second["spec"]["dryRun"] = json!(false);
    world.with_objects(|objects| objects.insert("datamigrations", second));
}

fn ready_of(world: &World, name: &str) -> serde_json::Value {
    let server = lock(&world.server);
    let migration = server.objects.get("datamigrations", name).unwrap();
    migration["status"]["conditions"][0].clone()
}

#[tokio::test]
async fn a_second_migration_waits_until_what_is_left_of_the_first_has_ended() {
    let mut world = writing().await;
    remove_by_force(&world);
    add_second(&world);
    for _ in 0..10 {
        world.reconcile_one(SECOND).await.unwrap();
    }
    let ready = ready_of(&world, SECOND);
    let message = ready["message"].as_str().unwrap();
    assert_eq!(ready["reason"], "LockedByAnother", "{message}");
    assert!(message.contains("pod 0001-add-price-2-apply") && message.contains("deleted"));
    assert_eq!(applied(&world), 1, "the second does not start");

    // The first one's pod is being stopped, and still runs.
    world.reconcile().await.unwrap();
    for _ in 0..10 {
        world.reconcile_one(SECOND).await.unwrap();
    }
    assert_eq!(applied(&world), 1, "the second does not start");
    world.cluster.endless = false;
    for _ in 0..60 {
        world.make_first_move();
        world.reconcile_one(SECOND).await.unwrap();
        world.with_objects(|objects| objects.pass_seconds(5));
    }
    assert_eq!((applied(&world), world.cluster.writing.1), (2, 1), "one after the other");
    assert_eq!(ready_of(&world, SECOND)["reason"], "Applied");
}

#[tokio::test]
async fn an_orphan_that_is_found_at_start_up_is_stopped_and_let_go() {
    let world = writing().await;
    remove_by_force(&world);
    // No operator runs; the garbage collector deletes the Job, which our finalizer holds.
    world.with_objects(|objects| objects.delete("jobs", "0001-add-price-2-apply"));
    let held = |world: &World| {
        let server = lock(&world.server);
        let objects = ["jobs", "pods"].map(|plural| {
            let all = server.objects.all(plural);
            all.into_iter().filter(|o| finalizers(o).contains(&OUTCOME_FINALIZER.into())).count()
        });
        objects.iter().sum::<usize>()
    };
    assert!(held(&world) > 0);
    let (context, watches) = context(Connection::direct(&world.server));
    let writers = watches.into_writers();
    let ready = Arc::new(AtomicBool::new(false));
    let running =
        tokio::spawn(
            async move { controller::run(context, writers, Some(NAMESPACE), ready).await },
        );
    for _ in 0..WAITS_MAX {
        if held(&world) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.abort();
    assert_eq!(held(&world), 0, "the namespace can go");
    let server = lock(&world.server);
    assert_eq!(server.objects.get("jobs", "0001-add-price-2-apply"), None);
    let pods = server.objects.all("pods");
    let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
    assert!(running.clone().all(|pod| !pod["metadata"]["deletionTimestamp"].is_null()), "stopped");
}

#[tokio::test]
async fn a_migration_that_is_read_without_its_uid_keeps_its_program() {
    let world = writing().await;
    world.with_objects(|objects| {
        objects.change("datamigrations", NAME, |m| m["metadata"]["uid"] = json!(null));
    });
    let (context, _) = context(Connection::direct(&world.server));
    let swept = Box::pin(sweep::sweep(context.cluster(NAMESPACE), NAME)).await;
    assert!(swept.unwrap_err().to_string().contains("its uid"));
    let server = lock(&world.server);
    let objects = [server.objects.all("jobs"), server.objects.all("pods")].concat();
    assert!(objects.iter().all(|object| object["metadata"]["deletionTimestamp"].is_null()));
}

#[tokio::test]
async fn a_finalizer_that_was_taken_away_under_a_run_comes_back() {
    let mut world = writing().await;
    world.with_objects(|objects| {
        objects.change("datamigrations", NAME, |m| m["metadata"]["finalizers"] = json!([]));
    });
    world.reconcile_until_quiet().await;
    assert_eq!(held_by(&world), [RUN_FINALIZER]);
}

fn held_by(world: &World) -> Vec<String> {
    world.migration().unwrap().metadata.finalizers.unwrap_or_default()
}

/// With the operator gone, everything can be deleted.
fn nothing_is_held(world: &World, when: &str) {
    let server = lock(&world.server);
    for plural in ["datamigrations", "jobs", "pods"] {
        for object in server.objects.all(plural) {
            let ours = finalizers(object).into_iter().find(|f| f.starts_with("datamigration.dev/"));
            assert_eq!(ours, None, "{when}: {plural} are held: {object:#}");
        }
    }
}

#[tokio::test]
async fn a_migration_is_held_while_a_run_is_open_and_no_longer() {
    for archive in [false, true] {
        let mut world = if archive { World::with_archive() } else { World::new() };
        world.until_quiet().await;
        nothing_is_held(&world, "after its dry run");
        world.cluster.endless = true;
        world.promote();
        world.until_quiet().await;
        assert_eq!(held_by(&world), [RUN_FINALIZER], "during a run");
        world.cluster.endless = false;
        world.until_quiet().await;
        assert_eq!(world.status().phase, Some(Phase::Applied));
        nothing_is_held(&world, "after it was applied");
        if archive {
            world.edit(|spec| spec["state"] = json!("Restored"));
            world.until_quiet().await;
            assert_eq!(world.status().phase, Some(Phase::Restored));
            nothing_is_held(&world, "after it was restored");
        }
    }
}

#[tokio::test]
async fn a_failed_run_holds_nothing_either() {
    let mut world = World::new();
    world.cluster.exit_code = 3;
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::DryRunFailed));
    nothing_is_held(&world, "after a failed dry run");
}

#[tokio::test]
async fn a_run_that_the_archive_does_not_know_yet_holds_its_migration() {
    let mut world = World::with_archive();
    world.cluster.mute = true;
    world.promote();
    // Until the Job that notes the end has been created.
    for _ in 0..200 {
        world.reconcile_until_quiet().await;
        if world.status().runs.first().is_some_and(|run| run.archived == Some(false)) {
            break;
        }
        world.make_first_move();
    }
    assert_eq!(world.status().runs[0].archived, Some(false));
    assert_eq!(held_by(&world), [RUN_FINALIZER]);
    world.until_quiet().await;
    assert_eq!(world.status().runs[0].archived, Some(true));
    nothing_is_held(&world, "once the archive knows");
}
