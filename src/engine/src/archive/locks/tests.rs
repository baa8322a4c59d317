//! Two owners and one table, over a store in memory, on tokio's own clock.

mod parts;

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;

use super::clock::tests::suspend;
use super::record::lock_path;
use super::*;
use tokio::time::Instant;

fn times() -> LockTimes {
    LockTimes::default()
}

fn archive() -> Archive {
    Archive::over(Arc::new(InMemory::new()))
}

fn owner(holder: &str) -> Owner {
    Owner {
        run: format!("{holder}/1"),
        namespace: "team".into(),
        name: holder.into(),
        uid: holder.into(),
        holder: holder.into(),
    }
}

fn locks(archive: &Archive, holder: &str) -> TableLocks {
    TableLocks::new(archive.clone(), owner(holder), times())
}

/// The second one has created the next number.
async fn taken_over(archive: &Archive, table: &str, fence: u32) {
    let Owner { run, namespace, name, uid, holder } = owner("second");
    let (version, since) = (LOCK_VERSION, ledger::now());
    let parts = None;
    let record = LockRecord { version, run, namespace, name, uid, holder, since, beat: 1, parts };
    archive.create(&lock_path(table, fence), json(&record)).await.unwrap();
}

async fn fence(archive: &Archive) -> (u32, String) {
    match standing_of(archive, "cars").await.unwrap() {
        Standing::Held { fence, record, .. } => (fence, record.holder),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_living_owner_keeps_its_lock_and_the_other_hears_who_and_since_when() {
    let archive = archive();
    let (first, second) = (locks(&archive, "first"), locks(&archive, "second"));
    first.hold("cars").await.unwrap();
    tokio::time::sleep(times().lease * 5).await;
    first.hold("cars").await.unwrap();
    assert!(first.until().unwrap().unwrap() > Moment::now());

    let begun = Instant::now();
    let Err(Fault::Refused { message, .. }) = second.hold("cars").await else { panic!("it wrote") };
    assert!(message.contains("locked by run first/1 of team/first since 2"), "{message}");
    assert!(begun.elapsed() < times().lease, "{:?}", begun.elapsed());
    let (waiting, problem) = (second.holder(), second.problem());
    assert_eq!(waiting.unwrap().by, "first/1");
    assert!(problem.unwrap().contains("first/1"));
    second.hold("other").await.unwrap();
    assert_eq!(fence(&archive).await, (1, "first".into()));

    first.release().await;
    second.hold("cars").await.unwrap();
    assert_eq!(second.holder(), None);
    assert_eq!(fence(&archive).await, (2, "second".into()));
}

#[tokio::test(start_paused = true)]
async fn a_dead_owners_lock_is_taken_over_after_the_lease_and_not_before() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    drop(first);
    let second = locks(&archive, "second");
    let begun = Instant::now();
    second.hold("cars").await.unwrap();
    assert!(begun.elapsed() >= times().lease, "{:?}", begun.elapsed());
    assert_eq!(fence(&archive).await, (2, "second".into()));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_read_whether_the_owner_moved_waits_a_lease_more() {
    let store = crate::archive::store::late::Late::new();
    let archive = Archive::over(Arc::new(store.clone()));
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    drop(first);
    store.fail_read(&lock_path("cars", 1), &lock_path("cars", 2));
    let begun = Instant::now();
    locks(&archive, "second").hold("cars").await.unwrap();
    assert!(begun.elapsed() >= times().lease * 2, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dead_owner_of_several_locks_is_waited_for_once() {
    let archive = archive();
    let names = ["migration", "cars", "bikes"].map(str::to_owned);
    let first = locks(&archive, "first");
    for name in &names {
        first.hold(name).await.unwrap();
    }
    drop(first);
    let second = locks(&archive, "second");
    let begun = Instant::now();
    second.hold_before(&names[0], &names[1..]).await.unwrap();
    assert!(begun.elapsed() >= times().lease, "{:?}", begun.elapsed());
    second.hold("cars").await.unwrap();
    second.hold("bikes").await.unwrap();
    assert!(begun.elapsed() < times().lease * 3 / 2, "{:?}", begun.elapsed());
    assert_eq!(fence(&archive).await, (2, "second".into()));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_watched_and_moved_is_not_taken_over() {
    let archive = archive();
    let (dead, alive) = (locks(&archive, "dead"), locks(&archive, "alive"));
    dead.hold("migration").await.unwrap();
    drop(dead);
    alive.hold("cars").await.unwrap();
    let second = locks(&archive, "second");
    second.hold_before("migration", &["cars".to_owned()]).await.unwrap();
    assert_eq!(fence(&archive).await, (1, "alive".into()), "watching takes nothing");
    let Err(Fault::Refused { message, .. }) = second.hold("cars").await else { panic!("taken") };
    assert!(message.contains("locked by run alive/1"), "{message}");
    alive.release().await;
    second.hold_before("cars", &["free".to_owned()]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_owner_writes_nothing_any_more() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    // It stands still, as a process does that is stopped.
    first.beating.lock().take().unwrap().abort();
    let second = locks(&archive, "second");
    second.hold("cars").await.unwrap();
    assert!(matches!(first.until(), Err(Fault::NotJournaled(_))), "its time is over");
    let Err(Fault::Refused { message, .. }) = first.hold("cars").await else { panic!("it wrote") };
    assert!(message.contains("rejects all further writes"), "{message}");
    assert!(matches!(first.until(), Err(Fault::Refused { .. })));
    assert!(first.problem().unwrap().contains("lost"));
    // Neither after the other has gone.
    second.release().await;
    assert!(first.hold("cars").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_heartbeat_ran_out_goes_on_if_nobody_came() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    first.beating.lock().take().unwrap().abort();
    tokio::time::sleep(times().lease * 2).await;
    assert!(matches!(first.until(), Err(Fault::NotJournaled(_))));
    first.hold("cars").await.unwrap();
    assert_eq!(fence(&archive).await, (2, "first".into()));
    assert!(first.until().is_ok());
    assert_eq!(first.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_guard_restarted_in_its_pod_goes_on_at_once() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    drop(first);
    let again = locks(&archive, "first");
    let begun = Instant::now();
    again.hold("cars").await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(fence(&archive).await, (1, "first".into()));
}

#[tokio::test(start_paused = true)]
async fn wall_clocks_decide_nothing() {
    for year in ["1970", "9999"] {
        let archive = archive();
        let Owner { run, namespace, name, uid, holder } = owner("first");
        let since = format!("{year}-01-01T00:00:00.000Z");
        let beat = 1;
        let mut record = LockRecord {
            version: LOCK_VERSION,
            run,
            namespace,
            name,
            uid,
            holder,
            since,
            beat,
            parts: None,
        };
        archive.replace(&lock_path("cars", 1), json(&record)).await.unwrap();
        let second = Arc::new(locks(&archive, "second"));
        let contender = tokio::spawn({
            let second = Arc::clone(&second);
            async move { second.hold("cars").await }
        });
        // Its clock jumps back and forth while it lives.
        for jump in 0..4 {
            tokio::time::sleep(times().lease / 2).await;
            record.beat += 1;
            record.since =
                format!("{}-01-01T00:00:00.000Z", if jump % 2 == 0 { 1971 } else { 9998 });
            archive.replace(&lock_path("cars", 1), json(&record)).await.unwrap();
        }
        assert!(contender.await.unwrap().is_err(), "taken from a living owner");
        let begun = Instant::now();
        second.hold("cars").await.unwrap();
        assert!(begun.elapsed() >= times().lease / 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_takes_a_lock_away_on_record() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    let had = unlock(&archive, "cars", "ada", "its node is gone").await.unwrap().unwrap();
    assert_eq!(had.by, "first/1");
    assert_eq!(unlock(&archive, "cars", "ada", "again").await.unwrap(), None);
    let second = locks(&archive, "second");
    second.hold("cars").await.unwrap();
    // The owner lived: it has noticed by then.
    assert!(first.until().is_err());
    let Err(Fault::Refused { message, .. }) = first.hold("cars").await else { panic!("it wrote") };
    assert!(message.contains("ada has released it: its node is gone"), "{message}");
    assert_eq!(fence(&archive).await, (2, "second".into()));
    let listed = all(&archive).await.unwrap();
    assert!(matches!(&listed[0].state, LockState::Held(holder, _) if holder.fence == 2));
}

#[tokio::test(start_paused = true)]
async fn before_a_run_only_living_owners_count() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    let tables = ["boats".to_owned(), "cars".to_owned()];
    let found = locked(&archive, &tables, "second", times()).await.unwrap();
    assert_eq!(found.unwrap().by, "first/1");
    assert_eq!(locked(&archive, &tables, "first", times()).await.unwrap(), None);
    drop(first);
    assert_eq!(locked(&archive, &tables, "second", times()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn many_quarrel_and_one_wins() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    drop(first);
    let contenders: Vec<TableLocks> =
        (0..8).map(|number| locks(&archive, &format!("c{number}"))).collect();
    let held = join_all(contenders.iter().map(|locks| locks.hold("cars"))).await;
    assert_eq!(held.iter().filter(|held| held.is_ok()).count(), 1);
    assert_eq!(fence(&archive).await.0, 2);
}

#[tokio::test(start_paused = true)]
async fn old_numbers_go_and_the_last_ones_stay() {
    let archive = archive();
    for number in 0..6 {
        let locks = locks(&archive, &format!("o{number}"));
        locks.hold("cars").await.unwrap();
        locks.release().await;
    }
    let old = prune(&archive, 2).await.unwrap();
    assert_eq!(old.len(), 8);
    for object in &old {
        archive.delete(&object.path).await.unwrap();
    }
    let next = locks(&archive, "next");
    next.hold("cars").await.unwrap();
    assert_eq!(fence(&archive).await.0, 7);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_machine_was_suspended_looks_at_its_lock_before_it_writes() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    // Timers stand still in the meantime, the heartbeat's too.
    suspend(times().lease * 2);
    assert!(matches!(first.until(), Err(Fault::NotJournaled(_))), "it holds for fresh what is old");
    // Another run has waited for a lease in the meantime.
    taken_over(&archive, "cars", 2).await;
    assert_eq!(fence(&archive).await, (2, "second".into()));
    assert!(first.hold("cars").await.is_err(), "it wrote on another's table");
}

#[tokio::test(start_paused = true)]
async fn a_write_under_way_is_given_up_when_its_lock_ran_out_in_the_night() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    let until = first.until().unwrap().unwrap();
    suspend(times().lease);
    let begun = Instant::now();
    until.comes().await;
    assert!(begun.elapsed() <= limits::LOCK_RECHECK, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_old_listing_hides_no_owner() {
    let store = crate::archive::store::late::Late::new();
    let archive = Archive::listing_late(Arc::new(store.clone()));
    for number in 0..3 {
        let locks = locks(&archive, &format!("o{number}"));
        locks.hold("cars").await.unwrap();
        locks.release().await;
    }
    store.freeze().await;
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    assert_eq!(fence(&archive).await, (4, "first".into()));
    let second = locks(&archive, "second");
    assert!(second.hold("cars").await.is_err(), "two at once");
    drop(first);
    second.hold("cars").await.unwrap();
    assert_eq!(fence(&archive).await, (5, "second".into()));
    second.release().await;
    // Neither where all that is listed was deleted since.
    for _ in 0..3 {
        let locks = locks(&archive, "more");
        locks.hold("cars").await.unwrap();
        locks.release().await;
    }
    store.let_list();
    let old = prune(&archive, 2).await.unwrap();
    note_pruned(&archive, &old).await.unwrap();
    for object in &old {
        archive.delete(&object.path).await.unwrap();
    }
    store.freeze_empty();
    let next = locks(&archive, "next");
    next.hold("cars").await.unwrap();
    assert_eq!(fence(&archive).await, (9, "next".into()));
}

#[tokio::test(start_paused = true)]
async fn after_a_suspension_all_locks_are_taken_anew_and_not_only_that_of_the_next_write() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("migration").await.unwrap();
    first.hold("cars").await.unwrap();
    suspend(times().lease * 2);
    assert!(first.until().is_err(), "nobody knows who came in between");
    first.hold("cars").await.unwrap();
    tokio::time::sleep(times().lease / 2).await;
    assert!(first.until().unwrap().unwrap() > Moment::now());
    assert_eq!(fence(&archive).await, (2, "first".into()));
    // Somebody who did come in between keeps it.
    suspend(times().lease * 2);
    taken_over(&archive, "migration", 3).await;
    tokio::time::sleep(times().lease / 2).await;
    assert!(matches!(first.until(), Err(Fault::Refused { .. })), "it is lost for good");
}

#[tokio::test(start_paused = true)]
async fn a_number_whose_answer_was_lost_is_the_owners_own() {
    let archive = archive();
    let first = locks(&archive, "first");
    first.hold("cars").await.unwrap();
    suspend(times().lease * 2);
    // The renewal was carried out, and nobody heard of it.
    let Standing::Held { mut record, .. } = standing_of(&archive, "cars").await.unwrap() else {
        panic!()
    };
    record.beat = 1;
    archive.create(&lock_path("cars", 2), json(&record)).await.unwrap();
    first.hold("cars").await.unwrap();
    assert!(first.until().unwrap().unwrap() > Moment::now());
    assert_eq!(fence(&archive).await, (2, "first".into()));
}

#[tokio::test(start_paused = true)]
async fn a_lock_under_which_a_write_is_being_sent_is_not_given_back() {
    let archive = archive();
    let (first, second) = (locks(&archive, "first"), locks(&archive, "second"));
    first.hold("cars").await.unwrap();
    let sending = first.sending();
    assert!(first.until().is_ok());
    let begun = Instant::now();
    tokio::join!(first.release(), first.ended());
    assert!(first.until().is_err(), "nothing more is sent");
    drop(sending);
    second.hold("cars").await.unwrap();
    assert!(begun.elapsed() >= times().lease, "it ran out: {:?}", begun.elapsed());
}
