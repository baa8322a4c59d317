//! `MigrationTarget`: one database environment, owned by the platform team.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::agent_resources::AgentResources;
use crate::archive::ArchiveSpec;
use crate::limits::Limits;
pub use crate::name::ObjectName;
use crate::program_policy::ProgramPolicy;
use crate::run_kind::RunKind;
use crate::target_status::MigrationTargetStatus;

/// One database environment: where it is, whose credentials are used, and what is allowed there.
/// Authors of migrations name it; they never see its credentials.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "datamigration.dev",
    version = "v1alpha1",
    kind = "MigrationTarget",
    plural = "migrationtargets",
    shortname = "dmt",
    category = "migrations",
    namespaced,
    status = "MigrationTargetStatus",
    derive = "PartialEq",
    doc = "One database environment: where it is, whose credentials are used, and what is allowed there."
)]
#[kube(printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"))]
#[kube(printcolumn(
    name = "Ready",
    type_ = "string",
    json_path = ".status.conditions[?(@.type==\"Ready\")].status"
))]
#[kube(printcolumn(
    name = "Database",
    type_ = "string",
    json_path = ".status.conditions[?(@.type==\"DatabaseReachable\")].status"
))]
#[kube(printcolumn(
    name = "Archive",
    type_ = "string",
    json_path = ".status.conditions[?(@.type==\"ArchiveReachable\")].status"
))]
#[kube(printcolumn(
    name = "Reason",
    type_ = "string",
    json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
))]
#[kube(printcolumn(
    name = "Endpoint",
    type_ = "string",
    json_path = ".spec.endpoint",
    priority = 1
))]
#[kube(printcolumn(
    name = "Tables",
    type_ = "string",
    json_path = ".spec.policy.tables",
    priority = 1
))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[serde(rename_all = "camelCase")]
pub struct MigrationTargetSpec {
    /// AWS region of the database, for example `eu-west-1`. It is part of every signature.
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"), length(min = 1, max = 40))]
    pub region: String,
    /// Endpoint other than AWS's own for the region, as `http://host:port` or `https://host`.
    /// Default: the region's public endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://[^/?#@\s]+/?$"), length(max = 253))]
    pub endpoint: Option<String>,
    /// Credentials of runs that write, and of dry runs where `dryRunCredentials` is not given.
    pub credentials: Credentials,
    /// Credentials of dry runs. Give them read-only permissions, and a dry run cannot write even
    /// if everything else failed. Default: `credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run_credentials: Option<Credentials>,
    /// Where runs that write are journaled. Default: nowhere; what such a run changed can then not
    /// be taken back, and the cluster is the only one to know that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSpec>,
    /// What the guard and the other containers of the operator's may use in the pods of runs here.
    #[serde(default, skip_serializing_if = "AgentResources::is_empty")]
    pub resources: AgentResources,
    /// What migrations may do here.
    #[serde(default)]
    pub policy: TargetPolicy,
}

impl MigrationTargetSpec {
    /// The credentials of a kind of run.
    pub fn credentials_of(&self, kind: RunKind) -> &Credentials {
        match kind {
            RunKind::DryRun | RunKind::RestorePreview => {
                self.dry_run_credentials.as_ref().unwrap_or(&self.credentials)
            }
            RunKind::Apply | RunKind::Restore => &self.credentials,
        }
    }
}

/// Where the guard finds its AWS credentials: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secret) != has(self.serviceAccount)")
        .message("give exactly one of secret and serviceAccount")
)]
pub struct Credentials {
    /// A Secret in the namespace of the target with the keys `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY` and, for temporary credentials, `AWS_SESSION_TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ObjectName>,
    /// A ServiceAccount in the namespace of the target that is bound to a cloud role. The run's
    /// pod uses it; the program's container gets no token of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ObjectName>,
}

/// What migrations may do in a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetPolicy {
    /// Names of tables that may be touched; `*` stands for any characters, `?` for one. Default:
    /// every table that the credentials reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 100),
        inner(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_.*?-]+$"))
    )]
    pub tables: Vec<String>,
    /// Whether a run may create, change and delete tables; a dry run simulates it. Default: false.
    #[serde(default)]
    pub control_plane: bool,
    /// Whether item keys and values may appear in reports. Default: false.
    #[serde(default)]
    pub show_values: bool,
    /// What an applying run's journal promises, where the target has an archive. Default: `Strict`.
    #[serde(default)]
    pub journal: JournalPolicy,
    /// Highest speed of any one run in this target. Where a migration's `limits` say less, that
    /// holds. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Whether a run may write only after a dry run of the very same program, arguments and
    /// target has succeeded. Default: false.
    #[serde(default)]
    pub dry_run_first: bool,
    /// Migrations that may write to the target at the same time. Others wait for their turn, in the
    /// order in which they came. Dry runs do not count. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_concurrent_runs: Option<u32>,
    /// What authors may ask of the pods of their programs.
    #[serde(default, skip_serializing_if = "ProgramPolicy::is_empty")]
    pub programs: ProgramPolicy,
}

/// What a journal promises, and what it may cost (docs/reference/archive.md).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum JournalPolicy {
    /// Before a write is sent its item's image and the digest of what the write leaves are durable.
    #[default]
    Strict,
    /// Where the item has just been read, its image is durable before the write is sent, and the
    /// digest a moment later. A guard that dies in that moment leaves a few items of which a restore
    /// cannot tell who changed them: it lists them as conflicts.
    Ahead,
    /// As `Ahead`; the journal's own reads are eventually consistent, and batches are sent as batches.
    /// What others write to an item of a batch in the moment before it is not noticed.
    Cheap,
}
