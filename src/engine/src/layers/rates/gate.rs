//! The gate that a pause closes. A request waits here before anything is done for it, as long as
//! its client does: SDKs count a throttle as one of their few attempts, and waiting as none. One
//! whose client goes away in the meantime is not carried out.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::limits;
use tokio::sync::watch;

use crate::fault::Fault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Paused,
    /// What is held is sent away. What comes after a pause is not let through either: who paused
    /// the run has not resumed it.
    Closing {
        paused: bool,
    },
}

/// Open, or closed by a pause.
#[derive(Debug)]
pub struct Gate {
    state: watch::Sender<State>,
    held: AtomicU32,
}

/// One that waits, counted as long as it does.
struct Held<'a>(&'a AtomicU32);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub fn new() -> Self {
        Self { state: watch::Sender::new(State::Open), held: AtomicU32::new(0) }
    }

    /// Closes it; what is under way continues.
    pub fn pause(&self) {
        self.set(State::Paused);
    }

    pub fn resume(&self) {
        self.set(State::Open);
    }

    fn set(&self, to: State) {
        self.state.send_if_modified(|state| {
            let changes = *state != to && !matches!(state, State::Closing { .. });
            if changes {
                *state = to;
            }
            changes
        });
    }

    /// Sends away what is held: the guard stops.
    pub fn close(&self) {
        self.state.send_modify(|state| {
            let paused = matches!(state, State::Paused | State::Closing { paused: true });
            *state = State::Closing { paused };
        });
    }

    /// Returns when the guard stops.
    pub async fn closing(&self) {
        let mut state = self.state.subscribe();
        // The sender is this gate's own, which is there.
        let _ = state.wait_for(|state| matches!(state, State::Closing { .. })).await;
    }

    /// Whether it is closed by a pause.
    pub fn is_paused(&self) -> bool {
        *self.state.borrow() == State::Paused
    }

    /// Waits until the pause state differs from `known`, and returns it.
    pub async fn is_paused_other_than(&self, known: bool) -> bool {
        let mut state = self.state.subscribe();
        // The sender is this gate's own, which is there.
        let _ = state.wait_for(|state| (*state == State::Paused) != known).await;
        !known
    }

    /// Waits until it is closed by a pause.
    pub async fn paused(&self) {
        let mut state = self.state.subscribe();
        // As above.
        let _ = state.wait_for(|state| *state == State::Paused).await;
    }

    pub fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Waits while it is paused; who is patient, as long as that takes.
    pub async fn pass(&self, patient: bool) -> Result<(), Fault> {
        let now = *self.state.borrow();
        match now {
            State::Open | State::Closing { paused: false } => return Ok(()),
            State::Closing { paused: true } => return Err(Fault::Stopping),
            State::Paused => {}
        }
        let _held = Held::new(&self.held);
        let mut state = self.state.subscribe();
        let left = async {
            match state.wait_for(|state| *state != State::Paused).await {
                Ok(state) if *state == State::Open => Ok(()),
                Ok(_) | Err(_) => Err(Fault::Stopping),
            }
        };
        if patient {
            return left.await;
        }
        let left = tokio::time::timeout(limits::PAUSE_HELD_MAX, left).await;
        left.unwrap_or(Err(Fault::Limited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_it_is_paused_waits_until_it_is_open_again() {
        let gate = Arc::new(Gate::new());
        gate.pass(false).await.unwrap();
        gate.pause();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass(false).await }
        });
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!waiting.is_finished());
        assert_eq!((gate.is_paused(), gate.held()), (true, 1));
        gate.resume();
        waiting.await.unwrap().unwrap();
        assert_eq!((gate.is_paused(), gate.held()), (false, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_nor_longer_than_the_guard_is_there() {
        let gate = Arc::new(Gate::new());
        gate.pause();
        assert!(matches!(gate.pass(false).await, Err(Fault::Limited)));
        let patient = gate.pass(true);
        let long = Duration::from_secs(14 * 24 * 60 * 60);
        assert!(tokio::time::timeout(long, patient).await.is_err(), "an operator takes a week off");
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass(false).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.close();
        assert!(matches!(waiting.await.unwrap(), Err(Fault::Stopping)));
        // Nobody has resumed the run.
        gate.resume();
        assert!(matches!(gate.pass(true).await, Err(Fault::Stopping)));
        let open = Gate::new();
        open.close();
        open.pass(false).await.unwrap();
    }
}
