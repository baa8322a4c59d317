//! Waits for the archive at the end of a run: says so where it takes long, and ends at a second
//! signal or when one patience for all steps is over.

use std::pin::pin;
use std::time::Duration;

use dm_engine::archive::RunName;
use tokio::time::Instant;

use crate::print::say;
use crate::signals::Forwarded;

/// A wait that needs no explanation: a bucket far away closes a journal within it.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How long the archive is waited for at the end of a run, all steps together: as long as for any
/// other call at it. An archive that takes nothing, as a full disk, would hold each step up by
/// itself.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// The part of the patience that is left for a step to report its error.
const REPORTING: Duration = Duration::from_secs(2);

/// How long the end of one run is waited for.
#[derive(Debug)]
pub struct Patience<'a> {
    signals: &'a mut Forwarded,
    /// The run, where it is in an archive.
    run: Option<&'a RunName>,
    said: bool,
    /// When the wait ends: set by its first step.
    until: Option<Instant>,
    over: Option<Over>,
}

/// Why nothing is waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A person ended the wait.
    Signal,
    /// It took too long.
    Time,
}

impl<'a> Patience<'a> {
    /// For the end of this run. A run without an archive is waited for in silence.
    pub fn new(signals: &'a mut Forwarded, run: Option<&'a RunName>) -> Self {
        Self { signals, run, said: false, until: None, over: None }
    }

    /// How long one step may take, so that it still returns why it failed before the wait is over.
    pub fn left(&mut self) -> Duration {
        let until = *self.until.get_or_insert_with(|| Instant::now() + PATIENCE_MAX);
        until.saturating_duration_since(Instant::now()).saturating_sub(REPORTING)
    }

    /// Waits for a step of the end, or returns why the wait is over.
    pub async fn wait<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Over> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + PATIENCE_MAX);
        self.wait_until(step, tokio::time::sleep_until(until)).await
    }

    /// The same for as long as the step takes: for one that writes much to an archive that works.
    pub async fn wait_long<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Over> {
        self.wait_until(step, std::future::pending()).await
    }

    async fn wait_until<T>(
        &mut self,
        step: impl Future<Output = T>,
        too_long: impl Future<Output = ()>,
    ) -> Result<T, Over> {
        let Some(run) = self.run else { return Ok(step.await) };
        if let Some(over) = self.over {
            return Err(over);
        }
        let mut too_long = pin!(too_long);
        let mut step = pin!(step);
        let mut silence = pin!(tokio::time::sleep(SILENCE_MAX));
        let mut again = pin!(self.signals.asked_again());
        loop {
            tokio::select! {
                biased;
                done = &mut step => return Ok(done),
                () = &mut again => return Err(*self.over.insert(Over::Signal)),
                () = &mut too_long => return Err(*self.over.insert(Over::Time)),
                () = &mut silence, if !self.said => {
                    self.said = true;
                    say(&format!(
                        "waiting for the archive to record the end of run {run}: a second Ctrl-C \
                         or SIGTERM ends the wait"
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_steps_of_an_end_share_one_patience() {
        let run = RunName::new("shop", 1).unwrap();
        let mut signals = Forwarded::new().unwrap();
        let mut patience = Patience::new(&mut signals, Some(&run));
        let begun = Instant::now();
        let quick = patience.wait(tokio::time::sleep(PATIENCE_MAX / 3)).await;
        assert_eq!(quick, Ok(()));
        assert_eq!(patience.left() + REPORTING, PATIENCE_MAX * 2 / 3);
        assert_eq!(patience.wait(std::future::pending::<()>()).await, Err(Over::Time));
        assert_eq!(begun.elapsed(), PATIENCE_MAX);
        assert_eq!(patience.wait(async {}).await, Err(Over::Time), "for the steps that follow");
        assert_eq!(patience.wait_long(async {}).await, Err(Over::Time));
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_is_waited_for_as_long_as_it_takes() {
        let run = RunName::new("shop", 1).unwrap();
        let mut signals = Forwarded::new().unwrap();
        let mut patience = Patience::new(&mut signals, Some(&run));
        let long = patience.wait_long(tokio::time::sleep(PATIENCE_MAX * 4)).await;
        assert_eq!(long, Ok(()));
    }
}
