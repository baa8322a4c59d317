//! Watches that are behind for a while, or show an older snapshot again, as after a failover of the
//! controller or of the API server behind it.

use crate::api_server::Call;
use crate::connection::{Lag, lock};
use crate::invariants::{applied, check, tried};
use crate::schedule::Schedule;
use crate::world::World;

/// Watches that are stale before they catch up: five looks at five kinds.
const STALE_READS: usize = 25;

fn remember_from_now(world: &World) {
    let mut server = lock(&world.server);
    server.history = Some(vec![]);
    server.remember();
}

async fn play(world: &mut World, lag: Lag) {
    remember_from_now(world);
    lock(&world.server).lag = Some(lag);
    world.until_quiet().await;
    world.promote();
    world.until_quiet().await;
    lock(&world.server).lag = None;
    world.until_quiet().await;
}

/// A look and those after it see what was so some changes ago, as far as the watches show it. A
/// read from the API server is never stale: one without a resource version is consistent
/// (Kubernetes documentation, "API Concepts", resource versions).
fn stale_from(from: usize, changes_ago: usize) -> Lag {
    let mut left = STALE_READS;
    let mut begun = false;
    Box::new(move |read, call| {
        begun |= read >= from && call.plural == "datamigrations";
        if !begun || left == 0 || call.method != "WATCH" {
            return 0;
        }
        left -= 1;
        changes_ago
    })
}

#[tokio::test]
async fn an_older_snapshot_starts_nothing_twice() {
    let mut world = World::new();
    play(&mut world, Box::new(|_, _| 0)).await;
    let reads = lock(&world.server).read_count();
    let mut tries = 0;
    for from in (1..=reads).step_by(5) {
        for changes_ago in [1, 2, 4, 8, 16] {
            let mut world = World::new();
            play(&mut world, stale_from(from, changes_ago)).await;
            let what = format!("from read {from}, {changes_ago} changes ago");
            check(&world, &what);
            let stands = (world.status().phase, world.reason());
            assert_eq!((tried(&world), applied(&world)), (1, 1), "{what}: {stands:?}");
            tries += 1;
        }
    }
    println!("{tries} times stale");
}

#[tokio::test]
async fn reads_that_disagree_start_nothing_twice() {
    for seed in 1..=50 {
        let mut schedule = Schedule::new(seed);
        let mut world = World::new();
        let lag = move |read, _: &Call| {
            if read < 200 && schedule.one_in(3) { schedule.below(12) } else { 0 }
        };
        play(&mut world, Box::new(lag)).await;
        check(&world, &format!("seed {seed}"));
    }
}
