//! What is sent to the guards of a run under way, so that it follows the spec: limits, and whether
//! it is paused. Pure.

use dm_api::status::RunRecord;
use dm_contract::plan::RateLimits;

use crate::decide::situation::Situation;
use crate::objects;

/// What is to be another than it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// The limits.
    pub limits: Option<RateLimits>,
    /// Whether it is paused.
    pub paused: Option<bool>,
}

/// Returns what differs from the spec, as far as the run's guards answered.
pub fn wanted(situation: Situation<'_>, record: &RunRecord) -> Option<Adjustment> {
    let controls = &situation.answers.controls;
    let limits = situation.runnable.ok();
    let limits = limits.map(|runnable| objects::guard::limits_of(runnable, record.parts()));
    // Each guard that differs is reason enough to send it to all.
    let limits = limits.filter(|limits| controls.iter().any(|it| it.limits != *limits));
    let paused = pauses(situation, record);
    let paused = controls.iter().any(|control| control.paused != paused).then_some(paused);
    (limits.is_some() || paused.is_some()).then_some(Adjustment { limits, paused })
}

/// Whether the run is to be paused where it is, once its program runs. A restore is suspended with
/// its Job instead, which takes no pod meanwhile: it goes on where it was all the same.
pub fn pauses(situation: Situation<'_>, record: &RunRecord) -> bool {
    situation.migration.spec.suspend && !record.kind.restores()
}
