//! Objects that the API server refuses, and names that are taken.

use dm_api::status::Phase;
use serde_json::json;

use crate::invariants::{check, tried};
use crate::world::World;

async fn check_refusal(plural: &str, code: u16, message: &str) {
    let mut world = World::new();
    let refused = Some((plural.to_owned(), code, message.to_owned()));
    world.with_objects(|objects| objects.refused = refused);
    world.until_quiet().await;
    assert_eq!(
        (world.status().phase, world.reason().as_str()),
        (Some(Phase::Stalled), "ObjectRefused")
    );
    let status = serde_json::to_string(&world.status()).unwrap();
    assert!(status.contains(message), "{status}");
    let events = crate::connection::lock(&world.server).objects.events.clone();
    let told = events.iter().filter(|event| event["reason"] == "ObjectRefused").count();
    assert_eq!(told, 1, "told once: {events:#?}");
    world.with_objects(|objects| objects.refused = None);
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::DryRunOk));
    assert_eq!(tried(&world), 1);
    check(&world, message);
}

#[tokio::test]
async fn a_job_over_the_quota_is_said_and_made_when_there_is_room() {
    check_refusal("jobs", 403, "exceeded quota: jobs").await;
}

#[tokio::test]
async fn a_job_that_is_invalid_is_said() {
    check_refusal("jobs", 422, "Invalid value: blue").await;
}

#[tokio::test]
async fn a_copy_of_the_files_over_the_quota_is_said() {
    check_refusal("configmaps", 403, "exceeded quota: configmaps").await;
}

#[tokio::test]
async fn a_name_that_somebody_else_took_is_said_and_used_when_it_is_free() {
    let mut world = World::new();
    world.with_objects(|objects| {
        objects.insert(
            "jobs",
            json!({"metadata": {"name": "0001-add-price-1-dry-run"}, "spec": {"suspend": true}}),
        );
    });
    world.until_quiet().await;
    assert_eq!(
        (world.status().phase, world.reason().as_str()),
        (Some(Phase::Stalled), "NameTaken")
    );
    world.with_objects(|objects| objects.delete("jobs", "0001-add-price-1-dry-run"));
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::DryRunOk));
    check(&world, "a name was taken");
}

#[tokio::test]
async fn what_cannot_be_a_name_is_said_and_never_asked_for() {
    for name in ["../secrets/creds", "dev?x=1", "my config"] {
        for field in ["/target/name", "/script/configMap/name"] {
            let mut world = World::new();
            world.edit(|spec| *spec.pointer_mut(field).unwrap() = json!(name));
            world.until_quiet().await;
            let seen = (world.status().phase, world.reason());
            assert_eq!(seen, (Some(Phase::Stalled), "InvalidSpec".to_owned()), "{field} {name}");
            assert_eq!(tried(&world), 0);
            let server = crate::connection::lock(&world.server);
            let asked = |plural: &str| server.calls.iter().filter(|c| c.plural == plural).count();
            assert_eq!(asked("secrets"), 0);
            let plural =
                if field.starts_with("/target") { "migrationtargets" } else { "configmaps" };
            assert_eq!(asked(plural), 0, "{field} {name}");
        }
    }
}
