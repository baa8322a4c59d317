//! The part of a run that one pod does, where a run is spread over pods. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::PARTS_MAX;
use crate::plan::Plan;

/// Name of the environment variable with a pod's index, which Kubernetes sets in the containers of
/// an Indexed Job (Kubernetes documentation, "Jobs", completion mode).
pub const INDEX_ENV: &str = "JOB_COMPLETION_INDEX";

/// One part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its index, from 0.
    pub index: u32,
    /// How many parts the run has.
    pub of: u32,
}

/// Why a guard cannot know its part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    #[error("the plan's `parts` is {0}; it must be from 2 to {PARTS_MAX}, or absent")]
    Parts(u32),
    /// The environment has no index.
    #[error(
        "the plan's `parts` is {0}, and {INDEX_ENV} is not set. A run with parts needs a Job with \
         completionMode: Indexed"
    )]
    NoIndex(u32),
    /// The environment has an index that the run does not have.
    #[error("{INDEX_ENV} is `{index}`; it must be a number below {of}, the plan's `parts`")]
    Index {
        index: String,
        /// How many parts the run has.
        of: u32,
    },
}

impl Part {
    /// Returns the part of a plan that a process with this index does; `None` where the run is
    /// whole.
    pub fn of_plan(plan: &Plan, index: Option<&str>) -> Result<Option<Self>, PartError> {
        let Some(of) = plan.parts else { return Ok(None) };
        if !(2..=PARTS_MAX).contains(&of) {
            return Err(PartError::Parts(of));
        }
        let text = index.ok_or(PartError::NoIndex(of))?;
        let wrong = || PartError::Index { index: text.chars().take(16).collect(), of };
        let index = text.parse().ok().filter(|index| *index < of).ok_or_else(wrong)?;
        Ok(Some(Self { index, of }))
    }

    /// Returns every part of a run with this many.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (0..of).map(move |index| Self { index, of })
    }

    /// Whether it scans the segment of this number.
    pub fn owns(self, segment: u32) -> bool {
        segment % self.of == self.index
    }
}

/// As in the archive's paths: `part-003`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part-{:03}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: Option<u32>, index: Option<&str>, expected: Result<Option<u32>, &str>) {
        let plan = Plan { parts, ..crate::plan::tests::plan() };
        match (Part::of_plan(&plan, index), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.map(|part| part.index), expected),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_part_is_known_by_the_index_of_its_pod() {
        check(None, None, Ok(None));
        check(None, Some("3"), Ok(None));
        check(Some(4), Some("0"), Ok(Some(0)));
        check(Some(4), Some("3"), Ok(Some(3)));
    }

    #[test]
    fn a_wrong_number_or_index_is_named() {
        check(Some(4), None, Err("JOB_COMPLETION_INDEX is not set"));
        for wrong in ["4", "-1", "", "x"] {
            check(Some(4), Some(wrong), Err("must be a number below 4"));
        }
        for wrong in [0, 1, PARTS_MAX + 1] {
            check(Some(wrong), Some("0"), Err("`parts`"));
        }
    }

    #[test]
    fn each_segment_has_one_owner() {
        for segment in 0..64 {
            assert_eq!(Part::all(7).filter(|part| part.owns(segment)).count(), 1);
        }
    }
}
