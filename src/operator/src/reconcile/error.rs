//! Why a reconcile has to be tried again.

use std::time::Duration;

use crate::act::error::ActError;
use crate::cluster::ReadError;
use crate::identified::Unidentified;

/// Why a reconcile has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Reading the cluster failed.
    #[error("while reading the cluster")]
    Observe(#[source] ReadError),
    /// Writing status failed, or somebody else wrote the object concurrently.
    #[error("while writing status")]
    Status(#[source] kube::Error),
    /// The migration was read without its identity.
    #[error(transparent)]
    Unidentified(#[from] Unidentified),
    #[error(transparent)]
    Act(#[from] ActError),
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
}
