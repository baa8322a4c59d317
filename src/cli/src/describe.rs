//! `kubectl datamigration describe`: one migration on a screen.

pub mod text;

use clap::Args;
use dm_api::migration::DataMigrationSpec;
use dm_api::status::DataMigrationStatus;
use dm_api::{DataMigration, MigrationTarget};
use jiff::Timestamp;
use serde::Serialize;

use crate::answer::{self, AnswerError, Words};
use crate::cluster::{self, Cluster, ClusterError};
use crate::progress;

/// Flags of `describe`.
#[derive(Clone, Debug, Args)]
pub struct Flags {
    /// The migration
    name: String,
    #[command(flatten)]
    answer: answer::Flags,
    #[command(flatten)]
    cluster: cluster::Flags,
}

#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

pub async fn describe(flags: Flags) -> Result<u8, DescribeError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    let migration = cluster.migration(&flags.name).await?;
    let target = cluster.target(&migration.spec.target.name).await;
    flags.answer.print(&data(&migration, target.as_ref()), |words| {
        let text = text::text(&migration, target.as_ref(), Timestamp::now());
        match words {
            Words::Terminal => text,
            Words::Markdown => fenced(&text),
        }
    })?;
    Ok(0)
}

/// A migration as data: what the object says, with the words of `list` for where it stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described<'a> {
    namespace: &'a str,
    name: &'a str,
    phase: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    progress: String,
    /// Whether status speaks of the present spec.
    current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why<'a>>,
    target: Target<'a>,
    spec: &'a DataMigrationSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a DataMigrationStatus>,
}

/// The reason and message of the condition `Ready`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Why<'a> {
    reason: &'a str,
    message: &'a str,
}

/// The target, as far as it could be read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
}

fn data<'a>(migration: &'a DataMigration, target: Option<&'a MigrationTarget>) -> Described<'a> {
    let standing = progress::standing(migration);
    let why = progress::ready(migration);
    Described {
        namespace: migration.metadata.namespace.as_deref().unwrap_or_default(),
        name: migration.metadata.name.as_deref().unwrap_or_default(),
        phase: standing.phase,
        progress: standing.text,
        current: progress::is_current(migration),
        why: why.map(|ready| Why { reason: &ready.reason, message: &ready.message }),
        target: Target {
            name: &migration.spec.target.name,
            region: target.map(|target| target.spec.region.as_str()),
            endpoint: target.and_then(|target| target.spec.endpoint.as_deref()),
        },
        spec: &migration.spec,
        status: migration.status.as_ref(),
    }
}

/// Text as a block of Markdown. The fence is longer than any in the text.
fn fenced(text: &str) -> String {
    let longest = text.lines().map(|line| line.chars().take_while(|c| *c == '`').count()).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::text::tests::{dry_run_succeeded, migration};
    use serde_json::json;

    #[test]
    fn data_has_spec_and_status_and_says_why() {
        let one = migration(json!({}), dry_run_succeeded());
        let found = json!(data(&one, None));
        assert_eq!(found["name"], "0001-add-price");
        assert_eq!((&found["phase"], &found["progress"]), (&json!("DryRunOK"), &json!("100%")));
        assert_eq!(found["current"], true);
        assert_eq!(found["why"]["reason"], "AwaitingPromotion");
        assert_eq!(found["target"], json!({"name": "production"}));
        assert_eq!(found["spec"]["script"]["image"], "python:3.12");
        assert_eq!(found["status"]["dryRun"]["effects"]["itemsRead"], 406);
        let fresh = migration(json!({}), json!(null));
        let fresh = json!(data(&fresh, None));
        assert_eq!((&fresh["phase"], &fresh["current"]), (&json!("Pending"), &json!(false)));
        assert!(fresh.get("why").is_none() && fresh.get("status").is_none(), "{fresh}");
    }

    #[test]
    fn no_line_of_a_program_ends_the_block() {
        assert_eq!(fenced("a\n"), "```text\na\n```\n");
        assert_eq!(fenced("```\nx"), "````text\n```\nx\n````\n");
    }
}
