//! Several parts of one run on one table, and others that want it.

use super::*;
use crate::archive::locks::record::part_lock;

const OF: u32 = 3;

/// The locks of a part of run `first/1`, by this guard.
fn part_by(archive: &Archive, index: u32, holder: &str) -> TableLocks {
    let owner = Owner { holder: holder.into(), ..owner("first") };
    TableLocks::of_part(archive.clone(), owner, Some(Part { index, of: OF }), times())
}

fn part(archive: &Archive, index: u32) -> TableLocks {
    part_by(archive, index, &format!("pod-{index}"))
}

async fn parts_of(archive: &Archive) -> Vec<TableLocks> {
    let all: Vec<TableLocks> = (0..OF).map(|index| part(archive, index)).collect();
    for held in join_all(all.iter().map(|locks| locks.hold("cars"))).await {
        held.unwrap();
    }
    all
}

async fn numbers(archive: &Archive, index: u32) -> u32 {
    match standing_of(archive, &part_lock("cars", 1, Part { index, of: OF })).await.unwrap() {
        Standing::Held { fence, .. } => fence,
        other => panic!("{other:?}"),
    }
}

async fn release(archive: &Archive) {
    release_run(archive, "first/1", "first", &["cars".to_owned()]).await.unwrap();
}

fn writes(locks: &TableLocks) -> bool {
    locks.until().is_ok_and(|until| until.is_some_and(|until| until > Moment::now()))
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_run_share_its_number_and_keep_others_out() {
    let archive = archive();
    let all = parts_of(&archive).await;
    tokio::time::sleep(times().lease * 5).await;
    assert!(all.iter().all(writes));
    let listed = super::all(&archive).await.unwrap();
    assert_eq!(listed.len(), 1, "the locks of parts are none of tables: {listed:?}");
    assert!(matches!(&listed[0].state, LockState::Held(by, _) if by.by == "first/1"));
    let second = locks(&archive, "second");
    let Err(Fault::Refused { message, .. }) = second.hold("cars").await else { panic!("it wrote") };
    assert!(message.contains("locked by run first/1 of team/first"), "{message}");
    let found = locked(&archive, &["cars".to_owned()], "second", times()).await.unwrap();
    assert_eq!(found.unwrap().by, "first/1");
    assert_eq!(fence(&archive).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_which_one_part_lives_is_not_taken_over() {
    let archive = archive();
    let mut all = parts_of(&archive).await;
    let last = all.pop().unwrap();
    drop(all);
    let second = locks(&archive, "second");
    assert!(second.hold("cars").await.is_err(), "a part lives");
    assert!(writes(&last));
    drop(last);
    let begun = Instant::now();
    second.hold("cars").await.unwrap();
    assert!(begun.elapsed() >= times().lease / 2, "{:?}", begun.elapsed());
    assert_eq!(fence(&archive).await, (2, "second".into()));
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_free_when_all_parts_have_ended_and_the_run_gave_it_back() {
    let archive = archive();
    let all = parts_of(&archive).await;
    for locks in &all[1..] {
        locks.release().await;
    }
    release(&archive).await;
    assert!(
        matches!(standing_of(&archive, "cars").await.unwrap(), Standing::Held { .. }),
        "one part writes"
    );
    all[0].release().await;
    release(&archive).await;
    release(&archive).await;
    let (second, begun) = (locks(&archive, "second"), Instant::now());
    second.hold("cars").await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // What is another's is not given back.
    release(&archive).await;
    assert_eq!(fence(&archive).await, (2, "second".into()));
}

#[tokio::test(start_paused = true)]
async fn a_write_under_way_at_a_parts_end_keeps_the_runs_lock() {
    let archive = archive();
    let all = parts_of(&archive).await;
    let sending = all[0].sending();
    for locks in &all {
        locks.release().await;
    }
    drop(sending);
    release(&archive).await;
    let (second, begun) = (locks(&archive, "second"), Instant::now());
    second.hold("cars").await.unwrap();
    assert!(begun.elapsed() >= times().lease, "it ran out: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_replaced_pod_takes_over_its_part_after_the_lease_and_the_others_go_on() {
    let archive = archive();
    let mut all = parts_of(&archive).await;
    drop(all.remove(1));
    let (again, begun) = (part_by(&archive, 1, "pod-new"), Instant::now());
    again.hold("cars").await.unwrap();
    assert!(begun.elapsed() >= times().lease, "{:?}", begun.elapsed());
    assert!(writes(&again) && all.iter().all(writes));
    assert_eq!((numbers(&archive, 0).await, numbers(&archive, 1).await), (1, 2));
    assert_eq!(fence(&archive).await.0, 1, "the run has one number");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_thought_dead_writes_no_more_when_its_part_was_taken_over() {
    let archive = archive();
    let all = parts_of(&archive).await;
    all[1].beating.lock().take().unwrap().abort();
    let again = part_by(&archive, 1, "pod-new");
    again.hold("cars").await.unwrap();
    assert!(!writes(&all[1]), "two pods of one part write");
    assert!(matches!(all[1].hold("cars").await, Err(Fault::Refused { .. })));
    assert!(writes(&again) && writes(&all[0]));
}

#[tokio::test(start_paused = true)]
async fn a_guard_restarted_in_its_pod_goes_on_with_its_part_at_once() {
    let archive = archive();
    let mut all = parts_of(&archive).await;
    drop(all.remove(2));
    let (again, begun) = (part(&archive, 2), Instant::now());
    again.hold("cars").await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(numbers(&archive, 2).await, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_takeover_no_part_of_the_run_writes_and_none_begins() {
    let archive = archive();
    let all = parts_of(&archive).await;
    for locks in &all {
        locks.beating.lock().take().unwrap().abort();
    }
    let second = locks(&archive, "second");
    second.hold("cars").await.unwrap();
    assert!(!all.iter().any(writes));
    for locks in &all {
        assert!(matches!(locks.hold("cars").await, Err(Fault::Refused { .. })));
    }
    assert!(part_by(&archive, 0, "pod-new").hold("cars").await.is_err(), "a new pod begins");
    assert!(writes(&second));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_begins_while_its_run_is_taken_over_is_seen_or_sees_it() {
    for before in [Duration::ZERO, times().lease * 19 / 20] {
        let archive = archive();
        drop(part(&archive, 0).hold("cars").await);
        let second = Arc::new(locks(&archive, "second"));
        let contender = tokio::spawn({
            let second = Arc::clone(&second);
            async move { second.hold("cars").await }
        });
        // The contender has seen the lock of part 0 stand still for nearly a lease.
        tokio::time::sleep(before).await;
        let late = part(&archive, 2);
        let held = late.hold("cars").await;
        let taken = contender.await.unwrap();
        assert!(!(writes(&late) && writes(&second)), "{before:?}: {held:?} {taken:?}");
        assert!(held.is_ok(), "{before:?}: {held:?}");
        assert!(taken.is_err(), "the late part lives");
        assert_eq!(fence(&archive).await.0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn several_parts_take_over_a_dead_runs_lock_as_one_run() {
    let archive = archive();
    let dead = locks(&archive, "dead");
    dead.hold("cars").await.unwrap();
    drop(dead);
    let begun = Instant::now();
    let all = parts_of(&archive).await;
    assert!(begun.elapsed() >= times().lease && begun.elapsed() < times().lease * 3 / 2);
    assert!(all.iter().all(writes));
    assert_eq!(fence(&archive).await.0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_part_waits_for_a_sibling_that_died_while_it_took_over() {
    let archive = archive();
    let dead = locks(&archive, "dead");
    dead.hold("cars").await.unwrap();
    // The sibling created the run's number, and died before it knew that the other had stopped.
    let Owner { run, namespace, name, uid, holder } = owner("first");
    let (version, since, beat) = (LOCK_VERSION, ledger::now(), 0);
    let parts = Some(OF);
    let record = LockRecord { version, run, namespace, name, uid, holder, since, beat, parts };
    archive.create(&lock_path("cars", 2), json(&record)).await.unwrap();
    let begun = Instant::now();
    let late = part(&archive, 1);
    late.hold("cars").await.unwrap();
    assert!(begun.elapsed() >= times().lease, "the other may write: {:?}", begun.elapsed());
    assert!(!writes(&dead));
    let other = part(&archive, 2);
    let begun = Instant::now();
    other.hold("cars").await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "now it is known");
}

#[tokio::test(start_paused = true)]
async fn a_part_whose_machine_was_suspended_looks_at_both_locks_before_it_writes() {
    let archive = archive();
    let all = parts_of(&archive).await;
    suspend(times().lease * 2);
    assert!(!all.iter().any(writes), "it holds for fresh what is old");
    all[0].hold("cars").await.unwrap();
    assert!(writes(&all[0]));
    assert_eq!((fence(&archive).await.0, numbers(&archive, 0).await), (1, 2));
    suspend(times().lease * 2);
    taken_over(&archive, "cars", 2).await;
    for locks in &all {
        assert!(locks.hold("cars").await.is_err(), "it wrote on another's table");
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_takes_the_lock_from_all_parts() {
    let archive = archive();
    let all = parts_of(&archive).await;
    let had = unlock(&archive, "cars", "ada", "its nodes are gone").await.unwrap().unwrap();
    assert_eq!((had.by.as_str(), had.fence), ("first/1", 1));
    let second = locks(&archive, "second");
    second.hold("cars").await.unwrap();
    assert!(!all.iter().any(writes));
    assert!(all[1].problem().unwrap().contains("ada has released it"));
}

#[tokio::test(start_paused = true)]
async fn another_run_of_the_same_migration_does_not_join() {
    let archive = archive();
    let all = parts_of(&archive).await;
    let other = Owner { run: "first/2".into(), ..owner("first") };
    let other =
        TableLocks::of_part(archive.clone(), other, Some(Part { index: 0, of: OF }), times());
    assert!(other.hold("cars").await.is_err());
    assert!(all.iter().all(writes));
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_parts_go_with_those_of_their_run() {
    let archive = archive();
    for _ in 0..3 {
        let all = parts_of(&archive).await;
        for locks in &all {
            locks.release().await;
        }
        release(&archive).await;
    }
    let old = prune(&archive, 1).await.unwrap();
    // Of each of two numbers: the lock, its release, and those of three parts.
    assert_eq!(old.len(), 2 * (2 + 3 * 2), "{old:?}");
    note_pruned(&archive, &old).await.unwrap();
    for object in &old {
        archive.delete(&object.path).await.unwrap();
    }
    locks(&archive, "next").hold("cars").await.unwrap();
    assert_eq!(fence(&archive).await.0, 4);
}

#[tokio::test(start_paused = true)]
async fn an_old_listing_hides_no_part() {
    let store = crate::archive::store::late::Late::new();
    let archive = Archive::listing_late(Arc::new(store.clone()));
    store.freeze().await;
    let all = parts_of(&archive).await;
    assert_eq!(fence(&archive).await.0, 1);
    let second = locks(&archive, "second");
    assert!(second.hold("cars").await.is_err(), "two at once");
    drop(all);
    second.hold("cars").await.unwrap();
    assert_eq!(fence(&archive).await, (2, "second".into()));
}
