//! The pod of a restore or its preview: one container of ours, with the credentials of the database
//! and the archive. No program runs in it.

use dm_api::status::RunRecord;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, SecurityContext};

use super::parts::{self, GUARD_USER, STATE_DIR};
use super::{RESTORE_CONTAINER, Settings, archive, guard, literal, pod};
use crate::identified::Migration;
use crate::runnable::Runnable;

/// The pod. Where it runs is as the migration's author wants it for the program; what the program
/// has beside that, it has not.
pub fn pod(
    migration: &Migration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> PodSpec {
    let archive = archive::of(&runnable.target);
    let mut volumes = vec![parts::empty("dm-state")];
    volumes.extend(archive.and_then(archive::volume));
    PodSpec {
        containers: vec![container(migration, record, runnable, settings)],
        volumes: Some(volumes),
        ..pod::pod_spec(record, runnable)
    }
}

fn container(
    migration: &Migration,
    record: &RunRecord,
    runnable: &Runnable,
    settings: &Settings,
) -> Container {
    let mut env = guard::guard_env(migration, record, runnable);
    // A large journal is sorted in files.
    env.push(EnvVar { name: "TMPDIR".into(), value: Some(STATE_DIR.into()), value_from: None });
    let mut mounts = vec![parts::mount("dm-state", STATE_DIR, false)];
    let archive = archive::of(&runnable.target);
    mounts.extend(archive.and_then(archive::mount));
    let mut restore = Container {
        name: RESTORE_CONTAINER.into(),
        image: Some(settings.agent_image.clone()),
        image_pull_policy: Some(settings.agent_pull_policy.clone()),
        command: Some(vec!["/usr/bin/datamigration-guard".into(), "restore".into()]),
        env: Some(env),
        resources: Some(guard::of_guard(runnable, settings)),
        // As the guard of the run whose journal it reads, to which the archive's files belong.
        security_context: Some(SecurityContext {
            run_as_user: Some(GUARD_USER),
            read_only_root_filesystem: Some(true),
            ..parts::container_security()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    literal::keep(&mut restore);
    restore
}
