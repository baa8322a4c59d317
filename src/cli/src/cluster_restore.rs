//! `kubectl datamigration restore NAME`: asks the cluster to restore a migration, or to preview
//! that.

use std::io;
use std::time::Duration;

use dm_api::DataMigration;
use dm_api::migration::{OnConflict, State};
use serde_json::{Value, json};

use crate::cluster::{self, Cluster, ClusterError};
use crate::print::{self, Confirmed, say};
use crate::progress::{self, Rest};

/// How long to wait for the operator's first word on the change: it reconciles within a second.
const OBSERVED_WITHIN: Duration = Duration::from_secs(15);

/// Between two reads of the status.
const READ_AGAIN: Duration = Duration::from_millis(300);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub name: &'a str,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// What happens to what others changed since.
    pub on_conflict: OnConflict,
    /// Whether no confirmation is needed.
    pub yes: bool,
}

/// Why it is not restored.
#[derive(Debug, thiserror::Error)]
pub enum ClusterRestoreError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The answer was no.
    #[error("{0} was not changed")]
    Declined(String),
    /// Standard input is no terminal.
    #[error(
        "{0} needs confirmation, and standard input is not a terminal. Pass --yes to restore \
         without a prompt"
    )]
    NobodyToAsk(String),
    /// The operator cannot do it.
    #[error("{name} cannot be restored: {why}")]
    Stalled {
        name: String,
        /// The operator's message.
        why: String,
    },
    #[error("asking")]
    Ask(#[from] io::Error),
}

/// Sets `spec.state` to `Restored`; without a dry run, if a person agrees.
pub async fn ask(flags: &cluster::Flags, asked: &Asked<'_>) -> Result<u8, ClusterRestoreError> {
    let cluster = Cluster::connect(flags).await?;
    ask_in(&cluster, asked).await
}

async fn ask_in(cluster: &Cluster, asked: &Asked<'_>) -> Result<u8, ClusterRestoreError> {
    let name = asked.name;
    let migration = cluster.migration(name).await?;
    let Some(spec) = wanted(&migration, asked) else {
        stalled(&migration, name)?;
        say(&format!("{name} already has this state: {}", why(&migration)));
        return Ok(0);
    };
    if !asked.dry_run && !asked.yes {
        confirm(&migration, name)?;
    }
    cluster.set(&migration, spec).await?;
    cluster::gitops_warning(&migration).map(say);
    observed(cluster, name).await?;
    let what = if asked.dry_run { "is previewed: nothing is written" } else { "is restored" };
    say(&format!("{name} {what}; see kubectl datamigration watch {name}"));
    Ok(0)
}

/// Waits for the operator's first word: that it cannot restore the migration is an error here.
async fn observed(cluster: &Cluster, name: &str) -> Result<(), ClusterRestoreError> {
    let until = tokio::time::Instant::now() + OBSERVED_WITHIN;
    loop {
        let migration = cluster.migration(name).await?;
        if progress::is_current(&migration) || tokio::time::Instant::now() >= until {
            return stalled(&migration, name);
        }
        tokio::time::sleep(READ_AGAIN).await;
    }
}

fn stalled(migration: &DataMigration, name: &str) -> Result<(), ClusterRestoreError> {
    match progress::standing(migration).rest {
        Rest::Stalled => {
            Err(ClusterRestoreError::Stalled { name: name.to_owned(), why: why(migration) })
        }
        Rest::No | Rest::Well => Ok(()),
    }
}

/// The fields that change, if any does.
fn wanted(migration: &DataMigration, asked: &Asked<'_>) -> Option<Value> {
    let spec = &migration.spec;
    let same = spec.state == State::Restored
        && spec.dry_run == asked.dry_run
        && spec.on_conflict() == asked.on_conflict;
    (!same).then(|| {
        json!({
            "state": "Restored",
            "dryRun": asked.dry_run,
            "restore": {"onConflict": asked.on_conflict},
        })
    })
}

fn why(migration: &DataMigration) -> String {
    progress::ready(migration).map(|ready| ready.message.clone()).unwrap_or_default()
}

fn confirm(migration: &DataMigration, name: &str) -> Result<(), ClusterRestoreError> {
    say(&why(migration));
    let target = &migration.spec.target.name;
    match print::confirm(&format!("Restore what {name} changed on target {target}?"))? {
        Confirmed::Yes => Ok(()),
        Confirmed::No => Err(ClusterRestoreError::Declined(name.to_owned())),
        Confirmed::NobodyThere => Err(ClusterRestoreError::NobodyToAsk(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::text::tests::migration;

    fn check(spec: Value, dry_run: bool, on_conflict: OnConflict, expected: Option<&Value>) {
        let asked = Asked { name: "0001-add-price", dry_run, on_conflict, yes: true };
        assert_eq!(wanted(&migration(spec, Value::Null), &asked).as_ref(), expected);
    }

    #[test]
    fn the_state_is_asked_for_and_a_preview_is_followed_by_the_restore() {
        let asks = |dry_run, on_conflict| {
            json!({
                "state": "Restored", "dryRun": dry_run, "restore": {"onConflict": on_conflict},
            })
        };
        check(json!({"dryRun": false}), true, OnConflict::Skip, Some(&asks(true, "Skip")));
        let previewed = json!({"state": "Restored", "dryRun": true});
        check(previewed.clone(), false, OnConflict::Skip, Some(&asks(false, "Skip")));
        check(previewed.clone(), true, OnConflict::Overwrite, Some(&asks(true, "Overwrite")));
        check(previewed, true, OnConflict::Skip, None);
    }
}
