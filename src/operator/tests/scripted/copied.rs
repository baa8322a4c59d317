//! The ConfigMaps of a program's volumes and variables are copied before its pod exists: what
//! changes afterwards changes nothing of the run.

use dm_api::status::Phase;
use serde_json::{Value, json};

use crate::connection::lock;
use crate::invariants::{check, tried};
use crate::world::{NAME, World};

const JOB: &str = "0001-add-price-1-dry-run";

/// A migration whose pod mounts the ConfigMap `rates` and reads a variable from it.
fn world() -> World {
    let world = World::new();
    world.with_objects(|objects| {
        let rates = json!({"metadata": {"name": "rates"}, "data": {"eur": "1.10"}});
        objects.insert("configmaps", rates);
    });
    world.edit(|spec| {
        spec["podTemplate"] = json!({
            "volumes": [
                {"name": "rates", "configMap": {"name": "rates"}},
                {"name": "more", "configMap": {"name": "absent", "optional": true}},
            ],
            "volumeMounts": [{"name": "rates", "mountPath": "/rates"}],
        });
        let from = json!({"configMapKeyRef": {"name": "rates", "key": "eur"}});
        spec["script"]["env"] = json!([{"name": "EUR", "valueFrom": from}]);
    });
    world
}

async fn until_it_has_a_job(world: &mut World) {
    while lock(&world.server).objects.get("jobs", JOB).is_none() {
        world.reconcile().await.unwrap();
    }
}

fn pod_of_job(world: &World) -> Value {
    let server = lock(&world.server);
    server.objects.get("jobs", JOB).unwrap()["spec"]["template"]["spec"].clone()
}

fn volume<'a>(pod: &'a Value, name: &str) -> &'a str {
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == name).unwrap();
    volume["configMap"]["name"].as_str().unwrap()
}

/// The only copy of `rates`: its name and its object.
fn copy(world: &World) -> (String, Value) {
    let pod = pod_of_job(world);
    let name = volume(&pod, "rates").to_owned();
    let object = lock(&world.server).objects.get("configmaps", &name).cloned();
    (name, object.expect("a copy"))
}

#[tokio::test]
async fn the_pod_refers_to_immutable_copies() {
    let mut world = world();
    until_it_has_a_job(&mut world).await;
    let pod = pod_of_job(&world);
    let (name, object) = copy(&world);
    assert!(name.starts_with(&format!("{JOB}-")), "{name}");
    assert_eq!((&object["immutable"], &object["data"]), (&json!(true), &json!({"eur": "1.10"})));
    let env = pod["containers"][0]["env"].as_array().unwrap();
    let eur = env.iter().find(|variable| variable["name"] == "EUR").unwrap();
    assert_eq!(eur["valueFrom"]["configMapKeyRef"]["name"], json!(name));
    let absent = volume(&pod, "more").to_owned();
    assert_ne!(absent, "absent", "one that is created later does not get into the run");
    assert!(lock(&world.server).objects.get("configmaps", &absent).is_none());
    world.until_quiet().await;
    let (_, object) = copy(&world);
    let owner = &object["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&json!("Job"), &json!(JOB)));
    assert_eq!((world.status().phase, tried(&world)), (Some(Phase::DryRunOk), 1));
    let mine = lock(&world.server).objects.get("configmaps", "rates").unwrap().clone();
    assert_eq!(mine["metadata"]["ownerReferences"], Value::Null, "the author's stays the author's");
    check(&world, "copied");
}

#[tokio::test]
async fn an_edit_after_the_copy_does_not_reach_the_run() {
    let mut world = world();
    until_it_has_a_job(&mut world).await;
    let (name, _) = copy(&world);
    world.with_objects(|objects| {
        objects.change("configmaps", "rates", |rates| rates["data"]["eur"] = json!("2.20"));
    });
    let (same, object) = copy(&world);
    assert_eq!((same, &object["data"]["eur"]), (name, &json!("1.10")));
    world.until_quiet().await;
    // What was not started yet is given up for a run with what is there now.
    let status = world.status();
    assert_eq!((status.phase, tried(&world)), (Some(Phase::DryRunOk), 1), "{status:#?}");
    let server = lock(&world.server);
    let job = server.objects.get("jobs", &status.runs[0].job).unwrap();
    let name = volume(&job["spec"]["template"]["spec"], "rates");
    assert_eq!(server.objects.get("configmaps", name).unwrap()["data"]["eur"], json!("2.20"));
}

#[tokio::test]
async fn a_run_waits_for_a_configmap_that_its_pod_requires() {
    let mut world = world();
    world.with_objects(|objects| objects.force_remove("configmaps", "rates"));
    world.until_quiet().await;
    let seen = (world.status().phase, world.reason(), world.status().last_run);
    assert_eq!(seen, (Some(Phase::Stalled), "ConfigMapNotFound".to_owned(), 0));
    let conditions = world.status().conditions;
    let stalled = conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
    let named = "spec.podTemplate.volumes[0].configMap.name: there is no ConfigMap rates";
    assert!(stalled.message.starts_with(named), "{}", stalled.message);
    world.with_objects(|objects| {
        let rates = json!({"metadata": {"name": "rates"}, "data": {"eur": "3.30"}});
        objects.insert("configmaps", rates);
    });
    world.until_quiet().await;
    assert_eq!(copy(&world).1["data"]["eur"], json!("3.30"));
    assert_eq!((world.status().phase, tried(&world)), (Some(Phase::DryRunOk), 1));
}

#[tokio::test]
async fn another_content_under_a_copys_name_is_not_run() {
    let mut first = world();
    until_it_has_a_job(&mut first).await;
    let (name, _) = copy(&first);
    let mut world = world();
    world.with_objects(|objects| {
        let uid = objects.get("datamigrations", NAME).unwrap()["metadata"]["uid"].clone();
        let fake = json!({
            "metadata": {"name": name, "ownerReferences": [{
                "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigration", "name": NAME,
                "uid": uid, "controller": true,
            }]},
            "immutable": true, "data": {"eur": "9.99"},
        });
        objects.insert("configmaps", fake);
    });
    world.reconcile_until_quiet().await;
    assert_eq!((world.reason(), world.cluster.starts.len()), ("NameTaken".into(), 0));
}
