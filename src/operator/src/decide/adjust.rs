//! What is sent to the guards of a run under way, so that it follows the spec: limits, and whether
//! it is paused. Pure.

use dm_api::status::RunRecord;
use dm_contract::plan::RateLimits;

use crate::decide::situation::Situation;
use crate::objects::{guard, share};

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    pub limits: Option<RateLimits>,
    /// Whether it is paused.
    pub paused: Option<bool>,
}

/// Returns what differs from the spec, as far as the run's guards answered.
pub fn wanted(situation: Situation<'_>, record: &RunRecord) -> Option<Adjustment> {
    let controls = &situation.answers.controls;
    let limits = limits(situation, record).map(|limits| share::of(&limits, record.parts()));
    // Each guard that differs is reason enough to send it to all.
    let limits = limits.filter(|limits| controls.iter().any(|it| it.limits != *limits));
    let paused = pauses(situation, record);
    let paused = controls.iter().any(|control| control.paused != paused).then_some(paused);
    (limits.is_some() || paused.is_some()).then_some(Adjustment { limits, paused })
}

/// Returns the limits of the whole run by the spec and its target. They hold whether or not another
/// run could begin with that spec: a limit that is too low for the pods of a run must still reach
/// those that run.
pub fn limits(situation: Situation<'_>, record: &RunRecord) -> Option<RateLimits> {
    let spec = &situation.migration.spec;
    // The limits of another target say nothing of the database that this run works on.
    let is_same = record.target.as_ref().is_none_or(|name| *name == spec.target.name);
    let target = situation.target.filter(|_| is_same)?;
    Some(guard::limits_of_run(&spec.limits.clone().unwrap_or_default(), target))
}

/// Whether the run is to be paused where it is, once its program runs. A restore is suspended with
/// its Job instead, which takes no pod in the meantime: it continues where it was all the same.
pub fn pauses(situation: Situation<'_>, record: &RunRecord) -> bool {
    situation.migration.spec.suspend && !record.kind.restores()
}
