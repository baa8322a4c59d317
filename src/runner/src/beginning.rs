//! What a guard that takes the place of another takes up from it: its checkpoint, and what its
//! journal has of the time since.

use std::sync::Arc;

use dm_contract::part::Part;
use dm_contract::report::{Continued, TransformEnd, TransformResult};
use dm_engine::{Before, Engine, Fault};

use crate::checkpoint::{Checkpoint, Checkpoints, Counts, Guards};
use crate::going::Going;
use crate::limits::{RETRIES_MAX, RETRY_PAUSE, RETRY_PAUSE_MAX};

/// Where a run begins.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub checkpoint: Checkpoint,
    /// Whether an earlier guard of the run has changed items.
    pub is_continued: bool,
}

impl Beginning {
    /// Returns the one at a checkpoint, which is of this table.
    pub fn at(mut checkpoint: Checkpoint, table: &str) -> Self {
        let has_moved = !checkpoint.done.is_empty() || !checkpoint.positions.is_empty();
        // One of an older version does not say what became of the items before its positions.
        checkpoint.guards.lost |=
            checkpoint.counts.is_none() && has_moved && checkpoint.retried_run.is_none();
        table.clone_into(&mut checkpoint.counts.get_or_insert_default().table);
        Self { checkpoint, is_continued: false }
    }

    /// Takes up what earlier guards have changed and used.
    pub async fn continued(mut self, engine: &Arc<Engine>, going: &Going) -> Result<Self, String> {
        self.is_continued = taken_up(engine, going).await?;
        let Checkpoint { counts, guards, .. } = &mut self.checkpoint;
        let counts = counts.get_or_insert_default();
        // They changed after the last checkpoint, and no scan meets them any more.
        let gone = engine.deleted(&counts.table).saturating_sub(counts.gone);
        counts.add(&Counts { changed: gone, gone, ..Counts::default() });
        guards.lost |= guards.number > 0 && !guards.ended;
        let before = Before {
            guards: Continued { guards: guards.number, at_least: guards.lost },
            usage: guards.usage,
            table: counts.table.clone(),
            items_read: counts.read(),
        };
        engine.continues(before, self.is_continued);
        *guards = Guards { number: guards.number + 1, ended: false, ..guards.clone() };
        Ok(self)
    }
}

/// Takes up the journal of earlier guards. An archive or a database that does not answer is asked
/// again, as for a write.
async fn taken_up(engine: &Arc<Engine>, going: &Going) -> Result<bool, String> {
    let mut pause = RETRY_PAUSE;
    for retries in 0.. {
        match engine.take_up_journal().await {
            Ok(found) => return Ok(found),
            Err(Fault::Refused { message, .. }) => return Err(message),
            Err(error) if retries >= RETRIES_MAX => {
                return Err(format!("what the guard before it has written is not known: {error}"));
            }
            Err(error) => tracing::warn!(%error, "reading the journal of the guard before"),
        }
        let _ = tokio::time::timeout(pause, going.ended()).await;
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
    // The loop has no other end.
    Ok(false)
}

/// Returns what a transform did that had ended before its guard was restarted; `None` if its
/// checkpoint does not say that it has.
pub async fn recall(
    engine: &Arc<Engine>,
    checkpoints: &Checkpoints,
    part: Option<Part>,
) -> Option<TransformResult> {
    let checkpoint = checkpoints.read().await.ok().flatten()?;
    let is_over = checkpoint.is_whole(part) && checkpoint.guards.ended && !checkpoint.failed.more;
    let counts = checkpoint.counts.clone().filter(|_| is_over)?;
    let begin = Beginning::at(checkpoint, &counts.table);
    let Checkpoint { counts, failed, retried_run, .. } =
        begin.continued(engine, &Going::new(false)).await.ok()?.checkpoint;
    let counts = counts.unwrap_or_default();
    let failed = u64::try_from(failed.keys.len()).unwrap_or(u64::MAX);
    let end = if failed > 0 { TransformEnd::PartiallyFailed } else { TransformEnd::Succeeded };
    Some(TransformResult {
        end,
        retried_run,
        read: counts.read().saturating_add(failed),
        skipped: counts.skipped,
        unchanged: counts.unchanged,
        changed: counts.changed,
        failed,
        ..TransformResult::default()
    })
}
