//! `kubectl datamigration list`: every migration on a line.

use std::io;

use clap::Args;
use dm_api::DataMigration;
use jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;

use crate::cluster::{self, Cluster, ClusterError};
use crate::{layout, print, progress};

/// Flags of `list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// Migrations of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    cluster: cluster::Flags,
}

const EXAMPLES: &str = "\
Examples:
  kubectl datamigration list
  kubectl datamigration list --all-namespaces";

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Standard output.
    #[error("writing the list")]
    Write(#[from] io::Error),
}

/// Prints the list.
pub async fn list(flags: Flags) -> Result<u8, ListError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    let api: Api<DataMigration> =
        if flags.all_namespaces { Api::all(cluster.client.clone()) } else { cluster.migrations() };
    let found = api
        .list(&ListParams::default())
        .await
        .map_err(cluster::failed("listing DataMigrations"))?;
    if found.items.is_empty() {
        let place = if flags.all_namespaces { "any namespace" } else { &cluster.namespace };
        print::say(&format!("There are no DataMigrations in {place}"));
        return Ok(0);
    }
    print::answer(&text(&found.items, flags.all_namespaces, Timestamp::now()))?;
    Ok(0)
}

fn text(migrations: &[DataMigration], with_namespace: bool, now: Timestamp) -> String {
    let mut heads = vec!["NAME", "TARGET", "PHASE", "PROGRESS", "AGE", "DESCRIPTION"];
    let mut rows: Vec<Vec<String>> = migrations.iter().map(|one| row(one, now)).collect();
    if with_namespace {
        heads.insert(0, "NAMESPACE");
        for (row, migration) in rows.iter_mut().zip(migrations) {
            row.insert(0, migration.metadata.namespace.clone().unwrap_or_default());
        }
    }
    layout::table(&heads, &rows)
}

fn row(migration: &DataMigration, now: Timestamp) -> Vec<String> {
    let standing = progress::standing(migration);
    let created = migration.metadata.creation_timestamp.as_ref();
    vec![
        standing.name,
        migration.spec.target.name.clone(),
        standing.phase,
        standing.text,
        created.map(|time| layout::age(time.0, now)).unwrap_or_default(),
        migration.spec.description.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::tests::{NOW, migration};
    use serde_json::json;

    #[test]
    fn each_migration_has_a_line() {
        let migrations = [
            migration(
                json!({"description": "Every car gets a price."}),
                json!({"phase": "DryRunOK", "progress": {"text": "100%"}}),
            ),
            migration(json!({}), json!(null)),
        ];
        let now: Timestamp = NOW.parse().unwrap();
        assert_eq!(
            text(&migrations, false, now),
            "\
NAME            TARGET      PHASE     PROGRESS  AGE  DESCRIPTION
0001-add-price  production  DryRunOK  100%      2m   Every car gets a price.
0001-add-price  production  Pending             2m
"
        );
        assert!(text(&migrations, true, now).starts_with("NAMESPACE  NAME "));
    }
}
