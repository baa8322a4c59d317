//! `kubectl datamigration list`: every migration on a line.

use clap::Args;
use dm_api::DataMigration;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use crate::answer::{self, AnswerError, Words};
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
    answer: answer::Flags,
    #[command(flatten)]
    cluster: cluster::Flags,
}

const EXAMPLES: &str = "\
Examples:
  kubectl datamigration list
  kubectl datamigration list --all-namespaces
  kubectl datamigration list -o json";

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

pub async fn list(flags: Flags) -> Result<u8, ListError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    let api: Api<DataMigration> =
        if flags.all_namespaces { Api::all(cluster.client.clone()) } else { cluster.migrations() };
    let found = api
        .list(&ListParams::default())
        .await
        .map_err(cluster::failed("listing DataMigrations"))?;
    if found.items.is_empty() && flags.answer.is_text() {
        let place = if flags.all_namespaces { "any namespace" } else { &cluster.namespace };
        print::say(&format!("There are no DataMigrations in {place}"));
        return Ok(0);
    }
    let (with_namespace, now) = (flags.all_namespaces, Timestamp::now());
    flags
        .answer
        .print(&data(&found.items), |words| text(&found.items, with_namespace, now, words))?;
    Ok(0)
}

/// The list as data.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    migrations: Vec<Listed<'a>>,
}

/// One migration of the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    namespace: &'a str,
    name: String,
    target: &'a str,
    phase: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    progress: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<&'a Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_time: Option<&'a Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finalization_time: Option<&'a Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

fn data(migrations: &[DataMigration]) -> List<'_> {
    List { migrations: migrations.iter().map(listed).collect() }
}

fn listed(migration: &DataMigration) -> Listed<'_> {
    let DataMigration { metadata, spec, status } = migration;
    let standing = progress::standing(migration);
    let status = status.as_ref();
    Listed {
        namespace: metadata.namespace.as_deref().unwrap_or_default(),
        name: standing.name,
        target: &spec.target.name,
        phase: standing.phase,
        progress: standing.text,
        percent: standing.percent,
        created_at: metadata.creation_timestamp.as_ref(),
        execution_time: status.and_then(|status| status.execution_time.as_ref()),
        finalization_time: status.and_then(|status| status.finalization_time.as_ref()),
        description: spec.description.as_deref(),
    }
}

fn text(
    migrations: &[DataMigration],
    with_namespace: bool,
    now: Timestamp,
    words: Words,
) -> String {
    let mut heads = vec!["NAME", "TARGET", "PHASE", "PROGRESS", "AGE", "DESCRIPTION"];
    let mut rows: Vec<Vec<String>> = migrations.iter().map(|one| row(one, now)).collect();
    if with_namespace {
        heads.insert(0, "NAMESPACE");
        for (row, migration) in rows.iter_mut().zip(migrations) {
            row.insert(0, migration.metadata.namespace.clone().unwrap_or_default());
        }
    }
    match words {
        Words::Terminal => layout::table(&heads, &rows),
        Words::Markdown => layout::markdown_table(&heads, &rows),
    }
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
    use crate::describe::text::tests::{NOW, migration};
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
            text(&migrations, false, now, Words::Terminal),
            "\
NAME            TARGET      PHASE     PROGRESS  AGE  DESCRIPTION
0001-add-price  production  DryRunOK  100%      2m   Every car gets a price.
0001-add-price  production  Pending             2m
"
        );
        assert!(text(&migrations, true, now, Words::Terminal).starts_with("NAMESPACE  NAME "));
        assert!(text(&migrations, true, now, Words::Markdown).starts_with("| NAMESPACE | NAME |"));
    }

    #[test]
    fn data_has_the_fields_of_the_columns() {
        let status = json!({
            "observedGeneration": 3, "phase": "Running",
            "progress": {"text": "37%", "percent": 37},
            "executionTime": "2026-12-01T10:02:11Z",
        });
        let migrations = [migration(json!({"description": "A price."}), status)];
        assert_eq!(
            json!(data(&migrations)),
            json!({"migrations": [{
                "namespace": "shop", "name": "0001-add-price", "target": "production",
                "phase": "Running", "progress": "37%", "percent": 37,
                "createdAt": "2026-12-01T10:02:00Z", "executionTime": "2026-12-01T10:02:11Z",
                "description": "A price.",
            }]})
        );
        assert_eq!(json!(data(&[])), json!({"migrations": []}));
    }
}
