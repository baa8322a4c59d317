//! What a run's pod has of its target's archive: the plan, its credentials, its volume. All of it is
//! for containers of ours; the program's gets none.

use dm_api::archive::{self, ArchiveSpec};
use dm_api::status::RunKind;
use dm_api::{DataMigration, MigrationTarget};
use dm_core::plan::{self, ArchivePlan};
use k8s_openapi::api::core::v1::{EnvVar, PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

use super::job;

/// Name of the volume in the pod.
const VOLUME: &str = "dm-archive";

/// The archive that a run of this kind uses. A dry run has nothing to journal.
pub fn of(target: &MigrationTarget, kind: RunKind) -> Option<&ArchiveSpec> {
    match kind {
        RunKind::Apply => target.spec.archive.as_ref(),
        RunKind::DryRun => None,
    }
}

/// What the guard is told of it.
pub fn plan(migration: &DataMigration, archive: &ArchiveSpec) -> ArchivePlan {
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let name = migration.metadata.name.as_deref().unwrap_or_default();
    ArchivePlan {
        url: archive.url.clone(),
        endpoint: archive.endpoint.clone(),
        region: archive.region.clone(),
        migration: archive::migration_name(namespace, name),
        ..ArchivePlan::default()
    }
}

/// Its credentials, if it has its own.
pub fn env(archive: &ArchiveSpec) -> Vec<EnvVar> {
    let Some(credentials) = &archive.credentials else { return Vec::new() };
    let from = |variable: &str, key: &str, optional: bool| EnvVar {
        name: variable.into(),
        ..job::secret_variable(&credentials.secret.name, key, optional)
    };
    vec![
        from(plan::ARCHIVE_ACCESS_KEY_ENV, "AWS_ACCESS_KEY_ID", false),
        from(plan::ARCHIVE_SECRET_KEY_ENV, "AWS_SECRET_ACCESS_KEY", false),
        from(plan::ARCHIVE_SESSION_TOKEN_ENV, "AWS_SESSION_TOKEN", true),
    ]
}

/// Where a container has its volume, if it is on one.
pub fn mount(archive: &ArchiveSpec) -> Option<VolumeMount> {
    Some(job::mount(VOLUME, archive.folder()?, false))
}

/// The volume, if it is on one.
pub fn volume(archive: &ArchiveSpec) -> Option<Volume> {
    let claim = &archive.volume.as_ref()?.persistent_volume_claim;
    Some(Volume {
        name: VOLUME.into(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.claim_name.clone(),
            read_only: None,
        }),
        ..Volume::default()
    })
}
