//! Restores whose deletion of an item meets the work of others: what they put into the item between
//! the restore's read and its deletion, which no condition excludes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dm_contract::plan::Plan;
use dm_contract::restored::Conflict;
use dm_engine::archive::locks::LockTimes;
use dm_engine::archive::{Archive, RunName};
use dm_engine::restore::{Restore, RestoreOptions, RestoreReport};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use object_store::memory::InMemory;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Bed, set};
use crate::bed::{self, database};
use crate::faults::{self, FaultyStore, Fuse};
use crate::shorthand::expand;

/// A proxy of the database with something that happens before a request of this operation is
/// passed on, if that one is the first.
async fn proxy(hooks: Vec<(&'static str, BoxFuture<'static, ()>)>) -> String {
    let target = database().url.trim_end_matches('/').to_owned();
    let client = faults::client();
    let hooks: Vec<_> = hooks.into_iter().map(|(name, hook)| (name, hook.shared())).collect();
    faults::http_server(move |request: Request<Incoming>| {
        let operation = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
        let operation = operation.unwrap_or_default();
        let mut hooks = hooks.iter().filter(|(name, _)| operation.ends_with(name));
        let hook = hooks.next().map(|(_, hook)| hook.clone());
        let (client, target) = (client.clone(), target.clone());
        async move {
            if let Some(hook) = hook {
                hook.await;
            }
            faults::forward(client, target, request).await
        }
    })
    .await
}

/// A run has created the item `x` with the attribute `a`; its archive outlives everything.
async fn created() -> (Bed, Arc<InMemory>, Plan) {
    let mut bed = Bed::new("hash", &[]).await;
    let store = Arc::new(InMemory::new());
    bed.archive = Archive::over(Arc::clone(&store) as Arc<_>);
    bed.migrate(&[("PutItem", json!({"Item": {"id": "x", "a": 1}}))]).await;
    let mut plan = bed.plan.clone();
    plan.run.number = 2;
    (bed, store, plan)
}

/// Others set an attribute of the item.
fn others(bed: &Bed, attribute: &str) -> BoxFuture<'static, ()> {
    let body = bed.body(&set("x", attribute, &json!(2)));
    async move { _ = database().ok("UpdateItem", &body).await }.boxed()
}

fn restore(plan: &Plan, archive: Archive) -> Restore {
    let lock_times = LockTimes { patience: Duration::from_millis(50), ..LockTimes::default() };
    let options = RestoreOptions { lock_times, ..bed::restore_options(archive) };
    Restore::open(plan, options).unwrap()
}

async fn check(bed: &Bed, report: &RestoreReport, left: Value) {
    let conflicts: Vec<&Conflict> = report.listed.iter().map(|listed| &listed.conflict).collect();
    assert_eq!((report.counts.unchanged, conflicts), (1, vec![&Conflict::ItemChanged]));
    assert_eq!(bed.items().await, [expand(&json!({"Item": left}))["Item"].take()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_others_update_between_its_deletion_and_its_return_has_all_attributes() {
    let (bed, _, mut plan) = created().await;
    let hooks = vec![("DeleteItem", others(&bed, "b")), ("PutItem", others(&bed, "c"))];
    plan.upstream.endpoint = Some(proxy(hooks).await);
    let report = restore(&plan, bed.archive.clone()).run().await.unwrap();
    check(&bed, &report, json!({"id": "x", "a": 1, "b": 2, "c": 2})).await;
}

/// Where a restore dies that has deleted the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    /// The entry of the write that returns the item is not durable.
    BeforeTheEntry,
    /// It is, and the write is not carried out.
    BeforeTheWrite,
}

/// A restore as run 2 that deletes the item with an attribute that others have just added, and
/// dies before it has returned it.
async fn killed(bed: &Bed, store: &Arc<InMemory>, plan: &Plan, dies: Dies) {
    let fuse = Fuse::new(None);
    let faulty = FaultyStore::new(Arc::clone(store), Arc::clone(&fuse), Duration::ZERO);
    let run = RunName::new(&plan.archive.as_ref().unwrap().migration, 2).unwrap();
    let (reached, deleted) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let put = {
        let reached = Arc::clone(&reached);
        async move {
            reached.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let delete = {
        let (adding, deleted) = (others(bed, "b"), Arc::clone(&deleted));
        async move {
            adding.await;
            deleted.store(true, Ordering::SeqCst);
        }
    };
    let mut plan = plan.clone();
    let hooks = vec![("DeleteItem", delete.boxed()), ("PutItem", put.boxed())];
    plan.upstream.endpoint = Some(proxy(hooks).await);
    if dies == Dies::BeforeTheEntry {
        // The deletion's entry and the corrected one are in the segments before.
        faulty.hold(run.segment(3).rsplit('/').next().unwrap());
    }
    let corrected = async {
        while !bed.archive.exists(&run.segment(2)).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if dies == Dies::BeforeTheWrite {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let dying = restore(&plan, Archive::over(Arc::new(faulty)));
    tokio::select! {
        ended = dying.run() => panic!("{ended:?}"),
        () = reached.notified() => assert_eq!(dies, Dies::BeforeTheWrite),
        () = corrected => {}
    }
    fuse.die();
    assert!(deleted.load(Ordering::SeqCst));
    assert_eq!(bed.items().await, Vec::<Value>::new(), "deleted and not returned");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_a_killed_restore_deleted_with_the_work_of_others_is_returned_by_the_next() {
    // The same run again, as a second pod; and another run, as a second command.
    for (dies, number) in [(Dies::BeforeTheEntry, 2), (Dies::BeforeTheWrite, 3)] {
        let (bed, store, mut plan) = created().await;
        killed(&bed, &store, &plan, dies).await;
        plan.run.number = number;
        let report = restore(&plan, bed.archive.clone()).run().await.unwrap();
        check(&bed, &report, json!({"id": "x", "a": 1, "b": 2})).await;
        // It has come to its end: what others delete from now on stays deleted.
        bed.others("DeleteItem", json!({"Key": {"id": "x"}})).await;
        plan.run.number = 4;
        let report = restore(&plan, bed.archive.clone()).run().await.unwrap();
        assert_eq!((report.counts.unchanged, report.conflicts), (1, 0), "{dies:?}");
        assert_eq!(bed.items().await, Vec::<Value>::new(), "{dies:?}");
    }
}

/// The one loss that no condition and no journal prevents: what others add between the read and the
/// deletion is only in the answer, and that one is lost with the process or with the connection.
#[tokio::test(flavor = "multi_thread")]
async fn an_addition_that_only_a_lost_answer_had_is_reported() {
    for is_killed in [true, false] {
        let (bed, store, mut plan) = created().await;
        let fuse = Fuse::new(None);
        let faulty = FaultyStore::new(Arc::clone(&store), Arc::clone(&fuse), Duration::ZERO);
        let run = RunName::new(&plan.archive.as_ref().unwrap().migration, 2).unwrap();
        let endpoint = plan.upstream.endpoint.clone();
        let count = Arc::new(AtomicUsize::new(0));
        plan.upstream.endpoint = Some(cut(others(&bed, "b"), Arc::clone(&count), is_killed).await);
        if is_killed {
            // The corrected entry is never durable.
            faulty.hold(run.segment(2).rsplit('/').next().unwrap());
            let dying = restore(&plan, Archive::over(Arc::new(faulty)));
            let deleted = async {
                while count.load(Ordering::SeqCst) == 0 || !bed.items().await.is_empty() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            tokio::select! {
                ended = dying.run() => panic!("{ended:?}"),
                () = deleted => fuse.die(),
            }
            plan.upstream.endpoint = endpoint;
        }
        let report = restore(&plan, bed.archive.clone()).run().await.unwrap();
        assert_eq!(
            (report.conflicts, report.counts.unconfirmed),
            (0, 1),
            "{is_killed}: {report:?}"
        );
        assert_eq!(bed.items().await, Vec::<Value>::new());
        // It has come to its end, so a further restore does not report it again.
        plan.run.number = 3;
        let again = restore(&plan, bed.archive.clone()).run().await.unwrap();
        assert_eq!((again.conflicts, again.counts.unconfirmed), (0, 0), "{is_killed}");
    }
}

/// A proxy that does something before the first deletion, and cuts the connection before its
/// answer unless that one is to be answered.
async fn cut(before: BoxFuture<'static, ()>, count: Arc<AtomicUsize>, is_answered: bool) -> String {
    let target = database().url.trim_end_matches('/').to_owned();
    let (client, before) = (faults::client(), before.shared());
    faults::http_server(move |request: Request<Incoming>| {
        let operation = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
        let is_deletion = operation.is_some_and(|operation| operation.ends_with("DeleteItem"));
        let is_first = is_deletion && count.fetch_add(1, Ordering::SeqCst) == 0;
        let (client, target, before) = (client.clone(), target.clone(), before.clone());
        async move {
            if is_first {
                before.await;
            }
            let answer =
                faults::forward(client, target, request).await.map_err(io::Error::other)?;
            if is_first && !is_answered { Err(io::Error::other("cut")) } else { Ok(answer) }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_others_update_after_a_killed_restore_deleted_it_gets_what_it_lacks() {
    let (bed, store, plan) = created().await;
    killed(&bed, &store, &plan, Dies::BeforeTheEntry).await;
    others(&bed, "c").await;
    let report = restore(&plan, bed.archive.clone()).run().await.unwrap();
    check(&bed, &report, json!({"id": "x", "a": 1, "b": 2, "c": 2})).await;
}
