//! The namespace is deleted during a run: Kubernetes deletes its pods first, and everything else
//! when the last of them is gone. Nothing can be created there in the meantime.

use dm_api::condition::Reason;
use serde_json::{Value, json};

use crate::api_server::{NAMESPACE, Objects};
use crate::by_hand::{delete_pods, play_until_applied};
use crate::connection::lock;
use crate::invariants::check_released;
use crate::world::World;

/// What the namespace's deletion removes, after its pods.
const OTHERS: [&str; 4] = ["jobs", "configmaps", "datamigrations", "migrationtargets"];

/// Deletes the namespace. Its pods are the first that Kubernetes deletes
/// (pkg/controller/namespace/deletion/namespaced_resources_deleter.go).
fn delete_namespace(objects: &mut Objects) {
    objects.delete("namespaces", NAMESPACE);
    delete_pods(objects);
}

/// Lets the deletion proceed, and expects it to end by itself.
async fn check_gone(world: &mut World, what: &str) {
    for _ in 0..4 {
        world.until_quiet().await;
        world.with_objects(|objects| {
            delete_pods(objects);
            if objects.all("pods").is_empty() {
                for plural in OTHERS {
                    for name in objects.names(plural) {
                        objects.delete(plural, &name);
                    }
                }
            }
        });
    }
    let server = lock(&world.server);
    for plural in OTHERS.into_iter().chain(["pods"]) {
        let left = server.objects.all(plural);
        assert!(left.is_empty(), "{what}: {plural} hold the namespace: {left:#?}");
    }
    drop(server);
    check_released(world, what);
}

/// A transform that is applied, or whose dry run runs, and runs until it is stopped.
async fn transform(dry_run: bool) -> World {
    let mut world = World::with_archive();
    world.edit(|spec| {
        spec["script"] = Value::Null;
        spec["transform"] = json!({"table": "cars", "remove": ["price"]});
        spec["dryRun"] = json!(dry_run);
    });
    world.cluster.endless = true;
    world.until_quiet().await;
    assert_eq!(world.cluster.starts.len(), 1);
    world
}

#[tokio::test]
async fn a_run_that_would_replace_its_pod_does_not_hold_the_namespace() {
    for dry_run in [true, false] {
        let mut world = transform(dry_run).await;
        world.with_objects(delete_namespace);
        world.until_quiet().await;
        let run = &world.status().runs[0];
        assert!(run.result.is_over(), "{run:#?}");
        assert_eq!(run.reason, Some(Reason::Terminating));
        assert_eq!(world.cluster.starts.len(), 1, "nothing was started again");
        check_gone(&mut world, "transform").await;
    }
}

#[tokio::test]
async fn a_restore_does_not_hold_the_namespace() {
    let mut world = World::with_archive();
    world.promote();
    world.until_quiet().await;
    world.cluster.endless = true;
    world.edit(|spec| spec["state"] = json!("Restored"));
    world.until_quiet().await;
    assert_eq!(world.cluster.starts.last().unwrap().restores, Some(1));
    world.with_objects(delete_namespace);
    check_gone(&mut world, "restore").await;
}

#[tokio::test]
async fn a_namespace_that_is_deleted_at_any_moment_goes_by_itself() {
    let requests = {
        let mut world = World::new();
        play_until_applied(&mut world).await;
        lock(&world.server).calls.len()
    };
    for request in 1..=requests {
        let mut world = World::new();
        lock(&world.server).intrusion = Some((request, Box::new(delete_namespace)));
        play_until_applied(&mut world).await;
        check_gone(&mut world, &format!("before request {request}")).await;
    }
}

#[tokio::test]
async fn no_run_begins_in_a_namespace_that_is_being_deleted() {
    let mut world = World::new();
    world.with_objects(delete_namespace);
    world.until_quiet().await;
    assert_eq!((world.reason().as_str(), world.status().last_run), ("Terminating", 0));
    assert_eq!(lock(&world.server).objects.names("jobs"), Vec::<String>::new());
}

#[tokio::test]
async fn an_operator_that_may_not_read_the_namespace_works_on() {
    let mut world = World::new();
    world.with_objects(|objects| objects.force_remove("namespaces", NAMESPACE));
    play_until_applied(&mut world).await;
    assert_eq!(world.reason(), "Applied");
}
