//! How far the rates are lowered because the database throttles, and how they recover. Pure: it
//! gets the time from its caller.

use std::time::Duration;

use tokio::time::Instant;

/// The rates as they are when the database throttles, in thousandths.
pub const WHOLE: u32 = 1_000;

/// Twice that. What was not limited before is free again here: the database has borne more than it
/// bore when it throttled.
pub const FREE: u32 = 2_000;

/// The least share that throttling leads to.
const SHARE_MIN: u32 = 50;

/// What is left of the share when the database throttles, in thousandths.
const AFTER_THROTTLE: u32 = 700;

/// How much of the share is regained each second, in thousandths.
const RECOVERY_PER_S: u32 = 50;

/// Throttles come in groups; those within this time are one reason to slow down.
const GROUP: Duration = Duration::from_secs(1);

/// What a throttle leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lowering {
    /// Nothing more: it belongs to a group that has been heard.
    None,
    /// The rates are lowered from what is observed now.
    Afresh,
    /// They are lowered once more.
    Further,
}

/// The share of the rates that may be used.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    share: u32,
    at: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { share: FREE, at: now }
    }

    /// The share now, in thousandths of what was observed when the database first throttled.
    pub fn share(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.at).as_secs();
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.share.saturating_add(RECOVERY_PER_S.saturating_mul(seconds)).min(FREE)
    }

    pub fn throttled(&mut self, now: Instant) -> Lowering {
        let share = self.share(now);
        if share < WHOLE && now.saturating_duration_since(self.at) < GROUP {
            return Lowering::None;
        }
        let afresh = share >= WHOLE;
        self.share = (share.min(WHOLE) * AFTER_THROTTLE / WHOLE).max(SHARE_MIN);
        self.at = now;
        if afresh { Lowering::Afresh } else { Lowering::Further }
    }
}

/// How much goes by, per second, of late.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    since: Instant,
    count: f64,
    /// What the window before this one counted, and its seconds.
    before: (f64, f64),
}

/// How long one window of a meter is.
const WINDOW: Duration = Duration::from_secs(1);

/// The shortest time that a rate is derived from: what came in at once came at no rate.
const OBSERVED_S_MIN: f64 = 0.25;

impl Meter {
    pub fn new(now: Instant) -> Self {
        Self { since: now, count: 0.0, before: (0.0, 0.0) }
    }

    /// This many went by.
    pub fn add(&mut self, count: f64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            self.before = (self.count, elapsed.as_secs_f64());
            self.count = 0.0;
            self.since = now;
        }
        self.count += count;
    }

    pub fn rate(&self, now: Instant) -> f64 {
        let elapsed_s = now.saturating_duration_since(self.since).as_secs_f64();
        (self.before.0 + self.count) / (self.before.1 + elapsed_s).max(OBSERVED_S_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Throttles at these milliseconds, and the share at others.
    fn check(throttles: &[(u64, Lowering)], shares: &[(u64, u32)]) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(start);
        for (ms, expected) in throttles {
            assert_eq!(pace.throttled(at(*ms)), *expected, "at {ms} ms");
        }
        for (ms, share) in shares {
            assert_eq!(pace.share(at(*ms)), *share, "at {ms} ms");
        }
    }

    #[test]
    fn a_group_of_throttles_lowers_once_and_the_share_comes_back_until_it_is_free() {
        let shares = [(0, 700), (999, 700), (3_000, 850), (6_000, 1_000), (26_000, 2_000)];
        check(&[(0, Lowering::Afresh), (1, Lowering::None), (999, Lowering::None)], &shares);
        check(&[], &[(0, FREE), (60_000, FREE)]);
    }

    #[test]
    fn throttles_that_go_on_lower_further_and_never_to_nothing() {
        let further = |ms| (ms, Lowering::Further);
        check(&[(0, Lowering::Afresh), further(1_000), further(2_000)], &[(2_000, 402)]);
        let many: Vec<_> = (0..60).map(|s| further(s * 1_000)).skip(1).collect();
        let all: Vec<_> = std::iter::once((0, Lowering::Afresh)).chain(many).collect();
        // Where the share regained in a second equals the share lost by each throttle.
        check(&all, &[(59_000, 116)]);
    }

    #[test]
    fn one_that_comes_after_the_rates_are_whole_starts_from_what_is_observed_then() {
        check(&[(0, Lowering::Afresh), (6_000, Lowering::Afresh)], &[(6_000, 700)]);
    }

    #[test]
    fn a_meter_tells_the_rate_of_the_last_windows() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = Meter::new(start);
        meter.add(10.0, start);
        // At once is at no rate: it is reckoned over a quarter of a second.
        assert!((meter.rate(start) - 40.0).abs() < 0.1);
        for ms in (100..3_000).step_by(100) {
            meter.add(10.0, at(ms));
        }
        assert!((90.0..=115.0).contains(&meter.rate(at(3_000))), "{}", meter.rate(at(3_000)));
        assert!(meter.rate(at(60_000)) < 5.0);
    }
}
