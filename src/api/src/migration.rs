//! `DataMigration`: one migration of data, as its author writes it.

#![allow(clippy::struct_field_names, reason = "units come last")]
#![allow(clippy::struct_excessive_bools, reason = "each switch of a spec is one by itself")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, ConfigMapVolumeSource, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, ResourceRequirements, SecretVolumeSource, Toleration,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use crate::files::{FileItem, FilesConfigMap};
use crate::identity::Mismatch;
pub use crate::limits::Limits;
use crate::name::ObjectName;
pub use crate::restore_status::OnConflict;
use crate::status::DataMigrationStatus;
use crate::transform::{OnItemError, TransformSource};

/// One migration of data: a program, the target it works on, and whether it is tried or applied.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "datamigration.dev",
    version = "v1alpha1",
    kind = "DataMigration",
    plural = "datamigrations",
    shortname = "dm",
    category = "migrations",
    namespaced,
    status = "DataMigrationStatus",
    derive = "PartialEq",
    doc = "One migration of data: a program, the target it works on, and whether it is tried or applied.",
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name must have at most 63 characters"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != 'Succeeded' || has(oldSelf.status.applied.restoredBy) || self.spec.target == oldSelf.spec.target"
    ).field_path(".spec.target").message("this migration was applied; what it does cannot be changed any more. Write a new DataMigration instead, or restore this one first"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != 'Succeeded' || has(oldSelf.status.applied.restoredBy) || has(oldSelf.status.applied.baseline) || (has(self.spec.script) ? has(oldSelf.spec.script) && self.spec.script == oldSelf.spec.script : !has(oldSelf.spec.script))"
    ).field_path(".spec.script").message("this migration was applied; what it does cannot be changed any more. Write a new DataMigration instead, or restore this one first"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != 'Succeeded' || has(oldSelf.status.applied.restoredBy) || has(oldSelf.status.applied.baseline) || (has(self.spec.container) ? has(oldSelf.spec.container) && self.spec.container == oldSelf.spec.container : !has(oldSelf.spec.container))"
    ).field_path(".spec.container").message("this migration was applied; what it does cannot be changed any more. Write a new DataMigration instead, or restore this one first"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != 'Succeeded' || has(oldSelf.status.applied.restoredBy) || has(oldSelf.status.applied.baseline) || (has(self.spec.transform) ? has(oldSelf.spec.transform) && self.spec.transform == oldSelf.spec.transform : !has(oldSelf.spec.transform))"
    ).field_path(".spec.transform").message("this migration was applied; what it does cannot be changed any more. Write a new DataMigration instead, or restore this one first"),
    validation = Rule::new(
        "!oldSelf.spec.baseline || self.spec.baseline || !has(oldSelf.status) || !has(oldSelf.status.applied) || self.spec.retry > oldSelf.spec.retry"
    ).field_path(".spec.baseline").message("this migration is recorded as applied before. To run it after all, set baseline to false and raise retry in the same change"),
    validation = Rule::new(
        "!self.spec.baseline || oldSelf.spec.baseline || !has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != 'Succeeded' || has(oldSelf.status.applied.restoredBy)"
    ).field_path(".spec.baseline").message("a run of this migration has applied it already"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress.text"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Description", type_ = "string", json_path = ".spec.description"),
    printcolumn(
        name = "Execution Time", type_ = "string", json_path = ".status.executionTime", priority = 1
    ),
    printcolumn(
        name = "Finalization Time", type_ = "string", json_path = ".status.finalizationTime", priority = 1
    ),
    printcolumn(name = "Run", type_ = "integer", json_path = ".status.lastRun", priority = 1),
    printcolumn(
        name = "Reason", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = 1
    ),
    selectable = ".spec.target.name"
)]
#[x_kube(
    validation = Rule::new("[has(self.script), has(self.container), has(self.transform)].filter(source, source).size() == 1 || self.baseline && !has(self.script) && !has(self.container) && !has(self.transform)")
        .field_path(".script").message("give exactly one source: script, container or transform"),
    validation = Rule::new("!self.baseline || self.state == 'Applied'")
        .field_path(".baseline").message("nothing is known of what was changed before, so it cannot be restored"),
    validation = Rule::new("!self.secondPass || !has(self.container) || (has(self.container.command) && size(self.container.command) > 0)")
        .field_path(".secondPass").message("a program in an image needs a command, so that it can be run a second time")
)]
#[serde(rename_all = "camelCase")]
pub struct DataMigrationSpec {
    /// What the migration is for, in a sentence. Shown by `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub description: Option<String>,
    /// The `MigrationTarget`, in the same namespace.
    pub target: ObjectName,
    /// Whether nothing is written and status says what would change. Set it to false to apply
    /// the migration. Default: true.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// Whether what it does is to be there (`Applied`) or to be taken back (`Restored`). With
    /// `dryRun` true, `Restored` says what would be put back and writes nothing. Default: `Applied`.
    #[serde(default)]
    pub state: State,
    /// How it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreSettings>,
    /// Source: files of a ConfigMap, run in their folder in any image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Script>,
    /// Source: a program in an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerProgram>,
    /// Source: a declaration of what becomes of each item of a table, without a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<TransformSource>,
    /// What an item that a transform cannot change means: `Stop` ends the run as failed, `Continue` changes
    /// the others and ends it as partially failed. Both list the item in the report. Default: `Stop`.
    #[serde(default)]
    pub on_item_error: OnItemError,
    /// No run starts before this time. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Time>,
    /// Migrations in the same namespace that must have been applied before a run of this one
    /// starts. A circle is reported and never starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub depends_on: Vec<ObjectName>,
    /// Times a failed program is started again within one run. Default: 0, because a program that
    /// failed half way has usually written already. Above 0 it must be safe to run it repeatedly.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// Raise it to run again after a failure or an unknown outcome, or to repeat a restore. Lowering it has no effect.
    /// Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub retry: i64,
    /// Differences between a run on record and this object that you have looked at and accept. Without
    /// it a run that would adopt, restore or rely on such a record stops with the same word as its
    /// reason. Remove it when it has served. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub accept: Vec<Mismatch>,
    /// Whether the migration was applied before this operator existed. It is recorded as applied, in the
    /// target's archive too, with times unknown, and nothing runs. It needs no source. Once recorded it
    /// is set to false only together with a raised `retry`; then the migration runs. Default: false.
    #[serde(default)]
    pub baseline: bool,
    /// Whether to hold the migration: a run that has not begun does not begin, and one that writes is
    /// paused where it is and goes on when this is false again. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// Seconds after which a run is stopped and has failed. Default: none; one migration in ten
    /// takes hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Whether a dry run that succeeded runs its program a second time, over what it wrote, to see
    /// whether it changes anything again. Default: false.
    #[serde(default)]
    pub second_pass: bool,
    /// Whether the program may end without a request to DynamoDB, because it works on something else or
    /// has nothing to do. Otherwise a dry run without one has failed (`NoRequestsSeen`): its program may
    /// have gone past the guard. Default: false.
    #[serde(default)]
    pub expect_no_requests: bool,
    /// Highest speed of the program's calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Settings of the run's pod.
    #[serde(default)]
    pub pod_template: PodSettings,
}

fn yes() -> bool {
    true
}

impl DataMigrationSpec {
    /// Returns the ConfigMap with the files of the source: a script's, or those that a transform looks up.
    pub fn files(&self) -> Option<&FilesConfigMap> {
        let of_transform = self.transform.as_ref().and_then(|source| source.config_map.as_ref());
        self.script.as_ref().map(|script| &script.config_map).or(of_transform)
    }

    /// What a restore does with what others changed since.
    pub fn on_conflict(&self) -> OnConflict {
        self.restore.as_ref().map(|restore| restore.on_conflict).unwrap_or_default()
    }
}

/// Whether what a migration does is to be there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum State {
    /// It is to be there.
    #[default]
    Applied,
    /// It is to be taken back.
    Restored,
}

/// How a migration is taken back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSettings {
    /// What happens to what others changed since: it stays as it is and is listed (`Skip`), or it
    /// gets back what it had before the run, too (`Overwrite`). Default: `Skip`.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// Files of a ConfigMap that are run in their folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The files. They are copied into an immutable object of the run before its Job exists, so
    /// that a later edit does not change what runs.
    pub config_map: FilesConfigMap,
    /// The file to run, by its path in the folder. Default: the only file, or else the only one
    /// whose name without suffix is `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub file: Option<String>,
    /// Any image that has the interpreter.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^\S+$"))]
    pub image: String,
    /// Command to run in the folder instead of `file`. Default: the interpreter that the file's
    /// first line (`#!`) or suffix names, followed by the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 10_000)))]
    pub command: Vec<String>,
    /// Arguments of the file or the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 10_000)))]
    pub args: Vec<String>,
    /// Environment variables of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub env: Vec<EnvVar>,
    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`. Default: as Kubernetes does
    /// (`Always` for the tag `latest`, else `IfNotPresent`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ImagePullPolicy {
    /// Before every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never; the node must have it.
    Never,
}

impl ImagePullPolicy {
    /// The word as Kubernetes spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// A program in an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProgram {
    /// The image.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^\S+$"))]
    pub image: String,
    /// Command. Default: the image's own entrypoint; then the exact times and the last lines come
    /// from the kubelet, to the second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 10_000)))]
    pub command: Vec<String>,
    /// Arguments of the command or the entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 10_000)))]
    pub args: Vec<String>,
    /// Environment variables of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub env: Vec<EnvVar>,
    /// Folder the program starts in. Default: the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub working_dir: Option<String>,
    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`. Default: as Kubernetes does
    /// (`Always` for the tag `latest`, else `IfNotPresent`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
}

/// Settings of a run's pod. What is not here is the operator's: the guard, the security context
/// of Pod Security's `restricted` profile, and no service account token for the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Labels and annotations of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodMetadata>,
    /// Resources of the program's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints the pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Priority class of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Secrets for pulling the program's image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Volumes for the program's container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub volumes: Vec<PodVolume>,
    /// Where the program's container has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub volume_mounts: Vec<VolumeMount>,
    /// User the program runs as; never root. Default: 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    #[x_kube(validation = Rule::new("self != 65533").message("65533 is the guard's user"))]
    pub run_as_user: Option<i64>,
    /// Seconds between SIGTERM and SIGKILL when the pod is stopped. Default: 30, with an archive 120.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub termination_grace_period_seconds: Option<i64>,
}

/// Labels and annotations of a run's pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct PodMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A volume for the program: one of the kinds that cannot reach the node or another identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim)].filter(x, x).size() == 1")
        .message("give exactly one of configMap, secret, emptyDir and persistentVolumeClaim")
)]
pub struct PodVolume {
    /// Name that `volumeMounts` refers to; those beginning with `dm-` are the operator's.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!self.startsWith('dm-')")
        .message("names beginning with dm- are the operator's"))]
    pub name: String,
    /// Files of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// Files of a Secret; never one with the target's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// A folder that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claim of a persistent volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
}
