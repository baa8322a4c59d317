//! The Job of a run: the guard as a native sidecar, the program, and nothing for the program to
//! reach the database with but the guard.

use dm_api::OUTCOME_FINALIZER;
use dm_api::archive::ArchiveSpec;
use dm_api::status::RunRecord;
use dm_contract::program_files;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, PodSpec, PodTemplateSpec,
    ResourceRequirements, SecurityContext, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::identified::{Migration, Target};
use crate::limits;
use crate::objects::guard::guard;
use crate::objects::parts::{
    BIN_DIR, FILES_DIR, WORK_DIR, annotations, container_security, empty, labels, mount, owner,
    pod_metadata, resources,
};
use crate::objects::pod::pod_spec;
use crate::objects::{
    FILES_VOLUME, LEDGER_CONTAINER, PREPARE_CONTAINER, PROGRAM_CONTAINER,
    SETTINGS_DIGEST_ANNOTATION, Settings, archive, copies, failure, files, identity, literal,
    names, program, restore,
};
use crate::runnable::Runnable;

/// Annotations by which autoscalers leave a pod's node alone.
const STAYS: [(&str, &str); 2] = [
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("karpenter.sh/do-not-disrupt", "true"),
];

/// The Job of a run.
pub fn build(
    migration: &Migration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Job {
    let mut job_annotations = annotations(migration, record);
    job_annotations.insert(SETTINGS_DIGEST_ANNOTATION.into(), runnable.settings_digest.clone());
    // That of the spec is about the program. A restore has to come to its end.
    let deadline = migration.spec.active_deadline_seconds.filter(|_| !record.kind.restores());
    // One that was stored before its definition had a bound.
    let deadline = deadline.map(|seconds| seconds.min(limits::DEADLINE_SECONDS_MAX));
    let backoff_limit = failure::backoff_limit(migration, record);
    let is_split = record.parts() > 1;
    let pods = i32::try_from(record.parts()).unwrap_or(1);
    Job {
        metadata: ObjectMeta {
            name: Some(record.job.clone()),
            namespace: migration.metadata.namespace.clone(),
            labels: Some(labels(migration, record)),
            annotations: Some(job_annotations),
            owner_references: Some(vec![owner(migration)]),
            finalizers: Some(vec![OUTCOME_FINALIZER.into()]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(backoff_limit).filter(|_| !is_split),
            backoff_limit_per_index: Some(backoff_limit).filter(|_| is_split),
            // Each pod has an index, and does the part of that number.
            completion_mode: is_split.then(|| "Indexed".into()),
            completions: Some(pods),
            parallelism: Some(pods),
            // It is released once its uid is in status; see `Step::Launch`.
            suspend: Some(true),
            active_deadline_seconds: deadline,
            pod_replacement_policy: Some("Failed".into()),
            pod_failure_policy: Some(failure::policy(
                migration,
                record,
                asks(migration, record, runnable),
            )),
            template: pod(migration, record, runnable, settings),
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// Whether the pod asks, before its program starts, whether the run may begin: the archive's
/// ledger, and the database where a dry run of it must have come first.
fn asks(migration: &Migration, record: &RunRecord, runnable: &Runnable) -> bool {
    archive::asked(&runnable.target, record.kind).is_some()
        || identity::tried(migration, record, runnable).is_some()
}

fn pod(
    migration: &Migration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> PodTemplateSpec {
    let pod = &runnable.pod;
    let extra = pod.metadata.clone().unwrap_or_default();
    let mut pod_labels = extra.labels;
    pod_labels.extend(labels(migration, record));
    let mut pod_annotations = extra.annotations;
    pod_annotations.extend(annotations(migration, record));
    if record.kind.writes() {
        // A scale-down in the middle leaves data half done (cluster-autoscaler FAQ; Karpenter,
        // "Disruption").
        for (name, value) in STAYS {
            pod_annotations.insert(name.into(), value.into());
        }
    }
    // Keeps the cloud role's token out of the program's container (EKS pod identity webhook,
    // README, "eks.amazonaws.com/skip-containers").
    pod_annotations.insert(
        "eks.amazonaws.com/skip-containers".into(),
        format!("{PREPARE_CONTAINER},{PROGRAM_CONTAINER}"),
    );
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            finalizers: Some(vec![OUTCOME_FINALIZER.into()]),
            ..pod_metadata(pod_labels, pod_annotations)
        }),
        spec: Some(if record.kind.restores() {
            restore::pod(migration, record, runnable, settings)
        } else {
            let mut pod = PodSpec {
                init_containers: Some(init_containers(migration, record, runnable, settings)),
                containers: vec![program::container(migration, record, runnable, settings)],
                volumes: Some(volumes(record, runnable)),
                ..pod_spec(record, runnable)
            };
            copies::refer_to_copies(&mut pod, &record.job, runnable);
            pod
        }),
    }
}

/// In their order: what needs no archive, what asks it whether the run may begin, the guard.
fn init_containers(
    migration: &Migration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Vec<Container> {
    let guard = guard(migration, record, runnable, settings);
    let ledger = asks(migration, record, runnable)
        .then(|| ledger(&guard, archive::of(&runnable.target), runnable, settings));
    [Some(prepare(runnable, settings)), ledger, Some(guard)].into_iter().flatten().collect()
}

/// Asks the archive's ledger whether the run may begin, with the guard's eyes.
fn ledger(
    guard: &Container,
    archive: Option<&ArchiveSpec>,
    runnable: &Runnable,
    settings: &Settings,
) -> Container {
    Container {
        name: LEDGER_CONTAINER.into(),
        args: Some(vec!["ledger".into()]),
        restart_policy: None,
        startup_probe: None,
        resources: Some(of_prepare(&runnable.target, settings)),
        volume_mounts: archive.and_then(archive::mount).map(|mount| vec![mount]),
        ..guard.clone()
    }
}

/// Brings the entry program and the files to where the program's container finds them.
fn prepare(runnable: &Runnable, settings: &Settings) -> Container {
    let mut args = vec!["prepare".into(), "--bin".into(), BIN_DIR.into()];
    let mut mounts = vec![mount("dm-bin", BIN_DIR, false)];
    if let Some(files) = runnable.program.files() {
        args.extend(["--files".into(), FILES_DIR.into(), "--work".into(), WORK_DIR.into()]);
        args.extend(["--digest".into(), program_files::digest(files)]);
        mounts.push(mount(FILES_VOLUME, FILES_DIR, true));
        mounts.push(mount("dm-work", WORK_DIR, false));
    }
    let mut prepare = Container {
        name: PREPARE_CONTAINER.into(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some(settings.agent_pull_policy.clone()),
        command: Some(vec!["/usr/bin/datamigration-entry".into()]),
        args: Some(args),
        resources: Some(of_prepare(&runnable.target, settings)),
        security_context: Some(SecurityContext {
            read_only_root_filesystem: Some(true),
            ..container_security()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    literal::keep(&mut prepare);
    prepare
}

/// The same of containers with small tasks.
pub fn of_prepare(target: &Target, settings: &Settings) -> ResourceRequirements {
    of_small_task(Some(target), settings)
}

/// The same where the target may be gone.
pub fn of_small_task(target: Option<&Target>, settings: &Settings) -> ResourceRequirements {
    let of_target = target.and_then(|target| target.spec.resources.prepare.as_ref());
    let said = of_target.or(settings.resources.prepare.as_ref());
    said.cloned().unwrap_or_else(|| resources("10m", "32Mi", limits::LEDGER_MEMORY_LIMIT))
}

fn volumes(record: &RunRecord, runnable: &Runnable) -> Vec<Volume> {
    let mut volumes = vec![empty("dm-bin"), empty("dm-state")];
    if let Some(files) = runnable.program.files() {
        volumes.push(empty("dm-work"));
        volumes.push(Volume {
            name: FILES_VOLUME.into(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::files(&record.job),
                items: Some(files::items(files)),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    if let Some(archive) = archive::of(&runnable.target) {
        volumes.extend(archive::volume(archive));
        let size = Some(Quantity(limits::LOG_SIZE_LIMIT.into()));
        let empty_dir =
            Some(EmptyDirVolumeSource { size_limit: size, ..EmptyDirVolumeSource::default() });
        volumes.push(Volume { name: "dm-log".into(), empty_dir, ..Volume::default() });
    }
    volumes.extend(runnable.pod.volumes.iter().map(|volume| Volume {
        name: volume.name.clone(),
        config_map: volume.config_map.clone(),
        secret: volume.secret.clone(),
        empty_dir: volume.empty_dir.clone(),
        persistent_volume_claim: volume.persistent_volume_claim.clone(),
        ..Volume::default()
    }));
    volumes
}
