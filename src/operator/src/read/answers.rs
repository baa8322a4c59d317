//! What the guards of the run under way answered, all parts together. Pure; `observe` asks.

use dm_contract::control::ControlState;
use dm_contract::plan::RateLimits;
use dm_contract::report::GuardResult;
use dm_contract::restored::RestoreResult;

/// What the guards of the run under way answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// What they have counted so far. Parts that have ended count with their results.
    pub guard: Option<GuardResult>,
    /// The same of a restore.
    pub restore: Option<RestoreResult>,
    /// The rate that each guard allows its part.
    pub controls: Vec<ControlState>,
    /// Parts whose program runs and whose guard did not answer.
    pub silent: Vec<u32>,
    /// Parts without a running program that have neither ended well nor been given up: their next
    /// pod starts as its Job says, which knows of no pause.
    pub waiting: Vec<u32>,
    /// Whether counts of a part that has begun are missing.
    pub is_partial: bool,
}

impl Answers {
    /// Whether every guard reports that it is paused, and no part waits for a pod; `None` if no
    /// guard answered and no part waits.
    pub fn paused(&self) -> Option<bool> {
        if self.controls.is_empty() && self.waiting.is_empty() {
            return None;
        }
        let each = self.controls.iter().all(|control| control.paused);
        Some(each && self.silent.is_empty() && self.waiting.is_empty())
    }

    /// The rates that the database's throttles have lowered the run to. A part that is not
    /// throttled counts with its limits.
    pub fn lowered(&self) -> Option<RateLimits> {
        if self.controls.iter().all(|control| control.lowered.is_none()) {
            return None;
        }
        let rates = |control: &ControlState| {
            control.lowered.clone().unwrap_or_else(|| control.limits.lower(&control.limits_max))
        };
        self.controls.iter().map(rates).reduce(|sum, next| added(&sum, &next))
    }
}

/// The sum of two rates. One of them unlimited is unlimited.
fn added(one: &RateLimits, other: &RateLimits) -> RateLimits {
    let sum = |one: Option<u32>, other: Option<u32>| Some(one?.saturating_add(other?));
    RateLimits {
        reads_per_second: sum(one.reads_per_second, other.reads_per_second),
        writes_per_second: sum(one.writes_per_second, other.writes_per_second),
        read_units_per_second: sum(one.read_units_per_second, other.read_units_per_second),
        write_units_per_second: sum(one.write_units_per_second, other.write_units_per_second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, writes};

    fn control(paused: bool, lowered: Option<RateLimits>) -> ControlState {
        ControlState { lowered, ..samples::control(paused, writes(100)) }
    }

    fn answers(controls: Vec<ControlState>, silent: Vec<u32>) -> Answers {
        Answers { controls, silent, ..Answers::default() }
    }

    #[test]
    fn a_part_that_waits_for_a_pod_is_not_paused() {
        let of = |controls| Answers { waiting: vec![1], ..answers(controls, vec![]) }.paused();
        assert_eq!(of(vec![control(true, None)]), Some(false));
        assert_eq!(of(vec![]), Some(false));
    }

    #[test]
    fn a_run_is_paused_if_every_guard_says_so() {
        let check = |controls: &[bool], silent: &[u32], expected| {
            let controls = controls.iter().map(|paused| control(*paused, None)).collect();
            assert_eq!(answers(controls, silent.to_vec()).paused(), expected);
        };
        check(&[], &[], None);
        check(&[], &[0], None);
        check(&[true], &[], Some(true));
        check(&[true, true], &[], Some(true));
        check(&[true, false], &[], Some(false));
        check(&[true, true], &[2], Some(false));
    }

    #[test]
    fn rates_of_throttled_parts_are_added() {
        let check = |lowered: &[Option<u32>], expected: Option<u32>| {
            let controls = lowered.iter().map(|rate| control(false, rate.map(writes))).collect();
            assert_eq!(answers(controls, vec![]).lowered(), expected.map(writes));
        };
        check(&[None, None], None);
        check(&[Some(40)], Some(40));
        check(&[Some(40), None, Some(5)], Some(145));
    }
}
