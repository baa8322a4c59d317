//! What a guard says of a dry run beside its effects: how far they can be relied on, how long
//! applying would take, examples, and whether a second pass changed anything.

use serde::{Deserialize, Serialize};

use super::changed_item::ChangedItem;
use crate::plan::RateLimits;

/// What only a dry run has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunResult {
    /// How each operation's calls were answered, in order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationCount>,
    /// Items that somebody else changed after the dry run had first looked at them, as far as the
    /// program's own reads came by them again.
    #[serde(default)]
    pub changed_underneath: u64,
    /// How long applying would take at the rate that is allowed; absent where none is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_time: Option<ApplyTime>,
    /// The first items of each table that would change, of their images what changes; absent where
    /// values may not be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<ChangedItem>,
    /// What running the program again over its own writes did; absent where that was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_pass: Option<SecondPass>,
}

/// How one operation's calls were answered. An error of DynamoDB's own is an exact answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationCount {
    /// DynamoDB's name of the operation.
    pub operation: String,
    /// As DynamoDB would have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exact: u64,
    /// Not in every respect; a remark says why.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub approximate: u64,
    /// Not at all; a remark says why.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How long applying would take, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyTime {
    /// In seconds.
    pub seconds: u64,
    /// What takes that long.
    pub limited_by: Limited,
    /// Its rate, in items or units a second.
    pub per_second: u32,
}

/// What has a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limited {
    Reads,
    Writes,
    /// Read units.
    ReadUnits,
    /// Write units.
    WriteUnits,
}

/// What a run uses, as far as its rates are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Use {
    pub items_read: u64,
    pub items_written: u64,
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
}

/// What a second pass of the program did to the items as the first had left them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondPass {
    /// Whether it succeeded and changed nothing.
    pub idempotent: bool,
    /// Requests that it sent. With none, that it changed nothing says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Items that it changed again, per table, in order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<ChangedAgain>,
}

/// Items of one table that a second pass changed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedAgain {
    pub name: String,
    pub items: u64,
}

impl SecondPass {
    /// Whether the program is safe to run again; `None` where the pass sent no request.
    pub fn is_safe(&self) -> Option<bool> {
        (self.requests != Some(0)).then_some(self.idempotent)
    }
}

impl ApplyTime {
    /// The time at these rates. All of them hold at the same time, so the slowest counts.
    pub fn of(used: &Use, limits: &RateLimits) -> Option<Self> {
        let time = |count: u64, limited_by, per_second: Option<u32>| {
            let per_second = per_second?;
            let seconds = count.div_ceil(per_second.max(1).into());
            (count > 0).then_some(Self { seconds, limited_by, per_second })
        };
        let times = [
            time(used.items_written, Limited::Writes, limits.writes_per_second),
            time(used.items_read, Limited::Reads, limits.reads_per_second),
            time(whole(used.write_units), Limited::WriteUnits, limits.write_units_per_second),
            time(whole(used.read_units), Limited::ReadUnits, limits.read_units_per_second),
        ];
        let slower = |slowest: Self, next: Self| {
            if next.seconds > slowest.seconds { next } else { slowest }
        };
        times.into_iter().flatten().reduce(slower)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and small"
)]
fn whole(units: f64) -> u64 {
    units.max(0.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        (items_read, items_written): (u64, u64),
        (reads_per_second, writes_per_second): (Option<u32>, Option<u32>),
        expected: Option<(u64, Limited)>,
    ) {
        let limits = RateLimits { reads_per_second, writes_per_second, ..RateLimits::default() };
        let used = Use { items_read, items_written, ..Use::default() };
        let time = ApplyTime::of(&used, &limits);
        assert_eq!(time.map(|time| (time.seconds, time.limited_by)), expected);
    }

    #[test]
    fn limits_in_units_count_too() {
        let used = Use { items_read: 10, items_written: 10, read_units: 50.5, write_units: 406.0 };
        let check = |limits: RateLimits, expected| {
            let time = ApplyTime::of(&used, &limits);
            assert_eq!(time.map(|time| (time.seconds, time.limited_by)), expected);
        };
        let unlimited = RateLimits::default();
        let units = RateLimits { write_units_per_second: Some(100), ..unlimited.clone() };
        check(units.clone(), Some((5, Limited::WriteUnits)));
        check(
            RateLimits { read_units_per_second: Some(5), ..units },
            Some((11, Limited::ReadUnits)),
        );
        let all = RateLimits {
            writes_per_second: Some(1),
            write_units_per_second: Some(100),
            ..unlimited
        };
        check(all, Some((10, Limited::Writes)));
    }

    #[test]
    fn the_slower_of_reads_and_writes_counts() {
        check((406, 406), (None, Some(200)), Some((3, Limited::Writes)));
        check((1_000, 10), (Some(100), Some(10)), Some((10, Limited::Reads)));
        check((1_000, 10), (Some(100), Some(1)), Some((10, Limited::Writes)));
        check((1_000, 10), (Some(100), None), Some((10, Limited::Reads)));
        check((1_000, 0), (None, Some(10)), None);
        check((1_000, 10), (None, None), None);
    }
}
