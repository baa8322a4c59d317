//! What a run costs the API server: chains of migrations on one target, reconciled when the
//! controller would reconcile them, and every request counted.

use std::collections::{BTreeMap, BTreeSet};

use dm_operator::read::news;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api_server::{Call, Objects};
use crate::cluster::Move;
use crate::connection::lock;
use crate::world::{World, migration};

/// Requests of one run beyond creates, status writes and events, with its share of those of
/// migrations that wait for it. Five are patches: of the migration's finalizer, set and removed, of
/// the Job, released and released, and of the pod, released. Four are reads: the program's files,
/// the queue before the Job is released, and Jobs and pods before the result is recorded.
const REQUESTS_PER_RUN_MAX: usize = 10;

/// Reconciles of one run, from its number to the last finalizer.
const RECONCILES_PER_RUN_MAX: usize = 12;

/// The same where many migrations wait for a target: each run that ends wakes them.
const RECONCILES_OF_MANY_MAX: usize = 16;

/// Changes of a pod's status that the kubelet writes and that say nothing new: scheduled, sandbox,
/// volumes, init containers that start and end, addresses.
const NOISE: usize = 6;

/// Reconciles after which a test has run away, per migration.
const RECONCILES_MAX: usize = 100;

/// Chains of migrations on one target.
#[derive(Clone, Copy)]
struct Chains {
    count: usize,
    /// Migrations of each, that depend on the one before.
    links: usize,
    /// How many may write to the target at the same time.
    at_once: usize,
}

fn name(chain: usize, link: usize) -> String {
    format!("{chain:02}-{link}")
}

impl Chains {
    fn put(self, objects: &mut Objects) {
        objects.force_remove("datamigrations", crate::world::NAME);
        objects.change("migrationtargets", "dev", |target| {
            target["spec"]["policy"] = json!({"maxConcurrentRuns": self.at_once});
        });
        for chain in 0..self.count {
            for link in 0..self.links {
                let name = name(chain, link);
                let mut one = migration();
                one["metadata"]["name"] = json!(name);
                one["spec"]["dryRun"] = json!(false);
                one["spec"]["script"]["configMap"]["name"] = json!(format!("files-{name}"));
                if link > 0 {
                    one["spec"]["dependsOn"] = json!([{"name": self::name(chain, link - 1)}]);
                }
                objects.insert("datamigrations", one);
                let files = json!({
                    "metadata": {"name": format!("files-{name}")},
                    "data": {"main.py": format!("print('{name}')")},
                });
                objects.insert("configmaps", files);
            }
        }
    }
}

/// Migrations that wait for a reconcile, and when: in seconds of the server's clock.
#[derive(Default)]
struct Queue {
    now: BTreeSet<String>,
    later: BTreeMap<String, i64>,
}

impl Queue {
    /// Wakes whom the controller's watches would wake for what differs between two states.
    fn wake(&mut self, before: &Objects, after: &Objects) {
        for object in after.all("datamigrations") {
            let old = before.get("datamigrations", &named(object));
            if old == Some(object) {
                continue;
            }
            let spec = |object: &Value| {
                let metadata = &object["metadata"];
                (metadata["generation"].clone(), metadata["finalizers"].clone())
            };
            if old.map(spec) != Some(spec(object)) {
                self.now.insert(named(object));
            }
            let news = |object: &Value| news::of_other(&parsed(object));
            if old.map(news) != Some(news(object)) {
                self.wake_others(after, object);
            }
        }
        self.wake_owners(before, after, "jobs", |object| news::of_job(&parsed(object)));
        self.wake_owners(before, after, "pods", |object| news::of_pod(&parsed(object)));
    }

    fn wake_owners(
        &mut self,
        before: &Objects,
        after: &Objects,
        plural: &str,
        news: impl Fn(&Value) -> news::News,
    ) {
        let names = before.names(plural).into_iter().chain(after.names(plural));
        for name in names.collect::<BTreeSet<_>>() {
            let (old, new) = (before.get(plural, &name), after.get(plural, &name));
            if old == new || old.map(&news) == new.map(&news) {
                continue;
            }
            if let Some(object) = new.or(old) {
                let owner = &object["metadata"]["annotations"]["datamigration.dev/migration"];
                self.now.extend(owner.as_str().map(str::to_owned));
            }
        }
    }

    fn wake_others(&mut self, after: &Objects, changed: &Value) {
        for other in after.all("datamigrations") {
            if news::concerns(&parsed(other), &parsed(changed)) {
                self.now.insert(named(other));
            }
        }
    }
}

fn parsed<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap()
}

fn named(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn seconds(world: &World) -> i64 {
    lock(&world.server).objects.now().as_second()
}

/// Reconciles and moves the cluster until every migration is applied. Returns how many reconciles
/// it took.
async fn live(world: &mut World) -> usize {
    let mut queue = Queue::default();
    queue.wake(&Objects::default(), &lock(&world.server).objects.clone());
    let mut reconciles = 0;
    let most = lock(&world.server).objects.names("datamigrations").len() * RECONCILES_MAX;
    loop {
        while let Some(name) = queue.now.pop_first() {
            queue.later.remove(&name);
            let before = lock(&world.server).objects.clone();
            reconciles += 1;
            assert!(reconciles < most, "it never ends");
            let mut again = world.reconcile_one(&name).await.unwrap();
            // What follows a write at once comes before the watch shows it.
            while again.is_some_and(|again| again.is_zero()) {
                again = world.reconcile_behind(&name).await.unwrap();
                reconciles += 1;
            }
            if let Some(again) = again {
                let at = seconds(world) + i64::try_from(again.as_secs()).unwrap();
                queue.later.insert(name, at);
            }
            queue.wake(&before, &lock(&world.server).objects.clone());
        }
        if all_applied(world) {
            return reconciles;
        }
        let before = lock(&world.server).objects.clone();
        match world.make_first_move() {
            Some(Move::CreatePod(_)) => {
                queue.wake(&before, &lock(&world.server).objects.clone());
                for number in 0..NOISE {
                    reconciles += noise(world, &mut queue, number).await;
                }
            }
            Some(_) => queue.wake(&before, &lock(&world.server).objects.clone()),
            None => world.with_objects(|objects| objects.pass_seconds(1)),
        }
        let now = seconds(world);
        let due: Vec<String> =
            queue.later.iter().filter(|(_, at)| **at <= now).map(|(n, _)| n.clone()).collect();
        queue.now.extend(due);
    }
}

/// The kubelet writes something to each pod that has not started, and whoever wakes is reconciled.
async fn noise(world: &mut World, queue: &mut Queue, number: usize) -> usize {
    let before = lock(&world.server).objects.clone();
    world.with_objects(|objects| {
        for name in objects.names("pods") {
            objects.change("pods", &name, |pod| {
                if pod["status"]["phase"] == "Pending" {
                    pod["status"]["hostIP"] = json!(format!("10.0.0.{number}"));
                }
            });
        }
    });
    queue.wake(&before, &lock(&world.server).objects.clone());
    let mut reconciles = 0;
    for name in std::mem::take(&mut queue.now) {
        let before = lock(&world.server).objects.clone();
        world.reconcile_one(&name).await.unwrap();
        reconciles += 1;
        queue.wake(&before, &lock(&world.server).objects.clone());
    }
    reconciles
}

fn all_applied(world: &World) -> bool {
    let server = lock(&world.server);
    let all = server.objects.all("datamigrations");
    all.iter().all(|one| one["status"]["phase"] == "Applied")
}

/// Requests by verb and kind, without creates, status writes and events.
fn counted(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    let beyond = |call: &&Call| {
        call.plural != "events" && call.method != "POST" && call.subresource.is_none()
    };
    for call in calls.iter().filter(beyond) {
        let verb = match (call.method.as_str(), &call.name) {
            ("GET", None) => "LIST",
            (method, _) => method,
        };
        *counted.entry(format!("{verb} {}", call.plural)).or_insert(0) += 1;
    }
    counted
}

/// Lives through chains of migrations, and checks what each run has cost.
async fn check(mut world: World, chains: Chains, most: usize) {
    world.with_objects(|objects| chains.put(objects));
    let reconciles = live(&mut world).await;
    let counted = counted(&lock(&world.server).calls);
    let runs = chains.count * chains.links;
    let requests: usize = counted.values().sum();
    println!("{runs} runs: {reconciles} reconciles, {requests} requests: {counted:#?}");
    assert_eq!(crate::invariants::applied(&world), runs);
    assert!(reconciles <= most * runs, "{reconciles} reconciles of {runs} runs");
    assert!(requests <= REQUESTS_PER_RUN_MAX * runs, "{requests} requests of {runs} runs");
}

#[tokio::test]
async fn one_run_costs_few_requests() {
    check(World::new(), Chains { count: 1, links: 1, at_once: 1 }, RECONCILES_PER_RUN_MAX).await;
}

#[tokio::test]
async fn a_run_that_the_archive_records_costs_few_requests() {
    check(World::with_archive(), Chains { count: 1, links: 1, at_once: 1 }, RECONCILES_PER_RUN_MAX)
        .await;
}

#[tokio::test]
async fn a_chain_costs_few_requests_per_run() {
    check(World::new(), Chains { count: 1, links: 10, at_once: 1 }, RECONCILES_PER_RUN_MAX).await;
}

#[tokio::test]
async fn chains_that_share_a_target_cost_few_requests_per_run() {
    check(World::new(), Chains { count: 3, links: 2, at_once: 2 }, RECONCILES_PER_RUN_MAX).await;
}

#[tokio::test]
#[ignore = "a measurement: cargo xtask bench requests"]
async fn fifty_migrations_in_ten_chains() {
    check(World::new(), Chains { count: 10, links: 5, at_once: 4 }, RECONCILES_OF_MANY_MAX).await;
}
