//! Reads that are served from an older snapshot for a while, as after a failover of the
//! controller or of the API server behind it.

use crate::connection::lock;
use crate::invariants::{applied, check, tried};
use crate::schedule::Schedule;
use crate::world::World;

/// Reads that are stale before the server catches up: five looks.
const STALE_READS: usize = 25;

fn remember_from_now(world: &World) {
    let mut server = lock(&world.server);
    server.history = Some(vec![]);
    server.remember();
}

async fn play(world: &mut World, lag: impl FnMut(usize) -> usize + Send + 'static) {
    remember_from_now(world);
    lock(&world.server).lag = Some(Box::new(lag));
    world.until_quiet().await;
    world.promote();
    world.until_quiet().await;
    lock(&world.server).lag = None;
    world.until_quiet().await;
}

#[tokio::test]
async fn an_older_snapshot_starts_nothing_twice() {
    let mut world = World::new();
    play(&mut world, |_| 0).await;
    let reads = lock(&world.server).calls.len() - lock(&world.server).write_count();
    let mut tries = 0;
    for from in (1..=reads).step_by(2) {
        for snapshots_ago in [1, 2, 4, 8, 16] {
            let mut world = World::new();
            let stale = from..from + STALE_READS;
            play(&mut world, move |read| if stale.contains(&read) { snapshots_ago } else { 0 })
                .await;
            let what = format!("from read {from}, {snapshots_ago} changes ago");
            check(&world, &what);
            assert_eq!((tried(&world), applied(&world)), (1, 1), "{what}");
            tries += 1;
        }
    }
    println!("{tries} times stale");
}

#[tokio::test]
async fn reads_that_disagree_start_nothing_twice() {
    for seed in 1..=100 {
        println!("seed {seed}");
        let mut schedule = Schedule::new(seed);
        let mut world = World::new();
        play(
            &mut world,
            move |read| {
                if read < 200 && schedule.one_in(3) { schedule.below(12) } else { 0 }
            },
        )
        .await;
        check(&world, &format!("seed {seed}"));
    }
}
