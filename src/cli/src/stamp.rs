//! `kubectl datamigration stamp`: when a migration was applied, written into its manifest for Git.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use dm_api::DataMigration;
use dm_api::status::RunResult;

use crate::cluster::{self, Cluster, ClusterError};
use crate::print::say;
use crate::yaml::{self, ManifestError};

/// Prefixes of the two annotations; the target's name follows, as one manifest serves several.
const EXECUTION: &str = "execution-time.datamigration.dev/";

/// When it had ended.
const FINALIZATION: &str = "finalization-time.datamigration.dev/";

/// An annotation's name may have this many characters after its prefix.
const ANNOTATION_CHARS_MAX: usize = 63;

/// Flags of `stamp`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The migration
    name: String,
    /// Manifests with the DataMigration of this name
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    cluster: cluster::Flags,
}

const EXAMPLES: &str = "\
Sets two annotations of the DataMigration; every other line stays unchanged:
  execution-time.datamigration.dev/TARGET: \"2026-12-01T10:02:11Z\"
  finalization-time.datamigration.dev/TARGET: \"2026-12-01T10:02:19Z\"

Examples:
  kubectl datamigration stamp 0001-add-price-to-cars \
  migrations/0001-add-price-to-cars/base/migration.yaml";

/// Why a manifest was not stamped.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// There are no times.
    #[error("{0} was not applied, so there is nothing to stamp")]
    NotApplied(String),
    /// The target's name does not fit.
    #[error("the target's name {0} is too long for the name of an annotation")]
    LongTarget(String),
    #[error("{action} {path}")]
    File {
        /// What was being done.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path} is not changed")]
    Manifest { path: PathBuf, source: ManifestError },
}

/// Stamps the files, all or none.
pub async fn stamp(flags: Flags) -> Result<u8, StampError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    let migration = cluster.migration(&flags.name).await?;
    let annotations = annotations(&migration)?;
    let mut stamped = Vec::new();
    for path in &flags.files {
        let text = fs::read_to_string(path).map_err(naming("reading", path))?;
        let changed = yaml::annotate(&text, &flags.name, &annotations)
            .map_err(|source| StampError::Manifest { path: path.clone(), source })?;
        stamped.push((path, changed != text, changed));
    }
    for (path, is_new, text) in stamped {
        if is_new {
            fs::write(path, text).map_err(naming("writing", path))?;
        }
        let how = if is_new { "stamped" } else { "was stamped already" };
        say(&format!("{} {how}", path.display()));
    }
    Ok(0)
}

/// What is stamped: the times of the run that applied the migration.
fn annotations(migration: &DataMigration) -> Result<Vec<(String, String)>, StampError> {
    let name = || migration.metadata.name.clone().unwrap_or_default();
    let applied = migration.status.as_ref().and_then(|status| status.applied.as_ref());
    let applied = applied.filter(|applied| applied.result == RunResult::Succeeded);
    let times = applied.and_then(|applied| {
        Some((applied.execution_time.as_ref()?, applied.finalization_time.as_ref()?))
    });
    let (begun, ended) = times.ok_or_else(|| StampError::NotApplied(name()))?;
    let target = &migration.spec.target.name;
    if target.len() > ANNOTATION_CHARS_MAX {
        return Err(StampError::LongTarget(target.clone()));
    }
    Ok(vec![
        (format!("{EXECUTION}{target}"), begun.0.to_string()),
        (format!("{FINALIZATION}{target}"), ended.0.to_string()),
    ])
}

fn naming(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StampError + use<> {
    let path = path.to_owned();
    move |source| StampError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::text::tests::migration;
    use serde_json::{Value, json};

    fn check(applied: &Value, expected: Option<[(&str, &str); 2]>) {
        let migration = migration(json!({}), json!({"applied": applied}));
        let found = annotations(&migration).ok();
        let expected = expected
            .map(|pairs| pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).to_vec());
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_was_applied_is_stamped() {
        let applied = |result: &str| {
            json!({"run": 2, "result": result, "programDigest": "d",
                "executionTime": "2026-12-01T10:02:11Z",
                "finalizationTime": "2026-12-01T10:02:19Z"})
        };
        check(
            &applied("Succeeded"),
            Some([
                ("execution-time.datamigration.dev/production", "2026-12-01T10:02:11Z"),
                ("finalization-time.datamigration.dev/production", "2026-12-01T10:02:19Z"),
            ]),
        );
        check(&applied("Failed"), None);
        check(&Value::Null, None);
    }
}
