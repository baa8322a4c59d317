//! The clock of leases. It continues while a machine is suspended: a laptop that was closed for a
//! night must not take its lock for fresh. Linux's `CLOCK_MONOTONIC`, and with it `Instant`, stands
//! still in the meantime (clock_gettime(2)); elsewhere there is no other clock, and macOS's
//! continues.

use std::ops::{Add, Sub};
use std::time::Duration;

use crate::limits;

/// A moment, counted from the machine's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    #[cfg(not(test))]
    pub fn now() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        #[cfg(target_os = "linux")]
        let now = clock_gettime(ClockId::Boottime);
        #[cfg(not(target_os = "linux"))]
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Self(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0)))
    }

    /// The present one on tokio's clock, which tests move by hand, and after what was slept
    /// through.
    #[cfg(test)]
    pub fn now() -> Self {
        tests::now()
    }

    /// How long ago it was.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }

    /// Returns when it has come. Timers do not advance while a machine is suspended, so it looks
    /// again and again.
    pub async fn comes(self) {
        loop {
            let left = self - Self::now();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(limits::LOCK_RECHECK)).await;
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// The time from the other to this; none if the other is later.
    fn sub(self, other: Self) -> Duration {
        self.0.saturating_sub(other.0)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::cell::{Cell, OnceCell};
    use tokio::time::Instant;

    thread_local! {
        static ORIGIN: OnceCell<Instant> = const { OnceCell::new() };
        static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub fn now() -> Moment {
        let origin = ORIGIN.with(|origin| *origin.get_or_init(Instant::now));
        Moment(origin.elapsed() + SLEPT.get() + Duration::from_secs(1000))
    }

    /// The machine is suspended for so long: only this clock continues.
    pub fn suspend(time: Duration) {
        SLEPT.set(SLEPT.get() + time);
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_comes_although_timers_stood_still() {
        let moment = Moment::now() + Duration::from_secs(3600);
        suspend(Duration::from_secs(3600));
        let begun = Instant::now();
        moment.comes().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let soon = Moment::now() + Duration::from_secs(5);
        soon.comes().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        assert_eq!(soon - (soon + Duration::from_secs(1)), Duration::ZERO);
    }
}
