//! Sends limits and pause state to the guards of a run.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;

use crate::act::error::ActError;
use crate::decide::adjust::Adjustment;
use crate::guard_client;
use crate::identified::Migration;

/// Sends limits and pause state to all guards of a run under way at the same time. Best effort: the
/// next reconcile compares them, and sends again what differs.
pub async fn adjust(
    migration: &Migration,
    pods: &[Pod],
    token: &str,
    to: &Adjustment,
) -> Result<(), ActError> {
    let each = pods.iter().map(async |pod| {
        guard_client::adjust(pod, token, to.limits.as_ref(), to.paused).await.is_none()
    });
    let failed = join_all(each).await.into_iter().filter(|failed| *failed).count();
    if failed > 0 {
        tracing::warn!(
            migration = migration.name(),
            ?to,
            failed,
            "guards did not answer when limits or pause were sent"
        );
    }
    Ok(())
}
