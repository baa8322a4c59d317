//! The container of the user's program: behind the entry program where its command is known, with
//! no credentials. Pure.

use dm_api::DataMigration;
use dm_api::migration::{ContainerProgram, ImagePullPolicy, Script};
use dm_api::status::{RunKind, RunRecord};
use dm_contract::plan::{self, PROGRAM_PORT};
use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::parts::{BIN_DIR, LOG_DIR, WORK_DIR, container_security, mount, variable};
use super::{PROGRAM_CONTAINER, Settings, archive, literal};
use crate::objects::image;
use crate::runnable::{Program, Runnable};

/// The entry program, where a program's container has it.
pub const ENTRY: &str = "/dm/bin/datamigration-entry";

/// Stands where the access key will be. No guard accepts it.
const NO_ACCESS_KEY: &str = "datamigration";

/// Whether the program's output is kept for an archive.
fn has_log(runnable: &Runnable) -> bool {
    archive::of(&runnable.target).is_some()
}

/// What the entry program does beside running the program: keeps its output for an archive, runs it
/// a second time, stops it during a pause.
fn entry_flags(migration: &DataMigration, record: &RunRecord, runnable: &Runnable) -> Vec<String> {
    let mut flags = Vec::new();
    if has_log(runnable) {
        flags.extend(["--log-dir".into(), LOG_DIR.into()]);
    }
    if has_second_pass(migration, record) {
        flags.extend(["--second-pass".into(), format!("127.0.0.1:{PROGRAM_PORT}")]);
    }
    flags.extend(["--follow-pause".into(), format!("127.0.0.1:{PROGRAM_PORT}")]);
    flags
}

/// The container that runs it.
pub(super) fn container(
    migration: &DataMigration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Container {
    let flags = entry_flags(migration, record, runnable);
    let has_log = has_log(runnable);
    let base = Container {
        name: PROGRAM_CONTAINER.into(),
        resources: runnable.pod.resources.clone(),
        security_context: Some(container_security()),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        ..Container::default()
    };
    let mut mounts = vec![mount("dm-bin", BIN_DIR, true)];
    let pull = |policy: Option<ImagePullPolicy>| policy.map(|policy| policy.as_str().to_owned());
    let image = |image: &str, policy: Option<ImagePullPolicy>| {
        let policy = policy.map(ImagePullPolicy::as_str);
        image::pinned(image, policy, record.image_id.as_deref()).unwrap_or_else(|| image.to_owned())
    };
    let mut container = match &runnable.program {
        Program::Script { file, script, .. } => {
            mounts.push(mount("dm-work", WORK_DIR, false));
            Container {
                image: Some(image(&script.image, script.image_pull_policy)),
                image_pull_policy: pull(script.image_pull_policy),
                command: Some(vec![ENTRY.into()]),
                args: Some(script_args(file.as_deref(), script, flags)),
                working_dir: Some(WORK_DIR.into()),
                env: Some(script_env(runnable, script)),
                ..base
            }
        }
        Program::Container(container) => Container {
            image: Some(image(&container.image, container.image_pull_policy)),
            image_pull_policy: pull(container.image_pull_policy),
            working_dir: container.working_dir.clone(),
            env: Some(own_env(runnable, container)),
            ..in_image(base, &container.command, &container.args, flags)
        },
        Program::Transform { .. } => {
            mounts.push(mount("dm-work", WORK_DIR, false));
            Container {
                image: Some(settings.agent_image.clone()),
                image_pull_policy: Some(settings.agent_pull_policy.clone()),
                command: Some(vec![ENTRY.into()]),
                args: Some(transform_args(flags)),
                working_dir: Some(WORK_DIR.into()),
                env: Some(program_env(runnable, &[])),
                ..base
            }
        }
        // Its pod is another one; see `restore`.
        Program::Restore(_) | Program::Baseline => base,
    };
    if has_log && container.command.is_some() {
        mounts.push(mount("dm-log", LOG_DIR, false));
    }
    mounts.extend(runnable.pod.volume_mounts.clone());
    container.volume_mounts = Some(mounts);
    container
}

fn script_args(file: Option<&str>, script: &Script, flags: Vec<String>) -> Vec<String> {
    let mut args: Vec<String> = vec!["run".into(), "--dir".into(), WORK_DIR.into()];
    if let Some(file) = file {
        args.extend(["--script".into(), literal::escaped(file)]);
    }
    args.extend(flags);
    args.push("--".into());
    args.extend(script.command.iter().chain(&script.args).cloned());
    args
}

fn script_env(runnable: &Runnable, script: &Script) -> Vec<EnvVar> {
    let mut env = program_env(runnable, &script.env);
    let missing = |name: &str| !script.env.iter().any(|variable| variable.name == name);
    if missing("HOME") {
        // The user has no entry in the image's passwd file; tools look for a home.
        env.push(variable("HOME", WORK_DIR));
    }
    if missing("PYTHONUNBUFFERED") {
        // Python holds back what it writes to a pipe, and loses it when it is killed.
        env.push(variable("PYTHONUNBUFFERED", "1"));
    }
    env
}

/// The guard does the work of a transform; this container waits for it as for a program.
fn transform_args(flags: Vec<String>) -> Vec<String> {
    let mut args: Vec<String> = vec!["run".into(), "--dir".into(), WORK_DIR.into()];
    args.extend(flags);
    let guard = format!("127.0.0.1:{PROGRAM_PORT}");
    let asks = ["--", ENTRY, "transform", "--guard", &guard, "--dir", WORK_DIR];
    args.extend(asks.map(String::from));
    args
}

/// Whether the program runs a second time over what it wrote.
pub(super) fn has_second_pass(migration: &DataMigration, record: &RunRecord) -> bool {
    record.kind == RunKind::DryRun && migration.spec.second_pass
}

/// A program in an image: behind the entry program where its command is known, as it is where
/// only the image knows it.
fn in_image(base: Container, command: &[String], args: &[String], flags: Vec<String>) -> Container {
    if command.is_empty() {
        return Container { args: (!args.is_empty()).then(|| args.to_vec()), ..base };
    }
    let mut all: Vec<String> = vec!["run".into(), "--dir".into(), ".".into()];
    all.extend(flags);
    all.push("--".into());
    all.extend(command.iter().chain(args).cloned());
    Container { command: Some(vec![ENTRY.into()]), args: Some(all), ..base }
}

/// The same for an image. One with its own entrypoint has no entry program that would keep a proxy
/// out of the way to the guard.
fn own_env(runnable: &Runnable, container: &ContainerProgram) -> Vec<EnvVar> {
    let mut env = program_env(runnable, &container.env);
    let own = |name: &str| container.env.iter().any(|variable| variable.name == name);
    if container.command.is_empty() {
        let missing = ["NO_PROXY", "no_proxy"].into_iter().filter(|name| !own(name));
        env.extend(missing.map(|name| variable(name, "127.0.0.1")));
    }
    env
}

/// What points a program's SDK at the guard. The access key is set when the Job gets its token
/// ([`super::control::give`]).
fn program_env(runnable: &Runnable, own: &[EnvVar]) -> Vec<EnvVar> {
    let endpoint = format!("http://127.0.0.1:{PROGRAM_PORT}");
    let variables =
        plan::program_environment(&endpoint, &runnable.target.spec.region, NO_ACCESS_KEY);
    let mut env: Vec<EnvVar> =
        variables.iter().map(|(name, value)| variable(name, value)).collect();
    env.extend(own.iter().cloned());
    env
}
