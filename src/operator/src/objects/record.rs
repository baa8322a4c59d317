//! The Job that notes in the archive's ledger how a run ended whose own guard could not: it was
//! killed, or does not know its program's end. It sees the archive as the run's guard saw it. Pure.

use std::collections::BTreeMap;

use dm_api::MIGRATION_UID_LABEL;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::verdict::EXIT_CONTRADICTED;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::parts::{self, guard_of};
use super::{
    PREPARE_CONTAINER, RECORD_OF_LABEL, RESTORE_CONTAINER, Settings, archive, control, job, literal,
};
use crate::history;
use crate::identified::{Migration, Target};
use crate::limits;
use crate::objects::names;
use crate::runnable::Runnable;

/// Name of its container.
const CONTAINER: &str = "record";

/// The Job for a run that is over, after the run's own Job; with the current image, because the
/// run's own may be the very reason why its guard could not note the end. `target` is the run's, if
/// it is still there.
pub fn build(
    migration: &Migration,
    run: &RunRecord,
    of: &Job,
    target: Option<&Target>,
    settings: &Settings,
) -> Option<Job> {
    let pod = of.spec.as_ref()?.template.spec.as_ref()?;
    // A restore's Job has one container, which has what a guard has.
    let guard =
        guard_of(of).or_else(|| pod.containers.iter().find(|c| c.name == RESTORE_CONTAINER))?;
    let labels = labels(migration, run);
    let annotations = parts::annotations(migration, run);
    let resources = match prepare_of(pod) {
        // A quota let it through.
        Some(prepare) => prepare.resources.clone(),
        None => Some(job::of_small_task(target, settings)),
    };
    let recorder = Container { resources, ..recorder(guard, run, migration, settings) };
    Some(Job {
        metadata: ObjectMeta {
            name: Some(names::record(&run.job)),
            namespace: migration.metadata.namespace.clone(),
            labels: Some(labels.clone()),
            annotations: Some(annotations.clone()),
            owner_references: Some(vec![parts::owner(migration)]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(limits::RECORD_BACKOFF_LIMIT),
            pod_failure_policy: Some(failure_policy()),
            ttl_seconds_after_finished: Some(limits::RECORD_TTL_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(parts::pod_metadata(labels, annotations)),
                spec: Some(pod_spec(pod, recorder)),
            },
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// Whether a Job of ours that notes an end has another image than it would get now.
pub fn is_outdated(job: &Job, settings: &Settings) -> bool {
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let mut containers = pod.into_iter().flat_map(|pod| &pod.containers);
    containers.any(|container| container.image.as_ref() != Some(&settings.agent_image))
}

/// The Job that notes that the migration was applied before: there is no run, so it is made after
/// the pod of a restore, which has no program either.
pub fn baseline(
    migration: &Migration,
    run: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Option<Job> {
    let like = RunRecord { kind: RunKind::Restore, ..run.clone() };
    let job = job::build(migration, &like, runnable, settings);
    build(migration, run, &job, Some(&runnable.target), settings)
}

/// A ledger that says otherwise says so to every pod.
fn failure_policy() -> PodFailurePolicy {
    let contradicted = PodFailurePolicyRule {
        action: "FailJob".into(),
        on_pod_conditions: None,
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(CONTAINER.into()),
            operator: "In".into(),
            values: vec![EXIT_CONTRADICTED.into()],
        }),
    };
    PodFailurePolicy { rules: vec![contradicted] }
}

/// Labels by which it is found, and not taken for a Job or pod of the run itself.
fn labels(migration: &Migration, run: &RunRecord) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/managed-by".into(), "datamigration".into()),
        (MIGRATION_UID_LABEL.into(), migration.uid().into()),
        (RECORD_OF_LABEL.into(), run.number.to_string()),
    ])
}

/// Where the run's pod could run, this one can.
fn pod_spec(of: &PodSpec, container: Container) -> PodSpec {
    let mounted =
        |name: &str| container.volume_mounts.iter().flatten().any(|mount| mount.name == name);
    let volumes: Vec<_> =
        of.volumes.iter().flatten().filter(|volume| mounted(&volume.name)).cloned().collect();
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: of.service_account_name.clone(),
        security_context: of.security_context.clone(),
        volumes: (!volumes.is_empty()).then_some(volumes),
        node_selector: of.node_selector.clone(),
        tolerations: of.tolerations.clone(),
        affinity: of.affinity.clone(),
        image_pull_secrets: of.image_pull_secrets.clone(),
        containers: vec![container],
        ..PodSpec::default()
    }
}

/// The guard's container with another task, its plan and credentials the same.
fn recorder(
    guard: &Container,
    run: &RunRecord,
    migration: &Migration,
    settings: &Settings,
) -> Container {
    let mounts: Vec<_> = guard
        .volume_mounts
        .iter()
        .flatten()
        .filter(|mount| mount.name == archive::VOLUME)
        .cloned()
        .collect();
    let mut env = control::without(guard);
    literal::keep_again(env.as_deref_mut().unwrap_or_default());
    let args = args(run, migration).iter().map(|arg| literal::escaped(arg)).collect();
    Container {
        name: CONTAINER.into(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some(settings.agent_pull_policy.clone()),
        // A restore's names its verb behind the program.
        command: guard.command.clone().map(|words| words.into_iter().take(1).collect()),
        args: Some(args),
        env,
        security_context: guard.security_context.clone(),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        ..Container::default()
    }
}

/// The small task of the same run.
fn prepare_of(of: &PodSpec) -> Option<&Container> {
    of.init_containers.iter().flatten().find(|container| container.name == PREPARE_CONTAINER)
}

fn args(run: &RunRecord, migration: &Migration) -> Vec<String> {
    let outcome = if run.result == RunResult::Succeeded { "Succeeded" } else { "Failed" };
    let mut args: Vec<String> = vec!["record".into(), "--outcome".into(), outcome.into()];
    args.extend(history::is_baseline(run).then(|| "--baseline".into()));
    let status = migration.status.as_ref();
    let failure = status.and_then(|status| status.failure.as_ref());
    let message = match (failure.filter(|failure| failure.run == run.number), run.result) {
        (Some(failure), _) => Some(format!("{}: {}", failure.reason, failure.message)),
        (None, RunResult::Canceled) => {
            Some(format!("{}: given up", run.reason.map_or("Canceled", |reason| reason.as_str())))
        }
        (None, _) => None,
    };
    args.extend(message.map(|message| format!("--message={message}")));
    let time = |time: &Time| time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    args.extend(run.execution_time.as_ref().map(|t| format!("--execution-time={}", time(t))));
    args.extend(run.finalization_time.as_ref().map(|t| format!("--finalization-time={}", time(t))));
    args
}
