//! The rate of one lane, learned from throttles. Pure: it gets the time from its caller.
//!
//! A throttle says that the bucket behind the lane is empty. So what was carried out between two
//! throttles is what came into the bucket, and divided by the time it is the capacity, however the
//! rate changed. After a throttle the rate begins a tenth below it, approaches it, and then
//! explores what is above, on the curve of CUBIC (RFC 9438). What is saved up below is used up
//! above, so the capacity is used whole, and few requests meet the empty bucket.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{
    LANE_BURST, LANE_CYCLE_LONGEST, LANE_CYCLE_SHORTEST, LANE_CYCLE_UNITS, LANE_RATE_MAX,
    LANE_RATE_MIN, LANE_RISE,
};

/// How far below the capacity a rate begins after a throttle.
const BELOW: f64 = 0.1;

/// The least share of a rate that one throttle leaves: between two that follow each other closely
/// nearly nothing is counted.
const LEFT_MIN: f64 = 0.5;

/// What is added to a rate each second, as a share of what the fastest lane has more. Lanes that
/// share a partition lose and gain in proportion; this makes them equal in the long run.
const FAIR_PER_S: f64 = 0.05;

/// How a rate changes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Curve {
    /// Before the first throttle: it doubles again and again, from this one.
    Rising(f64),
    /// Around this capacity, as quickly as a lane of this rate does.
    Around { capacity: f64, fastest: f64 },
}

/// The rate of one lane, in units a second, and what may be sent now.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    curve: Curve,
    /// When the curve began. Time in which the rate was not used does not count.
    since: Instant,
    /// When the database throttled last, and the units that it carried out since.
    throttled: Option<Instant>,
    done: f64,
    /// Units that may be sent; those of one item may be owed.
    left: f64,
    /// When they were counted.
    at: Instant,
}

impl Rate {
    /// One that begins with this many units a second.
    pub fn rising(first: f64, now: Instant) -> Self {
        let curve = Curve::Rising(first);
        Self { curve, since: now, throttled: None, done: 0.0, left: 1.0, at: now }
    }

    pub fn per_second(&self, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.since);
        let rate = match self.curve {
            Curve::Rising(first) => first * (time.as_secs_f64() / LANE_RISE.as_secs_f64()).exp2(),
            Curve::Around { capacity, fastest } => {
                let seconds = time.as_secs_f64();
                let at = seconds / cycle(fastest).as_secs_f64();
                capacity * (1.0 + BELOW * (at - 1.0).powi(3))
                    + FAIR_PER_S * (fastest - capacity) * seconds
            }
        };
        rate.clamp(LANE_RATE_MIN, LANE_RATE_MAX)
    }

    /// The capacity, once a throttle has shown it.
    pub fn learned(&self) -> Option<f64> {
        match self.curve {
            Curve::Rising(_) => None,
            Curve::Around { capacity, .. } => Some(capacity),
        }
    }

    /// When the next request may be sent.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        let rate = self.per_second(now);
        let most = (rate * LANE_BURST.as_secs_f64()).max(1.0);
        let time = now.saturating_duration_since(self.at);
        let before = self.left;
        self.left = (before + rate * time.as_secs_f64()).min(most);
        self.at = now;
        if before > 0.0 || self.left >= most {
            self.since = (self.since + time).min(now);
        }
        if self.left > 0.0 {
            return now;
        }
        // A little more, so that then it is above zero.
        now + Duration::from_secs_f64(1e-6 - self.left / rate)
    }

    /// A request of this many units is sent.
    pub fn sent(&mut self, units: f64) {
        self.left -= units;
    }

    /// A request of this many units was carried out.
    pub fn carried_out(&mut self, units: f64) {
        self.done += units;
    }

    /// A request that was sent at this time was throttled. Those that were on their way at the last
    /// throttle say nothing new. `fastest` is the highest capacity that any lane has learned.
    pub fn throttled(&mut self, sent_at: Instant, now: Instant, fastest: f64) {
        if self.throttled.is_some_and(|before| sent_at < before) {
            return;
        }
        let rate = self.per_second(now);
        let capacity = match self.throttled {
            // The bucket was not empty before.
            None => rate * LEFT_MIN,
            Some(before) => {
                let time = now.saturating_duration_since(before).as_secs_f64().max(1e-3);
                (self.done / time).clamp(rate * LEFT_MIN, rate)
            }
        };
        let capacity = capacity.max(LANE_RATE_MIN);
        self.curve = Curve::Around { capacity, fastest: capacity.max(fastest) };
        (self.since, self.throttled, self.done) = (now, Some(now), 0.0);
        self.left = self.left.min(0.0);
    }
}

/// The time from a throttle until the rate is the capacity again; about twice as long after it
/// comes the next one.
fn cycle(capacity: f64) -> Duration {
    let units = Duration::from_secs_f64(LANE_CYCLE_UNITS / capacity.max(LANE_RATE_MIN));
    units.clamp(LANE_CYCLE_SHORTEST, LANE_CYCLE_LONGEST)
}

#[cfg(test)]
mod tests;
