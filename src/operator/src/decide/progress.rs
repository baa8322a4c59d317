//! How far a run is, from what its guard counts. Pure.

use dm_api::status::{Progress, RunKind, WouldChange};
use dm_contract::report::GuardResult;
use dm_contract::restored::RestoreResult;
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
    let (done, total) = match kind {
        RunKind::Apply => (written, dry_run.map(total_of)),
        RunKind::DryRun => (guard.items_read, total_to_read(guard)),
        RunKind::RestorePreview | RunKind::Restore => (written, None),
    };
    let total = total.filter(|total| *total > 0);
    let seconds = u64::try_from(now.duration_since(started).as_secs()).unwrap_or(0).max(1);
    let rate = done / seconds;
    let left = total.map(|total| total.saturating_sub(done));
    let eta = left.filter(|left| rate > 0 && *left > 0).map(|left| left.div_ceil(rate));
    let percent = total.map(|total| (done * 100 / total).min(99));
    let counts = Counts { read: guard.items_read, written, total, percent, rate, eta };
    Progress {
        text: Some(text(kind, &counts)),
        items_read: Some(guard.items_read),
        items_written: Some(written),
        total_estimate: total,
        percent,
        items_per_second: Some(rate),
        eta_seconds: eta,
        paused_seconds: None,
    }
}

/// Returns the progress, or the known one of the same run while that is further: a guard that takes
/// the place of another begins at the last checkpoint.
pub fn not_before(progress: Progress, known: Option<&Progress>) -> Progress {
    match known {
        Some(known) if known.items_written > progress.items_written => known.clone(),
        Some(_) | None => progress,
    }
}

/// How far a restore is; the number of items that its run wrote is the estimate of the whole. One
/// that was interrupted begins its count again, and is quick where it finds things done.
pub fn of_restore(
    restore: &RestoreResult,
    total: Option<u64>,
    started: Timestamp,
    now: Timestamp,
) -> Progress {
    let seconds = u64::try_from(now.duration_since(started).as_secs()).unwrap_or(0).max(1);
    let rate = restore.counts.items / seconds;
    let total = total.filter(|total| *total > 0);
    let left = total.map(|total| total.saturating_sub(restore.counts.items));
    let eta = left.filter(|_| rate > 0).map(|left| left.div_ceil(rate));
    let percent = total.map(|total| (restore.counts.items * 100 / total).min(99));
    let text = match (total, percent) {
        (Some(total), Some(percent)) => {
            let eta = eta.map(|eta| format!(", {} left", span(eta))).unwrap_or_default();
            format!("{percent}% ({} of ~{total}, {rate}/s{eta})", restore.counts.items)
        }
        (_, _) => format!("{} read, {rate}/s", restore.counts.items),
    };
    Progress {
        text: Some(text),
        items_read: Some(restore.counts.items),
        items_written: Some(restore.counts.written()),
        total_estimate: total,
        percent,
        items_per_second: Some(rate),
        eta_seconds: eta,
        paused_seconds: None,
    }
}

/// Items in the tables that a dry run scans: the estimate of what it reads. Of a program that only
/// asks for single items or partitions nothing is known.
fn total_to_read(guard: &GuardResult) -> Option<u64> {
    let operations = guard.dry_run.iter().flat_map(|dry_run| &dry_run.operations);
    let scans = operations.into_iter().any(|operation| operation.operation == "Scan");
    let tables = guard.tables.iter().filter(|table| table.items_read > 0);
    scans.then(|| tables.map(|table| table.item_count).sum()).flatten()
}

/// Items that a dry run would change: the estimate of the whole.
pub fn total_of(effects: &WouldChange) -> u64 {
    effects.tables.iter().map(|t| t.would_create + t.would_update + t.would_delete).sum()
}

/// What a progress is made of.
struct Counts {
    read: u64,
    written: u64,
    total: Option<u64>,
    percent: Option<u64>,
    rate: u64,
    eta: Option<u64>,
}

fn text(kind: RunKind, counts: &Counts) -> String {
    let Counts { read, written, total, percent, rate, eta } = *counts;
    let eta = eta.map(|eta| format!(", {} left", span(eta))).unwrap_or_default();
    match (kind, total, percent) {
        (RunKind::Apply, Some(total), Some(percent)) => {
            format!("{percent}% ({written} of ~{total}, {rate}/s{eta})")
        }
        (RunKind::DryRun, Some(total), Some(percent)) => {
            format!("{percent}% ({read} of ~{total} read, {rate}/s{eta}), {written} would change")
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
    fn a_run_with_an_estimate_shows_a_percentage_and_what_is_left() {
        let counts = Counts {
            read: 500,
            written: 150,
            total: Some(406),
            percent: Some(36),
            rate: 198,
            eta: Some(2),
        };
        assert_eq!(text(RunKind::Apply, &counts), "36% (150 of ~406, 198/s, 2s left)");
        assert_eq!(
            text(RunKind::DryRun, &Counts { total: Some(1_000), percent: Some(50), ..counts }),
            "50% (500 of ~1000 read, 198/s, 2s left), 150 would change"
        );
    }

    #[test]
    fn progress_does_not_fall_back() {
        let at = |written| Progress { items_written: written, ..Progress::default() };
        for (now, known, expected) in
            [(5, Some(7), 7), (7, Some(7), 7), (8, Some(7), 8), (5, None, 5)]
        {
            let known = known.map(|written| at(Some(written)));
            assert_eq!(not_before(at(Some(now)), known.as_ref()), at(Some(expected)));
        }
    }

    #[test]
    fn without_an_estimate_counts_are_all_there_is() {
        let counts = Counts { read: 5, written: 3, total: None, percent: None, rate: 1, eta: None };
        assert_eq!(text(RunKind::Apply, &counts), "5 read, 3 written, 1/s");
        assert_eq!(text(RunKind::DryRun, &counts), "5 read, 3 would change");
    }

    #[test]
    fn a_dry_run_that_scans_has_the_items_of_its_tables_as_its_estimate() {
        let guard = |operation: &str, item_count| -> GuardResult {
            serde_json::from_value(serde_json::json!({
                "version": 1, "mode": "DryRun", "requests": 3, "writeCallsUpstream": 0,
                "readCallsUpstream": 3, "itemsRead": 100, "readUnits": 1.0, "writeUnits": 0.0,
                "effectsDigest": "", "dryRun": {"operations": [{"operation": operation}]},
                "tables": [{
                    "name": "cars", "itemsRead": 100, "itemCount": item_count, "created": 0,
                    "updated": 0, "deleted": 0, "unchanged": 0,
                }],
            }))
            .unwrap()
        };
        let started = Timestamp::UNIX_EPOCH;
        let now = started + std::time::Duration::from_secs(10);
        let check = |guard: &GuardResult, percent, eta_seconds| {
            let progress = of(RunKind::DryRun, guard, None, started, now);
            assert_eq!((progress.percent, progress.eta_seconds), (percent, eta_seconds));
        };
        check(&guard("Scan", Some(400)), Some(25), Some(30));
        check(&guard("Query", Some(400)), None, None);
        check(&guard("Scan", None), None, None);
        // DynamoDB's count may be hours old.
        check(&guard("Scan", Some(50)), Some(99), None);
    }
}
