//! Writes the checkpoint of a run under way: when a segment waits for it, and every few seconds.

use std::sync::Arc;

use dm_engine::Engine;
use tokio::sync::{Notify, watch};

use crate::checkpoint::Checkpoints;
use crate::limits::{CHECKPOINT_INTERVAL, CHECKPOINT_KEYS_MAX, CHECKPOINT_WAIT_MAX};
use crate::position::Position;

/// Writes checkpoints; nothing where the run has none.
#[derive(Debug)]
pub(crate) struct Saving {
    checkpoints: Option<Checkpoints>,
    engine: Arc<Engine>,
    position: Arc<Position>,
    wanted: Notify,
    /// The version that was written last, whether or not that succeeded.
    written: watch::Sender<u64>,
}

impl Saving {
    pub fn new(
        checkpoints: Option<Checkpoints>,
        engine: Arc<Engine>,
        position: Arc<Position>,
    ) -> Self {
        let written = watch::Sender::new(0);
        Self { checkpoints, engine, position, wanted: Notify::new(), written }
    }

    /// Writes the checkpoint, if it has changed since the last one or is the guard's last.
    pub async fn save(&self, is_last: bool) {
        let Some(checkpoints) = &self.checkpoints else { return };
        let look = self.position.look(self.engine.usage(), is_last);
        if let Some((checkpoint, version)) = look {
            checkpoints.write(&checkpoint).await;
            self.written.send_replace(version);
        }
    }

    /// Writes checkpoints for ever.
    pub async fn keep_saving(&self) {
        let mut ticks = tokio::time::interval(CHECKPOINT_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.wanted.notified() => {}
            }
            self.save(false).await;
        }
    }

    /// Waits until what is done by now is in a checkpoint, which those who wait share. It only
    /// saves reading, so neither an archive that fails nor one that is slow holds the run, and a
    /// large checkpoint is not written for each page.
    pub async fn saved(&self) {
        let (version, keys) = self.position.version();
        if self.checkpoints.is_none() || keys > CHECKPOINT_KEYS_MAX {
            return;
        }
        let mut written = self.written.subscribe();
        self.wanted.notify_one();
        let written = written.wait_for(|written| *written >= version);
        // Late or failed: the next one comes with the interval.
        let _ = tokio::time::timeout(CHECKPOINT_WAIT_MAX, written).await;
    }
}
