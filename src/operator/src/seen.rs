//! What was read of the cluster for one migration, checked.

use dm_api::DataMigrationStatus;
use dm_api::status::RunRecord;
use jiff::Timestamp;

use crate::cluster::ReadError;
use crate::context::Context;
use crate::decide::Situation;
use crate::decide::fresh::Fresh;
use crate::identified::Migration;
use crate::read::observe::{self, Observed};
use crate::read::recorders::{self, RecordJob};
use crate::read::references;
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
        let sources = &observed.sources;
        let runnable = validate::validate(
            migration,
            sources.target.as_ref(),
            sources.missing_account.as_deref(),
            &sources.files,
        )
        .and_then(|runnable| references::settle(migration, runnable, &sources.references));
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
