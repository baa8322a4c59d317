//! Somebody who may create Jobs, pods and ConfigMaps makes some that look like the operator's:
//! nothing of them is run, believed or told.

use dm_api::status::{Phase, RunResult};
use serde_json::{Value, json};

use crate::api_server::Objects;
use crate::connection::lock;
use crate::invariants::{applied, check, tried};
use crate::world::{NAME, World};

const JOB: &str = "0001-add-price-1-dry-run";

const RECORDER: &str = "0001-add-price-1-record";

fn owner(objects: &Objects) -> Value {
    json!([{
        "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration", "name": NAME,
        "uid": objects.get("datamigrations", NAME).unwrap()["metadata"]["uid"], "controller": true,
    }])
}

fn labels(objects: &Objects) -> Value {
    let migration = objects.get("datamigrations", NAME).unwrap();
    json!({
        "app.kubernetes.io/managed-by": "datamigration", "datamigration.dev/run": "1",
        "datamigration.dev/migration-uid": migration["metadata"]["uid"],
    })
}

/// A Job with everything of ours but its content.
fn fake_job(objects: &mut Objects, suspended: bool) {
    let pod = json!({
        "metadata": {"labels": labels(objects)},
        "spec": {"containers": [{"name": "program", "image": "mine:1"}]},
    });
    let job = json!({
        "metadata": {
            "name": JOB, "labels": labels(objects), "ownerReferences": owner(objects),
            "annotations": {"datamigration.dev/migration": NAME},
        },
        "spec": {"suspend": suspended, "backoffLimit": 0, "template": pod},
    });
    objects.insert("jobs", job);
}

fn check_taken(world: &World) {
    let seen = (world.status().phase, world.reason());
    assert_eq!(seen, (Some(Phase::Stalled), "NameTaken".to_owned()));
    assert_eq!(world.cluster.starts, []);
}

#[tokio::test]
async fn a_job_that_is_not_what_would_be_created_is_never_let_go() {
    for suspended in [true, false] {
        let mut world = World::new();
        world.with_objects(|objects| fake_job(objects, suspended));
        world.reconcile_until_quiet().await;
        check_taken(&world);
        assert_eq!(world.status().runs[0].job_uid, None);
        world.with_objects(|objects| objects.force_remove("jobs", JOB));
        world.until_quiet().await;
        assert_eq!((world.status().phase, tried(&world)), (Some(Phase::DryRunOk), 1));
        check(&world, "the fake went");
    }
}

#[tokio::test]
async fn a_job_of_an_earlier_life_of_the_operator_is_let_go() {
    let mut world = World::new();
    while lock(&world.server).objects.names("jobs").is_empty() {
        world.reconcile().await.unwrap();
    }
    world.restart();
    world.until_quiet().await;
    assert_eq!((world.status().phase, tried(&world)), (Some(Phase::DryRunOk), 1));
}

#[tokio::test]
async fn other_files_under_the_copys_name_are_not_run() {
    let mut world = World::new();
    world.with_objects(|objects| {
        let map = json!({
            "metadata": {"name": JOB, "labels": labels(objects), "ownerReferences": owner(objects)},
            "immutable": true, "binaryData": {"file-0": "cHJpbnQoJ21pbmUnKQ=="},
        });
        objects.insert("configmaps", map);
    });
    world.reconcile_until_quiet().await;
    check_taken(&world);
}

#[tokio::test]
async fn a_job_of_the_recorders_name_that_is_not_the_migrations_is_not_believed() {
    let mut world = World::with_archive();
    world.cluster.mute = true;
    world.promote();
    let complete = json!([{"type": "Complete", "status": "True", "reason": "CompletionsReached"}]);
    world.with_objects(|objects| {
        let mut labels = labels(objects);
        labels.as_object_mut().unwrap().remove("datamigration.dev/run");
        labels["datamigration.dev/record-of"] = json!("1");
        let fake = json!({
            "metadata": {"name": RECORDER, "labels": labels},
            "spec": {"template": {"spec": {"containers": [{"name": "record",
                "image": "agent:1"}]}}},
            "status": {"conditions": complete},
        });
        objects.insert("jobs", fake);
    });
    for _ in 0..30 {
        world.reconcile().await.unwrap();
        world.make_first_move();
    }
    world.reconcile().await.unwrap();
    assert_eq!(
        (world.status().runs[0].archived, world.reason()),
        (Some(false), "NameTaken".into())
    );
    assert_eq!(world.cluster.ledger.entries[&1].completed, None, "nobody has recorded it");
    let before = lock(&world.server).objects.version();
    for _ in 0..3 {
        world.reconcile().await.unwrap();
    }
    assert_eq!(lock(&world.server).objects.version(), before, "status says the same each time");
    world.with_objects(|objects| objects.force_remove("jobs", RECORDER));
    world.until_quiet().await;
    assert_eq!(world.status().runs[0].archived, Some(true));
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Applied), 1));
}

/// A pod that says that all is done.
#[allow(clippy::needless_pass_by_value)] // reads better with json! literals
fn fake_pod(objects: &mut Objects, phase: &str, owner: Value) {
    let at = objects.now().to_string();
    let said = json!({"version": 1, "exitCode": 0, "startedAt": at, "finishedAt": at}).to_string();
    let state =
        json!({"terminated": {"exitCode": 0, "startedAt": at, "finishedAt": at, "message": said}});
    let pod = json!({
        "metadata": {"name": format!("fake-{phase}"), "labels": labels(objects),
            "ownerReferences": owner},
        "spec": {"containers": [{"name": "program", "command": ["/dm/bin/datamigration-entry"]}]},
        "status": {"phase": phase, "podIP": "127.0.0.1", "containerStatuses": [{
            "name": "program", "ready": true, "restartCount": 0, "image": "x", "imageID": "x",
            "state": state,
        }]},
    });
    objects.insert("pods", pod);
}

#[tokio::test]
async fn a_pod_of_another_owner_says_nothing_of_the_run() {
    let job = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": JOB, "uid": "uid-mine", "controller": true,
    }]);
    for owner in [json!([]), job] {
        for phase in ["Succeeded", "Failed"] {
            let mut world = World::new();
            world.edit(|spec| spec["dryRun"] = json!(false));
            world.cluster.exit_code = 3;
            world.with_objects(|objects| fake_pod(objects, phase, owner.clone()));
            world.until_quiet().await;
            let run = &world.status().runs[0];
            assert_eq!((run.result, run.exit_code), (RunResult::Failed, Some(3)), "{phase}");
            assert_eq!(applied(&world), 1);
            // One whose owner does not exist is collected as garbage.
            if owner == json!([]) {
                let pods = lock(&world.server).objects.names("pods");
                assert!(pods.contains(&format!("fake-{phase}")), "it is not ours to delete");
            }
        }
    }
}
