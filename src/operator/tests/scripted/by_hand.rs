//! Somebody deletes, edits or evicts something just before the n-th request, for every n.

use dm_api::status::Phase;
use serde_json::json;

use crate::api_server::Objects;
use crate::connection::lock;
use crate::invariants::{applied, check, check_released};
use crate::world::{NAME, World};

type Hand = fn(&mut Objects);

/// Deletes every Job, as `kubectl delete job --all` does.
pub fn delete_jobs(objects: &mut Objects) {
    for name in objects.names("jobs") {
        objects.delete("jobs", &name);
    }
}

pub fn delete_pods(objects: &mut Objects) {
    for name in objects.names("pods") {
        objects.delete("pods", &name);
    }
}

pub fn delete_migration(objects: &mut Objects) {
    objects.delete("datamigrations", NAME);
}

/// Removes every Job with its finalizers, as an impatient person does.
pub fn force_jobs(objects: &mut Objects) {
    for name in objects.names("jobs") {
        objects.force_remove("jobs", &name);
    }
}

/// Evicts every pod, as a node that is drained does.
pub fn evict_pods(objects: &mut Objects) {
    for name in objects.names("pods") {
        objects.change("pods", &name, |pod| {
            pod["status"]["conditions"] = json!([{
                "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            }]);
        });
        objects.delete("pods", &name);
    }
}

pub fn edit_files(objects: &mut Objects) {
    objects.change("configmaps", "files", |map| map["data"]["main.py"] = json!("print('two')"));
}

/// A life: tried, promoted, applied.
pub async fn play_until_applied(world: &mut World) {
    world.until_quiet().await;
    if world.migration().is_some() {
        world.promote();
        world.until_quiet().await;
        // For a hand that struck in the very last look.
        world.until_quiet().await;
    }
}

/// Requests of a life without anybody's hand in it.
async fn requests() -> usize {
    let mut world = World::new();
    play_until_applied(&mut world).await;
    lock(&world.server).calls.len()
}

/// Plays a life with a hand in it before every request, and hands each end to a check.
async fn at_every_request(hand: Hand, settled: impl Fn(&World, &str)) {
    at_requests(1, hand, settled).await;
}

/// The same before every n-th request.
async fn at_requests(step: usize, hand: Hand, settled: impl Fn(&World, &str)) {
    for request in (1..=requests().await).step_by(step) {
        let mut world = World::new();
        // Programs have a handler of their own, and end with 0 when they are asked to stop.
        world.cluster.graceful = request.is_multiple_of(2);
        lock(&world.server).intrusion = Some((request, Box::new(hand)));
        play_until_applied(&mut world).await;
        let what = format!("before request {request}");
        check(&world, &what);
        settled(&world, &what);
        if request.is_multiple_of(8) && world.migration().is_some() {
            check_recovery(&mut world, &what).await;
        }
    }
}

/// Whatever happened, raising `retry` leads to an applied migration.
async fn check_recovery(world: &mut World, what: &str) {
    world.edit(|spec| spec["retry"] = json!(7));
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied), "{what}: {:#?}", world.status());
    check_released(world, what);
}

fn is_settled(world: &World, what: &str) {
    let status = world.status();
    assert!(status.runs.iter().all(|run| run.result.is_over()), "{what}: {status:#?}");
    let is_applied = status.phase == Some(Phase::Applied);
    assert!(!is_applied || world.cluster.completed > 0, "{what}: applied by halves");
}

#[tokio::test]
async fn a_deleted_job_ends_its_run() {
    at_every_request(delete_jobs, is_settled).await;
}

#[tokio::test]
async fn a_deleted_pod_ends_its_run() {
    at_every_request(delete_pods, is_settled).await;
}

#[tokio::test]
async fn a_job_that_was_forced_away_is_not_made_again() {
    at_requests(3, force_jobs, is_settled).await;
}

#[tokio::test]
async fn an_eviction_ends_a_run_that_writes() {
    for request in (1..=requests().await).step_by(3) {
        let mut world = World::new();
        lock(&world.server).intrusion = Some((request, Box::new(evict_pods)));
        play_until_applied(&mut world).await;
        assert!(applied(&world) <= 1, "before request {request}");
        is_settled(&world, &format!("before request {request}"));
    }
}

#[tokio::test]
async fn edited_files_never_apply_twice() {
    for request in (1..=requests().await).step_by(3) {
        let mut world = World::new();
        lock(&world.server).intrusion = Some((request, Box::new(edit_files)));
        play_until_applied(&mut world).await;
        let what = format!("before request {request}");
        check(&world, &what);
        is_settled(&world, &what);
        assert_eq!(world.status().phase, Some(Phase::Applied), "{what}");
    }
}

#[tokio::test]
async fn a_deleted_migration_leaves_nothing_behind() {
    at_every_request(delete_migration, |world, what| {
        assert_eq!(world.migration(), None, "{what}");
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_was_forced_away_leaves_nothing_behind() {
    let force: Hand = |objects| objects.force_remove("datamigrations", NAME);
    at_requests(3, force, |world, what| assert_eq!(world.migration(), None, "{what}")).await;
}

#[tokio::test]
async fn retry_raised_before_an_outcome_is_unknown_is_no_decision_to_run_again() {
    let mut world = World::new();
    world.until_quiet().await;
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    world.edit(|spec| spec["retry"] = json!(5));
    world.reconcile_until_quiet().await;
    world.with_objects(|objects| {
        force_jobs(objects);
        for pod in objects.names("pods") {
            objects.force_remove("pods", &pod);
        }
    });
    world.until_quiet().await;
    assert_eq!((world.reason().as_str(), applied(&world)), ("OutcomeUnknown", 1));
    let failure = world.status().failure.unwrap();
    assert!(failure.what_now.contains("spec.retry to 6"), "{}", failure.what_now);
    world.cluster.endless = false;
    world.edit(|spec| spec["retry"] = json!(6));
    world.until_quiet().await;
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Applied), 2));
}
