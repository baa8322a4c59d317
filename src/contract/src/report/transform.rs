//! What a transform did, item by item in counts, and which items it could not change.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a transform did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransformResult {
    pub end: TransformEnd,
    /// Why it ended before it had seen every item, or what could not be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The run whose failed items were all that was visited. Absent where the table was scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_run: Option<String>,
    /// Items that the scan returned.
    pub read: u64,
    /// Items that the filter did not select.
    pub skipped: u64,
    /// Items that were already correct.
    pub unchanged: u64,
    /// Items that changed, or would change in a dry run.
    pub changed: u64,
    /// Items that could not be changed.
    pub failed: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedItem>,
}

/// How a transform ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransformEnd {
    /// Every selected item is as the transform leaves it.
    #[default]
    Succeeded,
    /// The same, but for the items that failed.
    PartiallyFailed,
    /// It stopped before it had seen every item.
    Failed,
    /// It was asked to stop.
    Interrupted,
}

/// An item that could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedItem {
    pub table: String,
    /// The item's key, as DynamoDB's JSON; absent where the target does not show values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// The field of the transform that failed, and why.
    pub reason: String,
}

impl TransformEnd {
    /// The exit code that stands for it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::PartiallyFailed => EXIT_PARTIALLY_FAILED,
            // 128 + SIGTERM, as a shell has it.
            Self::Interrupted => 143,
        }
    }
}

/// The exit code of a transform that changed all items but some that failed. Not 2, which is that
/// of wrong arguments.
pub const EXIT_PARTIALLY_FAILED: u8 = 3;
