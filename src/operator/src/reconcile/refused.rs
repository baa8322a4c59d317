//! What status reports of an object that could not be created as it must be.

use dm_api::condition::Reason;
use dm_api::status::Phase;

use crate::act::error::ActError;
use crate::context::Context;
use crate::decide::position::{Position, Standing};
use crate::identified::Migration;
use crate::reconcile::error::ReconcileError;
use crate::sweep;

/// Returns where a migration stands whose object was refused. Other errors are tried again.
pub async fn refused(
    context: &Context,
    migration: &Migration,
    error: ActError,
) -> Result<Position, ReconcileError> {
    let (reason, message) = reported(context, migration, error).await?;
    Ok(Position::new(Phase::Stalled, Standing::Stalled, reason, message))
}

async fn reported(
    context: &Context,
    migration: &Migration,
    error: ActError,
) -> Result<(Reason, String), ReconcileError> {
    match error {
        ActError::Refused { object, message } => {
            Ok((Reason::ObjectRefused, format!("the API server rejected {object}: {message}")))
        }
        ActError::NameTaken { object } => {
            Box::pin(sweep::sweep(context.cluster(migration.namespace()), migration.name()))
                .await?;
            let message = format!(
                "{object} exists and belongs to another owner, perhaps a deleted migration of the \
                 same name that is being cleaned up. If it stays, delete it"
            );
            Ok((Reason::NameTaken, message))
        }
        ActError::NotAsCreated { job, run } => {
            let message = format!(
                "Job {job} has the name of run {run} and is not what the operator creates: its \
                 content differs. Nothing was run. Delete it, and the run starts"
            );
            Ok((Reason::NameTaken, message))
        }
        other @ (ActError::Vanished
        | ActError::Random(_)
        | ActError::Unidentified(_)
        | ActError::Transient { .. }) => Err(other.into()),
    }
}
