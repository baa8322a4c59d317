//! `kubectl datamigration promote`: from a dry run that succeeded to applying it.

use std::io;

use clap::Args;
use dm_api::DataMigration;
use dm_api::migration::State;
use dm_api::status::{Phase, RunResult};
use serde_json::json;

use crate::cluster::{self, Cluster, ClusterError};
use crate::print::{self, Confirmed, say};
use crate::progress;

/// Flags of `promote`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The migration
    name: String,
    /// Skip the confirmation. Required if standard input is not a terminal
    #[arg(short, long)]
    yes: bool,
    /// Promote even if the last dry run did not succeed, or was of an older spec
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    cluster: cluster::Flags,
}

const EXAMPLES: &str = "\
Sets spec.dryRun to false. Where Git is the source, commit that change instead.

Examples:
  kubectl datamigration promote 0001-add-price-to-cars
  kubectl datamigration promote 0001-add-price-to-cars --yes -n shop";

/// Why it is not promoted.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The dry run does not allow it.
    #[error("{name} is not promoted: {why}; pass --force to promote it nevertheless")]
    Refused { name: String, why: String },
    /// The answer was no.
    #[error("{0} was not changed")]
    Declined(String),
    #[error(
        "{0} needs confirmation, and standard input is not a terminal. Pass --yes to promote it"
    )]
    NobodyToAsk(String),
    #[error("asking")]
    Ask(#[from] io::Error),
}

/// Sets `spec.dryRun` to false, if the dry run allows it and a person agrees.
pub async fn promote(flags: Flags) -> Result<u8, PromoteError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    promote_in(&cluster, &flags).await
}

async fn promote_in(cluster: &Cluster, flags: &Flags) -> Result<u8, PromoteError> {
    let name = &flags.name;
    let migration = cluster.migration(name).await?;
    if !migration.spec.dry_run {
        say(&format!("{name} is already promoted: spec.dryRun is false"));
        return Ok(0);
    }
    if let Some(why) = obstacle(&migration) {
        if !flags.force {
            return Err(PromoteError::Refused { name: name.clone(), why });
        }
        say(&format!("Promoting by force, although {why}"));
    }
    if !flags.yes {
        ask(&migration, name)?;
    }
    cluster.set(&migration, json!({"dryRun": false})).await?;
    let what = match migration.spec.state {
        State::Applied => "it is applied to target",
        State::Restored => "it is restored on target",
    };
    say(&format!("{name} is promoted: {what} {}", migration.spec.target.name));
    cluster::gitops_warning(&migration).map(say);
    Ok(0)
}

fn ask(migration: &DataMigration, name: &str) -> Result<(), PromoteError> {
    if let Some(ready) = progress::ready(migration) {
        say(&ready.message);
    }
    let target = &migration.spec.target.name;
    let question = match migration.spec.state {
        State::Applied => format!("Apply {name} to target {target}?"),
        State::Restored => format!("Restore {name} on target {target}?"),
    };
    match print::confirm(&question)? {
        Confirmed::Yes => Ok(()),
        Confirmed::No => Err(PromoteError::Declined(name.to_owned())),
        Confirmed::NobodyThere => Err(PromoteError::NobodyToAsk(name.to_owned())),
    }
}

/// Why the last dry run does not allow a promotion, if so.
fn obstacle(migration: &DataMigration) -> Option<String> {
    let status = migration.status.clone().unwrap_or_default();
    if !progress::is_current(migration) {
        return Some(
            "its status is of an older spec; the operator has not processed the current one".into(),
        );
    }
    if let Some(run) = status.under_way() {
        return Some(format!("run {} is under way", run.number));
    }
    if migration.spec.state == State::Restored {
        let ready = progress::ready(migration).map(|ready| ready.message.clone());
        return (status.phase != Some(Phase::RestorePreviewOk)).then(|| {
            format!("it is {}: {}", progress::phase(migration), ready.unwrap_or_default())
        });
    }
    let Some(dry_run) = &status.dry_run else { return Some("there was no dry run yet".into()) };
    if dry_run.result != RunResult::Succeeded {
        let failure = status.failure.as_ref().filter(|failure| failure.run == dry_run.run);
        let why = failure.map(|failure| format!(" ({})", failure.reason)).unwrap_or_default();
        return Some(format!("its last dry run, run {}, did not succeed{why}", dry_run.run));
    }
    // The operator's own word that the dry run is of just this program and target.
    if status.phase != Some(Phase::DryRunOk) {
        let ready = progress::ready(migration).map(|ready| ready.message.clone());
        return Some(format!(
            "it is {}: {}",
            progress::phase(migration),
            ready.unwrap_or_default().trim_end_matches('.')
        ));
    }
    None
}

#[cfg(test)]
mod tests;
