//! How fast a run went over time: a bounded number of steps of equal length.

use serde::{Deserialize, Serialize};

/// Units and throttles over time. In the file of a report, not in the termination message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Length of a step in milliseconds.
    pub step_ms: u64,
    /// The steps, from the start of the guard.
    pub steps: Vec<TimelineStep>,
}

/// What happened in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineStep {
    /// Read units.
    #[serde(default)]
    pub read_units: f64,
    /// Write units: used, or in a dry run what they would be.
    #[serde(default)]
    pub write_units: f64,
    /// Throttles by the database.
    #[serde(default)]
    pub throttles: u64,
}
