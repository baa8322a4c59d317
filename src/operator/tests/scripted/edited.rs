//! Somebody edits status by hand, as `kubectl edit --subresource=status` allows. Its schema rejects
//! what has another form; what it accepts may be nonsense. With an archive the ledger decides: no
//! program that was applied is applied again, and what the objects show is written again.

use dm_api::status::Phase;
use serde_json::{Value, json};

use crate::connection::lock;
use crate::invariants::applied;
use crate::world::{NAME, World};

/// An edit of a status, and what it is called.
type Edit = (&'static str, fn(&mut Value));

const EDITS: [Edit; 14] = [
    ("no status", |status| *status = Value::Null),
    ("an empty status", |status| *status = json!({})),
    ("no history", |status| status["runs"] = json!([])),
    ("no history, and no number", |status| {
        (status["runs"], status["lastRun"]) = (json!([]), json!(0));
    }),
    ("run 0", |status| status["runs"][0]["number"] = json!(0)),
    ("the last number", |status| status["lastRun"] = json!(u32::MAX)),
    ("a run of the last number", |status| status["runs"][0]["number"] = json!(u32::MAX)),
    ("another phase", |status| status["phase"] = json!("Failed")),
    ("no conditions", |status| status["conditions"] = json!([])),
    ("a failure", |status| status["runs"][0]["result"] = json!("Failed")),
    ("a success", |status| status["runs"][0]["result"] = json!("Succeeded")),
    ("a run that is under way", |status| status["runs"][0]["result"] = json!("Running")),
    ("the highest retry", |status| status["runs"][0]["retry"] = json!(i64::MAX)),
    ("another Job", |status| {
        status["runs"][0]["jobUid"] = json!("uid-of-another");
        status["runs"][0]["parallelism"] = json!(u32::MAX);
    }),
];

fn edit(world: &World, edit: fn(&mut Value)) {
    world.with_objects(|objects| {
        objects.change("datamigrations", NAME, |object| {
            let mut status = object["status"].clone();
            edit(&mut status);
            object["status"] = status;
        });
    });
}

/// Whatever was edited, no program was applied twice, and the controller comes to rest.
async fn check(world: &mut World, what: &str) {
    world.until_quiet().await;
    assert!(applied(world) <= 1, "{what}: {:#?}", world.cluster.starts);
    // A person who wants it applied gets there.
    world.edit(|spec| spec["retry"] = json!(7));
    world.until_quiet().await;
    assert!(applied(world) <= 2, "{what}: {:#?}", world.cluster.starts);
}

#[tokio::test]
async fn an_applied_migration_is_not_applied_again() {
    for (what, change) in EDITS {
        let mut world = World::with_archive();
        world.promote();
        world.until_quiet().await;
        assert_eq!(world.status().phase, Some(Phase::Applied));
        edit(&world, change);
        check(&mut world, what).await;
        assert_eq!(applied(&world), 1, "{what}: the ledger has its success");
    }
}

#[tokio::test]
async fn a_program_that_runs_is_not_started_again() {
    for (what, change) in EDITS {
        let mut world = World::with_archive();
        world.cluster.endless = true;
        world.promote();
        world.until_quiet().await;
        assert_eq!(applied(&world), 1);
        edit(&world, change);
        world.until_quiet().await;
        assert_eq!(applied(&world), 1, "{what}: it still runs");
        world.cluster.endless = false;
        check(&mut world, what).await;
    }
}

#[tokio::test]
async fn the_job_of_a_run_that_status_lost_is_recorded_when_it_is_deleted() {
    let mut world = World::with_archive();
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    edit(&world, |status| *status = Value::Null);
    world.until_quiet().await;
    assert_eq!(world.reason(), "NameTaken");
    let message = world.status().conditions[0].message.clone();
    assert!(message.contains("Wait until the Job has ended"), "{message}");
    world.cluster.endless = false;
    world.until_quiet().await;
    world.with_objects(crate::by_hand::delete_jobs);
    world.until_quiet().await;
    assert_eq!((world.status().phase, applied(&world)), (Some(Phase::Applied), 1));
}

#[tokio::test]
async fn phase_and_conditions_are_written_again() {
    for change in &EDITS[7..9] {
        let mut world = World::with_archive();
        world.promote();
        world.until_quiet().await;
        let before = world.status();
        edit(&world, change.1);
        world.until_quiet().await;
        let after = world.status();
        assert_eq!(after.phase, before.phase, "{}", change.0);
        let reasons = |status: &dm_api::status::DataMigrationStatus| {
            status.conditions.iter().map(|c| c.reason.clone()).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&after), reasons(&before), "{}", change.0);
    }
}

#[tokio::test]
async fn a_tried_migration_is_not_applied() {
    for (what, change) in EDITS {
        let mut world = World::with_archive();
        world.until_quiet().await;
        edit(&world, change);
        world.until_quiet().await;
        assert_eq!(applied(&world), 0, "{what}");
        assert!(lock(&world.server).objects.names("jobs").len() <= 2, "{what}");
    }
}
