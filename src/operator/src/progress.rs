//! How far a run is, from what its guard counts. Pure.

use dm_api::status::{Progress, RunKind, WouldChange};
use dm_core::report::GuardResult;
use dm_core::restored::RestoreResult;
use jiff::Timestamp;

/// How far a run is. In a run that writes, the dry run's count is the estimate of the whole.
pub fn of(
    kind: RunKind,
    guard: &GuardResult,
    dry_run: Option<&WouldChange>,
    started: Timestamp,
    now: Timestamp,
) -> Progress {
    let written: u64 = guard.tables.iter().map(|t| t.created + t.updated + t.deleted).sum();
    let total = dry_run.map(total_of).filter(|total| *total > 0 && kind == RunKind::Apply);
    let seconds = u64::try_from(now.duration_since(started).as_secs()).unwrap_or(0).max(1);
    let rate = written / seconds;
    let left = total.map(|total| total.saturating_sub(written));
    let eta = left.filter(|_| rate > 0).map(|left| left.div_ceil(rate));
    let percent = total.map(|total| (written * 100 / total).min(99));
    Progress {
        text: Some(text(kind, guard.items_read, written, total, percent, rate, eta)),
        items_read: Some(guard.items_read),
        items_written: Some(written),
        total_estimate: total,
        percent,
        items_per_second: Some(rate),
        eta_seconds: eta,
    }
}

/// How far a restore is; the number of items that its run wrote is the estimate of the whole. One
/// that was interrupted begins its count anew, and is quick where it finds things done.
pub fn of_restore(
    restore: &RestoreResult,
    total: Option<u64>,
    started: Timestamp,
    now: Timestamp,
) -> Progress {
    let seconds = u64::try_from(now.duration_since(started).as_secs()).unwrap_or(0).max(1);
    let rate = restore.keys / seconds;
    let total = total.filter(|total| *total > 0);
    let left = total.map(|total| total.saturating_sub(restore.keys));
    let eta = left.filter(|_| rate > 0).map(|left| left.div_ceil(rate));
    let percent = total.map(|total| (restore.keys * 100 / total).min(99));
    let text = match (total, percent) {
        (Some(total), Some(percent)) => {
            let eta = eta.map(|eta| format!(", {} left", span(eta))).unwrap_or_default();
            format!("{percent}% ({} of ~{total}, {rate}/s{eta})", restore.keys)
        }
        (_, _) => format!("{} looked at, {rate}/s", restore.keys),
    };
    Progress {
        text: Some(text),
        items_read: Some(restore.keys),
        items_written: Some(restore.updated + restore.deleted + restore.put),
        total_estimate: total,
        percent,
        items_per_second: Some(rate),
        eta_seconds: eta,
    }
}

/// Items that a dry run would change: the estimate of the whole.
pub fn total_of(effects: &WouldChange) -> u64 {
    effects.tables.iter().map(|t| t.would_create + t.would_update + t.would_delete).sum()
}

fn text(
    kind: RunKind,
    read: u64,
    written: u64,
    total: Option<u64>,
    percent: Option<u64>,
    rate: u64,
    eta: Option<u64>,
) -> String {
    match (kind, total, percent) {
        (RunKind::Apply, Some(total), Some(percent)) => {
            let eta = eta.map(|eta| format!(", {} left", span(eta))).unwrap_or_default();
            format!("{percent}% ({written} of ~{total}, {rate}/s{eta})")
        }
        (RunKind::Apply, _, _) => format!("{read} read, {written} written, {rate}/s"),
        (RunKind::DryRun | RunKind::RestorePreview | RunKind::Restore, _, _) => {
            format!("{read} read, {written} would change")
        }
    }
}

/// A number of seconds in the two units that matter.
fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, _) => format!("{h}h{m}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_shows_the_two_units_that_matter() {
        for (seconds, expected) in [(0, "0s"), (59, "59s"), (61, "1m1s"), (3_725, "1h2m")] {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn an_applying_run_with_an_estimate_shows_a_percentage_and_what_is_left() {
        assert_eq!(
            text(RunKind::Apply, 500, 150, Some(406), Some(36), 198, Some(2)),
            "36% (150 of ~406, 198/s, 2s left)"
        );
    }

    #[test]
    fn without_an_estimate_counts_are_all_there_is() {
        assert_eq!(text(RunKind::Apply, 5, 3, None, None, 1, None), "5 read, 3 written, 1/s");
        assert_eq!(text(RunKind::DryRun, 5, 3, None, None, 1, None), "5 read, 3 would change");
    }
}
