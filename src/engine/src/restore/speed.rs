//! How fast a restore goes: no faster than any run of its target may, and slower while the database
//! throttles. It has time, so it waits as long as it takes.

use dm_core::limits;
use dm_core::plan::{Plan, RateLimits};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::journal::images::BATCH_GET_KEYS_MAX;
use crate::rates::{Rates, Used};
use crate::tally::Tally;
use crate::upstream::UpstreamCalls;

/// As many writes as there are at once where nothing bounds them.
const WRITES_AT_ONCE_MAX: usize = limits::RESTORE_PAGES_AT_ONCE * BATCH_GET_KEYS_MAX;

/// The speed of one restore.
#[derive(Debug)]
pub struct Speed {
    rates: Rates,
    /// What a write costs in units is known when it has been made, so no more are under way than a
    /// second may take.
    writing: Semaphore,
    stopping: watch::Sender<bool>,
}

impl Speed {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let rates = Rates::new(plan.mode, &plan.limits, plan.limits_max.clone());
        let writing = Semaphore::new(writes_at_once(&rates.in_force()));
        Self { rates, writing, stopping: watch::Sender::new(false) }
    }

    /// Lets nothing more begin.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether it was told to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until so many items may be read; `false` if it was told to stop before.
    pub async fn may_read(&self, items: usize) -> bool {
        let items = u32::try_from(items).map_or(f64::MAX, f64::from);
        self.unless_stopped(async { while self.rates.admit_reads(items).await.is_err() {} })
            .await
            .is_some()
    }

    /// Waits until an item may be written, and lets others begin when this is dropped; `None` if it
    /// was told to stop before.
    pub async fn may_write(&self) -> Option<SemaphorePermit<'_>> {
        self.unless_stopped(async {
            let permit = self.writing.acquire().await.ok();
            while self.rates.admit_writes(1.0).await.is_err() {}
            permit
        })
        .await?
    }

    async fn unless_stopped<T>(&self, waits: impl Future<Output = T>) -> Option<T> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => None,
            done = waits => Some(done),
        }
    }

    /// Takes note of what was used and throttled so far. Items were paid for when they were let in.
    pub async fn observe(&self, tally: &Tally, calls: UpstreamCalls) {
        let UpstreamCalls { read_throttles, write_throttles, .. } = calls;
        let used = Used { items_read: 0, read_throttles, write_throttles, ..tally.used() };
        self.rates.observe(used).await;
    }
}

fn writes_at_once(limits: &RateLimits) -> usize {
    let least =
        [limits.writes_per_second, limits.write_units_per_second].into_iter().flatten().min();
    let least = least.and_then(|limit| usize::try_from(limit).ok());
    least.map_or(WRITES_AT_ONCE_MAX, |limit| limit.clamp(1, WRITES_AT_ONCE_MAX))
}
