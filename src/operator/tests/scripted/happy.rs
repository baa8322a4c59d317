//! Nothing goes wrong: which calls are made, and that none is made for nothing.

use dm_api::status::Phase;

use crate::connection::lock;
use crate::invariants::{applied, check, tried};
use crate::world::World;

fn writes(world: &World) -> Vec<String> {
    lock(&world.server).writes().iter().map(|call| call.text()).collect()
}

fn events(world: &World) -> Vec<(String, String)> {
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
}
