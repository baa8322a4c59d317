//! What must hold at the end of every scenario, however it went.

use dm_contract::plan::Mode;
use serde_json::Value;

use crate::api_server::finalizers;
use crate::cluster::Start;
use crate::connection::lock;
use crate::job_controller::has_ended;
use crate::world::{NAME, World};

/// How often programs were started that write.
pub fn applied(world: &World) -> usize {
    world.cluster.starts.iter().filter(|start| start.applies()).count()
}

/// How often dry runs were started.
pub fn tried(world: &World) -> usize {
    let dry_run = |start: &&Start| start.mode == Mode::DryRun && start.restores.is_none();
    world.cluster.starts.iter().filter(dry_run).count()
}

/// No run was started twice, and nothing of ours holds what is finished.
pub fn check(world: &World, what: &str) {
    for (index, start) in world.cluster.starts.iter().enumerate() {
        // A restore that was interrupted continues in another pod of the same Job.
        let other = |s: &&Start| {
            s.run == start.run
                && s.part == start.part
                && (s.restores.is_none() || s.job != start.job)
        };
        let again = world.cluster.starts[index + 1..].iter().find(other);
        assert_eq!(again, None, "{what}: run {} was started twice", start.run);
    }
    assert!(applied(world) <= 1, "{what}: applied twice: {:?}", world.cluster.starts);
    check_released(world, what);
}

/// Nothing of ours holds what is finished, and nothing is left of a migration that is gone.
pub fn check_released(world: &World, what: &str) {
    let server = lock(&world.server);
    let migration = server.objects.get("datamigrations", NAME);
    let active = migration
        .and_then(|m| m["status"]["runs"][0]["result"].as_str().map(str::to_owned))
        .is_some_and(|result| result == "Starting" || result == "Running");
    let gone = migration.is_none();
    for plural in ["jobs", "pods"] {
        for object in server.objects.all(plural) {
            let held = finalizers(object).contains(&dm_api::OUTCOME_FINALIZER.to_owned());
            assert!(!held || active, "{what}: {plural} are still held: {object:#}");
            assert!(!gone, "{what}: {plural} are left of a migration that is gone: {object:#}");
            if plural == "jobs" && !active {
                assert!(has_ended(object), "{what}: a Job is left that never ends: {object:#}");
            }
        }
    }
}

/// The end of a scenario, without times: status, objects and who owns them.
pub fn end_of(world: &World) -> Value {
    let server = lock(&world.server);
    let mut end = serde_json::json!({
        "status": server.objects.get("datamigrations", NAME).map(|m| m["status"].clone()),
        "jobs": server.objects.names("jobs"),
        "pods": server.objects.all("pods").len(),
        "copies": server.objects.all("configmaps").iter()
            .map(|map| map["metadata"]["ownerReferences"][0]["kind"].clone()).collect::<Vec<_>>(),
    });
    without_times(&mut end);
    end
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| {
                !key.ends_with("Time") && !key.ends_with("At") && !key.ends_with("Uid")
            });
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}
