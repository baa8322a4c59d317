//! `kubectl datamigration suspend` and `resume`: pause a migration, and resume it.

use clap::Args;
use dm_api::DataMigration;
use serde_json::json;

use crate::cluster::{self, Cluster, ClusterError};
use crate::print::say;

/// Flags of `suspend` and `resume`.
#[derive(Clone, Debug, Args)]
pub struct Flags {
    /// The migration
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
}

/// Sets `spec.suspend`.
pub async fn suspend(flags: Flags, suspend: bool) -> Result<u8, ClusterError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    let migration = cluster.migration(&flags.name).await?;
    let word = if suspend { "suspended" } else { "resumed" };
    if migration.spec.suspend == suspend {
        say(&format!("{} was {word} already", flags.name));
        return Ok(0);
    }
    cluster.set(&migration, json!({"suspend": suspend})).await?;
    say(&format!("{} is {word}", flags.name));
    if let Some(number) = started_run(&migration).filter(|_| suspend) {
        say(&format!(
            "Run {number} is under way: it is paused in place, and `resume` continues it"
        ));
    }
    cluster::gitops_warning(&migration).map(say);
    Ok(0)
}

/// The number of a run whose program runs.
fn started_run(migration: &DataMigration) -> Option<u32> {
    let last = migration.status.as_ref()?.runs.first()?;
    let started = last.execution_time.is_some() && !last.result.is_over();
    started.then_some(last.number)
}
