//! The Job that checks a target: the guard's program with the target's credentials and archive, and
//! no migration. Pure.

use std::collections::BTreeMap;

use dm_api::target::Credentials;
use dm_api::{GROUP, TARGET_NAME_ANNOTATION, TARGET_UID_LABEL, archive as archive_name};
use dm_contract::plan::{
    ArchivePlan, Mode, PLAN_VERSION, Plan, Policy, RateLimits, RunId, Upstream,
};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, SecurityContext};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::parts::{self, GUARD_USER, PROGRAM_USER};
use super::{GENERATION_ANNOTATION, Settings, archive, guard, job, literal, names, network, pod};
use crate::identified::Target;
use crate::limits;

/// Containers of a check, each with the field whose credentials it has.
pub const CHECKS: [(&str, &str); 2] =
    [("check", "spec.credentials"), ("check-dry-run", "spec.dryRunCredentials")];

/// The Job. Its owner is the target, and its name allows one at a time.
pub fn build(target: &Target, settings: &Settings) -> Job {
    Job {
        metadata: ObjectMeta {
            labels: Some(labels(target)),
            annotations: Some(annotations(target)),
            name: Some(names::check(target.name())),
            namespace: target.metadata.namespace.clone(),
            owner_references: Some(vec![owner(target)]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            completions: Some(1),
            parallelism: Some(1),
            active_deadline_seconds: Some(limits::CHECK_DEADLINE_SECONDS),
            ttl_seconds_after_finished: Some(limits::CHECK_TTL_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(parts::pod_metadata(labels(target), annotations(target))),
                spec: Some(pod_spec(target, settings)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// The NetworkPolicy of the pods that check a target. They accept no connections. It stays with the
/// target; one with other credentials has another name, because policies add to each other.
pub fn policy(target: &Target) -> NetworkPolicy {
    let credentials = target_role(target).unwrap_or(&target.spec.credentials);
    let kind = if credentials.service_account.is_some() { "role" } else { "keys" };
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(format!("{}-{kind}", names::check(target.name()))),
            namespace: target.metadata.namespace.clone(),
            labels: Some(labels(target)),
            annotations: Some(annotations(target)),
            owner_references: Some(vec![owner(target)]),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(network::selector([(
                TARGET_UID_LABEL.to_owned(),
                target.uid().into(),
            )])),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: None,
            egress: Some(network::egress(credentials.service_account.is_some())),
        }),
    }
}

/// Returns the ServiceAccount of a check's pod, if the target names any.
pub fn service_account(target: &Target) -> Option<&str> {
    let credentials = target_role(target)?;
    credentials.service_account.as_ref().map(|account| account.name.as_str())
}

/// The credentials of the target that are a ServiceAccount's role; a pod has one.
fn target_role(target: &Target) -> Option<&Credentials> {
    let all = [Some(&target.spec.credentials), target.spec.dry_run_credentials.as_ref()];
    all.into_iter().flatten().find(|credentials| credentials.service_account.is_some())
}

/// The credentials that one pod can check: those of dry runs only where they need no other
/// ServiceAccount.
fn checked(target: &Target) -> Vec<(&'static str, &Credentials)> {
    let account = service_account(target);
    let fits = |credentials: &&Credentials| {
        let own = credentials.service_account.as_ref().map(|account| account.name.as_str());
        own.is_none() || own == account
    };
    let dry_run = target.spec.dry_run_credentials.as_ref();
    let dry_run = dry_run.filter(|other| **other != target.spec.credentials).filter(fits);
    let [(writes, _), (reads, _)] = CHECKS;
    [(writes, &target.spec.credentials)]
        .into_iter()
        .chain(dry_run.map(|credentials| (reads, credentials)))
        .collect()
}

fn pod_spec(target: &Target, settings: &Settings) -> PodSpec {
    let containers = checked(target).into_iter();
    let containers = containers.map(|(name, of)| container(name, of, target, settings));
    let volume = archive::of(target).and_then(archive::volume);
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: service_account(target).map(str::to_owned),
        security_context: Some(parts::pod_security_as(PROGRAM_USER)),
        image_pull_secrets: pod::pull_secrets(target, &[]),
        volumes: volume.map(|volume| vec![volume]),
        containers: containers.collect(),
        ..PodSpec::default()
    }
}

fn container(
    name: &str,
    credentials: &Credentials,
    target: &Target,
    settings: &Settings,
) -> Container {
    let archive = archive::of(target);
    let mut container = Container {
        name: name.into(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some(settings.agent_pull_policy.clone()),
        command: Some(vec!["/usr/bin/datamigration-guard".into(), "check".into()]),
        env: Some(guard::environment(&plan(target), credentials, archive)),
        resources: Some(job::of_prepare(target, settings)),
        // The same user as the guards that wrote the files of a volume's archive.
        security_context: Some(SecurityContext {
            run_as_user: Some(GUARD_USER),
            read_only_root_filesystem: Some(true),
            ..parts::container_security()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        volume_mounts: archive.and_then(archive::mount).map(|mount| vec![mount]),
        ..Container::default()
    };
    literal::keep(&mut container);
    container
}

/// The plan's database and archive, as a run's guard would get them.
fn plan(target: &Target) -> Plan {
    let spec = &target.spec;
    Plan {
        version: PLAN_VERSION,
        mode: Mode::DryRun,
        upstream: Upstream { region: spec.region.clone(), endpoint: spec.endpoint.clone() },
        policy: Policy { tables: spec.policy.tables.clone(), ..Policy::default() },
        limits: RateLimits::default(),
        limits_max: RateLimits::default(),
        archive: archive::of(target).map(|archive| ArchivePlan {
            url: archive.url.clone(),
            endpoint: archive.endpoint.clone(),
            region: archive.region.clone(),
            migration: archive_name::migration_name(target.namespace(), target.name()),
            ..ArchivePlan::default()
        }),
        run: RunId {
            namespace: target.namespace().into(),
            name: target.name().into(),
            uid: target.uid().into(),
            number: 1,
        },
        second_pass: false,
        restore: None,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    }
}

fn labels(target: &Target) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/managed-by".into(), "datamigration".into()),
        (TARGET_UID_LABEL.into(), target.uid().into()),
    ])
}

fn annotations(target: &Target) -> BTreeMap<String, String> {
    let generation = target.metadata.generation.unwrap_or_default();
    BTreeMap::from([
        (TARGET_NAME_ANNOTATION.into(), target.name().into()),
        (GENERATION_ANNOTATION.into(), generation.to_string()),
    ])
}

fn owner(target: &Target) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/v1alpha1"),
        kind: "MigrationTarget".into(),
        name: target.name().into(),
        uid: target.uid().into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
