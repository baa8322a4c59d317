//! What a program's pod refers to beside its files: Secrets, claims and ConfigMaps of the
//! namespace, and what its target's owner allows. What it refers to is part of what is tried. Pure.

use std::collections::{BTreeMap, BTreeSet};

use dm_api::condition::Reason;
use dm_api::migration::{DataMigrationSpec, PodSettings};
use dm_api::program_policy::ProgramPolicy;
use dm_api::target::Credentials;
use dm_api::{DataMigration, MigrationTarget};
use dm_contract::glob;
use dm_contract::identity::ProgramId;
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar};
use kube::ResourceExt as _;

use crate::objects::digest;
use crate::runnable::{Problem, Program, Runnable};

/// Prefixes of labels and annotations that give a pod an identity or an isolation, or that the
/// operator finds it by: an author's pod has the operator's.
const KEYS_RESERVED: [&str; 9] = [
    "datamigration.dev/",
    "batch.kubernetes.io/",
    "eks.amazonaws.com/",
    "iam.amazonaws.com/",
    "azure.workload.identity/",
    "container.apparmor.security.beta.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "karpenter.sh/do-not-disrupt",
];

/// What was found of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// All targets of the namespace, where the program refers to a Secret or a claim.
    pub targets: Vec<MigrationTarget>,
    /// The ConfigMaps that it refers to, by name; `None` where there is none.
    pub config_maps: BTreeMap<String, Option<ConfigMap>>,
}

/// A name, and the field that it stands in.
type Named = (String, String);

/// Names of the ConfigMaps that a program's variables and volumes refer to.
pub fn config_maps(migration: &DataMigration) -> BTreeSet<String> {
    let spec = &migration.spec;
    let volumes = spec.pod_template.volumes.iter().filter_map(|volume| volume.config_map.as_ref());
    let (_, env) = env_of(spec);
    let keys = env.iter().filter_map(|variable| {
        variable.value_from.as_ref().and_then(|from| from.config_map_key_ref.as_ref())
    });
    volumes.map(|map| map.name.clone()).chain(keys.map(|key| key.name.clone())).collect()
}

/// Whether a program refers to a Secret or a claim, so that the namespace's targets have to be
/// known.
pub fn needs_targets(migration: &DataMigration) -> bool {
    let (secrets, claims) = secrets_and_claims(&migration.spec);
    !secrets.is_empty() || !claims.is_empty()
}

/// Checks what a program refers to against all targets and its own target's policy, and adds it to
/// the digest of what runs.
pub fn settle(
    migration: &DataMigration,
    runnable: Runnable,
    found: &References,
) -> Result<Runnable, Problem> {
    if matches!(runnable.program, Program::Restore(_) | Program::Baseline) {
        return Ok(runnable);
    }
    let spec = &migration.spec;
    let policy = &runnable.target.spec.policy.programs;
    let (secrets, claims) = secrets_and_claims(spec);
    for (field, name) in &secrets {
        refuse_held(field, name, "Secret", holder_of_secret(&found.targets, name))?;
    }
    for (field, name) in &claims {
        refuse_held(field, name, "claim", holder_of_claim(&found.targets, name))?;
    }
    for (field, name) in &secrets {
        check(field, name, "Secret", &policy.secrets)?;
    }
    for (field, name) in &claims {
        check(field, name, "claim", &policy.persistent_volume_claims)?;
    }
    check_scheduling(&spec.pod_template, policy)?;
    check_config_maps(spec, &found.config_maps)?;
    let digest = digest::with_pod(&runnable.digest, &runnable.pod, &found.config_maps);
    let identity = runnable.identity.clone().map(|identity| ProgramId {
        digest: digest::with_pod(&identity.digest, &runnable.pod, &found.config_maps),
        ..identity
    });
    let config_maps = found.config_maps.clone();
    Ok(Runnable { digest, identity, config_maps, ..runnable })
}

/// A run begins when every ConfigMap that its pod requires is there to be copied.
fn check_config_maps(
    spec: &DataMigrationSpec,
    found: &BTreeMap<String, Option<ConfigMap>>,
) -> Result<(), Problem> {
    let volumes = spec.pod_template.volumes.iter().enumerate().filter_map(|(index, volume)| {
        let map = volume.config_map.as_ref().filter(|map| map.optional != Some(true))?;
        Some((format!("spec.podTemplate.volumes[{index}].configMap.name"), &map.name))
    });
    let (field, env) = env_of(spec);
    let keys = env.iter().enumerate().filter_map(|(index, variable)| {
        let key = variable.value_from.as_ref()?.config_map_key_ref.as_ref();
        let key = key.filter(|key| key.optional != Some(true))?;
        Some((format!("{field}[{index}].valueFrom.configMapKeyRef.name"), &key.name))
    });
    for (field, name) in volumes.chain(keys) {
        if matches!(found.get(name), Some(None)) {
            return Err(Problem {
                reason: Reason::ConfigMapNotFound,
                message: format!(
                    "{field}: there is no ConfigMap {name} in this namespace. Create it, and the \
                     run starts, or set optional to true"
                ),
            });
        }
    }
    Ok(())
}

fn env_of(spec: &DataMigrationSpec) -> (&'static str, &[EnvVar]) {
    match (&spec.script, &spec.container) {
        (Some(script), _) => ("spec.script.env", &script.env),
        (None, Some(container)) => ("spec.container.env", &container.env),
        (None, None) => ("spec", &[]),
    }
}

fn secrets_and_claims(spec: &DataMigrationSpec) -> (Vec<Named>, Vec<Named>) {
    let (mut secrets, mut claims) = (Vec::new(), Vec::new());
    for (index, volume) in spec.pod_template.volumes.iter().enumerate() {
        let field = |rest: &str| format!("spec.podTemplate.volumes[{index}].{rest}");
        if let Some(secret) = volume.secret.as_ref().and_then(|from| from.secret_name.clone()) {
            secrets.push((field("secret.secretName"), secret));
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            claims.push((field("persistentVolumeClaim.claimName"), claim.claim_name.clone()));
        }
    }
    let (field, env) = env_of(spec);
    for (index, variable) in env.iter().enumerate() {
        let key = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        if let Some(key) = key {
            let field = format!("{field}[{index}].valueFrom.secretKeyRef.name");
            secrets.push((field, key.name.clone()));
        }
    }
    (secrets, claims)
}

fn refuse_held(
    field: &str,
    name: &str,
    kind: &str,
    holder: Option<&MigrationTarget>,
) -> Result<(), Problem> {
    let Some(holder) = holder else { return Ok(()) };
    let target = holder.name_any();
    Err(invalid(format!(
        "{field}: {kind} {name} belongs to MigrationTarget {target}, and only the guard may use \
         it. Use another"
    )))
}

fn check(field: &str, name: &str, kind: &str, allowed: &[String]) -> Result<(), Problem> {
    if allowed.iter().any(|pattern| glob::matches(pattern, name)) {
        return Ok(());
    }
    let list = if kind == "Secret" { "secrets" } else { "persistentVolumeClaims" };
    Err(invalid(format!(
        "{field}: the target does not let programs use {kind} {name}. To allow it, the target's \
         owner adds it to policy.programs.{list} of the MigrationTarget"
    )))
}

fn holder_of_secret<'a>(targets: &'a [MigrationTarget], name: &str) -> Option<&'a MigrationTarget> {
    let names = |credentials: &Credentials| {
        credentials.secret.as_ref().is_some_and(|secret| secret.name == name)
    };
    targets.iter().find(|target| {
        let spec = &target.spec;
        let archive = spec.archive.as_ref().and_then(|archive| archive.credentials.as_ref());
        names(&spec.credentials)
            || spec.dry_run_credentials.as_ref().is_some_and(names)
            || archive.is_some_and(|credentials| credentials.secret.name == name)
            || spec.image_pull_secrets.iter().any(|secret| secret.name == name)
    })
}

fn holder_of_claim<'a>(targets: &'a [MigrationTarget], name: &str) -> Option<&'a MigrationTarget> {
    targets.iter().find(|target| {
        let volume = target.spec.archive.as_ref().and_then(|archive| archive.volume.as_ref());
        volume.is_some_and(|volume| volume.persistent_volume_claim.claim_name == name)
    })
}

fn check_scheduling(pod: &PodSettings, policy: &ProgramPolicy) -> Result<(), Problem> {
    let is_in = |list: Option<&Vec<String>>, name: &str| {
        list.is_none_or(|list| list.iter().any(|pattern| glob::matches(pattern, name)))
    };
    let denied = |field: &str, what: &str, list: &str| {
        Err(invalid(format!(
            "{field}: the target does not allow {what}. To allow it, the target's owner changes \
             policy.programs.{list} of the MigrationTarget"
        )))
    };
    if let Some(class) = &pod.priority_class_name
        && !is_in(policy.priority_classes.as_ref(), class)
    {
        let field = "spec.podTemplate.priorityClassName";
        return denied(field, &format!("priority class {class}"), "priorityClasses");
    }
    for (index, toleration) in pod.tolerations.iter().enumerate() {
        // Without a key it tolerates every taint.
        let key = toleration.key.as_deref().filter(|key| !key.is_empty()).unwrap_or("*");
        if !is_in(policy.tolerations.as_ref(), key) {
            let field = format!("spec.podTemplate.tolerations[{index}]");
            return denied(&field, &format!("tolerating {key}"), "tolerations");
        }
    }
    let metadata = pod.metadata.clone().unwrap_or_default();
    let kinds = [
        ("labels", metadata.labels, &policy.labels),
        ("annotations", metadata.annotations, &policy.annotations),
    ];
    for (kind, all, allowed) in kinds {
        for key in all.keys() {
            let field = format!("spec.podTemplate.metadata.{kind}[{key}]");
            if let Some(reserved) = KEYS_RESERVED.iter().find(|start| key.starts_with(**start)) {
                return Err(invalid(format!(
                    "{field}: no migration may set keys that begin with {reserved}. Remove it"
                )));
            }
            if !is_in(allowed.as_ref(), key) {
                return denied(&field, "it", kind);
            }
        }
    }
    Ok(())
}

fn invalid(message: String) -> Problem {
    Problem { reason: Reason::InvalidSpec, message }
}

#[cfg(test)]
mod tests;
