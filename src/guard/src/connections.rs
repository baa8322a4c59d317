//! The program's connections, bounded in number. Where there are as many as may be, the one that has
//! been idle for longest makes room for a new one: SDKs keep connections that they no longer use, and
//! open another when one was closed. One with a request in work is never closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dm_core::limits;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A request is in work. Other numbers say since when there is none.
const BUSY: u64 = 0;
/// It is being closed to make room.
const CLOSING: u64 = u64::MAX;

/// All connections.
#[derive(Debug)]
pub struct Connections {
    permits: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<State>>>,
    /// A clock that counts what happens: which was idle first.
    clock: AtomicU64,
}

#[derive(Debug)]
struct State {
    idle_since: AtomicU64,
    closing: Notify,
}

/// One connection's place among them; free again when it is dropped.
#[derive(Debug)]
pub struct Connection {
    all: Arc<Connections>,
    number: u64,
    state: Arc<State>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// So many at once.
    pub fn new(most: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(most));
        Arc::new(Self { permits, open: Mutex::default(), clock: AtomicU64::new(BUSY + 1) })
    }

    /// A place for one more: at once, or as soon as there is room. `None` when nobody serves any more.
    pub async fn place(self: &Arc<Self>) -> Option<Connection> {
        let permit = loop {
            let free = Arc::clone(&self.permits).acquire_owned();
            if self.permits.available_permits() == 0 {
                self.close_idle();
            }
            // After that time all were busy; by now one may be idle.
            if let Ok(permit) = tokio::time::timeout(limits::CONNECTION_RECHECK, free).await {
                break permit.ok()?;
            }
        };
        let number = self.tick();
        let idle_since = AtomicU64::new(number);
        let state = Arc::new(State { idle_since, closing: Notify::new() });
        self.open().insert(number, Arc::clone(&state));
        Some(Connection { all: Arc::clone(self), number, state, _permit: permit })
    }

    /// Closes the connection that has been idle for longest, if one is idle.
    pub fn close_idle(&self) {
        let open = self.open();
        let idle = open.values().filter_map(|state| {
            let since = state.idle_since.load(Ordering::Acquire);
            (since != BUSY && since != CLOSING).then_some((since, state))
        });
        if let Some((since, state)) = idle.min_by_key(|(since, _)| *since)
            && state.change(since, CLOSING)
        {
            state.closing.notify_one();
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<State>>> {
        // A map is whole after every statement, so a poisoned lock still holds a good one.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn change(&self, from: u64, to: u64) -> bool {
        self.idle_since.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Connection {
    /// A request has come. `false` if the connection is being closed: then nothing may be done for it,
    /// and the client sends it again over another, as nothing was.
    pub fn begin(&self) -> bool {
        let since = self.state.idle_since.load(Ordering::Acquire);
        since != CLOSING && self.state.change(since, BUSY)
    }

    /// It was answered.
    pub fn end(&self) {
        self.state.idle_since.store(self.all.tick(), Ordering::Release);
    }

    /// Waits until it has to make room.
    pub async fn closing(&self) {
        self.state.closing.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.open().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn closes(connection: &Connection) -> bool {
        tokio::time::timeout(Duration::from_millis(1), connection.closing()).await.is_ok()
    }

    #[tokio::test]
    async fn the_one_that_was_idle_for_longest_makes_room() {
        let all = Connections::new(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(all.place().await.unwrap());
        }
        assert!(places[0].begin());
        assert!(places[1].begin());
        places[1].end();
        let fourth = tokio::spawn({
            let all = Arc::clone(&all);
            async move { all.place().await }
        });
        tokio::task::yield_now().await;
        assert!(closes(&places[2]).await, "idle since it came");
        assert!(!places[2].begin(), "a request that comes now is not begun");
        assert!(!closes(&places[0]).await && !closes(&places[1]).await);
        drop(places.pop());
        assert!(fourth.await.unwrap().is_some());
        assert_eq!(all.open().len(), 2, "two that are kept; the fourth was dropped by its task");
    }

    #[tokio::test]
    async fn busy_ones_are_waited_for() {
        let all = Connections::new(1);
        let first = all.place().await.unwrap();
        assert!(first.begin());
        let second = tokio::spawn({
            let all = Arc::clone(&all);
            async move { all.place().await }
        });
        tokio::time::sleep(limits::CONNECTION_RECHECK * 3).await;
        assert!(!second.is_finished());
        first.end();
        tokio::time::sleep(limits::CONNECTION_RECHECK * 2).await;
        assert!(closes(&first).await);
        drop(first);
        assert!(second.await.unwrap().is_some());
    }
}
