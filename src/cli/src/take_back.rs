//! `kubectl datamigration restore NAME`: asks the cluster to take a migration back, or to say what that
//! would do.

use std::io;

use dm_api::DataMigration;
use dm_api::migration::{OnConflict, State};
use serde_json::{Value, json};

use crate::cluster::{self, Cluster, ClusterError};
use crate::print::{self, Confirmed, say};
use crate::progress;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The migration.
    pub name: &'a str,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// What happens to what others changed since.
    pub on_conflict: OnConflict,
    /// Whether nobody is asked.
    pub yes: bool,
}

/// Why it is not taken back.
#[derive(Debug, thiserror::Error)]
pub enum TakeBackError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The answer was no.
    #[error("{0} was left as it is")]
    Declined(String),
    /// Nobody to ask.
    #[error("nobody can be asked here; --yes takes {0} back without asking")]
    NobodyToAsk(String),
    /// The terminal.
    #[error("asking")]
    Ask(#[from] io::Error),
}

/// Sets `spec.state` to `Restored`; without a dry run, if a person agrees.
pub async fn ask(flags: &cluster::Flags, asked: &Asked<'_>) -> Result<u8, TakeBackError> {
    let cluster = Cluster::connect(flags).await?;
    ask_in(&cluster, asked).await
}

async fn ask_in(cluster: &Cluster, asked: &Asked<'_>) -> Result<u8, TakeBackError> {
    let name = asked.name;
    let migration = cluster.migration(name).await?;
    let Some(spec) = wanted(&migration, asked) else {
        say(&format!("{name} is asked to be so already: {}", why(&migration)));
        return Ok(0);
    };
    if !asked.dry_run && !asked.yes {
        confirm(&migration, name)?;
    }
    cluster.set(&migration, spec).await?;
    let what = if asked.dry_run { "is previewed: nothing is written" } else { "is taken back" };
    say(&format!("{name} {what}; see kubectl datamigration watch {name}"));
    cluster::gitops_warning(&migration).map(say);
    Ok(0)
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

fn confirm(migration: &DataMigration, name: &str) -> Result<(), TakeBackError> {
    say(&why(migration));
    let target = &migration.spec.target.name;
    match print::confirm(&format!("Take back what {name} changed on target {target}?"))? {
        Confirmed::Yes => Ok(()),
        Confirmed::No => Err(TakeBackError::Declined(name.to_owned())),
        Confirmed::NobodyThere => Err(TakeBackError::NobodyToAsk(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::tests::migration;

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
