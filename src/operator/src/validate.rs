//! From what users wrote to what can be run: checked once, into a type that cannot hold a wrong
//! value. Every problem names the field and what to do.

use dm_api::condition::Reason;
use dm_api::migration::{ContainerProgram, Limits, PodSettings, Script};
use dm_api::script::{self, FilesProblem};
use dm_api::target::Credentials;
use dm_api::{DataMigration, MigrationTarget};
use dm_core::identity::ProgramId;
use dm_core::plan::PROGRAM_ENVIRONMENT_RESERVED;
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar};

use crate::baseline;
use crate::digest::{self, Files};
use crate::limits;
use crate::restoring::{self, Restoration};

/// Why a migration cannot be run as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One word.
    pub reason: Reason,
    /// What is wrong, by the field's name, and what to do.
    pub message: String,
}

/// What can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Runnable {
    /// The target it works on.
    pub target: MigrationTarget,
    /// What is run.
    pub program: Program,
    /// Digest of all of it.
    pub digest: String,
    /// What the ledger knows the program by, whatever its target; none of the author's in a restore.
    pub identity: Option<ProgramId>,
    /// Digest of the rest that a Job is made from.
    pub settings_digest: String,
    /// Settings of the pod.
    pub pod: PodSettings,
    /// Highest speed.
    pub limits: Limits,
}

impl Runnable {
    /// How many migrations may write to the target at the same time.
    pub fn runs_at_once(&self) -> usize {
        let wanted = self.target.spec.policy.max_concurrent_runs.unwrap_or(1);
        usize::try_from(wanted).unwrap_or(usize::MAX).max(1)
    }
}

/// What is run.
#[derive(Clone, Debug, PartialEq)]
pub enum Program {
    /// Files, run in their folder.
    Script {
        /// The files by their path.
        files: Files,
        /// The file to run, unless a command does.
        file: Option<String>,
        /// The rest, as it was written.
        script: Script,
    },
    /// A program in an image.
    Container(ContainerProgram),
    /// None of the author's: what a run changed is taken back.
    Restore(Restoration),
    /// None: it was applied before this operator existed.
    Baseline,
}

/// The ConfigMap of a script, as it was found.
#[derive(Clone, Debug, PartialEq)]
pub enum FilesFound {
    /// The source is not a script.
    NotNeeded,
    /// There is no such ConfigMap.
    Missing,
    /// Here it is.
    Found(Box<ConfigMap>),
}

/// Checks a migration against its target and its files.
pub fn validate(
    migration: &DataMigration,
    target: Option<&MigrationTarget>,
    missing_account: Option<&str>,
    files: &FilesFound,
) -> Result<Runnable, Problem> {
    let spec = &migration.spec;
    let target = target.ok_or_else(|| {
        problem(
            Reason::TargetNotFound,
            format!(
                "spec.target.name: there is no MigrationTarget {0} in this namespace. Create it, or name \
                 another: kubectl get migrationtargets",
                spec.target.name
            ),
        )
    })?;
    if let Some(account) = missing_account {
        return Err(problem(
            Reason::ServiceAccountNotFound,
            format!(
                "target {}: there is no ServiceAccount {account} in this namespace. Create it, or correct \
                 the target's credentials",
                spec.target.name
            ),
        ));
    }
    if let Some(restoration) = restoring::wanted(migration) {
        // What is taken back needs no program any more, and no files of it.
        if let Some(problem) = restoring::obstacle(migration, target, restoration) {
            return Err(problem);
        }
        let digest = digest::of_restore(target, restoration);
        return Ok(put_together(migration, target, Program::Restore(restoration), digest, None));
    }
    if baseline::is_wanted(migration) {
        let identity = match (&spec.script, &spec.container) {
            (Some(script), None) => script_program(script, target, files).ok().map(|found| found.2),
            (None, Some(container)) => Some(digest::of_container(None, container)),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let digest = digest::of_baseline(target);
        return Ok(put_together(migration, target, Program::Baseline, digest, identity));
    }
    check_volumes(&spec.pod_template, target)?;
    let (program, digest, identity) = match (&spec.script, &spec.container) {
        (Some(script), None) => script_program(script, target, files)?,
        (None, Some(container)) => {
            check_env("spec.container.env", &container.env, target)?;
            let digest = digest::of_container(Some(target), container);
            let alone = digest::of_container(None, container);
            (Program::Container(container.clone()), digest, alone)
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(problem(
                Reason::InvalidSpec,
                "spec: give exactly one source: script or container".into(),
            ));
        }
    };
    Ok(put_together(migration, target, program, digest, Some(identity)))
}

fn put_together(
    migration: &DataMigration,
    target: &MigrationTarget,
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
        limits: migration.spec.limits.clone().unwrap_or_default(),
    }
}

fn script_program(
    script: &Script,
    target: &MigrationTarget,
    files: &FilesFound,
) -> Result<(Program, String, String), Problem> {
    check_env("spec.script.env", &script.env, target)?;
    let FilesFound::Found(config_map) = files else {
        return Err(problem(
            Reason::ConfigMapNotFound,
            format!(
                "spec.script.configMap.name: there is no ConfigMap {} in this namespace. Create it \
                 (kustomize's configMapGenerator makes it from files)",
                script.config_map.name
            ),
        ));
    };
    let files = collect_files(script, config_map)?;
    let file = if script.command.is_empty() {
        Some(script::file_to_run(script, &files).map_err(|problem| invalid(&problem))?)
    } else {
        None
    };
    let digest = digest::of_script(Some(target), script, file.as_deref(), &files);
    let identity = digest::of_script(None, script, file.as_deref(), &files);
    Ok((Program::Script { files, file, script: script.clone() }, digest, identity))
}

/// The files of a ConfigMap under their paths.
fn collect_files(script: &Script, config_map: &ConfigMap) -> Result<Files, Problem> {
    let text = config_map.data.iter().flatten().map(|(key, text)| (key, text.as_bytes()));
    let binary = config_map.binary_data.iter().flatten().map(|(key, bytes)| (key, &*bytes.0));
    let all = text.chain(binary).map(|(key, bytes)| (key.clone(), bytes.to_vec())).collect();
    let files = script::lay_out(script, &all).map_err(|problem| invalid(&problem))?;
    let size: usize = files.iter().map(|(path, bytes)| path.len() + bytes.len()).sum();
    if size > limits::FILES_BYTES_MAX {
        return Err(problem(
            Reason::InvalidSpec,
            format!(
                "spec.script.configMap: the files have {size} bytes, more than the {} that can be \
                 copied for a run. Put large data into the image",
                limits::FILES_BYTES_MAX
            ),
        ));
    }
    Ok(files)
}

/// Refuses variables that would lead the program past the guard or show it credentials.
fn check_env(field: &str, env: &[EnvVar], target: &MigrationTarget) -> Result<(), Problem> {
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
        let secret = variable
            .value_from
            .as_ref()
            .and_then(|source| source.secret_key_ref.as_ref())
            .map(|reference| reference.name.as_str());
        if secret.is_some_and(|name| holds_credentials(target, name)) {
            return Err(secret_problem(&format!("{field}[{index}].valueFrom.secretKeyRef.name")));
        }
    }
    Ok(())
}

fn check_volumes(pod: &PodSettings, target: &MigrationTarget) -> Result<(), Problem> {
    for (index, volume) in pod.volumes.iter().enumerate() {
        let secret = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
        if secret.is_some_and(|name| holds_credentials(target, name)) {
            return Err(secret_problem(&format!(
                "spec.podTemplate.volumes[{index}].secret.secretName"
            )));
        }
        let claim = volume.persistent_volume_claim.as_ref().map(|claim| &claim.claim_name);
        if claim.is_some() && claim == archive_claim(target) {
            return Err(problem(
                Reason::InvalidSpec,
                format!(
                    "spec.podTemplate.volumes[{index}].persistentVolumeClaim.claimName: this claim \
                     holds the target's archive, which only the guard may write. Use another"
                ),
            ));
        }
    }
    for (index, mount) in pod.volume_mounts.iter().enumerate() {
        if mount.mount_path == "/dm" || mount.mount_path.starts_with("/dm/") {
            return Err(problem(
                Reason::InvalidSpec,
                format!(
                    "spec.podTemplate.volumeMounts[{index}].mountPath: /dm is the operator's; use \
                     another path"
                ),
            ));
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

fn holds_credentials(target: &MigrationTarget, secret: &str) -> bool {
    let names = |credentials: &Credentials| {
        credentials.secret.as_ref().is_some_and(|reference| reference.name == secret)
    };
    let archive = target.spec.archive.as_ref().and_then(|archive| archive.credentials.as_ref());
    names(&target.spec.credentials)
        || target.spec.dry_run_credentials.as_ref().is_some_and(names)
        || archive.is_some_and(|credentials| credentials.secret.name == secret)
}

fn archive_claim(target: &MigrationTarget) -> Option<&String> {
    let volume = target.spec.archive.as_ref()?.volume.as_ref()?;
    Some(&volume.persistent_volume_claim.claim_name)
}

fn secret_problem(field: &str) -> Problem {
    problem(
        Reason::InvalidSpec,
        format!(
            "{field}: this Secret holds the target's credentials, which only the guard may have"
        ),
    )
}

fn problem(reason: Reason, message: String) -> Problem {
    Problem { reason, message }
}

fn invalid(problem: &FilesProblem) -> Problem {
    self::problem(Reason::InvalidSpec, problem.to_string())
}

#[cfg(test)]
mod tests;
