//! Whether what would run now is what a run ran.

use dm_api::condition::{Reason, types};

use crate::decide::position::Position;
use crate::decide::situation::Situation;
use crate::runnable::{Program, Runnable};

/// Adds a condition while what would run now differs from what a run ran.
pub fn add_condition(position: &mut Position, situation: Situation<'_>, digest: &str) {
    if let Some(why) = changed_since(situation, digest) {
        position.conditions.push((
            types::SOURCE_CHANGED,
            Reason::SourceChanged,
            format!("The last run used an earlier version: {why}"),
        ));
    }
}

/// How what would run now differs from what a run ran.
pub fn changed_since(situation: Situation<'_>, digest: &str) -> Option<&'static str> {
    match situation.runnable {
        // What is validated then is a restore.
        Ok(Runnable { program: Program::Restore(_) | Program::Baseline, .. }) => None,
        Ok(runnable) if runnable.digest != digest => {
            Some("the program's files, its settings or its target have changed")
        }
        Ok(_) | Err(_) => None,
    }
}
