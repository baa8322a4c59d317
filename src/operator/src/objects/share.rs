//! How a run's limits are shared out among its parts. Pure.

use dm_contract::plan::RateLimits;

/// Returns the limits of one part. Each part has the same, because its pod is made from the same
/// template; together they have no more than the whole. `validate` rejects a limit that is lower
/// than the number of parts; if one is lowered below it during the run, each part keeps 1, and
/// status says that they exceed it.
pub fn of(limits: &RateLimits, parts: u32) -> RateLimits {
    let share = |limit: Option<u32>| limit.map(|limit| (limit / parts.max(1)).max(1));
    RateLimits {
        reads_per_second: share(limits.reads_per_second),
        writes_per_second: share(limits.writes_per_second),
        read_units_per_second: share(limits.read_units_per_second),
        write_units_per_second: share(limits.write_units_per_second),
    }
}

/// Returns the limit that is lower than the number of parts, and its field, if there is one.
pub fn too_low(limits: &RateLimits, parts: u32) -> Option<(u32, &'static str)> {
    let all = [
        (limits.reads_per_second, "readsPerSecond"),
        (limits.writes_per_second, "writesPerSecond"),
        (limits.read_units_per_second, "readUnitsPerSecond"),
        (limits.write_units_per_second, "writeUnitsPerSecond"),
    ];
    let found = all.into_iter().filter_map(|(limit, field)| Some((limit?, field)));
    found.filter(|(limit, _)| *limit < parts).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_no_more_than_the_whole_together() {
        let whole = RateLimits {
            reads_per_second: Some(1_000),
            writes_per_second: Some(203),
            read_units_per_second: None,
            write_units_per_second: Some(64),
        };
        for parts in 1..=64 {
            let share = of(&whole, parts);
            let fits = |share: Option<u32>, whole: Option<u32>| {
                share.is_some() == whole.is_some()
                    && share.is_none_or(|share| share >= 1 && share * parts <= whole.unwrap())
            };
            assert!(fits(share.reads_per_second, whole.reads_per_second), "{parts}");
            assert!(fits(share.writes_per_second, whole.writes_per_second), "{parts}");
            assert!(fits(share.read_units_per_second, whole.read_units_per_second), "{parts}");
            assert!(fits(share.write_units_per_second, whole.write_units_per_second), "{parts}");
        }
        assert_eq!(of(&whole, 4).writes_per_second, Some(50));
    }

    #[test]
    fn the_lowest_limit_that_cannot_be_shared_out_is_named() {
        let limits = RateLimits {
            reads_per_second: Some(8),
            writes_per_second: Some(3),
            ..RateLimits::default()
        };
        assert_eq!(too_low(&limits, 3), None);
        assert_eq!(too_low(&limits, 4), Some((3, "writesPerSecond")));
        assert_eq!(too_low(&RateLimits::default(), 64), None);
    }
}
