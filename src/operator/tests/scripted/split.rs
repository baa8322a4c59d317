//! A transform that is split among the pods of an Indexed Job.

use dm_api::condition::Reason;
use dm_api::status::{Phase, RunResult};
use dm_contract::verdict::RunOutcome;
use serde_json::{Value, json};

use crate::cluster::{Move, Start};
use crate::connection::lock;
use crate::invariants::{check, check_released, tried};
use crate::world::World;

fn world() -> World {
    let world = World::with_archive();
    world.edit(|spec| {
        spec["script"] = Value::Null;
        spec["transform"] = json!({"table": "cars", "set": {"price": "round_to(weight, 50)"}});
        spec["parallelism"] = json!(4);
    });
    world
}

/// The parts of run 2 that were started, in order.
fn parts(world: &World) -> Vec<u32> {
    let of_run = world.cluster.starts.iter().filter(|start| start.run == 2);
    let mut parts: Vec<u32> = of_run.map(|start| start.part.unwrap()).collect();
    parts.sort_unstable();
    parts
}

fn updated(world: &World) -> u64 {
    let status = world.status();
    status.applied.unwrap().effects.unwrap().tables[0].updated
}

/// Tried, promoted, and its four programs running.
async fn running() -> World {
    let mut world = world();
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::DryRunOk));
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    assert_eq!(parts(&world), [0, 1, 2, 3]);
    world
}

fn pod_of(world: &World, index: &str) -> String {
    let server = lock(&world.server);
    let annotation = |pod: &&Value| {
        let metadata = &pod["metadata"];
        metadata["annotations"][dm_operator::read::indexes::INDEX] == index
            && metadata["labels"][dm_api::RUN_LABEL] == "2"
            && metadata["deletionTimestamp"].is_null()
    };
    crate::cluster::name(server.objects.all("pods").into_iter().rfind(annotation).unwrap())
}

#[tokio::test]
async fn each_part_runs_once_and_their_results_are_one() {
    let mut world = running().await;
    let status = world.status();
    assert_eq!(status.runs[0].parallelism, Some(4));
    let message = &status.conditions[0].message;
    assert!(message.contains("0 of 4 pods have ended. The guards of parts 0 to 3"), "{message}");
    world.cluster.endless = false;
    // One of them ends before the others.
    let ended = world.make_first_move();
    assert!(matches!(ended, Some(Move::EndProgram(_))), "{ended:?}");
    world.reconcile_until_quiet().await;
    let message = world.status().conditions[0].message.clone();
    assert!(message.contains("; 1 of 4 pods have ended"), "{message}");
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied));
    assert_eq!((parts(&world), updated(&world)), (vec![0, 1, 2, 3], 8));
    assert_eq!((tried(&world), world.cluster.writing.1), (4, 4));
    let status = world.status();
    assert_eq!(status.dry_run.unwrap().effects.unwrap().tables[0].would_update, 8);
    assert_eq!(status.runs[0].archived, Some(true), "the last guard has recorded it");
    check_split(&world);
}

/// As `check`, for a run that four programs carry out.
fn check_split(world: &World) {
    for (index, start) in world.cluster.starts.iter().enumerate() {
        let same = |other: &&Start| (other.run, other.part) == (start.run, start.part);
        let again = world.cluster.starts[index + 1..].iter().find(same);
        assert_eq!(again, None, "part {:?} of run {} was started twice", start.part, start.run);
    }
    check_released(world, "split");
}

#[tokio::test]
async fn a_part_that_fails_ends_the_run_and_the_others_are_stopped() {
    let mut world = running().await;
    (world.cluster.failing, world.cluster.exit_code) = (Some(2), 1);
    let pod = pod_of(&world, "2");
    world.cluster.end_program(&mut lock(&world.server).objects, &pod);
    lock(&world.server).remember();
    world.until_quiet().await;
    let status = world.status();
    let failure = status.failure.clone().unwrap();
    assert_eq!((status.phase, failure.reason), (Some(Phase::Failed), Reason::TransformFailed));
    assert!(failure.message.starts_with(&format!("Part 2 (pod {pod}): ")), "{}", failure.message);
    assert_eq!(status.runs[0].archived, Some(true), "a Job has recorded the failure");
    assert_eq!(parts(&world), [0, 1, 2, 3], "nothing was started again");
    check_released(&world, "failed");

    world.cluster.endless = false;
    world.cluster.failing = None;
    world.cluster.exit_code = 0;
    world.edit(|spec| spec["retry"] = json!(1));
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied));
}

/// Deletes the pod of a part, and has the kubelet end it.
fn lose(world: &mut World, index: &str) {
    let pod = pod_of(world, index);
    world.with_objects(|objects| objects.delete("pods", &pod));
    world.cluster.end_program(&mut lock(&world.server).objects, &pod);
    lock(&world.server).remember();
}

#[tokio::test]
async fn a_pod_that_the_archive_does_not_answer_is_replaced_and_the_others_run_on() {
    let mut world = running().await;
    lose(&mut world, "1");
    world.cluster.ledger.unreachable = true;
    while parts_asked(&world, "1") < 2 {
        world.reconcile_until_quiet().await;
        assert!(world.make_first_move().is_some(), "a pod takes its place");
    }
    world.reconcile_until_quiet().await;
    let message = world.status().conditions[0].message.clone();
    assert!(message.contains("part 1: the archive does not answer"), "{message}");
    world.cluster.ledger.unreachable = false;
    world.until_quiet().await;
    assert_eq!(world.status().runs[0].result, RunResult::Running);
    assert_eq!(parts(&world), [0, 1, 1, 2, 3], "one pod was refused");
    world.cluster.endless = false;
    world.until_quiet().await;
    assert_eq!((world.status().phase, updated(&world)), (Some(Phase::Applied), 10));
    check_released(&world, "refused once");
}

/// How many pods of a part of run 2 have ended.
fn parts_asked(world: &World, index: &str) -> usize {
    let server = lock(&world.server);
    let over = |pod: &&&Value| {
        let metadata = &pod["metadata"];
        metadata["annotations"][dm_operator::read::indexes::INDEX] == index
            && metadata["labels"][dm_api::RUN_LABEL] == "2"
            && pod["status"]["phase"] == "Failed"
    };
    server.objects.all("pods").iter().filter(over).count()
}

#[tokio::test]
async fn a_run_that_is_complete_in_the_ledger_is_applied_although_a_pod_was_lost() {
    let mut world = running().await;
    lose(&mut world, "1");
    // Its guard had noted its end before its node was lost.
    world.cluster.ledger.parts.entry(2).or_default().insert(1);
    for index in ["0", "2", "3"] {
        let pod = pod_of(&world, index);
        world.cluster.end_program(&mut lock(&world.server).objects, &pod);
        lock(&world.server).remember();
    }
    world.until_quiet().await;
    let status = world.status();
    assert_eq!((status.phase, status.last_run), (Some(Phase::Applied), 2));
    assert_eq!(status.applied.as_ref().unwrap().adopted_from, None);
    assert_eq!((parts(&world), status.runs[0].archived), (vec![0, 1, 2, 3], Some(true)));
    check_released(&world, "complete in the ledger");
}

#[tokio::test]
async fn a_run_whose_job_is_deleted_as_it_ends_is_what_the_ledger_says() {
    let mut world = running().await;
    for index in ["0", "1", "2", "3"] {
        let pod = pod_of(&world, index);
        world.cluster.end_program(&mut lock(&world.server).objects, &pod);
    }
    // In the same second, as far as the kubelet's times tell.
    world.with_objects(|objects| {
        crate::by_hand::delete_jobs(objects);
        crate::by_hand::delete_pods(objects);
    });
    world.until_quiet().await;
    let status = world.status();
    assert_eq!(world.cluster.ledger.entries[&2].completed, Some(RunOutcome::Succeeded));
    assert_eq!((status.phase, status.last_run), (Some(Phase::Applied), 2), "{status:#?}");
    assert_eq!((updated(&world), status.runs[0].archived), (8, Some(true)));
    check_split(&world);
}

#[tokio::test]
async fn a_success_that_no_pod_shows_is_adopted_by_retry() {
    let mut world = running().await;
    for index in ["0", "1", "2", "3"] {
        let pod = pod_of(&world, index);
        world.cluster.end_program(&mut lock(&world.server).objects, &pod);
        if index == "1" {
            // The kubelet has lost what the guard of this part said.
            world.with_objects(|objects| {
                let lose = |pod: &mut Value| pod["status"]["initContainerStatuses"] = Value::Null;
                objects.change("pods", &pod, lose);
            });
        }
    }
    world.with_objects(|objects| {
        crate::by_hand::delete_jobs(objects);
        crate::by_hand::delete_pods(objects);
    });
    world.until_quiet().await;
    let failed = world.status();
    assert_eq!(failed.phase, Some(Phase::Failed));
    let reasons = |world: &World| -> Vec<String> {
        world.status().conditions.iter().map(|condition| condition.reason.clone()).collect()
    };
    assert!(reasons(&world).contains(&"LedgerContradicts".to_owned()), "{failed:#?}");
    world.cluster.endless = false;
    world.edit(|spec| spec["retry"] = json!(1));
    world.until_quiet().await;
    let status = world.status();
    assert_eq!(status.phase, Some(Phase::Applied), "{status:#?}");
    assert_eq!(status.applied.unwrap().adopted_from.as_deref(), Some("team.0001-add-price/2"));
    assert_eq!(parts(&world), [0, 1, 2, 3], "no program ran again");
    assert_eq!(reasons(&world), ["Applied"]);
    check_released(&world, "adopted");
}

#[tokio::test]
async fn a_pod_that_was_replaced_makes_no_reconcile_read_its_run_from_the_api_server() {
    let mut world = running().await;
    lose(&mut world, "1");
    world.until_quiet().await;
    assert_eq!(parts(&world), [0, 1, 1, 2, 3]);
    let before = lock(&world.server).calls.len();
    world.reconcile().await.unwrap();
    let read = |plural: &str| {
        let server = lock(&world.server);
        let calls = server.calls[before..].iter();
        calls.filter(|call| call.plural == plural && call.method == "GET").count()
    };
    assert_eq!((read("pods"), read("jobs")), (0, 0));
}

#[tokio::test]
async fn a_pod_that_is_deleted_is_replaced_and_both_count() {
    let mut world = running().await;
    let pod = pod_of(&world, "1");
    world.with_objects(|objects| objects.delete("pods", &pod));
    world.until_quiet().await;
    assert_eq!(parts(&world), [0, 1, 1, 2, 3]);
    let message = world.status().conditions[0].message.clone();
    assert!(message.contains("0 of 4 pods have ended, 1 pod was replaced"), "{message}");
    assert_eq!(world.status().runs[0].result, RunResult::Running);
    world.cluster.endless = false;
    world.until_quiet().await;
    assert_eq!(world.status().phase, Some(Phase::Applied));
    assert_eq!(updated(&world), 10, "what the first pod had written counts");
    check_released(&world, "replaced");
}

#[tokio::test]
async fn items_that_fail_in_one_part_do_not_stop_the_others() {
    let mut world = world();
    world.edit(|spec| spec["onItemError"] = json!("Continue"));
    world.until_quiet().await;
    (world.cluster.failing, world.cluster.exit_code) = (Some(0), 3);
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    let pod = pod_of(&world, "0");
    world.cluster.end_program(&mut lock(&world.server).objects, &pod);
    lock(&world.server).remember();
    world.until_quiet().await;
    let message = world.status().conditions[0].message.clone();
    let expected = "1 of 4 pods have ended. Part 0 (PartiallyFailed) has failed, so the run fails";
    assert!(message.contains(expected), "{message}");
    world.cluster.endless = false;
    world.until_quiet().await;
    let failure = world.status().failure.unwrap();
    assert_eq!(failure.reason, Reason::PartiallyFailed);
    assert!(failure.message.starts_with("The transform could not change 1 item"), "{failure:?}");
    assert_eq!((parts(&world), updated(&world)), (vec![0, 1, 2, 3], 8));
    check_split(&world);
}

#[tokio::test]
async fn a_pod_of_a_transform_that_is_not_split_is_replaced_too() {
    let mut world = World::with_archive();
    world.edit(|spec| {
        spec["script"] = Value::Null;
        spec["transform"] = json!({"table": "cars", "remove": ["price"]});
    });
    world.until_quiet().await;
    world.cluster.endless = true;
    world.promote();
    world.until_quiet().await;
    let running = world.cluster.starts.len();
    let pod = {
        let server = lock(&world.server);
        let pods = server.objects.all("pods");
        let of_apply = |pod: &&&Value| pod["metadata"]["labels"][dm_api::RUN_LABEL] == "2";
        crate::cluster::name(pods.iter().find(of_apply).unwrap())
    };
    world.with_objects(|objects| objects.delete("pods", &pod));
    world.until_quiet().await;
    assert_eq!(world.cluster.starts.len(), running + 1);
    world.cluster.endless = false;
    world.until_quiet().await;
    assert_eq!((world.status().phase, world.status().last_run), (Some(Phase::Applied), 2));
    check_released(&world, "replaced");
}

#[tokio::test]
async fn only_a_transform_is_split() {
    let mut world = World::new();
    world.edit(|spec| spec["parallelism"] = json!(2));
    world.until_quiet().await;
    let condition = world.status().conditions.into_iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!(condition.reason, "InvalidSpec");
    assert!(condition.message.starts_with("spec.parallelism: only a transform"));
    check(&world, "nothing has run");
}
