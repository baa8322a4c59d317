//! Two controllers at once, as in a rolling update: their requests, the cluster's moves and other
//! people's hands are shuffled by a seed. One may sleep in the middle of a look for long.

use std::sync::Arc;

use dm_operator::context::Context;
use dm_operator::reconcile::reconcile;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::api_server::{NAMESPACE, Objects};
use crate::by_hand;
use crate::connection::{Connection, Gate, Shared, lock};
use crate::invariants::{applied, check, check_released};
use crate::schedule::Schedule;
use crate::watches::Watches;
use crate::world::{NAME, World, context, set_clock};

/// Steps of one shuffled life.
const STEPS: usize = 260;

/// A controller whose every request waits to be let through.
struct Operator {
    context: Arc<Context>,
    watches: Watches,
    gate: Gate,
    look: Option<JoinHandle<()>>,
    asleep: usize,
}

impl Operator {
    fn new(server: &Shared) -> Self {
        let gate = Gate::default();
        let (context, watches) = context(Connection::gated(server, &gate));
        Self { context: Arc::new(context), watches, gate, look: None, asleep: 0 }
    }

    /// Lets one request through, or begins to look.
    async fn step(&mut self, server: &Shared) {
        if self.look.as_ref().is_none_or(JoinHandle::is_finished) {
            self.watches.catch_up(&self.context, server);
            let context = self.context.clone();
            self.look = Some(tokio::spawn(async move {
                // What goes wrong is tried again by the next look.
                let _ = Box::pin(reconcile(&context, NAMESPACE, NAME)).await;
            }));
        } else if let Some(held) = self.gate.lock().unwrap().pop_front() {
            held.pass(server);
        }
        self.until_it_waits().await;
    }

    async fn until_it_waits(&self) {
        while self.gate.lock().unwrap().is_empty()
            && self.look.as_ref().is_some_and(|look| !look.is_finished())
        {
            tokio::task::yield_now().await;
        }
    }
}

/// One shuffled life: hands strike at random, then everything is released and comes to rest.
async fn play(seed: u64, hands: &[fn(&mut Objects)]) -> World {
    let mut world = World::new();
    shuffle(&mut world, seed, hands).await;
    world
}

/// The same in a world that has a past.
pub async fn shuffle(world: &mut World, seed: u64, hands: &[fn(&mut Objects)]) {
    let mut schedule = Schedule::new(seed);
    world.cluster.graceful = seed.is_multiple_of(2);
    let mut operators = [Operator::new(&world.server), Operator::new(&world.server)];
    for _ in 0..STEPS {
        set_clock(lock(&world.server).objects.now());
        match schedule.below(8) {
            0..=4 => {
                let operator = &mut operators[schedule.below(2)];
                if operator.asleep > 0 {
                    operator.asleep -= 1;
                } else {
                    operator.step(&world.server).await;
                    operator.asleep = if schedule.one_in(25) { schedule.below(60) } else { 0 };
                }
            }
            5..=6 => move_at_random(world, &mut schedule),
            _ if schedule.one_in(8) => world.promote(),
            _ if schedule.one_in(4) && !hands.is_empty() => {
                world.with_objects(hands[schedule.below(hands.len())]);
            }
            _ => {}
        }
    }
    let [mut first, mut second] = operators;
    // Those who slept wake up when everything is over, with what they had in mind.
    first.finish(&world.server).await;
    settle(world).await;
    second.finish(&world.server).await;
    settle(world).await;
}

impl Operator {
    async fn finish(&mut self, server: &Shared) {
        while self.look.as_ref().is_some_and(|look| !look.is_finished()) {
            self.step(server).await;
        }
    }
}

async fn settle(world: &mut World) {
    world.edit(|spec| {
        spec["suspend"] = json!(false);
        spec["dryRun"] = json!(false);
    });
    world.until_quiet().await;
}

fn move_at_random(world: &mut World, schedule: &mut Schedule) {
    let mut server = lock(&world.server);
    let moves = world.cluster.moves(&server.objects);
    if !moves.is_empty() {
        let step = &moves[schedule.below(moves.len())];
        world.cluster.make(&mut server.objects, step);
    }
}

async fn check_seeds(seeds: std::ops::RangeInclusive<u64>, hands: &[fn(&mut Objects)]) {
    println!("seeds {seeds:?}");
    for seed in seeds {
        let world = play(seed, hands).await;
        let what = format!("seed {seed}");
        if hands.is_empty() {
            check(&world, &what);
            assert_eq!(applied(&world), 1, "{what}");
        } else {
            assert!(applied(&world) <= 1, "{what}: {:#?}", world.cluster.starts);
            check_released(&world, &what);
            let phase = world.migration().and_then(|m| m.status).and_then(|status| status.phase);
            let is_applied = phase == Some(dm_api::status::Phase::Applied);
            assert!(!is_applied || world.cluster.completed > 0, "{what}: applied by halves");
        }
    }
}

pub fn toggle_suspend(objects: &mut Objects) {
    objects.change("datamigrations", NAME, |migration| {
        let suspended = migration["spec"]["suspend"] == true;
        migration["spec"]["suspend"] = json!(!suspended);
    });
}

#[tokio::test]
async fn two_controllers_start_each_run_once() {
    check_seeds(1..=100, &[]).await;
}

#[tokio::test]
async fn two_controllers_and_deletions_apply_at_most_once() {
    let hands: &[fn(&mut Objects)] =
        &[by_hand::delete_jobs, by_hand::delete_pods, by_hand::force_jobs];
    check_seeds(1001..=1100, hands).await;
}

#[tokio::test]
async fn two_controllers_and_edits_apply_at_most_once() {
    let hands: &[fn(&mut Objects)] = &[by_hand::edit_files, toggle_suspend, by_hand::evict_pods];
    check_seeds(2001..=2100, hands).await;
}

#[tokio::test]
async fn two_controllers_and_a_deleted_migration_leave_nothing_behind() {
    check_seeds(3001..=3100, &[by_hand::delete_migration]).await;
}
