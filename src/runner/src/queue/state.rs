//! What is queued, lane by lane, and whose turn it is. Pure: it gets the time from its caller.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::limits::{LANE_KEY_ITEMS, LANE_RATE_FIRST, TABLE_RATE_FIRST};
use crate::queue::{Cost, Queued};
use crate::rate::Rate;

#[derive(Debug)]
pub(crate) struct State<T> {
    lanes: Vec<Lane<T>>,
    next_id: u64,
    /// The lane that is asked first.
    turn: usize,
    /// What all lanes together may send: limited once something throttles that is not a partition.
    pub table: Rate,
    in_flight: usize,
    /// How many may be.
    pub writers: usize,
    /// Whether no further lane can be opened.
    pub is_over: bool,
    is_abandoned: bool,
}

#[derive(Debug)]
struct Lane<T> {
    id: u64,
    room: Arc<Semaphore>,
    rate: Rate,
    jobs: VecDeque<(Cost, Queued<T>)>,
    /// Throttled requests that wait for another turn, which they have before others.
    waiting: VecDeque<(f64, oneshot::Sender<()>)>,
    /// What was sent and has not ended.
    sent: usize,
    is_closed: bool,
    /// The partition key of the last item, and how many had it, one after the other.
    partition: Option<u64>,
    of_partition: u32,
}

/// What is next to do.
#[derive(Debug)]
pub(crate) enum Next<T> {
    Send(Box<Queued<T>>),
    /// Nothing before this time, unless something changes.
    At(Instant),
    /// Nothing unless something changes.
    Changed,
    End,
}

impl<T> Lane<T> {
    fn has_work(&self) -> bool {
        !self.jobs.is_empty() || !self.waiting.is_empty()
    }

    fn is_done(&self) -> bool {
        self.is_closed && self.sent == 0 && !self.has_work()
    }

    /// Takes note of the partition key that is next. A key with this many items may have a
    /// partition to itself: what was learned there says nothing of the keys after it.
    fn meets(&mut self, partition: Option<u64>, fresh: impl FnOnce() -> Rate) {
        if partition.is_some() && partition == self.partition {
            self.of_partition = self.of_partition.saturating_add(1);
            return;
        }
        if self.of_partition >= LANE_KEY_ITEMS && self.rate.learned().is_some() {
            self.rate = fresh();
        }
        (self.partition, self.of_partition) = (partition, 1);
    }
}

impl<T> State<T> {
    pub fn new(writers: usize, now: Instant) -> Self {
        Self {
            lanes: Vec::new(),
            next_id: 0,
            turn: 0,
            table: Rate::rising(TABLE_RATE_FIRST, now),
            in_flight: 0,
            writers,
            is_over: false,
            is_abandoned: false,
        }
    }

    /// Opens a lane. It begins with what another one has learned.
    pub fn open(&mut self, room: Arc<Semaphore>, now: Instant) -> u64 {
        let first = self.fastest().unwrap_or(LANE_RATE_FIRST);
        if self.is_abandoned {
            room.close();
        }
        self.next_id += 1;
        self.lanes.push(Lane {
            id: self.next_id,
            room,
            rate: Rate::rising(first, now),
            jobs: VecDeque::new(),
            waiting: VecDeque::new(),
            sent: 0,
            is_closed: false,
            partition: None,
            of_partition: 0,
        });
        self.next_id
    }

    fn lane(&mut self, id: u64) -> Option<&mut Lane<T>> {
        self.lanes.iter_mut().find(|lane| lane.id == id)
    }

    /// The highest capacity that a lane has learned.
    fn fastest(&self) -> Option<f64> {
        self.lanes.iter().filter_map(|lane| lane.rate.learned()).reduce(f64::max)
    }

    fn remove_if_done(&mut self, id: u64) {
        self.lanes.retain(|lane| lane.id != id || !lane.is_done());
    }

    /// Queues, and returns whether a writer may have room for it; what has no writer any more comes
    /// back.
    pub fn push(&mut self, id: u64, cost: Cost, queued: Queued<T>) -> Result<bool, Queued<T>> {
        if self.is_abandoned {
            return Err(queued);
        }
        match self.lane(id) {
            Some(lane) => lane.jobs.push_back((cost, queued)),
            None => return Err(queued),
        }
        Ok(self.in_flight < self.writers)
    }

    /// No more is queued in the lane.
    pub fn close(&mut self, id: u64) {
        if let Some(lane) = self.lane(id) {
            lane.is_closed = true;
        }
        self.remove_if_done(id);
    }

    pub fn next(&mut self, now: Instant) -> Next<T> {
        if self.in_flight >= self.writers {
            return Next::Changed;
        }
        let mut earliest: Option<Instant> = None;
        let lanes = self.lanes.len();
        for at in (0..lanes).map(|more| (self.turn + more) % lanes) {
            let lane = &mut self.lanes[at];
            while lane.has_work() {
                let ready = lane.rate.ready_at(now).max(self.table.ready_at(now));
                if ready > now {
                    earliest = Some(earliest.map_or(ready, |before| before.min(ready)));
                    break;
                }
                if let Some((units, turn)) = lane.waiting.pop_front() {
                    if turn.send(()).is_ok() {
                        lane.rate.sent(units);
                        self.table.sent(units);
                    }
                    continue;
                }
                let Some((cost, queued)) = lane.jobs.pop_front() else { break };
                lane.meets(cost.partition, || Rate::rising(LANE_RATE_FIRST, now));
                lane.rate.sent(cost.units);
                self.table.sent(cost.units);
                lane.sent += 1;
                (self.turn, self.in_flight) = (at + 1, self.in_flight + 1);
                return Next::Send(Box::new(queued));
            }
        }
        match earliest {
            Some(time) => Next::At(time),
            None if self.is_over && lanes == 0 => Next::End,
            None => Next::Changed,
        }
    }

    /// A request of the lane was throttled by its partition.
    pub fn throttled(&mut self, id: u64, sent_at: Instant, now: Instant) {
        let fastest = self.fastest().unwrap_or_default();
        if let Some(lane) = self.lane(id) {
            lane.rate.throttled(sent_at, now, fastest);
        }
    }

    /// A throttled request waits for another turn.
    pub fn wait(&mut self, id: u64, units: f64, turn: oneshot::Sender<()>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        // Without writers nobody gives one.
        if let Some(lane) = self.lane(id) {
            lane.waiting.push_back((units, turn));
        }
    }

    /// It no longer waits.
    pub fn resume(&mut self) {
        self.in_flight += 1;
    }

    /// What was sent has ended.
    pub fn landed(&mut self, id: u64, units: f64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.table.carried_out(units);
        if let Some(lane) = self.lane(id) {
            lane.sent = lane.sent.saturating_sub(1);
            lane.rate.carried_out(units);
        }
        self.remove_if_done(id);
    }

    /// Whether the rates of all lanes hold them, the table's does not, and half of the writers have
    /// nothing to do.
    pub fn is_held(&mut self, now: Instant) -> bool {
        let table_holds = self.table.learned().is_some() && self.table.ready_at(now) > now;
        self.in_flight < self.writers / 2
            && !table_holds
            && !self.lanes.is_empty()
            && self.lanes.iter_mut().all(|lane| lane.has_work() && lane.rate.ready_at(now) > now)
    }

    /// Units a second of all lanes, if throttles limit all of them.
    pub fn limited(&self, now: Instant) -> Option<f64> {
        let limit = |rate: &Rate| rate.learned().map(|_| rate.per_second(now));
        let lanes = || self.lanes.iter().filter(|lane| lane.has_work());
        let of_lanes: Option<f64> = lanes().map(|lane| limit(&lane.rate)).sum();
        let of_lanes = of_lanes.filter(|_| lanes().next().is_some());
        let of_table = limit(&self.table);
        of_lanes.into_iter().chain(of_table).reduce(f64::min)
    }

    /// Of each lane whether it has learned its rate, and the rate.
    #[cfg(test)]
    pub fn rates(&self, now: Instant) -> Vec<(bool, f64)> {
        let rates = self.lanes.iter().map(|lane| &lane.rate);
        rates.map(|rate| (rate.learned().is_some(), rate.per_second(now))).collect()
    }

    /// There are no writers any more. Returns what was queued.
    pub fn abandon(&mut self) -> Vec<VecDeque<(Cost, Queued<T>)>> {
        self.is_abandoned = true;
        for lane in &self.lanes {
            lane.room.close();
        }
        let lanes = std::mem::take(&mut self.lanes);
        lanes.into_iter().map(|lane| lane.jobs).collect()
    }
}
