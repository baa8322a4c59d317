//! The guard's container, its environment and its plan.

use dm_api::MigrationTarget;
use dm_api::archive::ArchiveSpec;
use dm_api::migration::Limits;
use dm_api::status::{RunKind, RunRecord};
use dm_api::target::Credentials;
use dm_contract::plan::{
    CONTROL_PORT, CREDENTIALS_ENV, FROM_ROLE, FROM_SECRET, Mode, OnConflict, PLAN_ENV,
    PLAN_VERSION, Plan, Policy, RateLimits, RestorePlan, RunId, Upstream,
};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, HTTPGetAction, Probe, ResourceRequirements, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::identified::Migration;
use crate::limits;
use crate::objects::parts::{
    GUARD_USER, LOG_DIR, STATE_DIR, container_security, mount, resources, secret_variable, variable,
};
use crate::objects::{GUARD_CONTAINER, Settings, archive, identity, literal, program, share};
use crate::runnable::{Program, Restoration, Runnable};

/// Returns the guard as a native sidecar.
pub fn guard(
    migration: &Migration,
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
pub fn of_guard(runnable: &Runnable, settings: &Settings) -> ResourceRequirements {
    let said = runnable.target.spec.resources.guard.as_ref().or(settings.resources.guard.as_ref());
    said.cloned().unwrap_or_else(|| resources("50m", "64Mi", limits::GUARD_MEMORY_LIMIT))
}

/// What a container of the guard's program gets: the plan, and the credentials.
pub fn guard_env(migration: &Migration, record: &RunRecord, runnable: &Runnable) -> Vec<EnvVar> {
    let plan = plan(migration, record, runnable);
    let target = &runnable.target;
    environment(&plan, target.spec.credentials_of(record.kind), archive::of(target))
}

/// Returns the plan and the credentials of database and archive as variables.
pub fn environment(
    plan: &Plan,
    credentials: &Credentials,
    archive: Option<&ArchiveSpec>,
) -> Vec<EnvVar> {
    let mut env = vec![
        // Serializing a struct of strings, numbers and lists cannot fail.
        variable(PLAN_ENV, &serde_json::to_string(plan).unwrap_or_default()),
        variable("AWS_REGION", &plan.upstream.region),
        // It takes what the target names, and is never the node.
        variable("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let from = if credentials.secret.is_some() { FROM_SECRET } else { FROM_ROLE };
    env.push(variable(CREDENTIALS_ENV, from));
    if let Some(secret) = &credentials.secret {
        env.extend([
            secret_variable(&secret.name, "AWS_ACCESS_KEY_ID", false),
            secret_variable(&secret.name, "AWS_SECRET_ACCESS_KEY", false),
            secret_variable(&secret.name, "AWS_SESSION_TOKEN", true),
        ]);
    }
    env.extend(archive.into_iter().flat_map(archive::env));
    env
}

fn plan(migration: &Migration, record: &RunRecord, runnable: &Runnable) -> Plan {
    let target = &runnable.target.spec;
    Plan {
        version: PLAN_VERSION,
        run: RunId {
            namespace: migration.namespace().into(),
            name: migration.name().into(),
            uid: migration.uid().into(),
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
        limits: limits_of(runnable, record.parts()),
        limits_max: share::of(&max_of(&runnable.target), record.parts()),
        archive: archive::of(&runnable.target)
            .map(|archive| archive::plan(migration, record, archive)),
        second_pass: program::has_second_pass(migration, record),
        restore: match &runnable.program {
            Program::Restore(restoration) => restore_plan(*restoration),
            Program::Script { .. }
            | Program::Container(_)
            | Program::Transform { .. }
            | Program::Baseline => None,
        },
        program: runnable.identity.clone(),
        accept: identity::accepted(record),
        tried: identity::tried(migration, record, runnable),
        parts: record.parallelism.filter(|parts| *parts > 1),
        // Each part gives the same, and so does a guard that replaces another one.
        now_s: matches!(runnable.program, Program::Transform { .. })
            .then(|| record.requested_at.0.as_second()),
    }
}

/// The highest speed of each part of a run: its share of what its author asks for and the target's
/// owner allows.
pub fn limits_of(runnable: &Runnable, parts: u32) -> RateLimits {
    share::of(&limits_of_run(&runnable.limits, &runnable.target), parts)
}

/// The highest speed of a run.
pub fn limits_of_run(limits: &Limits, target: &MigrationTarget) -> RateLimits {
    rates(limits).lower(&max_of(target))
}

fn max_of(target: &MigrationTarget) -> RateLimits {
    target.spec.policy.limits.as_ref().map(rates).unwrap_or_default()
}

fn rates(limits: &Limits) -> RateLimits {
    RateLimits {
        reads_per_second: limits.reads_per_second,
        writes_per_second: limits.writes_per_second,
        read_units_per_second: limits.read_units_per_second,
        write_units_per_second: limits.write_units_per_second,
    }
}

/// What the plan says of a restore.
fn restore_plan(restoration: Restoration) -> Option<RestorePlan> {
    Some(RestorePlan {
        run: restoration.run?,
        on_conflict: match restoration.on_conflict {
            dm_api::migration::OnConflict::Skip => OnConflict::Skip,
            dm_api::migration::OnConflict::Overwrite => OnConflict::Overwrite,
        },
    })
}
