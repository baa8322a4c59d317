//! One run of a transform, from the description of its tables to its result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dm_contract::error_chain::chain;
use dm_contract::part::Part;
use dm_contract::report::{TransformEnd, TransformResult};
use dm_dynamodb::value::Number;
use dm_engine::Engine;
use dm_transform::{OnItemError, Transform};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::beginning::Beginning;
use crate::change::Work;
use crate::checkpoint::{Checkpoint, CheckpointError, Checkpoints, Subject};
use crate::going::Going;
use crate::limits::{
    LAST_CHECKPOINT_MAX, SCANNERS, SCANNERS_INTERVAL, SCANNERS_MAX, STOP_MAX, WRITERS,
    WRITERS_BATCHED, WRITERS_JOURNALED,
};
use crate::occupied::Occupied;
use crate::position::Position;
use crate::queue::queue;
use crate::saving::Saving;
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
    /// Whether items may share requests where the engine writes directly.
    pub batches: bool,
}

impl Settings {
    /// Whether items share requests. With a journal or an overlay each write is its own one in
    /// any case. A scan of an index may return an item twice, which no batch may have.
    fn batches(&self, engine: &Engine, transform: &Transform) -> AtomicBool {
        let in_table = transform.index.is_none();
        AtomicBool::new(self.batches && in_table && engine.writes_directly())
    }
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
    let mut asked_to_stop = stop.clone();
    let beginning = async {
        let beginning = beginning(&settings, &tables, subject).await.map_err(|e| chain(&e))?;
        let counted = settings.checkpoints.is_some();
        if counted { beginning.continued(engine, &going).await } else { Ok(beginning) }
    };
    let begin = tokio::select! {
        begin = beginning => begin,
        true = asked(&mut asked_to_stop) => {
            let (end, message) = (TransformEnd::Interrupted, Some(ASKED_TO_STOP.to_owned()));
            return TransformResult { end, message, ..TransformResult::default() };
        }
    };
    let Beginning { checkpoint, is_continued } = match begin {
        Ok(begin) => begin,
        Err(message) => return failed(message),
    };
    let part = settings.part.as_ref().map(|share| share.part);
    let tally = Tally::new(settings.show_keys, &checkpoint.counts.clone().unwrap_or_default());
    let now = Number::from(checkpoint.now_s);
    let position = Arc::new(Position::at(checkpoint));
    let saving =
        Saving::new(settings.checkpoints.clone(), Arc::clone(engine), Arc::clone(&position));
    let work = Arc::new(Work {
        engine: Arc::clone(engine),
        batches: settings.batches(engine, &transform),
        transform,
        tables,
        tally,
        going,
        is_continued,
        now,
        position,
        saving,
        occupied: Occupied::default(),
    });
    // Before the first write: what `now()` gives must not change, and there is one more guard.
    tokio::select! {
        () = work.saving.save(false) => {}
        true = asked(&mut asked_to_stop) => {}
    }
    let all = async {
        scan(&work, part).await;
        work.visit_waiting().await;
    };
    tokio::select! {
        () = all => {}
        () = watch_over(&work, stop) => {}
    }
    if is_continued && !work.going.is_halted() {
        count_gone(&work).await;
    }
    // Always: one that was being written when the run ended may not be there.
    if tokio::time::timeout(LAST_CHECKPOINT_MAX, work.saving.save(true)).await.is_err() {
        tracing::warn!("the last checkpoint could not be written in time");
    }
    ended(&work)
}

/// What became of a run that has ended.
fn ended(work: &Work) -> TransformResult {
    let mut result = work.tally.result();
    result.retried_run = work.position.now().retried_run;
    match work.going.halted() {
        Some(halt) => (result.end, result.message) = (halt.end, Some(halt.message)),
        None if result.failed > 0 => result.end = TransformEnd::PartiallyFailed,
        None => result.end = TransformEnd::Succeeded,
    }
    result
}

/// Why a run ends that was asked to.
const ASKED_TO_STOP: &str = "the run was asked to stop";

/// Returns where the run begins: where its own earlier guard was, with the items that failed in
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
    let mut begin = Checkpoint::new(split.segments, split.now_s, subject.clone());
    if let Some(checkpoints) = &settings.checkpoints {
        let own = checkpoints.read().await?.filter(|own| own.subject == subject);
        match own {
            Some(own) if !own.failed.more => begin = own,
            // Not all failed items are known, so they have to be found again.
            Some(own) => (begin.now_s, begin.guards) = (own.now_s, own.guards),
            None => {
                if let Some(earlier) = checkpoints.earlier(&subject).await? {
                    begin = earlier.checkpoint.retried(earlier.run, split.now_s);
                }
            }
        }
        begin = checkpoints.of_run(begin);
    }
    Ok(Beginning::at(begin, &tables.tables().table.name))
}

/// Counts the items that earlier guards have deleted and that were still there when this one began:
/// a write that was on its way when its guard was killed.
async fn count_gone(work: &Work) {
    if let Err(error) = work.engine.find_out().await {
        tracing::warn!(%error, "what became of the last writes of the guard before is not known");
    }
    let counts = work.position.now().counts.unwrap_or_default();
    let gone = work.engine.deleted(&counts.table).saturating_sub(counts.gone);
    work.tally.were_gone(gone);
    work.position.were_gone(gone);
}

/// Scans and writes until all is done or the run is halted.
async fn scan(work: &Arc<Work>, part: Option<Part>) {
    let from = work.position.now();
    let mut seed = [0; 8];
    // Any order will do; a fixed one is only worse.
    let _ = getrandom::fill(&mut seed);
    let left =
        segments::left(from.total, part, (&from.done, &from.positions), u64::from_ne_bytes(seed));
    let scan = Arc::new(Scan {
        work: Arc::clone(work),
        failed: from.failed.keys,
        left: Mutex::new(left),
        total: from.total,
    });
    let (lanes, receiver) = queue(writers(work));
    let mut tasks = JoinSet::new();
    tasks.spawn(write(Arc::clone(work), receiver));
    let (first, revisited) = (Arc::clone(&scan), lanes.clone());
    tasks.spawn(async move { first.revisit(revisited).await });
    for _ in 0..SCANNERS {
        let (scan, lanes) = (Arc::clone(&scan), lanes.clone());
        tasks.spawn(async move { scan.scan(lanes).await });
    }
    let gauge = lanes.gauge();
    // The queue ends with its last scanner.
    drop(lanes);
    let (mut scanners, mut ticks) = (SCANNERS, tokio::time::interval(SCANNERS_INTERVAL));
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(Ok(())) => {}
                Some(Err(error)) => work.going.part_failed(&error),
                None => break work.engine.note_paced(None),
            },
            _ = ticks.tick() => {
                work.engine.note_paced(gauge.limited());
                if scanners < SCANNERS_MAX && gauge.is_held() && let Some(lanes) = gauge.lanes() {
                    scanners += 1;
                    let scan = Arc::clone(&scan);
                    tasks.spawn(async move { scan.scan(lanes).await });
                }
            }
        }
    }
}

/// How many writes are under way at most.
fn writers(work: &Work) -> usize {
    if work.batches.load(Ordering::Relaxed) {
        WRITERS_BATCHED
    } else if work.engine.journals() {
        WRITERS_JOURNALED
    } else {
        WRITERS
    }
}

/// Writes checkpoints and passes on a request to stop. It ends only where what was sent is not
/// answered in time after such a request: what is then still under way is left to itself.
async fn watch_over(work: &Work, mut stop: watch::Receiver<bool>) {
    let stopped = async {
        if !asked(&mut stop).await {
            return std::future::pending().await;
        }
        work.going.halt(TransformEnd::Interrupted, ASKED_TO_STOP);
        tokio::time::sleep(STOP_MAX).await;
    };
    // Beside each other: an archive that is slow must not hide the request.
    tokio::select! {
        () = work.saving.keep_saving() => {}
        () = stopped => {}
    }
}

/// Whether somebody asks the run to stop; false once nobody can any more.
async fn asked(stop: &mut watch::Receiver<bool>) -> bool {
    stop.wait_for(|stop| *stop).await.is_ok()
}
