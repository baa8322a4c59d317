//! Waits for the archive at the end of a run: says so where it takes long, and ends at a second signal.

use std::pin::pin;
use std::time::Duration;

use dm_engine::archive::RunName;

use crate::print::say;
use crate::signals::Forwarded;

/// A wait that needs no explanation: a bucket far away closes a journal within it.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How long the end of one run is waited for.
#[derive(Debug)]
pub struct Patience<'a> {
    signals: &'a mut Forwarded,
    /// The run, where it is in an archive.
    run: Option<&'a RunName>,
    said: bool,
    is_over: bool,
}

impl<'a> Patience<'a> {
    /// For the end of this run. A run without an archive is waited for in silence.
    pub fn new(signals: &'a mut Forwarded, run: Option<&'a RunName>) -> Self {
        Self { signals, run, said: false, is_over: false }
    }

    /// Waits for a step of the end; `None` once a second signal has ended the wait.
    pub async fn wait<T>(&mut self, step: impl Future<Output = T>) -> Option<T> {
        let Some(run) = self.run else { return Some(step.await) };
        if self.is_over {
            return None;
        }
        let mut step = pin!(step);
        let mut silence = pin!(tokio::time::sleep(SILENCE_MAX));
        let mut again = pin!(self.signals.asked_again());
        loop {
            tokio::select! {
                biased;
                done = &mut step => return Some(done),
                () = &mut again => {
                    self.is_over = true;
                    return None;
                }
                () = &mut silence, if !self.said => {
                    self.said = true;
                    say(&format!(
                        "waiting for the archive, to close run {run}: a second Ctrl-C or SIGTERM \
                         ends the wait"
                    ));
                }
            }
        }
    }
}
