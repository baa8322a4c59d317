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
