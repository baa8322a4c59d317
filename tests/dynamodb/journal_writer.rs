//! Several segments of a journal put at once: acknowledged in their order, and a put that was cut
//! off told from a segment that was lost. Needs no database.

use std::sync::Arc;
use std::time::Duration;

use dm_dynamodb::journal::{After, Sequence};
use dm_dynamodb::value::Item;
use dm_engine::archive::{Archive, RunName};
use dm_engine::journal::{Draft, JournalReader, ReadError, Settlement, Writer};
use object_store::memory::InMemory;
use tokio::task::JoinHandle;

use crate::faults::{FaultyStore, Fuse};

fn run() -> RunName {
    RunName::new("m", 1).unwrap()
}

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(InMemory::new()), Fuse::new(None), Duration::ZERO)
}

fn archive(store: &FaultyStore) -> Archive {
    Archive::over(Arc::new(store.clone()))
}

async fn writer(store: &FaultyStore) -> Writer {
    Writer::open(archive(store), run()).await.unwrap()
}

fn draft(id: i64) -> Draft {
    let key = Item::from([("id".to_owned(), id.into())]);
    let after = After::of(None, Some(&key));
    Draft { table: "t".into(), key, before: None, after, unverified: false, transaction: None }
}

/// Begins an entry and waits until its segment is on its way.
async fn begin(writer: &Writer, id: i64) -> JoinHandle<Option<Sequence>> {
    let writer = writer.clone();
    let appending = tokio::spawn(async move { writer.append(draft(id)).await.ok() });
    // Longer than the time in which entries are gathered while a put is under way.
    tokio::time::sleep(Duration::from_millis(30)).await;
    appending
}

fn segment(number: u32) -> String {
    format!("{number:08}.ndjson.zst")
}

async fn read(store: &FaultyStore) -> Result<(u64, u64), ReadError> {
    let summary = JournalReader::open(&archive(store), &run()).await?.verify().await?;
    Ok((summary.segments, summary.entries))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_acknowledged_when_all_before_it_are_durable() {
    let store = store();
    store.hold(&segment(1));
    let writer = writer(&store).await;
    let first = begin(&writer, 1).await;
    let second = begin(&writer, 2).await;
    let listed = archive(&store).list(&run().journal()).await.unwrap();
    assert_eq!(listed.len(), 1, "the second segment was put while the first was under way");
    assert!(!first.is_finished() && !second.is_finished());
    store.let_go(&segment(1));
    assert_eq!(first.await.unwrap(), Some(Sequence::new(1, 0)));
    assert_eq!(second.await.unwrap(), Some(Sequence::new(2, 0)));
    assert!(writer.close().await);
    assert_eq!(read(&store).await.unwrap(), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_was_cut_off_is_no_damage_and_a_segment_that_was_lost_is() {
    let store = store();
    store.hold(&segment(2));
    let first_writer = writer(&store).await;
    begin(&first_writer, 1).await.await.unwrap();
    let cut_off = begin(&first_writer, 2).await;
    let after_it = begin(&first_writer, 3).await;
    // The guard ends here. What it was told is durable is there, and more that nobody was told of.
    assert_eq!(read(&store).await.unwrap(), (3, 2));
    assert!(!cut_off.is_finished() && !after_it.is_finished());

    // The next guard takes the place of the put that was cut off: it can come no more.
    let next = FaultyStore::new(Arc::clone(&store.inner), Fuse::new(None), Duration::ZERO);
    let second_writer = writer(&next).await;
    store.let_go(&segment(2));
    assert_eq!(cut_off.await.unwrap(), None);
    assert_eq!(after_it.await.unwrap(), None);
    assert!(first_writer.append(draft(4)).await.is_err());
    let next = begin(&second_writer, 5).await;
    assert_eq!(next.await.unwrap(), Some(Sequence::new(4, 0)));
    assert_eq!(read(&store).await.unwrap(), (4, 3));

    for lost in [1, 3] {
        let (archive, path) = (archive(&store), run().segment(lost));
        let content = archive.get(&path).await.unwrap().unwrap();
        archive.delete(&path).await.unwrap();
        let found = read(&store).await;
        assert!(matches!(found, Err(ReadError::Missing { segment, .. }) if segment == lost));
        assert!(Writer::open(archive.clone(), run()).await.is_err(), "it is not written on");
        archive.replace(&path, content.slice(..content.len() - 1)).await.unwrap();
        let found = read(&store).await;
        assert!(matches!(found, Err(ReadError::Torn { segment, .. }) if segment == lost));
        archive.replace(&path, content).await.unwrap();
    }
    assert_eq!(read(&store).await.unwrap(), (4, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_overtaken_by_few_others() {
    let store = store();
    store.hold(&segment(1));
    let writer = writer(&store).await;
    let mut waiting = Vec::new();
    for id in 0..20 {
        waiting.push(begin(&writer, id).await);
    }
    let listed = archive(&store).list(&run().journal()).await.unwrap();
    assert_eq!(listed.len(), dm_engine::limits::JOURNAL_PUTS_AT_ONCE - 1);
    store.let_go(&segment(1));
    for waiting in waiting {
        assert!(waiting.await.unwrap().is_some());
    }
    assert_eq!(read(&store).await.unwrap().1, 20);
}

// One thread that has always something to do: a timer ends late, or is made again before it ends.
#[tokio::test(flavor = "current_thread")]
async fn a_segment_is_put_while_messages_keep_coming() {
    let store = store();
    let writer = writer(&store).await;
    let first = writer.append(draft(1)).await.unwrap();
    let second = tokio::spawn({
        let writer = writer.clone();
        async move { writer.append(draft(2)).await }
    });
    for _ in 0..200 {
        writer.settle(first, Settlement::Written);
        tokio::task::yield_now().await;
    }
    assert!(second.is_finished(), "it waits until no more come");
    assert_eq!(second.await.unwrap().unwrap(), Sequence::new(2, 0));
}
