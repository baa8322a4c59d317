//! Publishes what a status write means: an event of each step, and the counters of runs that ended.

use dm_api::status::DataMigrationStatus;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder};

use crate::identified::Migration;
use crate::metrics::{Metrics, RunLabels};
use crate::status;

/// Counts the runs that ended between two statuses.
pub fn count(metrics: &Metrics, old: &DataMigrationStatus, new: &DataMigrationStatus) {
    for run in new.runs.iter().filter(|run| run.result.is_over()) {
        let before = old.runs.iter().find(|before| before.number == run.number);
        if before.is_some_and(|before| before.result.is_over()) {
            continue;
        }
        let labels = RunLabels {
            kind: format!("{:?}", run.kind),
            result: format!("{:?}", run.result),
            reason: run.reason.map(|reason| reason.to_string()).unwrap_or_default(),
        };
        metrics.runs.get_or_create(&labels).inc();
    }
}

/// Publishes the events between two statuses.
pub async fn events(
    recorder: &Recorder,
    migration: &Migration,
    old: &DataMigrationStatus,
    new: &DataMigrationStatus,
) {
    let reference = migration.object_ref(&());
    for step in status::events::between(old, new) {
        let event = Event {
            type_: if step.warning { EventType::Warning } else { EventType::Normal },
            reason: step.reason,
            note: Some(step.note),
            action: "Reconcile".into(),
            secondary: step.job.map(|job| ObjectReference {
                api_version: Some("batch/v1".into()),
                kind: Some("Job".into()),
                namespace: Some(migration.namespace().into()),
                name: Some(job),
                ..ObjectReference::default()
            }),
        };
        if let Err(error) = recorder.publish(&event, &reference).await {
            // Status holds the same; an event is only its echo.
            tracing::warn!(%error, migration = migration.name(), "an event was lost");
        }
    }
}
