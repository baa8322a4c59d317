//! One run of a transform, from the description of its tables to its result.

use std::sync::Arc;

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
    CHECKPOINT_INTERVAL, LAST_CHECKPOINT_MAX, SCANNERS, SCANNERS_INTERVAL, SCANNERS_MAX, STOP_MAX,
};
use crate::position::Position;
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
    let work = Arc::new(Work {
        engine: Arc::clone(engine),
        transform,
        tables,
        tally: Tally::new(settings.show_keys, &checkpoint.counts.clone().unwrap_or_default()),
        going,
        is_continued,
        now: Number::from(checkpoint.now_s),
        position: Arc::new(Position::at(checkpoint)),
    });
    // Before the first write: what `now()` gives must not change, and there is one more guard.
    tokio::select! {
        () = save_checkpoint(&settings, &work, Save::IfChanged) => {}
        true = asked(&mut asked_to_stop) => {}
    }
    tokio::select! {
        () = scan(&work, part) => {}
        () = watch_over(&settings, &work, stop) => {}
    }
    if is_continued && !work.going.is_halted() {
        count_gone(&work).await;
    }
    // Always: one that was being written when the run ended may not be there.
    let last = save_checkpoint(&settings, &work, Save::Last);
    if tokio::time::timeout(LAST_CHECKPOINT_MAX, last).await.is_err() {
        tracing::warn!("the last checkpoint could not be written in time");
    }
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

/// When a checkpoint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Save {
    /// If anything has changed since the last one.
    IfChanged,
    Last,
}

async fn save_checkpoint(settings: &Settings, work: &Work, when: Save) {
    let Some(checkpoints) = &settings.checkpoints else { return };
    let last = when == Save::Last;
    let (checkpoint, changed) = work.position.look(work.engine.usage(), last);
    if changed || last {
        checkpoints.write(&checkpoint).await;
    }
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
    let (lanes, receiver) = queue();
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

/// Writes checkpoints and passes on a request to stop. It ends only where what was sent is not
/// answered in time after such a request: what is then still under way is left to itself.
async fn watch_over(settings: &Settings, work: &Work, mut stop: watch::Receiver<bool>) {
    let checkpoints = async {
        let mut ticks = tokio::time::interval(CHECKPOINT_INTERVAL);
        loop {
            ticks.tick().await;
            save_checkpoint(settings, work, Save::IfChanged).await;
        }
    };
    let stopped = async {
        if !asked(&mut stop).await {
            return std::future::pending().await;
        }
        work.going.halt(TransformEnd::Interrupted, ASKED_TO_STOP);
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
