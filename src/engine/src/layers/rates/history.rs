//! What a run used, step by step, for its report. Pure: it is given the time.

use std::time::Duration;

use dm_contract::report::{Timeline, TimelineStep};

use crate::layers::rates::Used;

/// Steps of a history: as many as a chart shows apart. When they are full, each two become one.
const STEPS_MAX: usize = 240;

/// Length of the first steps. After four minutes they are 2 s long, and so on.
const FIRST_STEP_MS: u64 = 1_000;

/// What was used so far, by time.
#[derive(Clone, Debug)]
pub struct History {
    step_ms: u64,
    steps: Vec<TimelineStep>,
    last: Used,
}

impl History {
    pub fn new() -> Self {
        Self { step_ms: FIRST_STEP_MS, steps: Vec::new(), last: Used::default() }
    }

    /// Adds what was used since the last time, at this time since the start.
    pub fn add(&mut self, at: Duration, used: Used) {
        let ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        while usize::try_from(ms / self.step_ms).unwrap_or(usize::MAX) >= STEPS_MAX {
            self.halve();
        }
        let place = usize::try_from(ms / self.step_ms).unwrap_or_default();
        if self.steps.len() <= place {
            self.steps.resize(place + 1, TimelineStep::default());
        }
        // Of two calls that end together, the later may bring the earlier counts.
        let more = |now: u64, before: u64| now.saturating_sub(before);
        let throttles = more(used.read_throttles, self.last.read_throttles)
            + more(used.write_throttles, self.last.write_throttles)
            + more(used.paced_throttles, self.last.paced_throttles);
        if let Some(step) = self.steps.get_mut(place) {
            step.read_units += (used.read_units - self.last.read_units).max(0.0);
            step.write_units += (used.write_units - self.last.write_units).max(0.0);
            step.throttles += throttles;
        }
        self.last = self.last.later(used);
    }

    fn halve(&mut self) {
        let sum = |pair: &[TimelineStep]| {
            pair.iter().fold(TimelineStep::default(), |sum, step| TimelineStep {
                read_units: sum.read_units + step.read_units,
                write_units: sum.write_units + step.write_units,
                throttles: sum.throttles + step.throttles,
            })
        };
        self.steps = self.steps.chunks(2).map(sum).collect();
        self.step_ms = self.step_ms.saturating_mul(2);
    }

    /// The history as it is reported.
    pub fn timeline(&self) -> Timeline {
        Timeline { step_ms: self.step_ms, steps: self.steps.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(read_units: f64, write_units: f64, write_throttles: u64) -> Used {
        Used { read_units, write_units, write_throttles, ..Used::default() }
    }

    #[test]
    fn each_step_has_what_was_used_in_it() {
        let mut history = History::new();
        history.add(Duration::from_millis(100), used(1.0, 2.0, 0));
        history.add(Duration::from_millis(900), used(1.5, 4.0, 1));
        history.add(Duration::from_millis(3_000), used(2.0, 5.0, 3));
        // A call that ended earlier and comes later.
        history.add(Duration::from_millis(3_100), used(1.5, 4.0, 1));
        let step = |read_units, write_units, throttles| TimelineStep {
            read_units,
            write_units,
            throttles,
        };
        let empty = TimelineStep::default();
        let expected = vec![step(1.5, 4.0, 1), empty, empty, step(0.5, 1.0, 2)];
        assert_eq!(history.timeline(), Timeline { step_ms: 1_000, steps: expected });
    }

    #[test]
    fn a_run_of_days_has_no_more_steps_and_loses_nothing() {
        let mut history = History::new();
        let hours: u32 = 94;
        for minute in 0..hours * 60 {
            let so_far = f64::from(minute + 1);
            history.add(Duration::from_secs(u64::from(minute) * 60), used(so_far, so_far, 0));
        }
        let timeline = history.timeline();
        assert!(timeline.steps.len() <= STEPS_MAX, "{}", timeline.steps.len());
        let sum: f64 = timeline.steps.iter().map(|step| step.write_units).sum();
        assert!((sum - f64::from(hours * 60)).abs() < 1e-6, "{sum}");
    }
}
