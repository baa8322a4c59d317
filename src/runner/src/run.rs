//! One run of a transform, from the description of its tables to its result.

use std::sync::Arc;

use dm_contract::error_chain::chain;
use dm_contract::report::{TransformEnd, TransformResult};
use dm_dynamodb::value::Number;
use dm_engine::Engine;
use dm_transform::{OnItemError, Transform};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use crate::change::Work;
use crate::checkpoint::{Checkpoints, Position};
use crate::limits::{CHECKPOINT_INTERVAL, QUEUE_ITEMS_MAX, SCANNERS, WRITERS};
use crate::scan::{Going, Scan, write};
use crate::tables::{self, Described};
use crate::tally::Tally;
use crate::{checkpoint, segments};

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
    let tables = match tables::describe(engine, &transform).await {
        Ok(tables) => tables,
        Err(message) => return failed(message),
    };
    let position = match position(&settings, &tables).await {
        Ok(position) => Arc::new(position),
        Err(error) => return failed(chain(&error)),
    };
    let going = Arc::new(Going::new(settings.on_item_error == OnItemError::Stop));
    let work = Arc::new(Work {
        engine: Arc::clone(engine),
        transform,
        tables,
        tally: Tally::new(settings.show_keys),
        now: Number::from(position.now().now_s),
    });
    let ended = scan(&work, &going, &position);
    tokio::select! {
        () = ended => {}
        () = watch_over(&settings, &going, &position, stop) => {}
    }
    if let (Some(checkpoints), Some(checkpoint)) = (&settings.checkpoints, position.changed()) {
        checkpoints.write(&checkpoint).await;
    }
    let mut result = work.tally.result();
    match going.halted() {
        Some(halt) => (result.end, result.message) = (halt.end, Some(halt.message)),
        None if result.failed > 0 => result.end = TransformEnd::PartiallyFailed,
        None => result.end = TransformEnd::Succeeded,
    }
    result
}

/// Where the run begins.
async fn position(
    settings: &Settings,
    tables: &Described,
) -> Result<Position, checkpoint::CheckpointError> {
    let earlier = match &settings.checkpoints {
        Some(checkpoints) => checkpoints.read().await?,
        None => None,
    };
    Ok(match earlier {
        Some(checkpoint) => Position::at(checkpoint),
        None => Position::begin(segments::count(tables.bytes), settings.now_s),
    })
}

/// Scans and writes until all is done or the run is halted.
async fn scan(work: &Arc<Work>, going: &Arc<Going>, position: &Arc<Position>) {
    let from = position.now();
    let mut seed = [0; 8];
    // Any order will do; a fixed one is only worse.
    let _ = getrandom::fill(&mut seed);
    let left = segments::left(from.total, &from.done, &from.positions, u64::from_ne_bytes(seed));
    let scan = Arc::new(Scan {
        work: Arc::clone(work),
        going: Arc::clone(going),
        position: Arc::clone(position),
        left: Mutex::new(left),
        total: from.total,
    });
    let (sender, receiver) = mpsc::channel(QUEUE_ITEMS_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        tasks.spawn(write(Arc::clone(work), Arc::clone(going), Arc::clone(&receiver)));
    }
    for _ in 0..SCANNERS {
        let (scan, sender) = (Arc::clone(&scan), sender.clone());
        tasks.spawn(async move { scan.scan(sender).await });
    }
    drop(sender);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            going.halt(TransformEnd::Failed, format!("a part of the run failed: {error}"));
        }
    }
}

/// Writes checkpoints and passes on a request to stop. It has no end of its own: the run has.
async fn watch_over(
    settings: &Settings,
    going: &Arc<Going>,
    position: &Arc<Position>,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(CHECKPOINT_INTERVAL);
    let mut stopping = false;
    loop {
        tokio::select! {
            asked = asked(&mut stop), if !stopping => {
                stopping = true;
                if asked {
                    going.halt(TransformEnd::Interrupted, "the run was asked to stop");
                }
            }
            _ = ticks.tick() => {
                if let (Some(checkpoints), Some(checkpoint)) =
                    (&settings.checkpoints, position.changed())
                {
                    checkpoints.write(&checkpoint).await;
                }
            }
        }
    }
}

/// Whether somebody asks the run to stop; false once nobody can any more.
async fn asked(stop: &mut watch::Receiver<bool>) -> bool {
    stop.wait_for(|stop| *stop).await.is_ok()
}
