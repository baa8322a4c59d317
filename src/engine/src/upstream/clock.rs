//! The time that requests are signed with. SDKs correct theirs by the date of an answer that
//! rejects a signature; behind the guard only the guard can.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::limits;

/// Errors of a signature whose time may be wrong. The same names are given for a wrong secret.
const OF_SIGNATURES: [&str; 4] = [
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "RequestExpired",
];

/// Whether an error may be one of the signature's time.
pub fn may_be_of_time(error: &str) -> bool {
    OF_SIGNATURES.contains(&error)
}

/// This machine's clock, corrected.
#[derive(Debug, Default)]
pub struct Clock {
    offset_s: AtomicI64,
}

impl Clock {
    pub fn now(&self) -> SystemTime {
        let (now, offset_s) = (SystemTime::now(), self.offset_s.load(Ordering::Relaxed));
        let offset = Duration::from_secs(offset_s.unsigned_abs());
        let corrected =
            if offset_s < 0 { now.checked_sub(offset) } else { now.checked_add(offset) };
        corrected.unwrap_or(now)
    }

    /// Corrects the clock by the date of an answer that rejects a signature of this time; `false`
    /// if the time is not the reason.
    pub fn correct(&self, headers: &HeaderMap, signed_at: SystemTime) -> bool {
        let Some(date) = date(headers) else { return false };
        let seconds = |time: SystemTime| Timestamp::try_from(time).ok().map(Timestamp::as_second);
        let (Some(signed), Some(here)) = (seconds(signed_at), seconds(SystemTime::now())) else {
            return false;
        };
        if date.abs_diff(signed) < limits::CLOCK_OFFSET_LEAST.as_secs() {
            return false;
        }
        let offset_s = date.saturating_sub(here);
        // Others may have been signed before it was corrected.
        if self.offset_s.swap(offset_s, Ordering::Relaxed).abs_diff(offset_s) > 1 {
            tracing::warn!(
                offset_s,
                "this machine's clock is wrong: requests are signed with the database's time"
            );
        }
        true
    }
}

/// Seconds since the epoch.
fn date(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(DATE)?.to_str().ok()?;
    DateTimeParser::new().parse_timestamp(text).ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(date: &str) -> HeaderMap {
        HeaderMap::from_iter([(DATE, date.parse().unwrap())])
    }

    #[test]
    fn a_clock_is_corrected_by_a_date_that_is_far_from_the_signature_and_only_then() {
        let (clock, signed) = (Clock::default(), "Sun, 29 Nov 2026 09:00:00 GMT");
        let signed = SystemTime::UNIX_EPOCH
            + Duration::from_secs(date(&dated(signed)).unwrap().unsigned_abs());
        for near in ["Sun, 29 Nov 2026 09:03:59 GMT", "Sun, 29 Nov 2026 08:56:01 GMT", "today"] {
            assert!(!clock.correct(&dated(near), signed), "{near}");
        }
        assert!(!clock.correct(&HeaderMap::new(), signed));
        assert_eq!(clock.offset_s.load(Ordering::Relaxed), 0);
        for far in ["Sun, 29 Nov 2026 10:00:00 GMT", "Mon, 01 Jan 2001 00:00:00 GMT"] {
            assert!(clock.correct(&dated(far), signed));
            let now = Timestamp::try_from(clock.now()).unwrap();
            let there = date(&dated(far)).unwrap();
            assert!((0..5).contains(&(now.as_second() - there)), "{far}: {now}");
        }
    }
}
