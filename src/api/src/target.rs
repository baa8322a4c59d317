//! `MigrationTarget`: one database environment, owned by the platform team.

use k8s_openapi::api::core::v1::LocalObjectReference;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::agent_resources::AgentResources;
use crate::archive::ArchiveSpec;
use crate::limits::Limits;
pub use crate::name::ObjectName;
use crate::program_policy::ProgramPolicy;
use crate::run_kind::RunKind;
use crate::target_status::MigrationTargetStatus;

/// One database environment: its region or endpoint, the credentials of runs, and what migrations
/// may do there. Authors of migrations name it and never see its credentials.
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
    doc = "One database environment: its endpoint, the credentials of runs, and what migrations \
           may do."
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
    /// Endpoint to use instead of AWS's, as `http://host:port` or `https://host`: DynamoDB Local,
    /// or a VPC endpoint. Default: AWS's endpoint of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://[^/?#@\s]+/?$"), length(max = 253))]
    pub endpoint: Option<String>,
    /// Credentials of applies and restores, and of dry runs without `dryRunCredentials`.
    pub credentials: Credentials,
    /// Credentials of dry runs and previews. With read-only permissions, AWS rejects every write of
    /// a dry run. Default: `credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run_credentials: Option<Credentials>,
    /// Archive for ledger, journals, reports and logs. Unset: what a run changes cannot be
    /// restored, and only the object records that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSpec>,
    /// Secrets for pulling images in the pods of runs and of the target's check. A run also uses
    /// those of its migration's `podTemplate`. Default: those of the pod's ServiceAccount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Resources of the operator's containers in the pods of runs: the guard, and the containers
    /// that prepare a run, record its end or check the target.
    #[serde(default, skip_serializing_if = "AgentResources::is_empty")]
    pub resources: AgentResources,
    /// What migrations may do on this target.
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
    /// A Secret in the target's namespace with the keys `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY` and, for temporary credentials, `AWS_SESSION_TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ObjectName>,
    /// A ServiceAccount in the target's namespace that is bound to a cloud role. The run's pod uses
    /// it; the program's container gets no token of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ObjectName>,
}

/// What migrations may do on a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetPolicy {
    /// Names of tables that may be read and written; `*` stands for any characters, `?` for one.
    /// Default: every table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 100),
        inner(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_.*?-]+$"))
    )]
    pub tables: Vec<String>,
    /// Whether a run may create, change and delete tables; a dry run simulates it. Default: false.
    #[serde(default)]
    pub control_plane: bool,
    /// Whether keys and values of items may appear in status and reports. Default: false.
    #[serde(default)]
    pub show_values: bool,
    /// What the journal of an apply promises, and what it costs. Default: `Strict`.
    #[serde(default)]
    pub journal: JournalPolicy,
    /// Highest rates of each run. If a migration's `limits` are lower, they apply. Default:
    /// unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Whether a run may write only after a successful dry run, or preview, of the same program,
    /// arguments and target. Default: false.
    #[serde(default)]
    pub dry_run_first: bool,
    /// Number of migrations that may write to the target at the same time. Others wait in a queue,
    /// in order of arrival. Dry runs do not count. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_concurrent_runs: Option<u32>,
    /// What migrations may request for the pods of their programs.
    #[serde(default, skip_serializing_if = "ProgramPolicy::is_empty")]
    pub programs: ProgramPolicy,
}

/// What a journal promises, and what it may cost (docs/reference/archive.md).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum JournalPolicy {
    /// An item's image and the digest of the write's result are durable before the write is sent.
    #[default]
    Strict,
    /// For an item that was just read, its image is durable before the write is sent, and the
    /// digest follows. If the guard dies in between, a restore lists the few affected items as
    /// conflicts.
    Ahead,
    /// As `Ahead`; the journal's reads are eventually consistent, and batches are sent as batches.
    /// A write of others to an item of a batch just before the batch is not noticed.
    Cheap,
}
