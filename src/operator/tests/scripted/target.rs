//! Migrations of one target, looked after by two controllers whose requests are shuffled by a seed:
//! no two programs that write ever run at the same time, and each runs once.

use std::sync::Arc;

use dm_operator::context::Context;
use dm_operator::reconcile::reconcile;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::api_server::NAMESPACE;
use crate::connection::{Connection, Gate, Shared, lock};
use crate::invariants::applied;
use crate::schedule::Schedule;
use crate::watches::Watches;
use crate::world::{NAME, World, context, migration, set_clock};

/// Steps of one shuffled life: then whoever still waits is looked after in turn.
const STEPS: usize = 300;

const NAMES: [&str; 3] = [NAME, "0002-add-colour", "0003-add-wheels"];

/// A controller whose every request waits to be let through.
struct Operator {
    context: Arc<Context>,
    watches: Watches,
    gate: Gate,
    look: Option<JoinHandle<()>>,
}

impl Operator {
    fn new(server: &Shared) -> Self {
        let gate = Gate::default();
        let (context, watches) = context(Connection::gated(server, &gate));
        Self { context: Arc::new(context), watches, gate, look: None }
    }

    /// Lets one request through, or begins to look at a migration.
    async fn step(&mut self, server: &Shared, name: &'static str) {
        if self.look.as_ref().is_none_or(JoinHandle::is_finished) {
            self.watches.catch_up(&self.context, server);
            let context = self.context.clone();
            self.look = Some(tokio::spawn(async move {
                // What goes wrong is tried again by the next look.
                let _ = Box::pin(reconcile(&context, NAMESPACE, name)).await;
            }));
        } else if let Some(held) = self.gate.lock().unwrap().pop_front() {
            held.pass(server);
        }
        while self.gate.lock().unwrap().is_empty()
            && self.look.as_ref().is_some_and(|look| !look.is_finished())
        {
            tokio::task::yield_now().await;
        }
    }

    async fn finish(&mut self, server: &Shared) {
        while self.look.as_ref().is_some_and(|look| !look.is_finished()) {
            self.step(server, NAME).await;
        }
    }
}

fn one_move(world: &mut World, schedule: &mut Schedule) -> bool {
    let mut server = lock(&world.server);
    let moves = world.cluster.moves(&server.objects);
    if moves.is_empty() {
        return false;
    }
    let step = &moves[schedule.below(moves.len())];
    world.cluster.make(&mut server.objects, step);
    true
}

async fn play(seed: u64) -> World {
    let mut schedule = Schedule::new(seed);
    let mut world = World::new();
    world.promote();
    world.with_objects(|objects| {
        for name in &NAMES[1..] {
            let mut other = migration();
            other["metadata"]["name"] = json!(name);
            other["spec"]["dryRun"] = json!(false);
            objects.insert("datamigrations", other);
        }
    });
    let mut operators = [Operator::new(&world.server), Operator::new(&world.server)];
    for _ in 0..STEPS {
        set_clock(lock(&world.server).objects.now());
        if schedule.below(4) == 0 {
            one_move(&mut world, &mut schedule);
        } else {
            let name = NAMES[schedule.below(NAMES.len())];
            operators[schedule.below(2)].step(&world.server, name).await;
        }
    }
    let [mut first, mut second] = operators;
    second.finish(&world.server).await;
    for _ in 0..STEPS {
        for name in NAMES {
            set_clock(lock(&world.server).objects.now());
            first.finish(&world.server).await;
            first.step(&world.server, name).await;
            first.finish(&world.server).await;
        }
        world.with_objects(|objects| objects.pass_seconds(5));
        one_move(&mut world, &mut schedule);
        if applied(&world) == NAMES.len() && !one_move(&mut world, &mut schedule) {
            break;
        }
    }
    world
}

#[tokio::test]
async fn every_list_comes_in_pages_and_the_last_page_counts() {
    let mut world = World::new();
    world.promote();
    world.with_objects(|objects| {
        // More than two pages, of which the last one holds the run that goes first.
        for number in 0..220 {
            let mut other = migration();
            other["metadata"]["name"] = json!(format!("9999-{number:03}"));
            other["spec"]["dependsOn"] = json!([{"name": "nobody"}]);
            objects.insert("datamigrations", other);
        }
    });
    while lock(&world.server).objects.names("jobs").is_empty() {
        world.reconcile().await.unwrap();
    }
    // The watch has not shown it yet when the Job could be released.
    world.with_objects(|objects| {
        objects.change("datamigrations", "9999-219", |holder| {
            holder["spec"]["dryRun"] = json!(false);
            holder["status"] = json!({"lastRun": 1, "runs": [{
                "number": 1, "kind": "Apply", "result": "Running", "job": "j", "jobUid": "uid-j",
                "programDigest": "sha256:x", "requestedAt": "2026-11-02T09:00:00Z",
            }]});
        });
    });
    world.reconcile_behind(NAME).await.unwrap();
    assert_eq!(world.reason(), "LockedByAnother");
    let server = lock(&world.server);
    let lists = server.calls.iter().filter(|call| call.method == "GET" && call.name.is_none());
    let lists: Vec<_> = lists.collect();
    assert!(lists.iter().all(|call| call.page.is_some()), "{lists:#?}");
    let last = |page: &(usize, usize)| page.1 >= 200;
    assert!(lists.iter().any(|call| call.page.as_ref().is_some_and(last)), "three pages were read");
}

#[tokio::test]
async fn two_controllers_let_one_migration_of_a_target_write_at_a_time() {
    println!("seeds 1..=60");
    let mut waited = 0;
    for seed in 1..=60 {
        let world = play(seed).await;
        assert_eq!(world.cluster.writing.1, 1, "seed {seed}: two wrote at the same time");
        assert_eq!(applied(&world), NAMES.len(), "seed {seed}: {:#?}", world.cluster.starts);
        let server = lock(&world.server);
        let tries: u64 = NAMES
            .iter()
            .filter_map(|name| server.objects.get("datamigrations", name))
            .filter_map(|migration| migration["status"]["lastRun"].as_u64())
            .sum();
        waited += usize::from(tries > NAMES.len() as u64);
    }
    assert!(waited > 0, "never did one step back after it had its number");
}
