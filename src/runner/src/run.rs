//! One run of a transform, from the description of its tables to its result.

use std::sync::Arc;

use dm_contract::error_chain::chain;
use dm_contract::part::Part;
use dm_contract::report::{TransformEnd, TransformResult};
use dm_dynamodb::value::Number;
use dm_engine::Engine;
use dm_transform::{OnItemError, Transform};
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::change::Work;
use crate::checkpoint::{Checkpoint, CheckpointError, Checkpoints, Position, Subject};
use crate::going::Going;
use crate::limits::{CHECKPOINT_INTERVAL, LAST_CHECKPOINT_MAX, SCANNERS, STOP_MAX, WRITERS};
use crate::queue::queue;
use crate::scan::{Scan, write};
use crate::segments;
use crate::split::{Share, Split};
use crate::tables::{self, Described};
use crate::tally::Tally;

/// What a run does beside its transform.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a failed item means.
    pub on_item_error: OnItemError,
    /// Whether the report names the keys of failed items.
    pub show_keys: bool,
    /// Seconds since 1970 that `now()` gives; those of a checkpoint come first.
    pub now_s: i64,
    /// Where checkpoints are, if there are any.
    pub checkpoints: Option<Checkpoints>,
    /// The part of the run's segments that is scanned here; absent where all are.
    pub part: Option<Share>,
}

/// Runs a transform to its end, or until `stop` becomes true.
pub async fn run(
    engine: &Arc<Engine>,
    transform: Transform,
    settings: Settings,
    stop: watch::Receiver<bool>,
) -> TransformResult {
    let failed = |message: String| TransformResult {
        end: TransformEnd::Failed,
        message: Some(message),
        ..TransformResult::default()
    };
    let going = Going::new(settings.on_item_error == OnItemError::Stop);
    let tables = match tables::describe(engine, &going, &transform).await {
        Ok(tables) => tables,
        Err(message) => return failed(message),
    };
    let subject = Subject { transform: transform.digest.clone(), table: tables.id() };
    let begin = match beginning(&settings, &tables, subject).await {
        Ok(begin) => begin,
        Err(error) => return failed(chain(&error)),
    };
    let part = settings.part.as_ref().map(|share| share.part);
    let position = Arc::new(begin.position);
    let work = Arc::new(Work {
        engine: Arc::clone(engine),
        transform,
        tables,
        tally: Tally::new(settings.show_keys, begin.pending),
        going,
        now: Number::from(position.now().now_s),
    });
    let ended = scan(&work, &position, part);
    tokio::select! {
        () = ended => {}
        () = watch_over(&settings, &work, &position, stop) => {}
    }
    // Always: one that was being written when the run ended may not be there.
    let last = keep(&settings, &work, &position, Keep::Always);
    if tokio::time::timeout(LAST_CHECKPOINT_MAX, last).await.is_err() {
        tracing::warn!("the last checkpoint could not be written in time");
    }
    let mut result = work.tally.result();
    result.retried_run = position.now().retried_run;
    match work.going.halted() {
        Some(halt) => (result.end, result.message) = (halt.end, Some(halt.message)),
        None if result.failed > 0 => result.end = TransformEnd::PartiallyFailed,
        None => result.end = TransformEnd::Succeeded,
    }
    result
}

/// Where a run begins.
struct Beginning {
    position: Position,
    /// Keys of items that failed before, and are visited again.
    pending: Vec<Value>,
}

impl Beginning {
    fn at(checkpoint: Checkpoint) -> Self {
        let pending = checkpoint.failed.keys.clone();
        Self { position: Position::at(checkpoint), pending }
    }
}

/// Returns where the run begins: where its own earlier process was, with the items that failed in
/// the run before, or with the first item.
async fn beginning(
    settings: &Settings,
    tables: &Described,
    subject: Subject,
) -> Result<Beginning, CheckpointError> {
    let split = match &settings.part {
        Some(share) => share.split(tables.bytes, settings.now_s).await?,
        None => Split { segments: segments::count(tables.bytes), now_s: settings.now_s },
    };
    let mut now_s = split.now_s;
    if let Some(checkpoints) = &settings.checkpoints {
        match checkpoints.read().await? {
            Some(own) if !own.failed.more => return Ok(Beginning::at(own)),
            // Not all failed items are known, so they have to be found again.
            Some(own) => now_s = own.now_s,
            None => {
                if let Some(earlier) = checkpoints.earlier(&subject).await? {
                    let mut checkpoint = earlier.checkpoint.at_time(now_s);
                    checkpoint.retried_run = Some(earlier.run);
                    return Ok(Beginning::at(checkpoint));
                }
            }
        }
    }
    let position = Position::begin(split.segments, now_s, subject);
    Ok(Beginning { position, pending: Vec::new() })
}

/// When a checkpoint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// If anything has changed since the last one.
    IfChanged,
    Always,
}

/// Writes a checkpoint.
async fn keep(settings: &Settings, work: &Work, position: &Position, when: Keep) {
    let Some(checkpoints) = &settings.checkpoints else { return };
    // The position first: of the items before it, none may be missing among the failed.
    let (mut checkpoint, moved) = position.look();
    let (failed, changed) = work.tally.failed_keys();
    if moved || changed || when == Keep::Always {
        checkpoint.failed = failed;
        checkpoints.write(&checkpoint).await;
    }
}

/// Scans and writes until all is done or the run is halted.
async fn scan(work: &Arc<Work>, position: &Arc<Position>, part: Option<Part>) {
    let from = position.now();
    let mut seed = [0; 8];
    // Any order will do; a fixed one is only worse.
    let _ = getrandom::fill(&mut seed);
    let left =
        segments::left(from.total, part, (&from.done, &from.positions), u64::from_ne_bytes(seed));
    let scan = Arc::new(Scan {
        work: Arc::clone(work),
        position: Arc::clone(position),
        left: Mutex::new(left),
        total: from.total,
    });
    let (sender, receiver) = queue();
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        tasks.spawn(write(Arc::clone(work), receiver.clone()));
    }
    let (first, jobs) = (Arc::clone(&scan), sender.clone());
    tasks.spawn(async move { first.revisit(jobs).await });
    for _ in 0..SCANNERS {
        let (scan, sender) = (Arc::clone(&scan), sender.clone());
        tasks.spawn(async move { scan.scan(sender).await });
    }
    // What is left in the queue has no reader once all writers have ended.
    drop((sender, receiver));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            work.going.halt(TransformEnd::Failed, format!("a part of the run failed: {error}"));
        }
    }
}

/// Writes checkpoints and passes on a request to stop. It ends only where what was sent is not
/// answered in time after such a request: what is then still under way is left to itself.
async fn watch_over(
    settings: &Settings,
    work: &Work,
    position: &Position,
    mut stop: watch::Receiver<bool>,
) {
    let checkpoints = async {
        let mut ticks = tokio::time::interval(CHECKPOINT_INTERVAL);
        loop {
            ticks.tick().await;
            keep(settings, work, position, Keep::IfChanged).await;
        }
    };
    let stopped = async {
        if !asked(&mut stop).await {
            return std::future::pending().await;
        }
        work.going.halt(TransformEnd::Interrupted, "the run was asked to stop");
        tokio::time::sleep(STOP_MAX).await;
    };
    // Beside each other: an archive that is slow must not hide the request.
    tokio::select! {
        () = checkpoints => {}
        () = stopped => {}
    }
}

/// Whether somebody asks the run to stop; false once nobody can any more.
async fn asked(stop: &mut watch::Receiver<bool>) -> bool {
    stop.wait_for(|stop| *stop).await.is_ok()
}
