//! What a run's pod has of its target's archive: the plan, its credentials, its volume. All of it
//! is for containers of ours; the program's gets none.

use dm_api::archive::{self, ArchiveSpec};
use dm_api::status::{RunKind, RunRecord};
use dm_api::target::JournalPolicy;
use dm_api::{DataMigration, MigrationTarget};
use dm_contract::plan::{self, ArchivePlan, JournalMode, RetentionPlan};
use k8s_openapi::api::core::v1::{EnvVar, PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

use crate::identified::Migration;
use crate::objects::parts;

/// Name of the volume in the pod.
pub const VOLUME: &str = "dm-archive";

/// The archive that a run uses, of whichever kind. A dry run leaves its report and its output
/// there; a preview of a restore reads another run's journal, too.
pub fn of(target: &MigrationTarget) -> Option<&ArchiveSpec> {
    target.spec.archive.as_ref()
}

/// The archive that is asked whether the run may begin. A dry run may always: it writes nothing to
/// the database, and waits for no archive. A restore is begun by what status says.
pub fn asked(target: &MigrationTarget, kind: RunKind) -> Option<&ArchiveSpec> {
    match kind {
        RunKind::Apply => of(target),
        RunKind::DryRun | RunKind::RestorePreview | RunKind::Restore => None,
    }
}

/// What the guard gets of the target's journal.
pub fn journal_mode(policy: JournalPolicy) -> JournalMode {
    match policy {
        JournalPolicy::Strict => JournalMode::Strict,
        JournalPolicy::Ahead => JournalMode::Ahead,
        JournalPolicy::Cheap => JournalMode::Cheap,
    }
}

/// What the guard gets of it.
pub fn plan(migration: &Migration, record: &RunRecord, archive: &ArchiveSpec) -> ArchivePlan {
    ArchivePlan {
        url: archive.url.clone(),
        endpoint: archive.endpoint.clone(),
        region: archive.region.clone(),
        migration: archive::migration_name(migration.namespace(), migration.name()),
        again: false,
        overrule: record.overrules.unwrap_or(0),
        repeatable: is_repeatable(migration, record),
        expect_no_requests: migration.spec.expect_no_requests,
        tables: tables(migration, record),
        retention: archive.retention.as_ref().map(|retention| RetentionPlan {
            max_age_days: retention.max_age_days,
            keep_runs: retention.keep_runs,
            journals: retention.journals,
        }),
    }
}

/// Whether the Job may start another pod after one that failed, which is then not the run's end. A
/// transform is repeatable (decision 021), and a restore continues where it was.
pub fn is_repeatable(migration: &DataMigration, record: &RunRecord) -> bool {
    let spec = &migration.spec;
    record.kind.restores() || spec.transform.is_some() || spec.backoff_limit > 0
}

/// The tables that the run will write, by the dry run of just this program.
fn tables(migration: &DataMigration, record: &RunRecord) -> Vec<String> {
    let dry_run = migration.status.as_ref().and_then(|status| status.dry_run.as_ref());
    let same = dry_run.filter(|dry_run| dry_run.program_digest == record.program_digest);
    let effects = same.and_then(|dry_run| dry_run.effects.as_ref());
    effects.map_or_else(Vec::new, |e| e.tables.iter().map(|table| table.name.clone()).collect())
}

/// Its credentials, if it has its own.
pub fn env(archive: &ArchiveSpec) -> Vec<EnvVar> {
    let Some(credentials) = &archive.credentials else { return Vec::new() };
    let from = |variable: &str, key: &str, optional: bool| EnvVar {
        name: variable.into(),
        ..parts::secret_variable(&credentials.secret.name, key, optional)
    };
    vec![
        from(plan::ARCHIVE_ACCESS_KEY_ENV, "AWS_ACCESS_KEY_ID", false),
        from(plan::ARCHIVE_SECRET_KEY_ENV, "AWS_SECRET_ACCESS_KEY", false),
        from(plan::ARCHIVE_SESSION_TOKEN_ENV, "AWS_SESSION_TOKEN", true),
    ]
}

/// Where a container has its volume, if it is on one.
pub fn mount(archive: &ArchiveSpec) -> Option<VolumeMount> {
    Some(parts::mount(VOLUME, archive.folder()?, false))
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
