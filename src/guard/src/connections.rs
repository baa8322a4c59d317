//! Connections, bounded in number and for each source. Where there are as many as may be, the one
//! that has been idle for longest makes room for a new one: SDKs keep connections that they no
//! longer use, and open another when one was closed. One with a request in work is never closed.
//! One that sends nothing, or the head of a request byte by byte, is idle, and the latter is closed
//! after a while.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use crate::limits;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A request is in work. Other numbers say since when there is none.
const BUSY: u64 = 0;
/// It is being closed to make room.
const CLOSING: u64 = u64::MAX;

#[derive(Debug)]
pub struct Connections {
    permits: Arc<Semaphore>,
    per_source: usize,
    open: Mutex<HashMap<u64, Arc<State>>>,
    /// A clock that counts what happens: which was idle first.
    clock: AtomicU64,
}

#[derive(Debug)]
struct State {
    source: IpAddr,
    idle_since: AtomicU64,
    /// Part of a head has come since the connection became idle.
    head_begun: AtomicBool,
    /// It had at the last look.
    head_seen: AtomicBool,
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

/// The connection is being closed; its request was not begun.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("closed to make room for another connection")]
pub struct MakingRoom;

/// Why a connection has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Nobody serves any more.
    #[error("nobody serves any more")]
    Stopped,
    /// Its source has as many as it may have, all of them in use.
    #[error("its source has as many connections as it may have")]
    SourceFull,
}

impl Connections {
    /// This many at once, and this many of one source.
    pub fn new(most: usize, per_source: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(most));
        let clock = AtomicU64::new(BUSY + 1);
        Arc::new(Self { permits, per_source, open: Mutex::default(), clock })
    }

    /// A place for one more of this source: at once, or as soon as there is room.
    pub async fn place(self: &Arc<Self>, source: IpAddr) -> Result<Connection, NoPlace> {
        let source = source.to_canonical();
        self.make_room_for(source)?;
        let permit = loop {
            let free = Arc::clone(&self.permits).acquire_owned();
            if self.permits.available_permits() == 0 {
                self.close_idle();
            }
            // After that time all were busy; by now one may be idle.
            if let Ok(permit) = tokio::time::timeout(limits::CONNECTION_RECHECK, free).await {
                break permit.map_err(|_| NoPlace::Stopped)?;
            }
        };
        let number = self.tick();
        let state = Arc::new(State {
            source,
            idle_since: AtomicU64::new(number),
            head_begun: AtomicBool::new(false),
            head_seen: AtomicBool::new(false),
            closing: Notify::new(),
        });
        self.open.lock().insert(number, Arc::clone(&state));
        Ok(Connection { all: Arc::clone(self), number, state, _permit: permit })
    }

    /// A source that has its share gives up the one that has been idle for longest.
    fn make_room_for(&self, source: IpAddr) -> Result<(), NoPlace> {
        if self.per_source == usize::MAX {
            return Ok(());
        }
        let of_source = |state: &State| state.source == source;
        let closing = |state: &State| state.idle_since.load(Ordering::Acquire) == CLOSING;
        let open = self.open.lock();
        let has = open.values().filter(|state| of_source(state) && !closing(state)).count();
        if has < self.per_source || close_first(&open, of_source) {
            return Ok(());
        }
        Err(NoPlace::SourceFull)
    }

    /// Closes the connection that has been idle for longest, if one is idle.
    pub fn close_idle(&self) {
        close_first(&self.open.lock(), |_| true);
    }

    /// Closes, for ever, those that have not sent the whole head of a request in time.
    pub async fn close_slow_heads(self: Arc<Self>) {
        let mut looks = tokio::time::interval(limits::CLIENT_HEAD_MAX / 2);
        loop {
            looks.tick().await;
            for state in self.open.lock().values() {
                let begun = state.head_begun.load(Ordering::Acquire);
                let seen = state.head_seen.swap(begun, Ordering::AcqRel);
                if begun && seen {
                    state.close();
                }
            }
        }
    }

    /// Whether there is one at all.
    pub fn are_open(&self) -> bool {
        !self.open.lock().is_empty()
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

/// Closes the one of these that has been idle for longest, if one is idle.
fn close_first(open: &HashMap<u64, Arc<State>>, which: impl Fn(&State) -> bool) -> bool {
    let idle = open.values().filter(|state| which(state)).filter_map(|state| {
        let since = state.idle_since.load(Ordering::Acquire);
        (since != BUSY && since != CLOSING).then_some((since, state))
    });
    idle.min_by_key(|(since, _)| *since).is_some_and(|(_, state)| state.close())
}

impl State {
    /// Closes it if it is idle.
    fn close(&self) -> bool {
        let since = self.idle_since.load(Ordering::Acquire);
        let closes = since != BUSY && since != CLOSING && self.change(since, CLOSING);
        if closes {
            self.closing.notify_one();
        }
        closes
    }

    fn change(&self, from: u64, to: u64) -> bool {
        self.idle_since.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Connection {
    /// A request has come. `false` if the connection is being closed: then nothing may be done for
    /// it, and the client sends it again over another, as nothing was.
    pub fn begin(&self) -> bool {
        let since = self.state.idle_since.load(Ordering::Acquire);
        self.state.head_seen.store(false, Ordering::Release);
        self.state.head_begun.store(false, Ordering::Release);
        since != CLOSING && self.state.change(since, BUSY)
    }

    /// The stream, on which it is noticed that a head has begun.
    pub fn watch(&self, stream: TcpStream) -> Watched {
        Watched { stream, state: Arc::clone(&self.state) }
    }

    pub fn end(&self) {
        self.state.idle_since.store(self.all.tick(), Ordering::Release);
    }

    /// Waits until it has to make room.
    pub async fn closing(&self) {
        self.state.closing.notified().await;
    }
}

#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    state: Arc<State>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before && self.state.idle_since.load(Ordering::Acquire) != BUSY {
            self.state.head_begun.store(true, Ordering::Release);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.open.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn closes(connection: &Connection) -> bool {
        tokio::time::timeout(Duration::from_millis(1), connection.closing()).await.is_ok()
    }

    #[tokio::test]
    async fn the_one_that_was_idle_for_longest_makes_room() {
        let all = Connections::new(3, usize::MAX);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(all.place(HERE).await.unwrap());
        }
        assert!(places[0].begin());
        assert!(places[1].begin());
        places[1].end();
        let fourth = tokio::spawn({
            let all = Arc::clone(&all);
            async move { all.place(HERE).await }
        });
        tokio::task::yield_now().await;
        assert!(closes(&places[2]).await, "idle since it came");
        assert!(!places[2].begin(), "a request that comes now is not begun");
        assert!(!closes(&places[0]).await && !closes(&places[1]).await);
        drop(places.pop());
        assert!(fourth.await.unwrap().is_ok());
        assert_eq!(
            all.open.lock().len(),
            2,
            "two that are kept; the fourth was dropped by its task"
        );
    }

    #[tokio::test]
    async fn busy_ones_are_waited_for() {
        let all = Connections::new(1, usize::MAX);
        let first = all.place(HERE).await.unwrap();
        assert!(first.begin());
        let second = tokio::spawn({
            let all = Arc::clone(&all);
            async move { all.place(HERE).await }
        });
        tokio::time::sleep(limits::CONNECTION_RECHECK * 3).await;
        assert!(!second.is_finished());
        first.end();
        tokio::time::sleep(limits::CONNECTION_RECHECK * 2).await;
        assert!(closes(&first).await);
        drop(first);
        assert!(second.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_source_has_its_share_and_no_more() {
        let all = Connections::new(8, 2);
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let kept = all.place(other).await.unwrap();
        let first = all.place(one).await.unwrap();
        let second = all.place(one).await.unwrap();
        let third = all.place(one).await.unwrap();
        assert!(closes(&first).await && !closes(&kept).await && !closes(&second).await);
        assert!(second.begin() && third.begin());
        // The same address as a mapped one of IPv6.
        let mapped = IpAddr::from(std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert_eq!(all.place(mapped).await.unwrap_err(), NoPlace::SourceFull);
        second.end();
        assert!(all.place(mapped).await.is_ok());
        assert!(all.place(other).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_given_up_and_silence_is_not() {
        let all = Connections::new(3, usize::MAX);
        tokio::spawn(Arc::clone(&all).close_slow_heads());
        let [slow, silent, used] = [all.place(HERE), all.place(HERE), all.place(HERE)];
        let (slow, silent, used) =
            (slow.await.unwrap(), silent.await.unwrap(), used.await.unwrap());
        slow.state.head_begun.store(true, Ordering::Release);
        used.state.head_begun.store(true, Ordering::Release);
        assert!(used.begin());
        used.end();
        tokio::time::sleep(limits::CLIENT_HEAD_MAX * 2).await;
        assert!(closes(&slow).await && !closes(&silent).await && !closes(&used).await);
    }
}
