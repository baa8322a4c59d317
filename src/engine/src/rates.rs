//! How fast a run may go: items and units, read and written, per second. Requests are held, not
//! refused, so that a program sees a slow database; the rates can be changed while it runs, and a database
//! that throttles lowers them by itself for a while.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dm_core::limits;
use dm_core::plan::{Mode, RateLimits};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::call::Call;
use crate::fault::Fault;
use crate::operation::{Class, Operation};

/// Share of the rates that is used, in thousandths, while the database does not throttle.
const WHOLE: u32 = 1_000;

/// The least share that throttling leads to.
const SHARE_MIN: u32 = 50;

/// What is left of the share when the database throttles, in thousandths.
const AFTER_THROTTLE: u32 = 700;

/// How much of the share comes back each second, in thousandths.
const RECOVERY_PER_S: u32 = 50;

/// The pace of one run.
#[derive(Debug)]
pub struct Rates {
    mode: Mode,
    reads: Bucket,
    writes: Bucket,
    read_units: Bucket,
    write_units: Bucket,
    share: AtomicU32,
    share_changed: Mutex<Instant>,
    /// What has been paid for.
    paid: Mutex<Used>,
}

/// What a run has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// Items that reads returned.
    pub items_read: u64,
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Answers of the database that were throttles.
    pub throttles: u64,
}

/// Tokens for one kind of items. They may be owed: a call is let in when there is any token, and
/// pays for all its items, those that come behind it wait the longer.
#[derive(Debug)]
struct Bucket {
    /// Tokens per second; 0 is unlimited.
    rate: AtomicU32,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Rates {
    /// The limits of a plan.
    pub fn new(mode: Mode, plan: &RateLimits) -> Self {
        let rates = Self {
            mode,
            reads: Bucket::new(),
            writes: Bucket::new(),
            read_units: Bucket::new(),
            write_units: Bucket::new(),
            share: AtomicU32::new(WHOLE),
            share_changed: Mutex::new(Instant::now()),
            paid: Mutex::default(),
        };
        rates.set(plan);
        rates
    }

    /// Changes the limits of a run that goes on.
    pub fn set(&self, plan: &RateLimits) {
        // A rate of none at all is a pause, which is not said in this way.
        let rate = |limit: Option<u32>| limit.map_or(0, |limit| limit.max(1));
        self.reads.rate.store(rate(plan.reads_per_second), Ordering::Relaxed);
        self.writes.rate.store(rate(plan.writes_per_second), Ordering::Relaxed);
        self.read_units.rate.store(rate(plan.read_units_per_second), Ordering::Relaxed);
        self.write_units.rate.store(rate(plan.write_units_per_second), Ordering::Relaxed);
    }

    /// Holds a call until it may go on. In a dry run writes cost the reads of what they change. What
    /// units a call uses is known afterwards, so calls that come behind it wait for them.
    pub async fn admit(&self, call: &Call) -> Result<(), Fault> {
        let share = self.share.load(Ordering::Relaxed);
        match (call.operation.class(), self.mode) {
            (Class::DataRead, _) => {
                self.read_units.take(0.0, share).await?;
                self.reads.take(0.0, share).await
            }
            (Class::DataWrite, Mode::DryRun) => {
                self.read_units.take(0.0, share).await?;
                self.reads.take(items_written(call), share).await
            }
            (Class::DataWrite, Mode::Apply) => {
                self.write_units.take(0.0, share).await?;
                self.writes.take(items_written(call), share).await
            }
            (Class::MetadataRead | Class::ControlPlaneWrite | Class::AlwaysDenied, _) => Ok(()),
        }
    }

    /// Takes note of what has been used and throttled so far, over all calls.
    pub async fn observe(&self, used: Used) {
        let before = {
            let mut paid = self.paid.lock().await;
            let before = *paid;
            // Of two calls that end together, the later may bring the earlier counts.
            *paid = Used {
                items_read: before.items_read.max(used.items_read),
                read_units: before.read_units.max(used.read_units),
                write_units: before.write_units.max(used.write_units),
                throttles: before.throttles.max(used.throttles),
            };
            before
        };
        let items = used.items_read.saturating_sub(before.items_read);
        self.reads.pay(u32::try_from(items).map_or(f64::MAX, f64::from)).await;
        self.read_units.pay(used.read_units - before.read_units).await;
        // In a dry run they are what applying would cost, and nothing has been written.
        if self.mode == Mode::Apply {
            self.write_units.pay(used.write_units - before.write_units).await;
        }
        self.adapt(used.throttles > before.throttles).await;
    }

    async fn adapt(&self, throttled: bool) {
        let share = self.share.load(Ordering::Relaxed);
        if !throttled && share == WHOLE {
            return;
        }
        let mut changed = self.share_changed.lock().await;
        let elapsed_s = changed.elapsed().as_secs();
        // Throttles come in groups; one group is one reason to slow down.
        if elapsed_s == 0 && share < WHOLE {
            return;
        }
        let next = if throttled {
            (share * AFTER_THROTTLE / WHOLE).max(SHARE_MIN)
        } else {
            let seconds = u32::try_from(elapsed_s).unwrap_or(u32::MAX);
            share.saturating_add(RECOVERY_PER_S.saturating_mul(seconds)).min(WHOLE)
        };
        *changed = Instant::now();
        self.share.store(next, Ordering::Relaxed);
        tracing::info!(share_per_mille = next, throttled, "rates adapted to the database");
    }
}

impl Bucket {
    fn new() -> Self {
        let level = Level { tokens: 1.0, at: Instant::now() };
        Self { rate: AtomicU32::new(0), level: Mutex::new(level) }
    }

    /// Waits for a token, then pays this many. Those who wait are served in their order.
    async fn take(&self, tokens: f64, share: u32) -> Result<(), Fault> {
        if self.rate.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let served = async {
            let mut level = self.level.lock().await;
            loop {
                let rate = f64::from(self.rate.load(Ordering::Relaxed));
                let rate = rate * f64::from(share) / f64::from(WHOLE);
                if rate <= 0.0 || level.refill(rate) > 0.0 {
                    level.tokens -= tokens;
                    return;
                }
                let wait_s =
                    (-level.tokens / rate).clamp(0.001, limits::RATE_RECHECK.as_secs_f64());
                tokio::time::sleep(Duration::from_secs_f64(wait_s)).await;
            }
        };
        let held = tokio::time::timeout(limits::RATE_HELD_MAX, served);
        held.await.map_err(|_| Fault::Throttled)
    }

    /// Pays for what has happened already.
    async fn pay(&self, tokens: f64) {
        if tokens > 0.0 && self.rate.load(Ordering::Relaxed) > 0 {
            self.level.lock().await.tokens -= tokens;
        }
    }
}

impl Level {
    /// Adds what has come in since, up to a quarter of a second's tokens, and tells the level.
    fn refill(&mut self, rate: f64) -> f64 {
        let now = Instant::now();
        let full = (rate * limits::RATE_BURST.as_secs_f64()).max(1.0);
        let come = now.duration_since(self.at).as_secs_f64() * rate;
        self.tokens = (self.tokens + come).min(full);
        self.at = now;
        self.tokens
    }
}

/// How many items a call writes, as it says itself.
fn items_written(call: &Call) -> f64 {
    let length = |name: &str| call.body.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let items = match call.operation {
        Operation::BatchWriteItem => {
            let tables = call.body.get("RequestItems").and_then(Value::as_object);
            let requests = tables.into_iter().flat_map(|tables| tables.values());
            requests.filter_map(Value::as_array).map(Vec::len).sum()
        }
        Operation::TransactWriteItems => length("TransactItems"),
        Operation::BatchExecuteStatement => length("Statements"),
        Operation::ExecuteTransaction => length("TransactStatements"),
        _ => 1,
    };
    u32::try_from(items).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(operation: Operation, body: Value) -> Call {
        let Value::Object(body) = body else { unreachable!() };
        Call { operation, body, invocation: None }
    }

    fn limited(reads: Option<u32>, writes: Option<u32>) -> Rates {
        let limits = RateLimits {
            reads_per_second: reads,
            writes_per_second: writes,
            ..RateLimits::default()
        };
        Rates::new(Mode::Apply, &limits)
    }

    fn used(items_read: u64, throttles: u64) -> Used {
        Used { items_read, throttles, ..Used::default() }
    }

    async fn seconds_for(rates: &Rates, calls: u32, call: &Call) -> f64 {
        let started = Instant::now();
        for _ in 0..calls {
            rates.admit(call).await.unwrap();
        }
        started.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn writes_go_at_their_rate_and_a_batch_counts_each_item() {
        let put = call(Operation::PutItem, json!({}));
        let took = seconds_for(&limited(None, Some(10)), 100, &put).await;
        assert!((9.0..=10.5).contains(&took), "{took}");
        let puts: Vec<Value> = (0..10).map(|_| json!({"PutRequest": {}})).collect();
        let batch = call(Operation::BatchWriteItem, json!({"RequestItems": {"t": puts}}));
        let took = seconds_for(&limited(None, Some(10)), 10, &batch).await;
        assert!((8.5..=10.5).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_limited_does_not_wait() {
        let put = call(Operation::PutItem, json!({}));
        let get = call(Operation::GetItem, json!({}));
        assert!(seconds_for(&limited(None, None), 1000, &put).await < 0.01);
        assert!(seconds_for(&limited(None, Some(1)), 1000, &get).await < 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_pay_for_the_items_they_returned() {
        let rates = limited(Some(100), None);
        let scan = call(Operation::Scan, json!({}));
        let started = Instant::now();
        for page in 1..=5 {
            rates.admit(&scan).await.unwrap();
            rates.observe(used(page * 200, 0)).await;
        }
        let took = started.elapsed().as_secs_f64();
        assert!((7.5..=8.5).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn units_are_paid_for_by_the_calls_that_come_behind() {
        let limits = RateLimits {
            read_units_per_second: Some(100),
            write_units_per_second: Some(10),
            ..RateLimits::default()
        };
        for (mode, writes_s) in [(Mode::Apply, 8.5..=10.5), (Mode::DryRun, 0.0..=0.1)] {
            let rates = Rates::new(mode, &limits);
            let put = call(Operation::PutItem, json!({}));
            let started = Instant::now();
            let mut so_far = Used::default();
            for _ in 0..20 {
                rates.admit(&put).await.unwrap();
                so_far.write_units += 5.0;
                rates.observe(so_far).await;
            }
            let took = started.elapsed().as_secs_f64();
            assert!(writes_s.contains(&took), "{mode:?} {took}");
            let scan = call(Operation::Scan, json!({}));
            let started = Instant::now();
            for _ in 0..5 {
                rates.admit(&scan).await.unwrap();
                so_far.read_units += 128.0;
                rates.observe(so_far).await;
            }
            let took = started.elapsed().as_secs_f64();
            assert!((4.5..=5.5).contains(&took), "{mode:?} {took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_limit_is_felt_at_once_and_a_long_wait_ends_as_a_throttle() {
        let rates = limited(None, Some(1));
        let put = call(Operation::PutItem, json!({}));
        let hundred: Vec<Value> = (0..100).map(|_| json!({})).collect();
        let batch = call(Operation::TransactWriteItems, json!({"TransactItems": hundred}));
        rates.admit(&batch).await.unwrap();
        assert!(matches!(rates.admit(&put).await, Err(Fault::Throttled)));
        rates.set(&RateLimits { writes_per_second: Some(1000), ..RateLimits::default() });
        assert!(seconds_for(&rates, 1, &put).await < 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_lowers_the_rates_and_they_come_back() {
        let rates = limited(None, Some(100));
        rates.observe(used(0, 1)).await;
        assert_eq!(rates.share.load(Ordering::Relaxed), AFTER_THROTTLE);
        rates.observe(used(0, 5)).await;
        assert_eq!(rates.share.load(Ordering::Relaxed), AFTER_THROTTLE, "one group");
        tokio::time::advance(Duration::from_secs(3)).await;
        rates.observe(used(0, 5)).await;
        assert_eq!(rates.share.load(Ordering::Relaxed), AFTER_THROTTLE + 3 * RECOVERY_PER_S);
        tokio::time::advance(Duration::from_secs(60)).await;
        rates.observe(used(0, 5)).await;
        assert_eq!(rates.share.load(Ordering::Relaxed), WHOLE);
    }
}
