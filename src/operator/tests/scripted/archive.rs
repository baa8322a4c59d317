//! Runs on a target with an archive: a result that is in its ledger is adopted, an end that the
//! guard could not note is noted by a Job, and nothing that writes starts while the archive does
//! not answer. Each with a death of the controller at every write.

use dm_api::condition::Reason;
use dm_api::status::{Phase, RunResult};
use dm_contract::verdict::RunOutcome;
use serde_json::json;

use crate::api_server::finalizers;
use crate::cluster::ShutDown;
use crate::connection::{Fault, lock};
use crate::invariants::{applied, check_released, end_of};
use crate::ledger::Entry;
use crate::world::{NAME, World, migration};

/// What is done in a world.
type Story = fn(&mut World) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>>;

async fn told(story: Story, prepare: fn(&mut World), fault: Option<(usize, Fault)>) -> World {
    let mut world = World::with_archive();
    prepare(&mut world);
    lock(&world.server).fault = fault;
    story(&mut world).await;
    world
}

/// Tells a story with a death at each write; all end as without one.
async fn at_every_write(story: Story, prepare: fn(&mut World), programs: usize) -> World {
    let world = told(story, prepare, None).await;
    let expected = end_of(&world);
    let writes = lock(&world.server).write_count();
    assert!(writes > 3, "only {writes} writes");
    // A long story, with a death at some of its writes.
    for write in (1..=writes).step_by(1 + writes / 40) {
        for fault in [Fault::Lost, Fault::AnswerLost] {
            let what = format!("write {write} {fault:?}");
            let world = told(story, prepare, Some((write, fault))).await;
            assert_eq!(applied(&world), programs, "{what}: {:#?}", world.cluster.starts);
            assert_eq!(end_of(&world), expected, "{what}");
            check_released(&world, &what);
        }
    }
    world
}

fn entry(uid: &str, completed: Option<RunOutcome>) -> Entry {
    Entry { uid: uid.into(), completed }
}

fn nothing(_: &mut World) {}

fn promote(world: &mut World) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async {
        world.promote();
        world.until_quiet().await;
    })
}

fn phase(world: &World) -> Phase {
    world.status().phase.unwrap()
}

#[tokio::test]
async fn a_guard_that_ends_well_notes_the_end_itself() {
    let world = at_every_write(promote, nothing, 1).await;
    assert_eq!(phase(&world), Phase::Applied);
    assert_eq!(world.cluster.ledger.entries[&1].completed, Some(RunOutcome::Succeeded));
    assert_eq!(world.status().runs[0].archived, Some(true));
    assert!(!lock(&world.server).objects.names("jobs").iter().any(|job| job.ends_with("-record")));
}

#[tokio::test]
async fn an_end_that_the_guard_could_not_note_is_noted_by_a_job() {
    let world = at_every_write(promote, |world| world.cluster.mute = true, 1).await;
    assert_eq!(phase(&world), Phase::Applied);
    assert_eq!(world.cluster.ledger.entries[&1].completed, Some(RunOutcome::Succeeded));
    assert_eq!(world.status().runs[0].archived, Some(true));
    let server = lock(&world.server);
    let job = server.objects.get("jobs", "0001-add-price-1-apply").unwrap();
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 604_800, "it may go now");
}

#[tokio::test]
async fn a_program_that_fails_is_failed_in_the_ledger_too() {
    let prepare = |world: &mut World| (world.cluster.mute, world.cluster.exit_code) = (true, 3);
    let world = at_every_write(promote, prepare, 1).await;
    assert_eq!(phase(&world), Phase::Failed);
    assert_eq!(world.cluster.ledger.entries[&1].completed, Some(RunOutcome::Failed));
}

/// The Job is deleted in the second in which its program ended well.
#[tokio::test]
async fn a_run_whose_job_is_deleted_as_it_ends_is_applied_as_the_ledger_says() {
    let mut world = World::with_archive();
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    let pod = lock(&world.server).objects.names("pods").remove(0);
    world.cluster.end_program(&mut lock(&world.server).objects, &pod);
    world.with_objects(|objects| {
        crate::by_hand::delete_jobs(objects);
        crate::by_hand::delete_pods(objects);
    });
    world.until_quiet().await;
    assert_eq!(world.cluster.ledger.entries[&1].completed, Some(RunOutcome::Succeeded));
    assert_eq!((phase(&world), world.status().last_run), (Phase::Applied, 1));
    check_released(&world, "deleted as it ended");
}

/// The object is deleted with everything of it, and created again.
fn recreate(world: &mut World) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async {
        world.promote();
        world.until_quiet().await;
        world.with_objects(|objects| objects.delete("datamigrations", NAME));
        world.until_quiet().await;
        assert!(world.migration().is_none());
        world.with_objects(|objects| {
            let mut again = migration();
            again["spec"]["dryRun"] = json!(false);
            objects.insert("datamigrations", again);
        });
        world.until_quiet().await;
    })
}

#[tokio::test]
async fn a_created_again_object_adopts_the_result_and_runs_nothing() {
    let world = at_every_write(recreate, nothing, 1).await;
    let status = world.status();
    assert_eq!(phase(&world), Phase::Applied);
    let run = &status.runs[0];
    assert_eq!((run.result, run.reason), (RunResult::Succeeded, Some(Reason::Adopted)));
    assert_eq!(status.applied.unwrap().adopted_from.as_deref(), Some("team.0001-add-price/1"));
    assert_eq!(world.cluster.ledger.entries.len(), 1, "nothing was begun");
}

/// An earlier object's run was begun, and the cluster was lost.
fn lost(world: &mut World) {
    world.cluster.ledger.entries.insert(1, entry("uid-gone", None));
}

#[tokio::test]
async fn a_run_begun_by_an_object_that_is_gone_needs_a_person() {
    let world = at_every_write(promote, lost, 0).await;
    assert_eq!(world.reason(), "OutcomeUnknown");
    let status = world.status();
    assert!(status.conditions.iter().any(|condition| condition.type_ == "Stalled"));
    let advice = status.failure.unwrap().what_now;
    assert!(advice.contains("spec.retry to 1") && advice.contains("Restored"), "{advice}");
}

/// A person looks at the data and decides to run the program all the same.
fn overrule(world: &mut World) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async {
        world.promote();
        world.until_quiet().await;
        world.edit(|spec| spec["retry"] = json!(1));
        world.until_quiet().await;
    })
}

#[tokio::test]
async fn who_raises_retry_after_that_has_it_run_once() {
    let world = at_every_write(overrule, lost, 1).await;
    assert_eq!(phase(&world), Phase::Applied);
    assert_eq!(world.status().applied.unwrap().run, 2);
}

#[tokio::test]
async fn numbers_that_failed_runs_have_taken_are_passed_over() {
    let taken = |world: &mut World| {
        for run in 1..=3 {
            let failed = entry("uid-gone", Some(RunOutcome::Failed));
            world.cluster.ledger.entries.insert(run, failed);
        }
    };
    let world = at_every_write(promote, taken, 1).await;
    assert_eq!((phase(&world), world.status().last_run), (Phase::Applied, 4));
    assert_eq!(world.status().failure, None);
}

/// Nothing starts while the archive does not answer, however long; then the program does, once.
fn outage(world: &mut World) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async {
        world.promote();
        world.until_quiet().await;
        for _ in 0..2 {
            assert_eq!(world.reason(), "ArchiveUnavailable");
            assert_eq!(phase(world), Phase::Waiting);
            assert!(world.cluster.starts.is_empty());
            assert_eq!(world.status().runs.len(), 1, "tries take one place in the history");
            world.with_objects(|objects| objects.pass_seconds(150));
            world.until_quiet().await;
        }
        world.cluster.ledger.unreachable = false;
        world.with_objects(|objects| objects.pass_seconds(150));
        world.until_quiet().await;
    })
}

#[tokio::test]
async fn an_archive_that_does_not_answer_is_waited_for() {
    let world = at_every_write(outage, |world| world.cluster.ledger.unreachable = true, 1).await;
    assert_eq!(phase(&world), Phase::Applied);
}

#[tokio::test]
async fn a_job_stays_until_the_archive_has_its_runs_end() {
    let mut world = World::with_archive();
    world.cluster.mute = true;
    world.promote();
    while !world.cluster.starts.iter().any(|_| true) {
        world.reconcile_until_quiet().await;
        world.make_first_move();
    }
    world.cluster.ledger.unreachable = true;
    world.until_quiet().await;
    let status = world.status();
    assert_eq!((phase(&world), status.runs[0].archived), (Phase::Applied, Some(false)));
    let lags = status.conditions.iter().find(|c| c.type_ == "NotArchived").unwrap();
    assert_eq!(lags.reason, "ArchiveUnavailable", "{}", lags.message);
    let held = |world: &World| {
        let server = lock(&world.server);
        !finalizers(server.objects.get("jobs", "0001-add-price-1-apply").unwrap()).is_empty()
    };
    assert!(held(&world));
    // The Job that could not tell it goes after its time, and another tries.
    world.cluster.ledger.unreachable = false;
    world.with_objects(|objects| objects.force_remove("jobs", "0001-add-price-1-record"));
    world.until_quiet().await;
    assert_eq!(world.status().runs[0].archived, Some(true));
    assert!(!held(&world));
    assert_eq!(applied(&world), 1);
}

#[tokio::test]
async fn a_deleted_migration_goes_although_the_archive_does_not_answer() {
    let mut world = World::with_archive();
    (world.cluster.mute, world.cluster.endless) = (true, true);
    world.promote();
    world.until_quiet().await;
    world.cluster.ledger.unreachable = true;
    world.with_objects(|objects| objects.delete("datamigrations", NAME));
    world.until_quiet().await;
    assert!(world.migration().is_some(), "first the archive is to be told");
    world.with_objects(|objects| objects.pass_seconds(200));
    world.until_quiet().await;
    assert!(world.migration().is_none());
    check_released(&world, "deleted");
}

#[tokio::test]
async fn a_node_that_shuts_down_leaves_an_interrupted_run_wherever_it_is_known() {
    for how in [ShutDown::BehindEntry, ShutDown::OwnEntrypoint] {
        let mut world = World::with_archive();
        world.cluster.shut_down = Some(how);
        world.promote();
        world.until_quiet().await;
        let status = world.status();
        assert_eq!(status.phase, Some(Phase::Failed), "{how:?}: {status:#?}");
        assert_eq!(status.runs[0].reason, Some(Reason::Evicted), "{how:?}");
        let message = status.failure.unwrap().message;
        assert!(message.contains("imminent node shutdown"), "{how:?}: {message}");
        let noted = world.cluster.ledger.entries[&1].completed;
        assert_eq!(noted, Some(RunOutcome::Failed), "{how:?}: nobody adopts it");
        assert_eq!((applied(&world), world.cluster.completed), (1, 0), "{how:?}");
    }
}

#[tokio::test]
async fn an_apply_whose_program_sent_no_request_has_failed_in_status_and_ledger() {
    for mute in [false, true] {
        let mut world = World::with_archive();
        (world.cluster.silent, world.cluster.mute) = (true, mute);
        world.promote();
        world.until_quiet().await;
        let status = world.status();
        assert_eq!(status.phase, Some(Phase::Failed), "{status:#?}");
        assert_eq!(status.runs[0].reason, Some(Reason::NoRequestsSeen));
        let completed = |world: &World, run| world.cluster.ledger.entries[&run].completed;
        assert_eq!(completed(&world, 1), Some(RunOutcome::Failed), "nobody adopts it");
        // It may have written elsewhere, so nothing but `retry` runs it again.
        world.edit(|spec| spec["expectNoRequests"] = json!(true));
        world.until_quiet().await;
        assert_eq!((phase(&world), applied(&world)), (Phase::Failed, 1));
        world.edit(|spec| spec["retry"] = json!(1));
        world.until_quiet().await;
        assert_eq!((phase(&world), applied(&world)), (Phase::Applied, 2));
        assert_eq!(completed(&world, 2), Some(RunOutcome::Succeeded));
    }
}
