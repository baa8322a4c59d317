//! `kubectl datamigration retry`: run it again after a failure or an unknown outcome.

use clap::Args;
use dm_api::DataMigration;
use dm_api::migration::State;
use dm_api::status::{RunKind, RunResult};
use serde_json::json;

use crate::cluster::{self, Cluster, ClusterError};
use crate::print::say;

/// Flags of `retry`.
#[derive(Clone, Debug, Args)]
pub struct Flags {
    /// The migration
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
}

/// Why it is not run again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// There is nothing to run again.
    #[error("{name}: {why}")]
    Refused { name: String, why: String },
}

/// Raises `spec.retry`.
pub async fn retry(flags: Flags) -> Result<u8, RetryError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    let migration = cluster.migration(&flags.name).await?;
    let next =
        raised(&migration).map_err(|why| RetryError::Refused { name: flags.name.clone(), why })?;
    cluster.set(&migration, json!({"retry": next})).await?;
    let kind = match (migration.spec.state, migration.spec.dry_run) {
        (State::Applied, true) => "as a dry run",
        (State::Applied, false) => "and is applied",
        (State::Restored, true) => "as a preview of its restore",
        (State::Restored, false) => "and is restored",
    };
    let when = if migration.spec.suspend { " when spec.suspend is false" } else { "" };
    say(&format!("{} runs again {kind}{when}: spec.retry is {next}", flags.name));
    cluster::gitops_warning(&migration).map(say);
    Ok(0)
}

/// What `spec.retry` is to be for another run.
fn raised(migration: &DataMigration) -> Result<i64, String> {
    let status = migration.status.as_ref();
    let last =
        status.and_then(|status| status.runs.iter().find(|run| run.result != RunResult::Canceled));
    let Some(last) = last else { return Err("it has not run yet".into()) };
    if !last.result.is_over() {
        return Err(format!("run {} is under way", last.number));
    }
    let applies = migration.spec.state == State::Applied && last.restored_by.is_none();
    if applies && last.kind == RunKind::Apply && last.result == RunResult::Succeeded {
        return Err(format!(
            "run {} applied it, and an applied migration never runs again; write a new one",
            last.number
        ));
    }
    if migration.spec.retry > last.retry {
        return Err(format!(
            "spec.retry is {} already, higher than at run {}; see what it waits for with describe",
            migration.spec.retry, last.number
        ));
    }
    Ok(last.next_retry())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::text::tests::migration;

    fn check(retry: i64, runs: &serde_json::Value, expected: Result<i64, &str>) {
        let found = raised(&migration(json!({"retry": retry}), json!({"runs": runs})));
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected),
            (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{found}"),
            _ => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn only_what_ended_and_was_not_applied_runs_again() {
        let run = |kind: &str, result: &str, retry: i64| {
            json!({"number": 2, "kind": kind, "result": result, "job": "j", "retry": retry,
                "programDigest": "d", "requestedAt": "2026-12-01T10:00:00Z"})
        };
        check(0, &json!([]), Err("it has not run yet"));
        check(0, &json!([run("Apply", "Failed", 0)]), Ok(1));
        check(3, &json!([run("Apply", "Unknown", 3)]), Ok(4));
        check(1, &json!([run("Apply", "Failed", 0)]), Err("spec.retry is 1 already"));
        check(0, &json!([run("DryRun", "Succeeded", 0)]), Ok(1));
        check(0, &json!([run("Apply", "Succeeded", 0)]), Err("run 2 applied it"));
        check(0, &json!([run("Apply", "Running", 0)]), Err("run 2 is under way"));
        let given_up = json!([run("Apply", "Canceled", 0), run("DryRun", "Failed", 0)]);
        check(0, &given_up, Ok(1));
    }
}
