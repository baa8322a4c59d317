//! Carries out what was decided. Each action can be repeated.

pub mod adjust;
pub mod adopt;
mod create;
pub mod delete;
pub mod error;
mod isolate;
mod job;
mod recorders;
pub mod release;

use self::error::ActError;
use crate::context::Context;
use crate::decide::decision::Action;
use crate::identified::Migration;

/// Carries out these actions in their order, up to the first that fails. A migration that gets its
/// finalizer becomes what it is then.
pub async fn act(
    context: &Context,
    migration: &mut Migration,
    actions: &[Action],
) -> Result<(), ActError> {
    for action in actions {
        carry_out(context, migration, action).await?;
    }
    Ok(())
}

async fn carry_out(
    context: &Context,
    migration: &mut Migration,
    action: &Action,
) -> Result<(), ActError> {
    let (namespace, settings) = (migration.namespace().to_owned(), &context.settings);
    let cluster = context.cluster(&namespace);
    match action {
        Action::Hold => release::hold(cluster, migration).await,
        Action::Record { job, is_dispensable } => {
            recorders::record(cluster, migration, job, *is_dispensable, settings).await
        }
        Action::ReleaseJob { job, kept_seconds } => {
            release::release_job(cluster, job, *kept_seconds).await
        }
        Action::ReleasePod(pod) => release::release_pod(cluster, pod).await,
        Action::DiscardJob(job) => release::discard(cluster, job).await,
        Action::ReleaseMigration => release::release_migration(cluster, migration).await,
        Action::CreateRun { run, runnable } => {
            let created = &context.created;
            create::create_run(cluster, created, migration, run, runnable, settings).await
        }
        Action::Launch { job, policy } => job::launch(cluster, job, policy.as_deref()).await,
        Action::Suspend(job) => job::set_suspended(cluster, job, true).await,
        Action::Adjust { pods, token, to } => adjust::adjust(migration, pods, token, to).await,
        Action::SetDeadline { job, to } => job::set_deadline(cluster, job, *to).await,
        Action::Stop { job, pods, reason } => {
            job::stop(cluster, job.as_deref(), pods, *reason).await
        }
    }
}
