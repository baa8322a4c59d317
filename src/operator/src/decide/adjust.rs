//! What the guard of a run under way is told, so that it goes as the spec says now: how fast, and
//! whether it is paused. Pure.

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

/// What differs from the spec in how the run goes, as far as its guard can be asked.
pub fn wanted(situation: Situation<'_>, record: &RunRecord) -> Option<Adjustment> {
    let control = situation.control?;
    let limits = situation.runnable.ok().map(objects::guard::limits_of);
    let limits = limits.filter(|limits| *limits != control.limits);
    let paused = pauses(situation, record);
    let paused = (paused != control.paused).then_some(paused);
    (limits.is_some() || paused.is_some()).then_some(Adjustment { limits, paused })
}

/// Whether the run is to be paused where it is, once its program runs. A restore is suspended with
/// its Job instead, which takes no pod meanwhile: it goes on where it was all the same.
pub fn pauses(situation: Situation<'_>, record: &RunRecord) -> bool {
    situation.migration.spec.suspend && !record.kind.restores()
}
