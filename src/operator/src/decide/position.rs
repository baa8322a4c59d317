//! What status says of where a migration stands: phase, reason, sentence, progress. Pure; it
//! decides nothing.

use dm_api::condition::Reason;
use dm_api::status::{Phase, Progress};
use jiff::Timestamp;

use crate::decide::outcome;

/// What status says of where a migration stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// One word for people.
    pub phase: Phase,
    /// One word for machines.
    pub reason: Reason,
    pub message: String,
    /// How far it is, for `kubectl get`.
    pub progress: Progress,
    /// What it means for kstatus.
    pub standing: Standing,
    /// Conditions that hold only now: type, reason, message.
    pub conditions: Vec<(&'static str, Reason, String)>,
    /// When to look again even if nothing happens.
    pub next: Option<Timestamp>,
}

/// What a position means for kstatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The spec is fulfilled.
    Ready,
    /// It is being worked on, or waits for something that comes by itself.
    Reconciling,
    /// A person's turn, as planned: promotion, suspension.
    Resting,
    /// A person has to mend something.
    Stalled,
}

impl Position {
    /// A position without special conditions.
    pub fn new(phase: Phase, standing: Standing, reason: Reason, message: String) -> Self {
        let message = outcome::bounded(message);
        let mut position = Self {
            phase,
            reason,
            message,
            progress: Progress::default(),
            standing,
            conditions: Vec::new(),
            next: None,
        };
        if standing == Standing::Stalled {
            position.set_text(reason.as_str());
        }
        position
    }

    /// A few words for `kubectl get`.
    pub fn set_text(&mut self, text: &str) {
        self.progress = Progress { text: Some(text.into()), ..Progress::default() };
    }
}
