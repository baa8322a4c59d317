//! A migration is restored: in a life without trouble, with a death at any write, with hands that
//! delete and evict, and with two controllers at once.

use dm_api::status::{Phase, RunKind};
use serde_json::{Value, json};

use crate::api_server::Objects;
use crate::by_hand;
use crate::connection::{Fault, lock};
use crate::happy::events;
use crate::invariants::{applied, check, check_released, end_of, tried};
use crate::two_operators::{shuffle, toggle_suspend};
use crate::world::{NAME, World};

/// Every write of the restore's part of a life without trouble, in order.
const WRITES: &[&str] = &[
    "PATCH datamigrations/0001-add-price",
    "PUT datamigrations/0001-add-price/status",
    "POST jobs/0001-add-price-3-restore-preview",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-3-restore-preview",
    "PUT datamigrations/0001-add-price/status",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-3-restore-preview",
    "PATCH pods/POD",
    "PATCH datamigrations/0001-add-price",
    "PATCH datamigrations/0001-add-price",
    "PUT datamigrations/0001-add-price/status",
    "POST jobs/0001-add-price-4-restore",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-4-restore",
    "PUT datamigrations/0001-add-price/status",
    "PUT datamigrations/0001-add-price/status",
    "PATCH jobs/0001-add-price-4-restore",
    "PATCH pods/POD",
    "PATCH datamigrations/0001-add-price",
];

/// What `kubectl describe` tells of it.
const EVENTS: &[(&str, &str)] = &[
    ("RestorePreviewStarted", "Run 3 starts as Job 0001-add-price-3-restore-preview"),
    ("RestorePreviewSucceeded", "Run 3: Preview of the restore: 2 items would be restored"),
    ("RestoreStarted", "Run 4 starts as Job 0001-add-price-4-restore"),
    ("Restored", "Run 4: Run 4 restored run 2: 2 items were restored"),
];

/// How often restores, and previews of them, were started.
fn restored(world: &World) -> (usize, usize) {
    let of = |kind: RunKind| {
        let writes = kind.writes();
        let starts = world.cluster.starts.iter().filter(|start| start.restores.is_some());
        starts.filter(|start| (start.mode == dm_contract::plan::Mode::Apply) == writes).count()
    };
    (of(RunKind::Restore), of(RunKind::RestorePreview))
}

/// A migration that was tried and applied.
async fn applied_world() -> World {
    let mut world = World::with_archive();
    world.until_quiet().await;
    world.promote();
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied));
    world
}

fn ask(world: &World, dry_run: bool) {
    world.edit(|spec| {
        spec["state"] = json!("Restored");
        spec["dryRun"] = json!(dry_run);
    });
}

/// It is previewed and restored, with one death on the way.
async fn play(fault: Option<(usize, Fault)>, late: bool) -> World {
    let mut world = applied_world().await;
    world.late = late;
    lock(&world.server).fault =
        fault.map(|(write, fault)| (lock(&world.server).write_count() + write, fault));
    ask(&world, true);
    world.until_quiet().await;
    ask(&world, false);
    world.until_quiet().await;
    world
}

fn writes_since(world: &World, count: usize) -> Vec<String> {
    let text = |text: String| match text.split_once("pods/") {
        Some((call, _)) => format!("{call}pods/POD"),
        None => text,
    };
    lock(&world.server).writes()[count..].iter().map(|call| text(call.text())).collect()
}

#[tokio::test]
async fn an_applied_migration_is_previewed_restored_and_applied_anew() {
    let mut world = applied_world().await;
    let before = lock(&world.server).writes().len();
    let told = events(&world).len();
    let times = (world.status().execution_time, world.status().finalization_time);
    ask(&world, true);
    world.until_quiet().await;
    assert_eq!((world.status().phase, restored(&world)), (Some(Phase::RestorePreviewOk), (0, 1)));
    assert!(world.status().is_applied(), "a preview takes nothing back");
    ask(&world, false);
    world.until_quiet().await;
    let status = world.status();
    assert_eq!((status.phase, restored(&world)), (Some(Phase::Restored), (1, 1)));
    assert!(!status.is_applied());
    assert_eq!(status.applied.as_ref().unwrap().restored_by, Some(4));
    assert_eq!((status.execution_time, status.finalization_time), times, "those of the program");
    assert_eq!(writes_since(&world, before), WRITES);
    let all = events(&world);
    let all: Vec<_> = all[told..].iter().map(|(r, n)| (r.as_str(), n.as_str())).collect();
    assert_eq!(all, EVENTS);
    check(&world, "nothing went wrong");
    // Nothing is done for nothing.
    let calls = lock(&world.server).write_count();
    world.reconcile_until_quiet().await;
    assert_eq!(lock(&world.server).write_count(), calls);
    world.edit(|spec| spec["state"] = json!("Applied"));
    world.until_quiet().await;
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Applied), 2));
    assert_eq!((world.status().last_run, world.cluster.laid_over.len()), (5, 0));
    check_released(&world, "applied anew");
}

#[tokio::test]
async fn a_death_at_any_write_of_a_restore_changes_nothing() {
    let before = lock(&applied_world().await.server).write_count();
    let world = play(None, false).await;
    let expected = end_of(&world);
    let writes = lock(&world.server).write_count() - before;
    let mut points = 0;
    for write in 1..=writes {
        for fault in [Fault::Lost, Fault::AnswerLost] {
            for late in [false, true] {
                let what = format!("write {write} {fault:?}, late: {late}");
                let world = play(Some((write, fault)), late).await;
                check(&world, &what);
                assert_eq!((tried(&world), applied(&world)), (1, 1), "{what}");
                assert_eq!(restored(&world), (1, 1), "{what}");
                assert_eq!(end_of(&world), expected, "{what}");
                points += 1;
            }
        }
    }
    println!("{points} kill points: {writes} writes, lost or unanswered, mended at once or late");
    assert!(writes >= WRITES.len(), "only {writes} writes");
}

#[tokio::test]
async fn a_failed_run_and_the_one_over_it_are_restored_the_newest_first() {
    let mut world = World::with_archive();
    world.cluster.exit_code = 3;
    world.edit(|spec| spec["dryRun"] = json!(false));
    world.until_quiet().await;
    let failure = world.status().failure.unwrap();
    assert!(failure.what_now.contains("or spec.state to Restored"), "{}", failure.what_now);
    world.cluster.exit_code = 0;
    world.edit(|spec| spec["retry"] = json!(1));
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied));
    ask(&world, false);
    world.until_quiet().await;
    assert_eq!(
        (world.status().phase, &world.cluster.restored),
        (Some(Phase::Restored), &vec![2, 1])
    );
    let message = world.status().conditions[0].message.clone();
    assert!(message.contains("run 3 restored run 2 before"), "{message}");
}

#[tokio::test]
async fn a_restore_whose_pods_are_deleted_and_evicted_goes_on_by_itself() {
    for hand in [by_hand::delete_pods as fn(&mut Objects), by_hand::evict_pods] {
        let mut world = applied_world().await;
        world.cluster.endless = true;
        ask(&world, false);
        world.until_quiet().await;
        assert_eq!(world.status().phase, Some(Phase::Restoring));
        world.with_objects(hand);
        world.until_quiet().await;
        assert_eq!((world.status().phase, restored(&world)), (Some(Phase::Restoring), (2, 0)));
        world.cluster.endless = false;
        world.until_quiet().await;
        assert_eq!((world.status().phase, world.status().last_run), (Some(Phase::Restored), 3));
        check(&world, "interrupted");
    }
}

#[tokio::test]
async fn a_restore_is_suspended_and_goes_on() {
    let mut world = applied_world().await;
    world.cluster.endless = true;
    ask(&world, false);
    world.until_quiet().await;
    world.with_objects(toggle_suspend);
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Suspended));
    assert!(!world.status().is_applied(), "a part of it may be restored");
    // Half way, nothing else begins.
    world.edit(|spec| spec["state"] = json!("Applied"));
    world.until_quiet().await;
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Suspended), 1));
    world.cluster.endless = false;
    world.edit(|spec| {
        spec["state"] = json!("Restored");
        spec["suspend"] = json!(false);
    });
    world.until_quiet().await;
    assert_eq!((world.status().phase, world.status().last_run), (Some(Phase::Restored), 3));
}

#[tokio::test]
async fn a_restore_that_fails_goes_on_by_retry() {
    let mut world = applied_world().await;
    world.cluster.exit_code = 1;
    ask(&world, false);
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::RestoreFailed));
    assert_eq!(restored(&world).0, 7, "the first pod and six after it");
    world.cluster.exit_code = 0;
    world.edit(|spec| spec["state"] = json!("Applied"));
    world.until_quiet().await;
    assert_eq!((world.reason().as_str(), applied(&world)), ("RestoreIncomplete", 1));
    world.edit(|spec| {
        spec["state"] = json!("Restored");
        spec["retry"] = json!(1);
    });
    world.until_quiet().await;
    assert_eq!((world.status().phase, world.status().last_run), (Some(Phase::Restored), 4));
}

fn ask_for_restore(objects: &mut Objects) {
    set(objects, "state", json!("Restored"));
}

fn flip_state(objects: &mut Objects) {
    objects.change("datamigrations", NAME, |migration| {
        let restored = migration["spec"]["state"] == "Restored";
        migration["spec"]["state"] = json!(if restored { "Applied" } else { "Restored" });
    });
}

fn flip_dry_run(objects: &mut Objects) {
    objects.change("datamigrations", NAME, |migration| {
        let dry_run = migration["spec"]["dryRun"] != false;
        migration["spec"]["dryRun"] = json!(!dry_run);
    });
}

fn set(objects: &mut Objects, field: &str, value: Value) {
    objects.change("datamigrations", NAME, |migration| migration["spec"][field] = value);
}

#[tokio::test]
async fn two_controllers_restore_once() {
    println!("seeds 5001 to 5040");
    for seed in 5001..=5040 {
        let mut world = applied_world().await;
        shuffle(&mut world, seed, &[ask_for_restore, flip_dry_run, toggle_suspend]).await;
        world.with_objects(ask_for_restore);
        world.until_quiet().await;
        let what = format!("seed {seed}");
        check(&world, &what);
        assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Restored), 1), "{what}");
        let jobs: std::collections::BTreeSet<_> = world
            .cluster
            .starts
            .iter()
            .filter(|start| {
                start.restores.is_some() && start.mode == dm_contract::plan::Mode::Apply
            })
            .map(|start| &start.job)
            .collect();
        assert_eq!(jobs.len(), 1, "{what}: {:#?}", world.cluster.starts);
    }
}

#[tokio::test]
async fn two_controllers_never_apply_over_what_was_not_restored() {
    println!("seeds 6001 to 6040");
    for seed in 6001..=6040 {
        let mut world = applied_world().await;
        let hands: &[fn(&mut Objects)] =
            &[flip_state, flip_dry_run, by_hand::evict_pods, by_hand::delete_jobs];
        shuffle(&mut world, seed, hands).await;
        let what = format!("seed {seed}");
        assert!(world.cluster.laid_over.is_empty(), "{what}: {:#?}", world.cluster);
        check_released(&world, &what);
        let is_applied = world.status().phase == Some(Phase::Applied);
        let last = world.cluster.starts.iter().rfind(|start| start.applies()).unwrap().run;
        assert!(
            !is_applied || !world.cluster.restored.contains(&last),
            "{what}: it says Applied and was restored"
        );
    }
}

#[tokio::test]
async fn a_migration_whose_journal_is_gone_stays_applied_and_never_runs_over_itself() {
    let mut world = applied_world().await;
    world.cluster.ledger.journals_gone = true;
    for dry_run in [true, false] {
        ask(&world, dry_run);
        world.until_quiet().await;
        assert_eq!(world.reason(), "ArchiveRequired", "dry run: {dry_run}");
        let status = world.status();
        assert!(status.is_applied(), "{:?}", status.phase);
        assert_ne!(status.phase, Some(Phase::Restored));
    }
    // Each was tried once: another pod would find no more.
    assert_eq!(restored(&world), (1, 1));
    world.edit(|spec| spec["state"] = json!("Applied"));
    world.until_quiet().await;
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Applied), 1));
    check_released(&world, "applied as before");
}
