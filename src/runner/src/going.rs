//! Whether a run continues, and why it ends before it has seen every item.

use dm_contract::report::TransformEnd;
use tokio::sync::watch;

/// Why the run ends before it has seen every item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    pub end: TransformEnd,
    pub message: String,
}

/// Whether the run continues.
#[derive(Clone, Debug)]
pub(crate) struct Going {
    halted: watch::Sender<Option<Halt>>,
    /// Whether a failed item ends the run.
    pub stops_at_failure: bool,
}

impl Going {
    pub fn new(stops_at_failure: bool) -> Self {
        Self { halted: watch::Sender::new(None), stops_at_failure }
    }

    /// Ends the run. The first reason stays.
    pub fn halt(&self, end: TransformEnd, message: impl Into<String>) {
        self.halted.send_if_modified(|halted| {
            let first = halted.is_none();
            if first {
                *halted = Some(Halt { end, message: message.into() });
            }
            first
        });
    }

    pub fn halted(&self) -> Option<Halt> {
        self.halted.borrow().clone()
    }

    pub fn is_halted(&self) -> bool {
        self.halted.borrow().is_some()
    }

    /// Returns when the run is halted.
    pub async fn ended(&self) {
        // The sender is this one's own, which is there.
        let _ = self.halted.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits for something, unless the run is halted before.
    pub async fn unless_ended<T>(&self, waits: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.ended() => None,
            done = waits => Some(done),
        }
    }

    pub fn part_failed(&self, error: &impl std::fmt::Display) {
        self.halt(TransformEnd::Failed, format!("a part of the run failed: {error}"));
    }

    pub fn item_failed(&self) {
        if self.stops_at_failure {
            self.halt(
                TransformEnd::Failed,
                "an item could not be changed, and onItemError is Stop",
            );
        }
    }

    pub fn request_failed(&self, error: &impl std::fmt::Display) {
        self.halt(TransformEnd::Failed, error.to_string());
    }
}
