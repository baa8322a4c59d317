//! Nothing goes wrong: which calls are made, and that none is made for nothing.

use dm_api::status::{Phase, RunResult};

use crate::connection::lock;
use crate::invariants::{applied, check, tried};
use crate::world::World;

/// Every write of a life without trouble, in order.
const WRITES: &[&str] = &[
    "PATCH datamigrations/0001-add-price",
    "PUT datamigrations/0001-add-price/status",
    "POST jobs/0001-add-price-1-dry-run",
    "POST configmaps/0001-add-price-1-dry-run",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-1-dry-run",
    "PUT datamigrations/0001-add-price/status",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-1-dry-run",
    "PATCH pods/0001-add-price-1-dry-run-10",
    "PATCH datamigrations/0001-add-price",
    "PATCH datamigrations/0001-add-price",
    "PUT datamigrations/0001-add-price/status",
    "POST jobs/0001-add-price-2-apply",
    "POST configmaps/0001-add-price-2-apply",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-2-apply",
    "PUT datamigrations/0001-add-price/status",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-2-apply",
    "PATCH pods/0001-add-price-2-apply-27",
    "PATCH datamigrations/0001-add-price",
];

/// The story that `kubectl describe` tells.
const EVENTS: &[(&str, &str)] = &[
    ("DryRunStarted", "Run 1 starts as Job 0001-add-price-1-dry-run"),
    (
        "DryRunSucceeded",
        "Run 1: The dry run read 2 items and would update 2 items in cars; nothing was written",
    ),
    ("RunStarted", "Run 2 starts as Job 0001-add-price-2-apply"),
    ("Applied", "Run 2: 2 items read; updated 2 items in cars"),
];

/// What rests on something read is bound to the version that was read.
fn check_bound_to_versions(world: &World) {
    let server = lock(&world.server);
    for call in server.writes() {
        let bound = call.body["metadata"]["resourceVersion"].is_string();
        let exempt = call.method == "POST" || call.plural == "configmaps";
        assert!(bound || exempt, "{} is bound to no version: {}", call.text(), call.body);
    }
}

fn writes(world: &World) -> Vec<String> {
    lock(&world.server).writes().iter().map(|call| call.text()).collect()
}

pub fn events(world: &World) -> Vec<(String, String)> {
    let server = lock(&world.server);
    let text = |event: &serde_json::Value, field: &str| event[field].as_str().unwrap().to_owned();
    server.objects.events.iter().map(|e| (text(e, "reason"), text(e, "note"))).collect()
}

#[tokio::test]
async fn a_migration_is_tried_then_promoted_then_applied() {
    let mut world = World::new();
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::DryRunOk));
    assert_eq!((tried(&world), applied(&world)), (1, 0));
    world.promote();
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied));
    assert_eq!((tried(&world), applied(&world)), (1, 1));
    check(&world, "nothing went wrong");
    assert_eq!(writes(&world), WRITES);
    let told = events(&world);
    let told: Vec<_> = told.iter().map(|(reason, note)| (reason.as_str(), note.as_str())).collect();
    assert_eq!(told, EVENTS);
    check_bound_to_versions(&world);
    let before = lock(&world.server).calls.len();
    assert_eq!(world.reconcile().await.unwrap(), Some(dm_operator::limits::POLL_RESTING));
    let server = lock(&world.server);
    assert!(server.calls[before..].iter().all(|call| !call.is_write()), "an idle reconcile writes");
}

#[tokio::test]
async fn a_transform_is_tried_and_applied_and_a_wrong_one_starts_nothing() {
    let mut world = World::new();
    world.edit(|spec| {
        spec["script"] = serde_json::Value::Null;
        spec["transform"] =
            serde_json::json!({"table": "cars", "set": {"price": "rond_to(weight, 50)"}});
    });
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Stalled));
    let conditions = world.status().conditions;
    let said = conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
    assert_eq!(said.reason, "InvalidSpec");
    let mistake = "spec.transform.set.price, column 1: there is no function rond_to";
    assert!(said.message.starts_with(mistake), "{}", said.message);
    assert_eq!((tried(&world), applied(&world)), (0, 0));

    world.edit(|spec| spec["transform"]["set"]["price"] = "round_to(weight, 50)".into());
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::DryRunOk));
    world.promote();
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied));
    assert_eq!((tried(&world), applied(&world)), (1, 1));
    check(&world, "nothing went wrong");
}

#[tokio::test]
async fn a_program_that_fails_says_so_and_runs_again_only_when_it_is_told() {
    let mut world = World::new();
    world.until_quiet().await;
    world.cluster.exit_code = 3;
    world.promote();
    world.until_quiet().await;
    let failure = world.status().failure.unwrap();
    assert_eq!((world.status().phase, failure.exit_code), (Some(Phase::Failed), Some(3)));
    assert_eq!(failure.last_lines, ["all cars done"]);
    world.cluster.exit_code = 0;
    world.until_quiet().await;
    assert_eq!(applied(&world), 1);
    world.edit(|spec| spec["retry"] = serde_json::json!(1));
    world.until_quiet().await;
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Applied), 2));
    // Events of the second run have notes of their own.
    let started: Vec<String> = events(&world)
        .into_iter()
        .filter(|(reason, _)| reason == "RunStarted")
        .map(|(_, note)| note)
        .collect();
    assert_eq!(
        started,
        [
            "Run 2 starts as Job 0001-add-price-2-apply",
            "Run 3 starts as Job 0001-add-price-3-apply"
        ]
    );
}

#[tokio::test]
async fn a_dry_run_goes_on_while_its_guard_cannot_be_told_to_pause() {
    let mut world = World::new();
    world.cluster.endless = true;
    world.until_quiet().await;
    world.edit(|spec| spec["suspend"] = serde_json::json!(true));
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::DryRunning));
    world.cluster.endless = false;
    world.until_quiet().await;
    assert_eq!((tried(&world), applied(&world)), (1, 0));
    assert_eq!((world.status().last_run, world.status().runs[0].result), (1, RunResult::Succeeded));
}

#[tokio::test]
async fn a_run_that_writes_goes_on_while_its_guard_cannot_be_told_to_pause() {
    let mut world = World::new();
    world.until_quiet().await;
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    world.edit(|spec| spec["suspend"] = serde_json::json!(true));
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Running));
    world.cluster.endless = false;
    world.until_quiet().await;
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Applied), 1));
}
