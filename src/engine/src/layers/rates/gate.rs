//! The gate that a pause closes. A request waits here before anything is done for it, as long as
//! its client does: SDKs count a throttle as one of their few attempts, and waiting as none. One
//! whose client goes away meanwhile is not carried out.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::limits;
use tokio::sync::watch;

use crate::fault::Fault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Paused,
    /// What is held is sent away.
    Closing,
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
    /// An open one.
    pub fn new() -> Self {
        Self { state: watch::Sender::new(State::Open), held: AtomicU32::new(0) }
    }

    /// Closes it; what is under way goes on.
    pub fn pause(&self) {
        self.set(State::Paused);
    }

    /// Opens it.
    pub fn resume(&self) {
        self.set(State::Open);
    }

    fn set(&self, to: State) {
        self.state.send_if_modified(|state| {
            let changes = *state != to && *state != State::Closing;
            if changes {
                *state = to;
            }
            changes
        });
    }

    /// Sends away what is held: the guard stops.
    pub fn close(&self) {
        self.state.send_replace(State::Closing);
    }

    /// Whether it is closed by a pause.
    pub fn is_paused(&self) -> bool {
        *self.state.borrow() == State::Paused
    }

    /// Whether it is, as soon as that is another than is known.
    pub async fn is_paused_other_than(&self, known: bool) -> bool {
        let mut state = self.state.subscribe();
        // The sender is this gate's own, which is there.
        let _ = state.wait_for(|state| (*state == State::Paused) != known).await;
        !known
    }

    /// How many wait.
    pub fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Waits while it is paused.
    pub async fn pass(&self) -> Result<(), Fault> {
        if !self.is_paused() {
            return Ok(());
        }
        let _held = Held::new(&self.held);
        let mut state = self.state.subscribe();
        let left = state.wait_for(|state| *state != State::Paused);
        match tokio::time::timeout(limits::PAUSE_HELD_MAX, left).await {
            Ok(Ok(state)) if *state == State::Open => Ok(()),
            Ok(_) => Err(Fault::Unavailable("the guard is stopping".into())),
            Err(_) => Err(Fault::Throttled),
        }
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
        gate.pass().await.unwrap();
        gate.pause();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass().await }
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
        assert!(matches!(gate.pass().await, Err(Fault::Throttled)));
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass().await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.close();
        assert!(matches!(waiting.await.unwrap(), Err(Fault::Unavailable(_))));
        // What comes after it was not held, and is for the server to refuse.
        gate.pause();
        gate.pass().await.unwrap();
    }
}
