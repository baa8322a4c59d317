//! What a guard says of a dry run beside its effects: how far they can be relied on, how long applying
//! would take, examples, and whether a second pass changed anything.

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
fn is_zero(count: &u64) -> bool {
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
    /// Its rate, in items a second.
    pub per_second: u32,
}

/// What has a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limited {
    /// Items read.
    Reads,
    /// Items written.
    Writes,
}

/// What a second pass of the program did to the items as the first had left them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondPass {
    /// Whether it changed nothing.
    pub idempotent: bool,
    /// Items that it changed again, per table, in order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<ChangedAgain>,
}

/// Items of one table that a second pass changed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedAgain {
    /// The table's name.
    pub name: String,
    /// How many.
    pub items: u64,
}

impl ApplyTime {
    /// Of so many items read and written. Reads and writes go on beside each other, so the slower
    /// of them counts.
    pub fn of(items_read: u64, items_written: u64, limits: &RateLimits) -> Option<Self> {
        let time = |items: u64, limited_by, per_second: Option<u32>| {
            let per_second = per_second?;
            let seconds = items.div_ceil(per_second.max(1).into());
            (items > 0).then_some(Self { seconds, limited_by, per_second })
        };
        let reads = time(items_read, Limited::Reads, limits.reads_per_second);
        let writes = time(items_written, Limited::Writes, limits.writes_per_second);
        match (reads, writes) {
            (Some(reads), Some(writes)) if reads.seconds > writes.seconds => Some(reads),
            (reads, writes) => writes.or(reads),
        }
    }
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
        let time = ApplyTime::of(items_read, items_written, &limits);
        assert_eq!(time.map(|time| (time.seconds, time.limited_by)), expected);
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
