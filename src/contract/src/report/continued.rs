//! What a result contains of guards before the one that reports it.

use serde::{Deserialize, Serialize};

/// Guards of a transform before this one, in replaced pods or in the same pod, whose counts a
/// result contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Continued {
    /// How many there were. 0: the guard is the first one.
    pub guards: u32,
    /// Whether one of them was killed. What it used after its last checkpoint is not known, so
    /// requests, calls and units are lower bounds. Counts of items are exact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

impl Continued {
    /// Returns that of two parts of a run together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            guards: self.guards.saturating_add(other.guards),
            at_least: self.at_least || other.at_least,
        }
    }
}
