//! Pauses between two attempts: each twice as long as the one before, with jitter, up to a bound.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// The pauses of one call.
#[derive(Debug)]
pub struct Backoff {
    started: Instant,
    pause: Duration,
}

impl Backoff {
    /// Begins with the shortest pause.
    pub fn begin() -> Self {
        Self { started: Instant::now(), pause: limits::UPSTREAM_BACKOFF_FIRST }
    }

    /// Sleeps for the next pause; `false`, without a pause, if it would end later than this after
    /// the start.
    pub async fn pause_within(&mut self, time_max: Duration) -> bool {
        let pause = self.pause.mul_f64(jitter());
        if self.started.elapsed() + pause > time_max {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(limits::UPSTREAM_BACKOFF_MAX);
        true
    }
}

/// Between a half and one and a half, so that calls throttled together are not retried together.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let random = u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or(0);
    0.5 + f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_around_one() {
        for _ in 0..1000 {
            assert!((0.5..=1.5).contains(&jitter()));
        }
    }

    #[test]
    fn backoff_reaches_its_longest_pause_within_the_attempts() {
        let doublings = limits::UPSTREAM_ATTEMPTS_MAX - 1;
        let last = limits::UPSTREAM_BACKOFF_FIRST * 2_u32.pow(doublings);
        assert!(last >= limits::UPSTREAM_BACKOFF_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_end_within_their_time() {
        let (mut backoff, begun) = (Backoff::begin(), Instant::now());
        let time_max = Duration::from_secs(10);
        let mut pauses = 0;
        while backoff.pause_within(time_max).await {
            pauses += 1;
        }
        assert!(begun.elapsed() <= time_max && begun.elapsed() > time_max / 2);
        assert!(pauses < 30, "{pauses}");
    }
}
