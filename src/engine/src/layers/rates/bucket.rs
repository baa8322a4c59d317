//! Tokens for one kind of thing. They may be owed: a call is let in when there is any token, and
//! pays for all its items, those that come behind it wait the longer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::layers::rates::pace::{FREE, Meter, WHOLE};
use crate::limits;

/// The least rate that is taken for what the database can bear: before much has gone by, little is
/// known of it.
const OBSERVED_MIN: f64 = 10.0;

/// Tokens for one kind of thing.
#[derive(Debug)]
pub struct Bucket {
    /// Tokens per second that are allowed; 0 is unlimited.
    limit: AtomicU32,
    /// Tokens per second that were observed when the database began to throttle; 0 if it never did.
    observed: AtomicU32,
    /// Never locked over an await: what has been used is paid for, whoever waits.
    level: Mutex<Level>,
    /// Held by the caller that waits for a token; the others queue behind it.
    queue: tokio::sync::Mutex<()>,
    meter: Mutex<Meter>,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            limit: AtomicU32::new(0),
            observed: AtomicU32::new(0),
            level: Mutex::new(Level { tokens: 1.0, at: now }),
            queue: tokio::sync::Mutex::new(()),
            meter: Mutex::new(Meter::new(now)),
        }
    }

    /// Changes what is allowed.
    pub fn limit(&self, to: Option<u32>) {
        // None at all is a pause, which is not said in this way.
        self.limit.store(to.map_or(0, |limit| limit.max(1)), Ordering::Relaxed);
    }

    /// The database begins to throttle: what goes by now is what it can bear, and a little more.
    pub fn observe(&self, now: Instant) {
        let rate = self.meter.lock().rate(now).clamp(OBSERVED_MIN, f64::from(u32::MAX));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        self.observed.store(rate as u32, Ordering::Relaxed);
    }

    /// Tokens per second at this share; `None` is unlimited.
    fn rate(&self, share: u32) -> Option<f64> {
        let whole = f64::from(WHOLE);
        let limit = f64::from(self.limit.load(Ordering::Relaxed));
        let observed = f64::from(self.observed.load(Ordering::Relaxed)) * f64::from(share) / whole;
        match (limit > 0.0, observed > 0.0 && share < FREE) {
            (false, false) => None,
            (false, true) => Some(observed),
            (true, false) => Some(limit * f64::from(share.min(WHOLE)) / whole),
            (true, true) => Some(limit.min(observed)),
        }
    }

    /// The same for people.
    pub fn told(&self, share: u32) -> Option<u32> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        self.rate(share).map(|rate| rate.ceil() as u32)
    }

    /// Waits for a token, then pays this many. The share is asked again and again; there is none
    /// while nothing may pass.
    pub async fn take(&self, tokens: f64, share: impl Fn() -> Option<u32>) {
        if share().is_some_and(|share| self.rate(share).is_none()) {
            self.meter.lock().add(tokens, Instant::now());
            return;
        }
        let _first = self.queue.lock().await;
        loop {
            let wait = match share().map(|share| self.rate(share)) {
                None => limits::RATE_RECHECK,
                Some(None) => break,
                Some(Some(rate)) => match self.pay_if_any(tokens, rate) {
                    Ok(()) => break,
                    Err(wait) => wait,
                },
            };
            tokio::time::sleep(wait).await;
        }
        self.meter.lock().add(tokens, Instant::now());
    }

    /// Pays this many if there is a token; else how long to wait for one.
    fn pay_if_any(&self, tokens: f64, rate: f64) -> Result<(), Duration> {
        let mut level = self.level.lock();
        if level.refill(rate) > 0.0 {
            level.pay(tokens, self.debt_max(rate));
            return Ok(());
        }
        let most = limits::RATE_RECHECK.as_secs_f64();
        Err(Duration::from_secs_f64((-level.tokens / rate).clamp(0.001, most)))
    }

    /// Pays for what has happened already.
    pub fn pay(&self, tokens: f64, share: u32) {
        if tokens <= 0.0 {
            return;
        }
        self.meter.lock().add(tokens, Instant::now());
        if let Some(rate) = self.rate(share) {
            self.level.lock().pay(tokens, self.debt_max(rate));
        }
    }

    /// Tokens that may be owed. Where only throttles have set the rate, one large answer must not
    /// hold up all that comes behind it.
    fn debt_max(&self, rate: f64) -> f64 {
        if self.limit.load(Ordering::Relaxed) > 0 {
            f64::MAX
        } else {
            rate * limits::RATE_OBSERVED_DEBT_MAX.as_secs_f64()
        }
    }
}

impl Level {
    fn pay(&mut self, tokens: f64, debt_max: f64) {
        self.tokens = (self.tokens - tokens).max(-debt_max);
    }

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
