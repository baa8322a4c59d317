//! What the result of a dry run has beside its effects, and its second pass.

use std::sync::atomic::Ordering;

use dm_contract::report::{ApplyTime, DryRunResult, GuardResult, SecondPass, Use};

use crate::layers::tally::Counts;
use crate::stack::{Bottom, Engine};

/// Why a second pass does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecondPassError {
    /// The plan does not provide for one, or the run is no dry run.
    #[error("this run has no second pass")]
    NotPlanned,
    #[error("the second pass has begun already")]
    Begun,
}

impl Engine {
    /// Begins the second pass of a dry run. The result stays that of the first pass, and states
    /// whether the second one changed anything again. The caller is not known: a second request
    /// means that the program itself may have sent one, which makes the result unusable.
    pub fn begin_second_pass(&self) -> Result<(), SecondPassError> {
        let (Bottom::Overlay(overlay), true) = (&self.bottom, self.second_pass) else {
            return Err(SecondPassError::NotPlanned);
        };
        if self.first_pass.set(self.result_so_far()).is_err() {
            self.begun_twice.store(true, Ordering::SeqCst);
            return Err(SecondPassError::Begun);
        }
        overlay.begin_second_pass();
        Ok(())
    }

    /// Whether the second pass has begun.
    pub fn is_in_second_pass(&self) -> bool {
        self.first_pass.get().is_some()
    }

    /// What the run did so far, or what its first pass did.
    pub fn result(&self) -> GuardResult {
        let now = self.result_so_far();
        let Some(first) = self.first_pass.get() else { return now };
        let begun_twice = self.begun_twice.load(Ordering::SeqCst).then(|| {
            "A second pass was asked for twice, which the program itself must have done, so what \
             its first pass did is not known."
                .to_owned()
        });
        let requests = Some(now.requests.saturating_sub(first.requests));
        let second_pass = now.dry_run.and_then(|now| now.second_pass);
        let second_pass = second_pass.map(|pass| SecondPass { requests, ..pass });
        let dry_run = first.dry_run.clone().map(|first| DryRunResult { second_pass, ..first });
        GuardResult {
            write_calls_upstream: now.write_calls_upstream,
            read_calls_upstream: now.read_calls_upstream,
            problem: now.problem.or(begun_twice),
            dry_run,
            ..first.clone()
        }
    }

    /// What only a dry run has.
    pub(in crate::stack) fn dry_run(&self, counts: &Counts) -> Option<DryRunResult> {
        let Bottom::Overlay(overlay) = &self.bottom else { return None };
        let samples = if self.policy.shows_values() { overlay.samples() } else { Ok(Vec::new()) };
        let used = Use {
            items_read: counts.items_read,
            items_written: counts.writes,
            read_units: counts.read_units,
            write_units: counts.write_units,
        };
        Some(DryRunResult {
            operations: counts.operations(),
            changed_underneath: overlay.changed_underneath(),
            apply_time: ApplyTime::of(&used, &self.rates.in_force()),
            // An overlay that is lost is the problem of the result anyway.
            samples: samples.unwrap_or_default(),
            second_pass: overlay.second_pass(),
        })
    }
}
