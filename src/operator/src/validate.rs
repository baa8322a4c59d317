//! From what users wrote to what can be run: checked once, into a type that cannot hold a wrong
//! value. Every problem names the field and what to do.

mod files;
mod names;
mod parallelism;
mod problem;
mod restore;
mod size;
mod transform;

use std::collections::BTreeMap;

use dm_api::condition::Reason;
use dm_api::migration::{PodSettings, Script};
use dm_api::script;
use dm_api::{DataMigration, DataMigrationSpec};
use dm_contract::identity::ProgramId;
use dm_contract::plan::PROGRAM_ENVIRONMENT_RESERVED;
use k8s_openapi::api::core::v1::EnvVar;

use self::files::collect_files;
use self::problem::{invalid, invalid_spec, problem};
use crate::history;
use crate::identified::Target;
use crate::limits;
use crate::objects::digest;
use crate::objects::parts::GUARD_USER;
use crate::runnable::{FilesFound, Problem, Program, Runnable};

/// Checks a migration against its target and its files.
pub fn validate(
    migration: &DataMigration,
    target: Option<&Target>,
    missing_account: Option<&str>,
    files: &FilesFound,
) -> Result<Runnable, Problem> {
    let spec = &migration.spec;
    names::check(migration, target)?;
    size::check(migration)?;
    let target = usable(target, missing_account, &spec.target.name)?;
    if let Some(restoration) = history::restoration_wanted(migration) {
        // What is restored needs no program any more, and no files of it.
        if let Some(problem) = restore::obstacle(migration, target, restoration) {
            return Err(problem);
        }
        let digest = digest::of_restore(target, restoration);
        return Ok(put_together(migration, target, Program::Restore(restoration), digest, None));
    }
    if history::is_baseline_wanted(migration) {
        let identity = identity_if_known(spec, target, files);
        let digest = digest::of_baseline(target);
        return Ok(put_together(migration, target, Program::Baseline, digest, identity));
    }
    parallelism::check(migration, target)?;
    check_mounts(&spec.pod_template)?;
    check_pod(&spec.pod_template, target)?;
    let (program, digest, identity) = source(spec, target, files)?;
    Ok(put_together(migration, target, program, digest, Some(identity)))
}

/// The target, if it and the ServiceAccount that it names exist.
fn usable<'a>(
    target: Option<&'a Target>,
    missing_account: Option<&str>,
    name: &str,
) -> Result<&'a Target, Problem> {
    let target = target.ok_or_else(|| {
        problem(
            Reason::TargetNotFound,
            format!(
                "spec.target.name: there is no MigrationTarget {name} in this namespace. Create \
                 it, or name another: kubectl get migrationtargets"
            ),
        )
    })?;
    match missing_account {
        None => Ok(target),
        Some(account) => Err(problem(
            Reason::ServiceAccountNotFound,
            format!(
                "target {name}: there is no ServiceAccount {account} in this namespace. Create it, \
                 or correct the target's credentials"
            ),
        )),
    }
}

/// What the ledger knows the program of a baseline by, as far as its files are there: nothing of it
/// runs.
fn identity_if_known(
    spec: &DataMigrationSpec,
    target: &Target,
    files: &FilesFound,
) -> Option<String> {
    match (&spec.script, &spec.container, &spec.transform) {
        (Some(script), None, None) => Some(script_program(script, target, files).ok()?.2),
        (None, Some(container), None) => Some(digest::of_container(None, container)),
        (None, None, Some(source)) => {
            Some(transform::program(source, spec.on_item_error, target, files).ok()?.2)
        }
        _ => None,
    }
}

/// The program of the only source, with its digest on this target and alone.
fn source(
    spec: &DataMigrationSpec,
    target: &Target,
    files: &FilesFound,
) -> Result<(Program, String, String), Problem> {
    match (&spec.script, &spec.container, &spec.transform) {
        (Some(script), None, None) => script_program(script, target, files),
        (None, None, Some(source)) => transform::program(source, spec.on_item_error, target, files),
        (None, Some(container), None) => {
            check_env("spec.container.env", &container.env)?;
            let digest = digest::of_container(Some(target), container);
            let alone = digest::of_container(None, container);
            Ok((Program::Container(container.clone()), digest, alone))
        }
        _ => Err(problem(
            Reason::InvalidSpec,
            "spec.script: give exactly one source: script, container or transform".into(),
        )),
    }
}

fn put_together(
    migration: &DataMigration,
    target: &Target,
    program: Program,
    digest: String,
    identity: Option<String>,
) -> Runnable {
    Runnable {
        identity: identity.map(|digest| ProgramId { digest, ..ProgramId::default() }),
        settings_digest: digest::of_settings(migration, target),
        target: target.clone(),
        program,
        digest,
        pod: migration.spec.pod_template.clone(),
        // Added with the other references of the pod.
        config_maps: BTreeMap::new(),
        limits: migration.spec.limits.clone().unwrap_or_default(),
    }
}

fn script_program(
    script: &Script,
    target: &Target,
    files: &FilesFound,
) -> Result<(Program, String, String), Problem> {
    check_env("spec.script.env", &script.env)?;
    let files = collect_files("spec.script.configMap", &script.config_map, files)?;
    let file = if script.command.is_empty() {
        Some(script::file_to_run(script, &files).map_err(|problem| invalid(&problem))?)
    } else {
        None
    };
    let digest = digest::of_script(Some(target), script, file.as_deref(), &files);
    let identity = digest::of_script(None, script, file.as_deref(), &files);
    Ok((Program::Script { files, file, script: script.clone() }, digest, identity))
}

/// Refuses variables that would lead the program past the guard.
fn check_env(field: &str, env: &[EnvVar]) -> Result<(), Problem> {
    for (index, variable) in env.iter().enumerate() {
        if PROGRAM_ENVIRONMENT_RESERVED.contains(&variable.name.as_str()) {
            return Err(problem(
                Reason::InvalidSpec,
                format!(
                    "{field}[{index}].name: {} is set by the operator, so that the program reaches \
                     the guard. Remove it",
                    variable.name
                ),
            ));
        }
    }
    Ok(())
}

fn check_mounts(pod: &PodSettings) -> Result<(), Problem> {
    for (index, mount) in pod.volume_mounts.iter().enumerate() {
        if let Err(why) = check_mount_path(&mount.mount_path) {
            return Err(invalid_spec(format!(
                "spec.podTemplate.volumeMounts[{index}].mountPath: {why}"
            )));
        }
        if !pod.volumes.iter().any(|volume| volume.name == mount.name) {
            return Err(problem(
                Reason::InvalidSpec,
                format!(
                    "spec.podTemplate.volumeMounts[{index}].name: there is no volume {} in \
                     spec.podTemplate.volumes",
                    mount.name
                ),
            ));
        }
    }
    Ok(())
}

/// A path as the kubelet reads it, without a second way to write it.
fn check_mount_path(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("a path begins with /") };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    match rest.split('/').next() {
        Some("") | None => Err("it has to name a folder below /, without //"),
        Some("dm") => Err("/dm is the operator's; use another path"),
        Some(_) if rest.split('/').any(|part| matches!(part, "" | "." | "..")) => {
            Err("a path has no parts that are empty, . or ..")
        }
        Some(_) => Ok(()),
    }
}

/// Checks what would give the pod a user or an end that the operator cannot work with.
fn check_pod(pod: &PodSettings, target: &Target) -> Result<(), Problem> {
    if pod.run_as_user == Some(GUARD_USER) {
        return Err(invalid_spec(format!(
            "spec.podTemplate.runAsUser: {GUARD_USER} is the guard's user; use another"
        )));
    }
    let least = limits::GRACE_SECONDS_ARCHIVE_MIN;
    let grace = pod.termination_grace_period_seconds.filter(|seconds| *seconds < least);
    if let (Some(seconds), Some(_)) = (grace, &target.spec.archive) {
        return Err(invalid_spec(format!(
            "spec.podTemplate.terminationGracePeriodSeconds: {seconds} leaves the guard no time to \
             finish the journal and to record the run's end in the target's archive. Set it to \
             {least} or more, or remove it: the default is enough"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
