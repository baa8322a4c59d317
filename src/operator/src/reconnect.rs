//! How long a broken watch waits before it is tried again. kube's own bound is a minute with its
//! jitter: so long would new objects stay unseen after the custom resource definitions were created
//! again.

use std::time::Duration;

use kube::runtime::utils::{Backoff, ResetTimerBackoff};

use crate::limits;

/// Waits that double up to a bound.
#[derive(Debug)]
pub struct Doubling(Duration);

/// The waits of a new watch.
pub fn reconnect() -> ResetTimerBackoff<Doubling> {
    ResetTimerBackoff::new(Doubling(limits::WATCH_BACKOFF_MIN), limits::WATCH_BACKOFF_RESET_AFTER)
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = wait.saturating_mul(2).min(limits::WATCH_BACKOFF_MAX);
        Some(wait)
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {
        self.0 = limits::WATCH_BACKOFF_MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_was_broken_for_long_is_tried_every_few_seconds() {
        let waits: Vec<Duration> = reconnect().take(20).collect();
        assert_eq!(waits[..2], [Duration::from_millis(500), Duration::from_secs(1)]);
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(5)), "{waits:?}");
    }
}
