//! What the objects of a run have in common: their labels and owner, and the small pieces of their
//! containers. Pure.

use std::collections::BTreeMap;

use dm_api::status::RunRecord;
use dm_api::{
    GROUP, MIGRATION_NAME_ANNOTATION, MIGRATION_UID_LABEL, PROGRAM_DIGEST_ANNOTATION, RUN_LABEL,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, PodSecurityContext,
    ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::identified::{Identified, Migration};
use crate::objects::GUARD_CONTAINER;
use crate::runnable::Runnable;

/// The user of a program that names none; nobody's on any image.
pub const PROGRAM_USER: i64 = 65_532;

/// The guard's own user, so that no program shares it.
pub const GUARD_USER: i64 = 65_533;

/// Seconds between the request to stop and the kill, as Kubernetes has it.
pub const GRACE_SECONDS: i64 = 30;

/// The same where the guard still has to bring log and report to an archive; its own bound for that
/// is `GUARD_STOP_MAX`.
pub const GRACE_SECONDS_ARCHIVE: i64 = 120;

/// Folder of the entry program. Every folder of ours is below `/dm`.
pub const BIN_DIR: &str = "/dm/bin";
/// Working directory of a script.
pub const WORK_DIR: &str = "/dm/work";
/// Mount of the copy of a script's files.
pub const FILES_DIR: &str = "/dm/files";
/// Folder of the guard's own state.
pub const STATE_DIR: &str = "/dm/state";
/// Folder of the program's output.
pub const LOG_DIR: &str = "/dm/log";

/// The labels of everything that belongs to a run.
pub fn labels(migration: &Migration, record: &RunRecord) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/managed-by".into(), "datamigration".into()),
        (MIGRATION_UID_LABEL.into(), migration.uid().into()),
        (RUN_LABEL.into(), record.number.to_string()),
    ])
}

/// Keep service meshes from adding a container, which would never end, and from redirecting the
/// kubelet's probes (Istio documentation, "Resource labels"; Linkerd, "Automatic proxy injection").
const MESH_LABELS: [(&str, &str); 2] =
    [("istio.io/dataplane-mode", "none"), ("sidecar.istio.io/inject", "false")];
const MESH_ANNOTATIONS: [(&str, &str); 1] = [("linkerd.io/inject", "disabled")];

/// Metadata of a pod with these labels and annotations. Outside of meshes, unless they say
/// otherwise.
pub fn pod_metadata(
    mut labels: BTreeMap<String, String>,
    mut annotations: BTreeMap<String, String>,
) -> ObjectMeta {
    let add = |to: &mut BTreeMap<String, String>, all: &[(&str, &str)]| {
        for (name, value) in all {
            to.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
    };
    add(&mut labels, &MESH_LABELS);
    add(&mut annotations, &MESH_ANNOTATIONS);
    ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }
}

/// The annotations of everything that belongs to a run.
pub fn annotations(migration: &Migration, record: &RunRecord) -> BTreeMap<String, String> {
    BTreeMap::from([
        (MIGRATION_NAME_ANNOTATION.into(), migration.name().into()),
        (PROGRAM_DIGEST_ANNOTATION.into(), record.program_digest.clone()),
    ])
}

/// The migration as the owner of a run's objects.
pub fn owner(migration: &Migration) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/v1alpha1"),
        kind: "DataMigration".into(),
        name: migration.name().into(),
        uid: migration.uid().into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A run's Job as the owner of what its pod needs: both are kept as long as each other.
pub fn owner_job(job: &Identified<Job>) -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        name: job.name().into(),
        uid: job.uid().into(),
        controller: None,
        block_owner_deletion: None,
    }
}

/// The guard's container of a run's Job.
pub fn guard_of(job: &Job) -> Option<&Container> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    pod.init_containers.iter().flatten().find(|container| container.name == GUARD_CONTAINER)
}

pub fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// A variable with a value.
pub fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
}

/// A variable with a key of a Secret, under the key's name.
pub fn secret_variable(secret: &str, key: &str, optional: bool) -> EnvVar {
    EnvVar {
        name: key.into(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.into(),
                key: key.into(),
                optional: optional.then_some(true),
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// What a container of ours asks for, and the memory it may use.
pub fn resources(cpu: &str, memory: &str, memory_max: &str) -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.into());
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".into(), quantity(cpu)),
            ("memory".into(), quantity(memory)),
        ])),
        limits: Some(BTreeMap::from([("memory".into(), quantity(memory_max))])),
        claims: None,
    }
}

/// Returns as whom a pod runs.
pub fn pod_security(runnable: &Runnable) -> PodSecurityContext {
    pod_security_as(runnable.pod.run_as_user.unwrap_or(PROGRAM_USER))
}

/// Returns the same for a user.
pub fn pod_security_as(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// What Pod Security's `restricted` profile asks of every container.
pub fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        ..SecurityContext::default()
    }
}

/// A folder that lives as long as the pod.
pub fn empty(name: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}
