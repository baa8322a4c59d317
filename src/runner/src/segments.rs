//! The segments of a scan in the order in which they are taken.

use std::collections::{BTreeMap, BTreeSet};

use dm_contract::part::Part;
use serde_json::Value;

use crate::limits::{SCANNERS, SEGMENT_BYTES, SEGMENTS_MAX};

/// A segment that is still to be scanned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    /// Its number, from 0.
    pub number: u32,
    /// The key after which it continues.
    pub after: Option<Value>,
}

/// How many segments a table of this size is scanned in: many more than there are scanners.
pub(crate) fn count(bytes: u64) -> u32 {
    let wanted = u32::try_from(bytes / SEGMENT_BYTES).unwrap_or(SEGMENTS_MAX);
    wanted.clamp(u32::try_from(SCANNERS).unwrap_or(1), SEGMENTS_MAX)
}

/// How many segments a table of this size is scanned in by this many parts: as many for each, and
/// as many as a part of a small table has alone.
pub(crate) fn count_in_parts(bytes: u64, parts: u32) -> u32 {
    let each = count(bytes).div_ceil(parts).max(u32::try_from(SCANNERS).unwrap_or(1));
    each.saturating_mul(parts)
}

/// Returns the segments of a part that are left, in an order that this seed determines. A segment
/// walks one range of the hash, so neighbors taken together would write to one partition.
pub(crate) fn left(
    total: u32,
    part: Option<Part>,
    (done, positions): (&BTreeSet<u32>, &BTreeMap<u32, Value>),
    seed: u64,
) -> Vec<Segment> {
    let mut segments: Vec<Segment> = (0..total)
        .filter(|number| part.is_none_or(|part| part.owns(*number)))
        .filter(|number| !done.contains(number))
        .map(|number| Segment { number, after: positions.get(&number).cloned() })
        .collect();
    segments.sort_by_key(|segment| mixed(seed ^ u64::from(segment.number)));
    segments
}

/// SplitMix64: close numbers become distant ones.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn large_tables_have_many_segments() {
        assert_eq!(count(0), 8);
        assert_eq!(count(1 << 30), 64);
        assert_eq!(count(u64::MAX), SEGMENTS_MAX);
    }

    #[test]
    fn parts_have_as_many_segments_each_and_all_of_them_together() {
        for (bytes, parts, expected) in
            [(0, 4, 32), (1 << 30, 4, 64), (1 << 30, 5, 65), (0, 64, 512), (u64::MAX, 64, 1024)]
        {
            let total = count_in_parts(bytes, parts);
            assert_eq!(total, expected, "{bytes} {parts}");
            let mut all = Vec::new();
            for part in Part::all(parts) {
                let own = left(total, Some(part), (&BTreeSet::new(), &BTreeMap::new()), 7);
                assert_eq!(own.len(), usize::try_from(total / parts).unwrap());
                all.extend(own.into_iter().map(|segment| segment.number));
            }
            all.sort_unstable();
            assert_eq!(all, (0..total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_segment_is_taken_once_and_out_of_order() {
        let segments = left(64, None, (&BTreeSet::new(), &BTreeMap::new()), 7);
        let mut numbers: Vec<u32> = segments.iter().map(|segment| segment.number).collect();
        let neighbors = numbers.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(neighbors < 8, "{numbers:?}");
        numbers.sort_unstable();
        assert_eq!(numbers, (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_done_is_left_out_and_positions_are_kept() {
        let positions = BTreeMap::from([(1, json!({"id": {"S": "x"}}))]);
        let mut segments = left(3, None, (&BTreeSet::from([0]), &positions), 7);
        segments.sort_by_key(|segment| segment.number);
        assert_eq!(
            segments,
            [
                Segment { number: 1, after: Some(json!({"id": {"S": "x"}})) },
                Segment { number: 2, after: None },
            ]
        );
    }
}
