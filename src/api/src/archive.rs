//! The archive of a `MigrationTarget`: where ledger, journals, reports and logs outlive the
//! cluster.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::name::{self, ObjectName};

/// The object store for ledger, journals, reports and logs, which outlives objects and clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.url.startsWith('file://') == has(self.volume)")
        .message("a file:// archive needs volume, and an s3:// archive takes none"),
    validation = Rule::new("!self.url.startsWith('file://') || !has(self.endpoint) && \
                            !has(self.region) && !has(self.credentials)")
        .message("endpoint, region and credentials belong to an s3:// archive"),
    validation = Rule::new("!self.url.matches('(^|/)[.][.]?(/|$)')")
        .field_path(".url").message("a path has no parts . and .."),
    validation = Rule::new("!self.url.matches(\
         '^file:///(dm|bin|dev|etc|lib|lib64|proc|run|sys|tmp|usr|var)/*$') \
         && !self.url.matches(\
         '^file:///(dm|bin|dev|etc|lib|lib64|proc|run|sys|usr|var/run)/')")
        .field_path(".url").message("the folder belongs to the guard's image or to the system; use \
                                     another, such as file:///archive")
)]
pub struct ArchiveSpec {
    /// Location of the archive: `s3://bucket/prefix`, or `file:///folder` for a volume, which is
    /// mounted at that folder.
    #[schemars(
        regex(
            pattern = r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*/?|file://(/[A-Za-z0-9._-]+)+/?)$"
        ),
        length(max = 300)
    )]
    pub url: String,
    /// Endpoint of an S3-compatible server, as `http://host:port` or `https://host`; paths then
    /// begin with the bucket. Default: AWS's endpoint of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://[^/?#@\s]+/?$"), length(max = 253))]
    pub endpoint: Option<String>,
    /// Region of the bucket. Default: the database's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"), length(min = 1, max = 40))]
    pub region: Option<String>,
    /// Credentials for the archive. Default: the run's credentials for the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<ArchiveCredentials>,
    /// Volume of a `file://` archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<ArchiveVolume>,
    /// Which old reports, logs and journals are deleted after a successful apply. The ledger is
    /// never deleted. Unset: nothing is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<ArchiveRetention>,
}

/// Which runs of a migration lose their reports and logs: those that are older than `maxAgeDays`
/// and not among the last `keepRuns`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRetention {
    /// Age in days beyond which a run's reports and logs are deleted.
    #[schemars(range(min = 1, max = 36_500))]
    pub max_age_days: u32,
    /// Number of newest runs of each migration that are kept at any age. Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1_000))]
    pub keep_runs: u32,
    /// Whether journals of runs that were not restored are also deleted; such a run can then no
    /// longer be restored. Default: false.
    #[serde(default)]
    pub journals: bool,
}

fn five() -> u32 {
    5
}

/// Credentials that only the archive uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ArchiveCredentials {
    /// A Secret in the target's namespace with the keys `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY` and, for temporary credentials, `AWS_SESSION_TOKEN`.
    pub secret: ObjectName,
}

/// The volume of an archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveVolume {
    /// A PersistentVolumeClaim in the target's namespace.
    pub persistent_volume_claim: ClaimName,
}

/// Names a PersistentVolumeClaim in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimName {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253), regex(pattern = name::PATTERN))]
    pub claim_name: String,
}

impl ArchiveSpec {
    /// The folder at which a volume's archive is, in the containers that have it.
    pub fn folder(&self) -> Option<&str> {
        let folder = self.url.strip_prefix("file://")?;
        Some(folder.trim_end_matches('/'))
    }
}

/// A migration's name in the archive, beyond the life of its object. It is unambiguous, because a
/// namespace's name has no dots.
pub fn migration_name(namespace: &str, name: &str) -> String {
    format!("{namespace}.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(url: &str) -> Option<String> {
        let archive = ArchiveSpec {
            url: url.into(),
            endpoint: None,
            region: None,
            credentials: None,
            volume: None,
            retention: None,
        };
        archive.folder().map(str::to_owned)
    }

    #[test]
    fn only_a_volumes_archive_has_a_folder() {
        assert_eq!(folder("file:///archive/prod/"), Some("/archive/prod".into()));
        assert_eq!(folder("s3://archive/prod"), None);
    }

    #[test]
    fn names_that_look_alike_are_told_apart_by_the_first_dot() {
        assert_eq!(migration_name("team", "a.b"), "team.a.b");
        assert_ne!(migration_name("team-a", "b"), migration_name("team", "a-b"));
    }
}
