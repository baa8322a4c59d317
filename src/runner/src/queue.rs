//! Changes on their way from the scanners to the writers, in lanes: one for each segment that is
//! scanned. A segment is a range of the hash, so what one lane meets is the capacity of its
//! partition, and a lane whose turn has not come lets the others pass.
//!
//! A scan that is ahead of its writes waits for room in its lane, so memory does not grow with the
//! table.

mod state;

use std::sync::{Arc, Weak};

use dm_engine::{Reach, Throttle};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::limits::{LANE_BYTES_MAX, LANE_ITEMS_MAX, LANE_PAGES_FIRST, LANE_WRITERS_SHARE};
use crate::queue::state::{Next, State};
use crate::rate::Rate;

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// What an item counts at least in its lane.
    item_bytes_min: usize,
    /// Something that the receiver waits for may have come.
    changed: Notify,
}

#[derive(Debug)]
pub(crate) struct Lanes<T> {
    shared: Arc<Shared<T>>,
    open: Arc<Open<T>>,
}

/// What is known of all lanes, without keeping them open.
#[derive(Debug)]
pub(crate) struct Gauge<T> {
    shared: Arc<Shared<T>>,
    open: Weak<Open<T>>,
}

/// The end of one scanner.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
    lane: u64,
    room: Arc<Semaphore>,
    pages: Mutex<Rate>,
    _open: Arc<Open<T>>,
}

/// The end of the writers.
#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

/// Something that was queued.
#[derive(Debug)]
pub(crate) struct Queued<T> {
    pub what: T,
    pub flight: Flight<T>,
}

/// The place of something queued among what is sent. It has its room in the lane until it is
/// dropped, so also while it is being written.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    shared: Arc<Shared<T>>,
    lane: u64,
    units: f64,
    room: Option<OwnedSemaphorePermit>,
    has_landed: bool,
}

/// What is queued, and what it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub bytes: usize,
    /// Write units.
    pub units: f64,
    /// A digest of its partition key, where other items may have the same.
    pub partition: Option<u64>,
}

/// The queue is closed: there are no writers any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// While one exists, something may still be queued.
#[derive(Debug)]
struct Open<T>(Arc<Shared<T>>);

/// Returns both ends of an empty queue, of which this many are written at a time.
pub(crate) fn queue<T>(writers: usize) -> (Lanes<T>, Receiver<T>) {
    let state = Mutex::new(State::new(writers, Instant::now()));
    let item_bytes_min = LANE_BYTES_MAX / LANE_ITEMS_MAX.max(writers / LANE_WRITERS_SHARE);
    let shared = Arc::new(Shared { state, item_bytes_min, changed: Notify::new() });
    let open = Arc::new(Open(Arc::clone(&shared)));
    (Lanes { shared: Arc::clone(&shared), open }, Receiver(shared))
}

impl<T> Shared<T> {
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let done = change(&mut self.state.lock());
        self.changed.notify_one();
        done
    }
}

impl<T> Lanes<T> {
    pub fn open(&self) -> Sender<T> {
        let now = Instant::now();
        let room = Arc::new(Semaphore::new(LANE_BYTES_MAX));
        Sender {
            lane: self.shared.state.lock().open(Arc::clone(&room), now),
            shared: Arc::clone(&self.shared),
            room,
            pages: Mutex::new(Rate::rising(LANE_PAGES_FIRST, now)),
            _open: Arc::clone(&self.open),
        }
    }

    /// What is known of all lanes.
    pub fn gauge(&self) -> Gauge<T> {
        Gauge { shared: Arc::clone(&self.shared), open: Arc::downgrade(&self.open) }
    }
}

impl<T> Gauge<T> {
    /// Opens lanes, where some still do.
    pub fn lanes(&self) -> Option<Lanes<T>> {
        let open = self.open.upgrade()?;
        Some(Lanes { shared: Arc::clone(&self.shared), open })
    }

    /// Units a second that throttles limit the run to, if they limit all lanes.
    pub fn limited(&self) -> Option<u32> {
        let limit = self.shared.state.lock().limited(Instant::now());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        limit.map(|limit| limit.ceil() as u32)
    }

    /// Whether throttles hold all lanes while most writers have nothing to do: a further lane would
    /// be of use.
    pub fn is_held(&self) -> bool {
        self.shared.state.lock().is_held(Instant::now())
    }
}

impl<T> Sender<T> {
    /// Waits until there is room in the lane, and queues. A larger item than the whole lane waits
    /// until it is alone.
    pub async fn send(&self, what: T, cost: Cost) -> Result<(), Closed> {
        let bytes = cost.bytes.clamp(self.shared.item_bytes_min, LANE_BYTES_MAX);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| Closed)?;
        let (shared, lane, units) = (Arc::clone(&self.shared), self.lane, cost.units);
        let flight = Flight { shared, lane, units, room: Some(room), has_landed: false };
        // The returned value is dropped after the lock is released.
        let pushed = self.shared.state.lock().push(lane, cost, Queued { what, flight });
        if pushed.map_err(|_| Closed)? {
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    /// Waits until the next page may be read.
    pub async fn page_turn(&self) {
        loop {
            let now = Instant::now();
            let ready = self.pages.lock().ready_at(now);
            if ready <= now {
                return self.pages.lock().sent(1.0);
            }
            sleep_until(ready).await;
        }
    }

    /// A page was read.
    pub fn page_read(&self) {
        self.pages.lock().carried_out(1.0);
    }

    /// The request for a page was throttled.
    pub fn page_throttled(&self, throttle: Throttle) {
        self.pages.lock().throttled(throttle.sent_at, Instant::now(), 0.0);
    }
}

impl<T> Receiver<T> {
    /// Returns what is next to be written, as soon as it may be; none once all lanes are closed
    /// and empty. Who holds a [`Flight`] is one of a bounded number.
    pub async fn next(&mut self) -> Option<Queued<T>> {
        loop {
            let next = self.0.state.lock().next(Instant::now());
            match next {
                Next::Send(queued) => return Some(*queued),
                Next::At(time) => tokio::select! {
                    () = sleep_until(time) => {}
                    () = self.0.changed.notified() => {}
                },
                Next::Changed => self.0.changed.notified().await,
                Next::End => return None,
            }
        }
    }

    /// Takes more of what may be written now, until there are this many.
    pub fn fill(&mut self, some: &mut Vec<Queued<T>>, most: usize) {
        let mut state = self.0.state.lock();
        let now = Instant::now();
        while some.len() < most
            && let Next::Send(queued) = state.next(now)
        {
            some.push(*queued);
        }
    }

    /// Changes how many are written at a time.
    pub fn limit(&mut self, writers: usize) {
        self.0.state.lock().writers = writers;
    }
}

impl<T> Flight<T> {
    /// Ends it, and returns what is to be written instead, if something is. So who has written one
    /// writes the next one, and nobody has to be woken.
    pub fn land(mut self) -> Option<Queued<T>> {
        self.has_landed = true;
        self.room = None;
        let mut state = self.shared.state.lock();
        state.landed(self.lane, self.units);
        if let Next::Send(queued) = state.next(Instant::now()) {
            return Some(*queued);
        }
        drop(state);
        self.shared.changed.notify_one();
        None
    }

    /// Waits for another turn after a throttle; false once there is none. Others are written while
    /// it waits.
    pub async fn again(&self, throttle: Throttle) -> bool {
        let (turn, comes) = oneshot::channel();
        self.shared.change(|state| {
            match throttle.reach {
                Reach::KeyRange => state.throttled(self.lane, throttle.sent_at, Instant::now()),
                Reach::Table => state.table.throttled(throttle.sent_at, Instant::now(), 0.0),
            }
            state.wait(self.lane, self.units, turn);
        });
        let _waiting = Waiting(&self.shared);
        comes.await.is_ok()
    }
}

/// Who waits for another turn is not in flight.
struct Waiting<'a, T>(&'a Shared<T>);

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.0.change(State::resume);
    }
}

impl<T> Clone for Lanes<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), open: Arc::clone(&self.open) }
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        if !self.has_landed {
            self.shared.change(|state| state.landed(self.lane, self.units));
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.change(|state| state.close(self.lane));
    }
}

impl<T> Drop for Open<T> {
    fn drop(&mut self) {
        self.0.change(|state| state.is_over = true);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What is left has no writer any more, and gives back its room after the lock is free.
        let left = self.0.state.lock().abandon();
        drop(left);
    }
}

#[cfg(test)]
mod tests;
