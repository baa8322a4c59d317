//! Validates what a run would be made of, without blocking other reconciles.

use tokio::sync::Semaphore;

use crate::identified::Migration;
use crate::read::references;
use crate::read::sources::Sources;
use crate::runnable::{Problem, Runnable};
use crate::validate;

/// Held while a transform is checked.
static ONE_TRANSFORM: Semaphore = Semaphore::const_new(1);

/// Checks what a run would be made of. A transform's patterns and files take memory and time,
/// within bounds that its author can use up: one at a time is checked, on a separate thread.
pub async fn validated(migration: &Migration, sources: &Sources) -> Result<Runnable, Problem> {
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
