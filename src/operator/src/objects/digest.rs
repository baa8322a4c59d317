//! Digests of what runs, as `sha256:` and hexadecimal digits.

use std::collections::BTreeMap;

use dm_api::DataMigration;
use dm_api::agent_resources::AgentResources;
use dm_api::archive::ArchiveSpec;
use dm_api::migration::{ContainerProgram, Limits, OnConflict, PodSettings, PodVolume, Script};
use dm_api::target::{Credentials, TargetPolicy};
use dm_contract::sha256;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, VolumeMount};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::identified::Target;
use crate::runnable::{Files, Restoration};

/// Everything that decides what a run does. Whatever is not in here can change without making it
/// another program: resources, labels, limits, description.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fingerprint<'a> {
    version: u32,
    /// Absent where the program alone is meant, wherever it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<TargetFingerprint<'a>>,
    script: Option<ScriptFingerprint<'a>>,
    container: Option<&'a ContainerProgram>,
    /// Digests of a transform's files, its declaration among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    transform: Option<BTreeMap<&'a str, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestoreFingerprint<'a> {
    version: u32,
    target: TargetFingerprint<'a>,
    restores: Option<u32>,
    on_conflict: OnConflict,
}

#[derive(Serialize)]
struct TargetFingerprint<'a> {
    name: &'a str,
    region: &'a str,
    endpoint: Option<&'a str>,
}

#[derive(Serialize)]
struct ScriptFingerprint<'a> {
    files: BTreeMap<&'a str, String>,
    file: Option<&'a str>,
    image: &'a str,
    command: &'a [String],
    args: &'a [String],
    env: &'a [k8s_openapi::api::core::v1::EnvVar],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodFingerprint<'a> {
    program: &'a str,
    volumes: &'a [PodVolume],
    volume_mounts: &'a [VolumeMount],
    run_as_user: Option<i64>,
    config_maps: BTreeMap<&'a str, Option<Content<'a>>>,
}

/// The content of a ConfigMap.
type Content<'a> = (&'a Option<BTreeMap<String, String>>, &'a Option<BTreeMap<String, ByteString>>);

/// What else a run's Job is made from. It does not make it another program, but a run that has not
/// started its program is given up for a new one when it changes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings<'a> {
    pod: &'a PodSettings,
    limits: Option<&'a Limits>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    second_pass: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expect_no_requests: bool,
    backoff_limit: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallelism: Option<u32>,
    active_deadline_seconds: Option<i64>,
    image_pull_policy: Option<&'static str>,
    credentials: &'a Credentials,
    dry_run_credentials: Option<&'a Credentials>,
    policy: &'a TargetPolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<&'a ArchiveSpec>,
    #[serde(skip_serializing_if = "AgentResources::is_empty")]
    resources: &'a AgentResources,
}

/// Digest of the settings of a migration's runs.
pub fn of_settings(migration: &DataMigration, target: &Target) -> String {
    let spec = &migration.spec;
    let pull = spec.script.as_ref().and_then(|script| script.image_pull_policy);
    let settings = Settings {
        pod: &spec.pod_template,
        limits: spec.limits.as_ref(),
        second_pass: spec.second_pass,
        expect_no_requests: spec.expect_no_requests,
        backoff_limit: spec.backoff_limit,
        parallelism: Some(spec.parallelism).filter(|pods| *pods > 1),
        active_deadline_seconds: spec.active_deadline_seconds,
        image_pull_policy: pull.map(dm_api::migration::ImagePullPolicy::as_str),
        credentials: &target.spec.credentials,
        dry_run_credentials: target.spec.dry_run_credentials.as_ref(),
        policy: &target.spec.policy,
        archive: target.spec.archive.as_ref(),
        resources: &target.spec.resources,
    };
    of(&settings)
}

/// Digest of a script with its files, on a target if one is given.
pub fn of_script(
    target: Option<&Target>,
    script: &Script,
    file: Option<&str>,
    files: &Files,
) -> String {
    of(&Fingerprint {
        version: 1,
        target: target.map(target_fingerprint),
        script: Some(ScriptFingerprint {
            files: files.iter().map(|(path, bytes)| (path.as_str(), of_bytes(bytes))).collect(),
            file,
            image: &script.image,
            command: &script.command,
            args: &script.args,
            env: &script.env,
        }),
        container: None,
        transform: None,
    })
}

/// Digest of a transform with its lookup files, on a target if one is given. The guard's image does
/// not belong to it: another version of the operator carries out the same.
pub fn of_transform(target: Option<&Target>, files: &Files) -> String {
    let files = files.iter().map(|(path, bytes)| (path.as_str(), of_bytes(bytes)));
    of(&Fingerprint {
        version: 1,
        target: target.map(target_fingerprint),
        script: None,
        container: None,
        transform: Some(files.collect()),
    })
}

/// Digest of a program with what else its pod runs with; that of the program alone where that is
/// nothing. ConfigMaps count by their content. Secrets cannot: the operator does not read them.
pub fn with_pod(
    program: &str,
    pod: &PodSettings,
    config_maps: &BTreeMap<String, Option<ConfigMap>>,
) -> String {
    let fingerprint = PodFingerprint {
        program,
        volumes: &pod.volumes,
        volume_mounts: &pod.volume_mounts,
        run_as_user: pod.run_as_user,
        config_maps: config_maps
            .iter()
            .map(|(name, map)| {
                (name.as_str(), map.as_ref().map(|map| (&map.data, &map.binary_data)))
            })
            .collect(),
    };
    let is_bare = pod.volumes.is_empty()
        && pod.volume_mounts.is_empty()
        && pod.run_as_user.is_none()
        && config_maps.is_empty();
    if is_bare { program.to_owned() } else { of(&fingerprint) }
}

/// Digest of a program in an image, on a target if one is given.
pub fn of_container(target: Option<&Target>, container: &ContainerProgram) -> String {
    of(&Fingerprint {
        version: 1,
        target: target.map(target_fingerprint),
        script: None,
        container: Some(container),
        transform: None,
    })
}

/// Digest of what was applied before: nothing but where.
pub fn of_baseline(target: &Target) -> String {
    let target = Some(target_fingerprint(target));
    of(&Fingerprint { version: 1, target, script: None, container: None, transform: None })
}

/// Digest of a restore: what is restored and how, on a target.
pub fn of_restore(target: &Target, restoration: Restoration) -> String {
    of(&RestoreFingerprint {
        version: 1,
        target: target_fingerprint(target),
        restores: restoration.run,
        on_conflict: restoration.on_conflict,
    })
}

/// Digest of a dry run: what ran, and the shape of its effects.
pub fn of_dry_run(program: &str, effects: &str) -> String {
    of_bytes(format!("{program}\n{effects}").as_bytes())
}

/// Eight hexadecimal digits that tell names apart.
pub fn short_hash(text: &str) -> String {
    of_bytes(text.as_bytes())["sha256:".len()..][..8].to_owned()
}

fn target_fingerprint(target: &Target) -> TargetFingerprint<'_> {
    TargetFingerprint {
        name: target.name(),
        region: &target.spec.region,
        endpoint: target.spec.endpoint.as_deref(),
    }
}

fn of(all: &impl Serialize) -> String {
    // Serializing a struct of strings, lists and string maps cannot fail.
    of_bytes(&serde_json::to_vec(all).unwrap_or_default())
}

fn of_bytes(bytes: &[u8]) -> String {
    sha256::finished(Sha256::new_with_prefix(bytes))
}

#[cfg(test)]
mod tests;
