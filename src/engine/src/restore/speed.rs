//! How fast a restore goes: no faster than any run of its target may, and slower while the database
//! throttles. It has time, so it waits as long as it takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits;
use dm_contract::plan::{Plan, RateLimits};
use tokio::sync::{Notify, watch};

use crate::item_reads::BATCH_GET_KEYS_MAX;
use crate::layers::rates::{Rates, Used};
use crate::layers::tally::Tally;
use crate::upstream::UpstreamCalls;

/// As many writes as there are at once where nothing bounds them.
const WRITES_AT_ONCE_MAX: usize = limits::RESTORE_PAGES_AT_ONCE * BATCH_GET_KEYS_MAX;

/// The speed of one restore.
#[derive(Debug)]
pub struct Speed {
    rates: Rates,
    /// Writes under way. What one costs in units is known when it has been made, so there are no
    /// more than a second may take.
    writing: AtomicUsize,
    fewer: Notify,
    stopping: watch::Sender<bool>,
    failed: watch::Sender<bool>,
}

/// The place of a write under way, which is free again when this is dropped.
#[derive(Debug)]
pub struct Slot<'a>(&'a Speed);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.writing.fetch_sub(1, Ordering::AcqRel);
        self.0.fewer.notify_one();
    }
}

impl Speed {
    pub fn of(plan: &Plan) -> Self {
        Self {
            rates: Rates::new(plan.mode, &plan.limits, plan.limits_max.clone()),
            writing: AtomicUsize::new(0),
            fewer: Notify::new(),
            stopping: watch::Sender::new(false),
            failed: watch::Sender::new(false),
        }
    }

    pub fn set(&self, limits: &RateLimits) {
        self.rates.set(limits);
        self.fewer.notify_waiters();
    }

    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Lets nothing more begin.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// The same, and no write is retried: another one has shown that the restore cannot continue.
    pub fn fail(&self) {
        self.failed.send_replace(true);
        self.stop();
    }

    /// Waits, unless the restore fails before.
    pub async fn unless_failed<T>(&self, waits: impl Future<Output = T>) -> Option<T> {
        unless(&self.failed, waits).await
    }

    /// Whether it was asked to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until this many items may be read; `false` if it was asked to stop before.
    pub async fn may_read(&self, items: usize) -> bool {
        let items = u32::try_from(items).map_or(f64::MAX, f64::from);
        self.unless_stopped(async { while self.rates.admit_reads(items, true).await.is_err() {} })
            .await
            .is_some()
    }

    /// Waits until an item may be written; `None` if it was asked to stop before.
    pub async fn may_write(&self) -> Option<Slot<'_>> {
        self.unless_stopped(async {
            let slot = self.slot().await;
            while self.rates.admit_writes(1.0, true).await.is_err() {}
            slot
        })
        .await
    }

    async fn slot(&self) -> Slot<'_> {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            // Before it is looked: what changes in between is not missed.
            fewer.as_mut().enable();
            let most = writes_at_once(&self.rates.in_force());
            let one_more = |now: usize| (now < most).then_some(now + 1);
            if self.writing.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok() {
                return Slot(self);
            }
            fewer.await;
        }
    }

    async fn unless_stopped<T>(&self, waits: impl Future<Output = T>) -> Option<T> {
        unless(&self.stopping, waits).await
    }

    /// Takes note of what was used and throttled so far. Items were paid for when they were let in.
    pub fn observe(&self, tally: &Tally, calls: UpstreamCalls) {
        let UpstreamCalls { read_throttles, write_throttles, .. } = calls;
        let used = Used { items_read: 0, read_throttles, write_throttles, ..tally.used() };
        self.rates.observe(used);
    }
}

async fn unless<T>(ended: &watch::Sender<bool>, waits: impl Future<Output = T>) -> Option<T> {
    let mut ended = ended.subscribe();
    tokio::select! {
        biased;
        _ = ended.wait_for(|ended| *ended) => None,
        done = waits => Some(done),
    }
}

fn writes_at_once(limits: &RateLimits) -> usize {
    let least =
        [limits.writes_per_second, limits.write_units_per_second].into_iter().flatten().min();
    let least = least.and_then(|limit| usize::try_from(limit).ok());
    least.map_or(WRITES_AT_ONCE_MAX, |limit| limit.clamp(1, WRITES_AT_ONCE_MAX))
}
