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

/// One data migration: a program, its target, and whether it is a dry run, applied or restored.
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
    doc = "One data migration: a program, its target, and whether it is a dry run, applied or \
           restored.",
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name must have at most 63 characters"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != \
         'Succeeded' || has(oldSelf.status.applied.restoredBy) || self.spec.target == \
         oldSelf.spec.target || (has(oldSelf.status.runs) && oldSelf.status.runs.exists(run, \
         run.number == oldSelf.status.applied.run && has(run.target) && run.target == \
         self.spec.target.name))"
    ).field_path(".spec.target").message("this migration is applied, so what it does cannot \
                                          change. Write a new DataMigration instead, or restore \
                                          this one first"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != \
         'Succeeded' || has(oldSelf.status.applied.restoredBy) || \
         has(oldSelf.status.applied.baseline) || (has(self.spec.script) ? has(oldSelf.spec.script) \
         && self.spec.script == oldSelf.spec.script : !has(oldSelf.spec.script))"
    ).field_path(".spec.script").message("this migration is applied, so what it does cannot \
                                          change. Write a new DataMigration instead, or restore \
                                          this one first"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != \
         'Succeeded' || has(oldSelf.status.applied.restoredBy) || \
         has(oldSelf.status.applied.baseline) || (has(self.spec.container) ? \
         has(oldSelf.spec.container) && self.spec.container == oldSelf.spec.container : \
         !has(oldSelf.spec.container))"
    ).field_path(".spec.container").message("this migration is applied, so what it does cannot \
                                             change. Write a new DataMigration instead, or restore \
                                             this one first"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.applied) || oldSelf.status.applied.result != \
         'Succeeded' || has(oldSelf.status.applied.restoredBy) || \
         has(oldSelf.status.applied.baseline) || (has(self.spec.transform) ? \
         has(oldSelf.spec.transform) && self.spec.transform == oldSelf.spec.transform : \
         !has(oldSelf.spec.transform))"
    ).field_path(".spec.transform").message("this migration is applied, so what it does cannot \
                                             change. Write a new DataMigration instead, or restore \
                                             this one first"),
    validation = Rule::new(
        "!oldSelf.spec.baseline || self.spec.baseline || !has(oldSelf.status) || \
         !has(oldSelf.status.applied) || self.spec.retry > oldSelf.spec.retry"
    ).field_path(".spec.baseline").message("this migration is recorded as applied before. To run \
                                            it after all, set baseline to false and raise retry in \
                                            the same change"),
    validation = Rule::new(
        "!self.spec.baseline || oldSelf.spec.baseline || !has(oldSelf.status) || \
         !has(oldSelf.status.applied) || oldSelf.status.applied.result != 'Succeeded' || \
         has(oldSelf.status.applied.restoredBy)"
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
        name = "Finalization Time", type_ = "string", json_path = ".status.finalizationTime",
            priority = 1
    ),
    printcolumn(name = "Run", type_ = "integer", json_path = ".status.lastRun", priority = 1),
    printcolumn(
        name = "Reason", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = 1
    ),
    selectable = ".spec.target.name"
)]
#[x_kube(
    validation = Rule::new("[has(self.script), has(self.container), \
                            has(self.transform)].filter(source, source).size() == 1 || \
                            self.baseline && !has(self.script) && !has(self.container) && \
                            !has(self.transform)")
        .field_path(".script").message("give exactly one source: script, container or transform"),
    validation = Rule::new("!self.baseline || self.state == 'Applied'")
        .field_path(".baseline").message("a baseline has no journal, so it cannot be restored"),
    validation = Rule::new("!self.secondPass || !has(self.container) || \
                            (has(self.container.command) && size(self.container.command) > 0)")
        .field_path(".secondPass").message("a program in an image needs a command, so that it can \
                                            be run a second time"),
    validation = Rule::new("self.parallelism == 1 || has(self.transform)")
        .field_path(".parallelism").message("only a transform can be split among pods; set \
                                             parallelism to 1, or use transform as the source")
)]
#[serde(rename_all = "camelCase")]
pub struct DataMigrationSpec {
    /// Purpose of the migration, in a sentence. Shown by `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub description: Option<String>,
    /// The `MigrationTarget` in the same namespace: the database, and what is allowed there.
    pub target: ObjectName,
    /// Whether the run is a dry run, or with `state: Restored` a preview: nothing is written, and
    /// status shows what would change. False: apply, or restore. Default: true.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// Whether the migration takes effect (`Applied`), or its effect is restored (`Restored`).
    /// Default: `Applied`.
    #[serde(default)]
    pub state: State,
    /// Settings of a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreSettings>,
    /// Source: files of a ConfigMap that run in their folder, in any image with an interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Script>,
    /// Source: a program in an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerProgram>,
    /// Source: a declaration of how each item of a table changes. No program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<TransformSource>,
    /// What happens if a transform cannot change an item. `Stop`: the run fails. `Continue`: the
    /// other items are changed, and the run ends as partially failed. Both list the item in the
    /// report. Default: `Stop`.
    #[serde(default)]
    pub on_item_error: OnItemError,
    /// Number of pods that carry out a transform at the same time, each on its share of the table.
    /// Only with `transform`. `limits` are those of all pods together. A run under way keeps its
    /// number. Default: 1.
    #[serde(default = "one_pod")]
    #[schemars(range(min = 1, max = 64))]
    pub parallelism: u32,
    /// Earliest start of a dry run or an apply. Default: immediately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self < timestamp('9999-01-01T00:00:00Z')")
        .message("must be before the year 9999"))]
    #[schemars(extend("pattern" = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"))]
    pub start_at: Option<Time>,
    /// Migrations of the same namespace that must be applied before a run starts, dry runs
    /// included. A cycle is reported as `DependencyCycle` and never starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub depends_on: Vec<ObjectName>,
    /// Number of times that a failed program is started again within one run. Above 0 the program
    /// must be safe to repeat, because a program that failed has usually written already. A
    /// transform continues in another pod after its own was deleted or killed: up to six times, or
    /// up to this number if it is above 0. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// Raise it to run again after a failure or an unknown outcome, or to repeat a restore. It has
    /// an effect only if it is raised after the outcome is in status. Lowering it has no effect.
    /// Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub retry: i64,
    /// Differences from a recorded run that you accept, so that its result is adopted, restored or
    /// relied on. Without it, a run that meets such a difference stops with the same word as its
    /// reason. Remove it afterwards. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub accept: Vec<Mismatch>,
    /// Whether the migration was applied before this operator existed. It is then recorded as
    /// applied, in status and in the target's archive, and never runs. It needs no source. To run
    /// it after all, set this to false and raise `retry` in the same change. Default: false.
    #[serde(default)]
    pub baseline: bool,
    /// Whether the migration is paused. No run starts, and a program that runs is paused in place:
    /// its requests are held, and its process is stopped if the entry program started it. False
    /// resumes the run. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// Seconds after which a dry run or an apply is stopped and fails. Pauses do not count. At most
    /// a year. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<i64>,
    /// Whether a successful dry run runs its program again over its own result, to see whether it
    /// changes anything again (`status.dryRun.idempotent`). Default: false.
    #[serde(default)]
    pub second_pass: bool,
    /// Whether the program may end without a request to DynamoDB. Otherwise a run without one fails
    /// with `NoRequestsSeen`, because its program may have bypassed the guard. Default: false.
    #[serde(default)]
    pub expect_no_requests: bool,
    /// Highest rates of a run. If the target's `policy.limits` are lower, they apply. Default:
    /// unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Settings of the run's pod.
    #[serde(default)]
    pub pod_template: PodSettings,
}

fn yes() -> bool {
    true
}

fn one_pod() -> u32 {
    1
}

impl DataMigrationSpec {
    /// Returns the ConfigMap with the files of the source: a script's, or those that a transform
    /// looks up.
    pub fn files(&self) -> Option<&FilesConfigMap> {
        let of_transform = self.transform.as_ref().and_then(|source| source.config_map.as_ref());
        self.script.as_ref().map(|script| &script.config_map).or(of_transform)
    }

    /// What a restore does with what others changed since.
    pub fn on_conflict(&self) -> OnConflict {
        self.restore.as_ref().map(|restore| restore.on_conflict).unwrap_or_default()
    }
}

/// Requested effect of a migration.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum State {
    /// The migration is to take effect.
    #[default]
    Applied,
    /// The migration's effect is to be restored.
    Restored,
}

/// Settings of a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSettings {
    /// What happens to a value that others changed since the run. `Skip`: it stays, and is listed
    /// as a conflict. `Overwrite`: the value from before the run is restored over it. Default:
    /// `Skip`.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// Files of a ConfigMap that are run in their folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// ConfigMap with the files. They are copied into an immutable object of the run before its Job
    /// exists, so a later edit does not change what a run executes; it cancels a dry run.
    pub config_map: FilesConfigMap,
    /// Path of the file to run, in the folder. Default: the only file, or the only one whose name
    /// without suffix is `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub file: Option<String>,
    /// Any image with the interpreter and the libraries of the program.
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
    /// Pull policy of the image: `Always`, `IfNotPresent` or `Never`. Default: as in Kubernetes
    /// (`Always` for the tag `latest`, else `IfNotPresent`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
}

/// Pull policy of an image: `Always`, `IfNotPresent` or `Never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ImagePullPolicy {
    /// Before every start.
    Always,
    /// If the node does not have it.
    IfNotPresent,
    /// Never. The node must have it.
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
    /// The image with the program.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^\S+$"))]
    pub image: String,
    /// Command. Default: the image's entrypoint. Without a command, times come from the kubelet, to
    /// the second, and a pause holds only the program's requests.
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
    /// Folder in which the program starts. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub working_dir: Option<String>,
    /// Pull policy of the image: `Always`, `IfNotPresent` or `Never`. Default: as in Kubernetes
    /// (`Always` for the tag `latest`, else `IfNotPresent`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
}

/// Settings of a run's pod. The operator sets everything else: the guard, the security context of
/// Pod Security's `restricted` profile, and no service account token for the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Labels and annotations of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodMetadata>,
    /// Requests and limits of the program's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels that the pod's node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Priority class of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Secrets for pulling the pod's images, the guard's included, in addition to the target's
    /// `imagePullSecrets`. Default: those of the pod's ServiceAccount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Volumes for the program's container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub volumes: Vec<PodVolume>,
    /// Paths at which the program's container has the volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub volume_mounts: Vec<VolumeMount>,
    /// User of the program: not root, and not 65533, the guard's. Default: 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    #[x_kube(validation = Rule::new("self != 65533").message("65533 is the guard's user"))]
    pub run_as_user: Option<i64>,
    /// Seconds between SIGTERM and SIGKILL when the pod is stopped. Default: 30; with an archive
    /// 120, and at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub termination_grace_period_seconds: Option<i64>,
}

/// Labels and annotations of a run's pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct PodMetadata {
    /// Labels of the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A volume of the program, of a kind that gives no access to the node or to another identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.configMap), has(self.secret), has(self.emptyDir), \
                            has(self.persistentVolumeClaim)].filter(x, x).size() == 1")
        .message("give exactly one of configMap, secret, emptyDir and persistentVolumeClaim")
)]
pub struct PodVolume {
    /// Name for `volumeMounts`. Names that begin with `dm-` are reserved.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!self.startsWith('dm-')")
        .message("names beginning with dm- are the operator's"))]
    pub name: String,
    /// Files of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// Files of a Secret that `policy.programs` of the target allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// An empty folder that is deleted with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A PersistentVolumeClaim that `policy.programs` of the target allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
}
