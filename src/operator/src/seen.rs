//! What was read of the cluster for one migration, checked.

use dm_api::DataMigrationStatus;
use dm_api::status::RunRecord;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::cluster::ReadError;
use crate::context::Context;
use crate::decide::Situation;
use crate::decide::fresh::Fresh;
use crate::identified::Migration;
use crate::read::observe::{self, Observed};
use crate::read::recorders::{self, RecordJob};
use crate::read::references;
use crate::read::sources::Sources;
use crate::read::view::RunObjects;
use crate::runnable::{Problem, Runnable};
use crate::validate;

/// What was read, checked.
pub struct Seen {
    /// What the cluster has.
    pub observed: Observed,
    /// What a run would be made of, or why none can be.
    pub runnable: Result<Runnable, Problem>,
    /// The run under way.
    pub run: Option<RunRecord>,
    recorders: Vec<RecordJob>,
    is_complete: bool,
    now: Timestamp,
}

/// Held while a transform is checked.
static ONE_TRANSFORM: Semaphore = Semaphore::const_new(1);

/// Checks what a run would be made of. A transform's patterns and files take memory and time,
/// within bounds that its author can use up: one at a time is checked, on a separate thread.
async fn validated(migration: &Migration, sources: &Sources) -> Result<Runnable, Problem> {
    if migration.spec.transform.is_none() {
        return checked(migration, sources);
    }
    // The semaphore is never closed.
    let permit = ONE_TRANSFORM.acquire().await;
    let (migration, sources) = (migration.clone(), sources.clone());
    let check = tokio::task::spawn_blocking(move || {
        let _held = permit;
        checked(&migration, &sources)
    });
    check.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn checked(migration: &Migration, sources: &Sources) -> Result<Runnable, Problem> {
    let Sources { target, missing_account, files, references } = sources;
    validate::validate(migration, target.as_ref(), missing_account.as_deref(), files)
        .and_then(|runnable| references::settle(migration, runnable, references))
}

impl Seen {
    /// Reads what the next step depends on, and checks it.
    pub async fn read(
        context: &Context,
        migration: &Migration,
        fresh: Fresh,
    ) -> Result<Self, ReadError> {
        let now = (context.clock)();
        let observed =
            observe::observe(context.cluster(migration.namespace()), migration, fresh, now).await?;
        let runnable = validated(migration, &observed.sources).await;
        let run = migration.status.as_ref().and_then(DataMigrationStatus::under_way);
        let job = run.and_then(|run| observed.job_of(run));
        Ok(Self {
            runnable,
            run: run.cloned(),
            recorders: recorders::recorders(&observed.jobs),
            is_complete: job.is_some_and(|job| context.created.has(job)),
            now,
            observed,
        })
    }

    /// Makes of it what a pure decision is about.
    pub fn with<T>(
        &self,
        context: &Context,
        migration: &Migration,
        of: impl FnOnce(Situation<'_>) -> T,
    ) -> T {
        let run = self.run.as_ref();
        let pods = run.map(|run| self.observed.pods(run.number)).unwrap_or_default();
        let job = run.and_then(|run| self.observed.job_of(run));
        of(Situation {
            migration,
            runnable: self.runnable.as_ref(),
            target: self.observed.sources.target.as_ref(),
            dependencies: &self.observed.dependencies,
            objects: RunObjects { job, pods: &pods },
            is_complete: self.is_complete,
            answers: &self.observed.answers,
            holders: &self.observed.holders,
            recorders: &self.recorders,
            agent_image: &context.settings.agent_image,
            now: self.now,
        })
    }
}
