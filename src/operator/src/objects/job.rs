//! The Job of a run: the guard as a native sidecar, the program, and nothing for the program to
//! reach the database with but the guard.

use dm_api::archive::ArchiveSpec;
use dm_api::migration::Limits;
use dm_api::status::{RunKind, RunRecord};
use dm_api::{DataMigration, OUTCOME_FINALIZER};
use dm_contract::plan::{CONTROL_PORT, Mode, PLAN_ENV, PLAN_VERSION, Plan};
use dm_contract::plan::{CREDENTIALS_ENV, FROM_ROLE, FROM_SECRET};
use dm_contract::plan::{Policy, RateLimits, RunId, Upstream};
use dm_contract::program_files;
use dm_contract::restored::EXIT_JOURNAL;
use dm_contract::verdict::{EXIT_DIFFERS, EXITS_FINAL};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, HTTPGetAction,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecurityContext, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::parts::variable;
pub use super::parts::{annotations, labels, mount, owner, resources, secret_variable};
use super::{
    FILES_VOLUME, GUARD_CONTAINER, LEDGER_CONTAINER, PREPARE_CONTAINER, PROGRAM_CONTAINER,
    RESTORE_CONTAINER, SETTINGS_DIGEST_ANNOTATION, Settings, archive, files, identity, literal,
    program, restore,
};
use crate::limits;
use crate::objects::names;
use crate::validate::{Program, Runnable};

/// The user of a program that names none; nobody's on any image.
const PROGRAM_USER: i64 = 65_532;
/// The guard's own user, so that no program shares it.
pub const GUARD_USER: i64 = 65_533;
/// Seconds between the request to stop and the kill, as Kubernetes has it.
const GRACE_SECONDS: i64 = 30;
/// The same where the guard still has to bring log and report to an archive; its own bound for that is
/// `GUARD_STOP_MAX`.
const GRACE_SECONDS_ARCHIVE: i64 = 120;

/// Where the pod has what; everything of ours is below `/dm`.
pub(super) const BIN_DIR: &str = "/dm/bin";
pub(super) const WORK_DIR: &str = "/dm/work";
const FILES_DIR: &str = "/dm/files";
pub(super) const STATE_DIR: &str = "/dm/state";
pub(super) const LOG_DIR: &str = "/dm/log";

/// Annotations by which autoscalers leave a pod's node alone.
const STAYS: [(&str, &str); 2] = [
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("karpenter.sh/do-not-disrupt", "true"),
];

/// The Job of a run.
pub fn build(
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Job {
    let mut job_annotations = annotations(migration, record);
    job_annotations.insert(SETTINGS_DIGEST_ANNOTATION.into(), runnable.settings_digest.clone());
    // Those of the spec are about the program. A restore has to come to its end.
    let (backoff_limit, deadline) = if record.kind.restores() {
        (limits::RESTORE_BACKOFF_LIMIT, None)
    } else {
        (migration.spec.backoff_limit, migration.spec.active_deadline_seconds)
    };
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
            backoff_limit: Some(backoff_limit),
            completions: Some(1),
            parallelism: Some(1),
            // It is let go once its uid is in status; see `Step::Launch`.
            suspend: Some(true),
            active_deadline_seconds: deadline,
            pod_replacement_policy: Some("Failed".into()),
            pod_failure_policy: Some(failure_policy(migration, record, runnable)),
            template: pod(migration, record, runnable, settings),
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// What the Job controller does with a pod that was disrupted. A dry run starts over, a restore goes
/// on; a run that applies does so only if its author said that its program may be repeated.
fn failure_policy(
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
) -> PodFailurePolicy {
    let kind = record.kind;
    let repeatable = kind != RunKind::Apply || migration.spec.backoff_limit > 0;
    let disrupted = PodFailurePolicyRule {
        action: if repeatable { "Ignore" } else { "FailJob" }.into(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".into(),
            status: Some("True".into()),
        }]),
        on_exit_codes: None,
    };
    // What the ledger says it says to every pod.
    let asks = asks(migration, record, runnable);
    let ledger = asks.then(|| fails_for_good(LEDGER_CONTAINER, &EXITS_FINAL));
    // A restore that is in the wrong place, or has no journal, is so in every pod.
    let codes = [EXIT_DIFFERS, EXIT_JOURNAL];
    let restore = kind.restores().then(|| fails_for_good(RESTORE_CONTAINER, &codes));
    PodFailurePolicy { rules: ledger.into_iter().chain(restore).chain([disrupted]).collect() }
}

fn fails_for_good(container: &str, codes: &[u8]) -> PodFailurePolicyRule {
    PodFailurePolicyRule {
        action: "FailJob".into(),
        on_pod_conditions: None,
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(container.into()),
            operator: "In".into(),
            values: codes.iter().map(|code| i32::from(*code)).collect(),
        }),
    }
}

/// Whether the pod asks, before its program starts, whether the run may begin: the archive's ledger, and
/// the database where a dry run of it must have come first.
fn asks(migration: &DataMigration, record: &RunRecord, runnable: &Runnable) -> bool {
    archive::asked(&runnable.target, record.kind).is_some()
        || identity::tried(migration, record, runnable).is_some()
}

fn pod(
    migration: &DataMigration,
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
        // A scale-down in the middle leaves data half done (cluster-autoscaler FAQ; Karpenter, "Disruption").
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
            labels: Some(pod_labels),
            annotations: Some(pod_annotations),
            finalizers: Some(vec![OUTCOME_FINALIZER.into()]),
            ..ObjectMeta::default()
        }),
        spec: Some(if record.kind.restores() {
            restore::pod(migration, record, runnable, settings)
        } else {
            PodSpec {
                init_containers: Some(init_containers(migration, record, runnable, settings)),
                containers: vec![program::container(migration, record, runnable)],
                volumes: Some(volumes(record, runnable)),
                ..pod_spec(record, runnable)
            }
        }),
    }
}

/// In their order: what needs no archive, what asks it whether the run may begin, the guard.
fn init_containers(
    migration: &DataMigration,
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
        resources: Some(of_prepare(runnable, settings)),
        volume_mounts: archive.and_then(archive::mount).map(|mount| vec![mount]),
        ..guard.clone()
    }
}

/// What all pods have: where and as whom they run.
pub(super) fn pod_spec(record: &RunRecord, runnable: &Runnable) -> PodSpec {
    let pod = &runnable.pod;
    let credentials = runnable.target.spec.credentials_of(record.kind);
    let grace = match archive::of(&runnable.target) {
        Some(_) => GRACE_SECONDS_ARCHIVE,
        None => GRACE_SECONDS,
    };
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: credentials.service_account.as_ref().map(|sa| sa.name.clone()),
        security_context: Some(pod_security(runnable)),
        node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
        tolerations: (!pod.tolerations.is_empty()).then(|| pod.tolerations.clone()),
        affinity: pod.affinity.clone(),
        priority_class_name: pod.priority_class_name.clone(),
        image_pull_secrets: (!pod.image_pull_secrets.is_empty())
            .then(|| pod.image_pull_secrets.clone()),
        termination_grace_period_seconds: Some(
            pod.termination_grace_period_seconds.unwrap_or(grace),
        ),
        ..PodSpec::default()
    }
}

fn pod_security(runnable: &Runnable) -> PodSecurityContext {
    let user = runnable.pod.run_as_user.unwrap_or(PROGRAM_USER);
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
pub(super) fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        ..SecurityContext::default()
    }
}

/// Brings the entry program and the files to where the program's container finds them.
fn prepare(runnable: &Runnable, settings: &Settings) -> Container {
    let mut args = vec!["prepare".into(), "--bin".into(), BIN_DIR.into()];
    let mut mounts = vec![mount("dm-bin", BIN_DIR, false)];
    if let Program::Script { files, .. } = &runnable.program {
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
        resources: Some(of_prepare(runnable, settings)),
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

fn guard(
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Container {
    let mut args: Vec<String> = vec!["--state-dir".into(), STATE_DIR.into()];
    let mut mounts = vec![mount("dm-state", STATE_DIR, false)];
    if let Some(archive) = archive::of(&runnable.target) {
        mounts.extend(archive::mount(archive));
        mounts.push(mount("dm-log", LOG_DIR, false));
        args.extend(["--log-dir".into(), LOG_DIR.into()]);
    }
    let mut guard = Container {
        name: GUARD_CONTAINER.into(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some(settings.agent_pull_policy.clone()),
        command: Some(vec!["/usr/bin/datamigration-guard".into()]),
        args: Some(args),
        env: Some(guard_env(migration, record, runnable)),
        restart_policy: Some("Always".into()),
        resources: Some(of_guard(runnable, settings)),
        security_context: Some(SecurityContext {
            read_only_root_filesystem: Some(true),
            run_as_user: Some(GUARD_USER),
            ..container_security()
        }),
        startup_probe: Some(Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/healthz".into()),
                port: IntOrString::Int(CONTROL_PORT.into()),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(1),
            failure_threshold: Some(limits::GUARD_START_SECONDS_MAX),
            ..Probe::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    literal::keep(&mut guard);
    guard
}

/// What the guard may use: by its target, else by the operator's settings.
pub(super) fn of_guard(runnable: &Runnable, settings: &Settings) -> ResourceRequirements {
    let said = runnable.target.spec.resources.guard.as_ref().or(settings.resources.guard.as_ref());
    said.cloned().unwrap_or_else(|| resources("50m", "64Mi", limits::GUARD_MEMORY_LIMIT))
}

/// The same of containers with small tasks.
fn of_prepare(runnable: &Runnable, settings: &Settings) -> ResourceRequirements {
    let of_target = runnable.target.spec.resources.prepare.as_ref();
    let said = of_target.or(settings.resources.prepare.as_ref());
    said.cloned().unwrap_or_else(|| resources("10m", "32Mi", limits::LEDGER_MEMORY_LIMIT))
}

/// What a container of the guard's program gets: the plan, and the credentials.
pub(super) fn guard_env(
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
) -> Vec<EnvVar> {
    let plan = plan(migration, record, runnable);
    let mut env = vec![
        // Serialising a struct of strings, numbers and lists cannot fail.
        variable(PLAN_ENV, &serde_json::to_string(&plan).unwrap_or_default()),
        variable("AWS_REGION", &runnable.target.spec.region),
        // It takes what the target names, and is never the node.
        variable("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let credentials = runnable.target.spec.credentials_of(record.kind);
    let from = if credentials.secret.is_some() { FROM_SECRET } else { FROM_ROLE };
    env.push(variable(CREDENTIALS_ENV, from));
    if let Some(secret) = &credentials.secret {
        env.extend([
            secret_variable(&secret.name, "AWS_ACCESS_KEY_ID", false),
            secret_variable(&secret.name, "AWS_SECRET_ACCESS_KEY", false),
            secret_variable(&secret.name, "AWS_SESSION_TOKEN", true),
        ]);
    }
    env.extend(archive::of(&runnable.target).into_iter().flat_map(archive::env));
    env
}

fn plan(migration: &DataMigration, record: &RunRecord, runnable: &Runnable) -> Plan {
    let target = &runnable.target.spec;
    Plan {
        version: PLAN_VERSION,
        run: RunId {
            namespace: migration.metadata.namespace.clone().unwrap_or_default(),
            name: migration.metadata.name.clone().unwrap_or_default(),
            uid: migration.metadata.uid.clone().unwrap_or_default(),
            number: record.number,
        },
        mode: match record.kind {
            RunKind::DryRun | RunKind::RestorePreview => Mode::DryRun,
            RunKind::Apply | RunKind::Restore => Mode::Apply,
        },
        upstream: Upstream { region: target.region.clone(), endpoint: target.endpoint.clone() },
        policy: Policy {
            tables: target.policy.tables.clone(),
            control_plane: target.policy.control_plane,
            show_values: target.policy.show_values,
            journal: archive::journal_mode(target.policy.journal),
        },
        limits: limits_of(runnable),
        limits_max: limits_max(runnable),
        archive: archive::of(&runnable.target)
            .map(|archive| archive::plan(migration, record, archive)),
        second_pass: program::has_second_pass(migration, record),
        restore: match &runnable.program {
            Program::Restore(restoration) => restore::plan(*restoration),
            Program::Script { .. } | Program::Container(_) | Program::Baseline => None,
        },
        program: runnable.identity.clone(),
        accept: identity::accepted(record),
        tried: identity::tried(migration, record, runnable),
    }
}

/// The highest speed of a run: what its author asks for and the target's owner allows.
pub fn limits_of(runnable: &Runnable) -> RateLimits {
    rates(&runnable.limits).lower(&limits_max(runnable))
}

fn limits_max(runnable: &Runnable) -> RateLimits {
    runnable.target.spec.policy.limits.as_ref().map(rates).unwrap_or_default()
}

fn rates(limits: &Limits) -> RateLimits {
    RateLimits {
        reads_per_second: limits.reads_per_second,
        writes_per_second: limits.writes_per_second,
        read_units_per_second: limits.read_units_per_second,
        write_units_per_second: limits.write_units_per_second,
    }
}

/// A folder that lives as long as the pod.
pub(super) fn empty(name: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

fn volumes(record: &RunRecord, runnable: &Runnable) -> Vec<Volume> {
    let mut volumes = vec![empty("dm-bin"), empty("dm-state")];
    if let Program::Script { files, .. } = &runnable.program {
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
