//! The run that a guard controls: a program's, or a restore.

use std::sync::Arc;

use dm_contract::control::ControlState;
use dm_contract::plan::RateLimits;
use dm_contract::report::GuardResult;
use dm_engine::Engine;

use crate::restoring::Restoring;

#[derive(Debug)]
pub enum Run {
    Program(Arc<Engine>),
    Restore(Arc<Restoring>),
}

impl Run {
    /// Returns how far it is, as JSON.
    pub fn progress(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Program(engine) => serde_json::to_vec(&without_samples(engine)),
            Self::Restore(restoring) => serde_json::to_vec(&restoring.result()),
        }
    }

    pub fn state(&self) -> ControlState {
        match self {
            Self::Program(engine) => engine.control(),
            Self::Restore(restoring) => restoring.restore.control(),
        }
    }

    pub fn set_rates(&self, limits: &RateLimits) {
        match self {
            Self::Program(engine) => engine.set_rates(limits),
            Self::Restore(restoring) => restoring.restore.set_rates(limits),
        }
    }

    /// Pauses the run, or resumes it.
    pub fn pause(&self, paused: bool) {
        match (self, paused) {
            (Self::Program(engine), true) => engine.pause(),
            (Self::Program(engine), false) => engine.resume(),
            (Self::Restore(restoring), true) => restoring.restore.pause(),
            (Self::Restore(restoring), false) => restoring.restore.resume(),
        }
    }
}

/// Every client that reaches the pod can read this, so it contains no item.
fn without_samples(engine: &Engine) -> GuardResult {
    let mut result = engine.result();
    if let Some(dry_run) = &mut result.dry_run {
        dry_run.samples.clear();
    }
    result
}
