//! A transform in the guard's process, begun by the entry program where it would have started a
//! program. It goes through the same engine, so everything that holds for a program's requests
//! holds for it.

use std::sync::{Arc, OnceLock};

use dm_contract::error_chain::chain;
use dm_contract::part::Part;
use dm_contract::plan::{Mode, Plan};
use dm_contract::report::{GuardResult, TransformEnd, TransformResult};
use dm_contract::transform::{ORDER_VERSION, TRANSFORM_FILE, TransformOrder, TransformState};
use dm_engine::Engine;
use dm_engine::archive::RunName;
use dm_engine::archive::ledger::LedgerError;
use dm_engine::journal::JournaledRun;
use dm_runner::{Checkpoints, SECOND_PASS_LATER_S, Settings, Share};
use dm_transform::{Declaration, Files, Transform};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinError;

use crate::completed;

/// Failed items that the run's log names; the report has more.
const FAILURES_LOGGED_MAX: usize = 10;

/// The transforms of one guard: one at a time, a second one for a second pass.
#[derive(Debug)]
pub struct Transforms {
    engine: Arc<Engine>,
    show_values: bool,
    checkpoints: Option<Checkpoints>,
    part: Option<Share>,
    now_s: i64,
    under_way: Mutex<Option<UnderWay>>,
    /// The result of the first pass, which is the run's.
    first: OnceLock<TransformResult>,
    /// The part's name in the archive, in a run that writes.
    own: Option<RunName>,
    /// The result of the part, if another guard has completed it.
    completed: OnceLock<GuardResult>,
    stop: watch::Sender<bool>,
}

/// A transform that was begun.
#[derive(Clone, Debug)]
struct UnderWay {
    in_second_pass: bool,
    result: watch::Receiver<Option<TransformResult>>,
}

/// Why a transform does not begin.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// What was sent is not understood.
    #[error("the order is not understood: {0}")]
    Order(String),
    #[error("{}", .0.in_spec())]
    Transform(#[from] dm_transform::SpecError),
}

impl Transforms {
    /// Those of a plan's guard; none is under way.
    pub fn new(plan: &Plan, part: Option<Part>, engine: Arc<Engine>) -> Self {
        let own = part.filter(|_| plan.mode == Mode::Apply).and_then(|part| {
            let run = JournaledRun::of_plan(plan).ok().flatten()?;
            Some(run.in_part(Some(part)).own_name())
        });
        let checkpoints = engine.archive().and_then(|archive| Checkpoints::of(plan, archive));
        let checkpoints = checkpoints.map(|checkpoints| checkpoints.in_part(part));
        let part = part.map(|part| Share::of(plan, part, engine.archive()));
        Self {
            engine,
            show_values: plan.policy.show_values,
            checkpoints,
            part,
            now_s: plan.now_s.unwrap_or_else(|| jiff::Timestamp::now().as_second()),
            under_way: Mutex::new(None),
            first: OnceLock::new(),
            own,
            completed: OnceLock::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Begins a transform, unless the one of this pass was begun: an order may come twice when its
    /// answer was lost.
    pub fn begin(self: &Arc<Self>, order: &[u8]) -> Result<(), OrderError> {
        let mut under_way = self.under_way.lock();
        let in_second_pass = self.engine.is_in_second_pass();
        if under_way.as_ref().is_some_and(|begun| begun.in_second_pass == in_second_pass) {
            return Ok(());
        }
        let (transform, settings) = self.read(order, in_second_pass)?;
        let (done, result) = watch::channel(None);
        *under_way = Some(UnderWay { in_second_pass, result });
        let (this, engine, stop) =
            (Arc::clone(self), Arc::clone(&self.engine), self.stop.subscribe());
        let before = Arc::clone(self);
        let run = tokio::spawn(async move {
            match before.completed_before().await {
                Ok(Some(result)) => result,
                Ok(None) => dm_runner::run(&engine, transform, settings, stop).await,
                Err(error) => failed(chain(&error)),
            }
        });
        tokio::spawn(async move {
            let result = run.await.unwrap_or_else(|error| panicked(&error));
            let _ = this.first.set(result.clone());
            done.send_replace(Some(result));
        });
        Ok(())
    }

    /// Returns what another guard said of the part when it completed it, as the ledger has it. Then
    /// there is nothing to do but to say it again.
    async fn completed_before(&self) -> Result<Option<TransformResult>, LedgerError> {
        let (Some(own), Some(archive)) = (&self.own, self.engine.archive()) else {
            return Ok(None);
        };
        let Some(result) = completed::completed(archive, own).await? else { return Ok(None) };
        tracing::info!(part = %own, "the part was completed by another guard");
        Ok(self.completed.get_or_init(|| result).transform.clone())
    }

    fn read(
        &self,
        order: &[u8],
        in_second_pass: bool,
    ) -> Result<(Transform, Settings), OrderError> {
        let wrong = |why: String| OrderError::Order(why);
        let order: TransformOrder =
            serde_json::from_slice(order).map_err(|error| wrong(error.to_string()))?;
        if order.version != ORDER_VERSION {
            return Err(wrong(format!("version {} is not known", order.version)));
        }
        let declaration = order.files.get(TRANSFORM_FILE);
        let declaration =
            declaration.ok_or_else(|| wrong(format!("it has no {TRANSFORM_FILE}")))?;
        let declaration = Declaration::from_json(declaration.as_bytes()).map_err(wrong)?;
        let lookups = order.files.iter().filter(|(name, _)| *name != TRANSFORM_FILE);
        let files = Files::of(lookups.map(|(name, text)| (name.as_str(), text.as_bytes())));
        let transform = Transform::parse(&declaration.transform, &files)?;
        let settings = Settings {
            on_item_error: declaration.on_item_error,
            show_keys: self.show_values,
            now_s: self.now_s + if in_second_pass { SECOND_PASS_LATER_S } else { 0 },
            checkpoints: self.checkpoints.clone(),
            part: self.part.clone(),
            batches: true,
        };
        Ok((transform, settings))
    }

    /// Returns how far the transform is, as soon as it has ended; `None` if none was begun.
    pub async fn state(&self) -> Option<TransformState> {
        let under_way = self.under_way.lock().clone();
        let mut result = under_way?.result;
        let result = result.wait_for(Option::is_some).await.ok()?.clone()?;
        let (lines, exit_code) = (log(&result), Some(result.end.exit_code()));
        Some(TransformState { version: ORDER_VERSION, lines, exit_code })
    }

    /// Asks a transform that is under way to stop.
    pub fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// The same, and waits for its end.
    pub async fn stop(&self) {
        self.ask_to_stop();
        let _ = self.state().await;
    }

    /// The result of the run's transform, if there is one.
    pub fn result(&self) -> Option<TransformResult> {
        self.first.get().cloned()
    }

    /// The result of the part, if another guard had completed it.
    pub fn completed(&self) -> Option<GuardResult> {
        self.completed.get().cloned()
    }

    /// Finds the result of a transform that ended before this guard was started again in its pod:
    /// nobody orders it a second time.
    pub async fn recall(&self) {
        let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| self.first.get().is_none())
        else {
            return;
        };
        let part = self.part.as_ref().map(|share| share.part);
        if let Some(result) = dm_runner::recall(&self.engine, checkpoints, part).await {
            let _ = self.first.set(result);
        }
    }
}

fn failed(message: String) -> TransformResult {
    let end = TransformEnd::Failed;
    TransformResult { end, message: Some(message), ..TransformResult::default() }
}

/// The result of a transform whose task did not return one. Without it the entry program would
/// find no transform, and order it again.
fn panicked(error: &JoinError) -> TransformResult {
    tracing::error!(%error, "the transform's task failed");
    let message =
        "The transform failed because of an error in the guard; its log has the details. \
                   The items that were changed before are not counted here."
            .to_owned();
    failed(message)
}

/// What the run's log says of a transform.
fn log(result: &TransformResult) -> Vec<String> {
    let TransformResult { read, changed, unchanged, skipped, failed, .. } = result;
    let items = if *read == 1 { "item" } else { "items" };
    let mut lines = vec![format!(
        "{read} {items} read, {changed} changed, {unchanged} already correct, {skipped} not \
         selected, {failed} failed"
    )];
    if let Some(run) = &result.retried_run {
        lines.push(format!("only the items that failed in run {run} were visited"));
    }
    for failure in result.failures.iter().take(FAILURES_LOGGED_MAX) {
        let key = failure.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        lines.push(format!("{}{key}: {}", failure.table, failure.reason));
    }
    if let (TransformEnd::Failed | TransformEnd::Interrupted, Some(message)) =
        (result.end, &result.message)
    {
        lines.push(message.clone());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transform_that_panics_has_failed_and_says_so() {
        let panics = tokio::spawn(async { panic!("a panic, as the test wants it") });
        let result: TransformResult = panics.await.unwrap_or_else(|error| panicked(&error));
        assert_eq!(result.end, TransformEnd::Failed);
        assert_ne!(result.end.exit_code(), 0);
        let last = log(&result).pop().unwrap();
        assert!(last.contains("an error in the guard"), "{last}");
    }
}
