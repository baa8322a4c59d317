//! Names of a run's objects: they follow from the migration, the run and its kind, so that a
//! second create is a conflict and never a second run.

use dm_api::status::RunKind;

use crate::objects::digest::short_hash;

/// A Job's name ends up in a label of its pods, so it is bounded by a label's length.
const NAME_CHARS_MAX: usize = 63;

/// Characters that the longest number takes with its dashes: `-4294967295-`.
const NUMBER_CHARS_MAX: usize = 12;

/// Characters of the kind for which there is always room.
const KIND_CHARS_MIN: usize = 7;

/// Name of the Job of a run.
pub fn job(migration: &str, run: u32, kind: RunKind) -> String {
    let suffix = match kind {
        RunKind::DryRun => "dry-run",
        RunKind::Apply => "apply",
        RunKind::RestorePreview => "restore-preview",
        RunKind::Restore => "restore",
    };
    format!("{}-{run}-{suffix}", base(migration, suffix.len().max(KIND_CHARS_MIN)))
}

/// Name of the ConfigMap with the files of the run whose Job is given.
pub fn files(job: &str) -> String {
    job.to_owned()
}

/// Name of the Job that notes in the archive how the run ended whose Job is given.
pub fn record(job: &str) -> String {
    let run = job.rsplit_once('-').map_or(job, |(run, _)| run);
    format!("{run}-record")
}

/// Name of the Job that checks a target.
pub fn check(target: &str) -> String {
    format!("{}-check", base(target, KIND_CHARS_MIN))
}

/// The migration's name as a DNS label, shortened with a hash where that would lose something.
fn base(migration: &str, kind_chars: usize) -> String {
    let room = NAME_CHARS_MAX - NUMBER_CHARS_MAX - kind_chars;
    if migration.len() <= room && !migration.contains('.') {
        return migration.to_owned();
    }
    let hash = short_hash(migration);
    let kept: String = migration.replace('.', "-").chars().take(room - hash.len() - 1).collect();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(migration: &str, run: u32, kind: RunKind, expected: &str) {
        let name = job(migration, run, kind);
        assert_eq!(name, expected);
        assert!(name.len() <= NAME_CHARS_MAX, "{name} is too long for a label");
    }

    #[test]
    fn a_short_name_is_kept() {
        check("0001-add-price", 1, RunKind::DryRun, "0001-add-price-1-dry-run");
        check("0001-add-price", 12, RunKind::Apply, "0001-add-price-12-apply");
        check("0001-add-price", 3, RunKind::Restore, "0001-add-price-3-restore");
        check("0001-add-price", 4, RunKind::RestorePreview, "0001-add-price-4-restore-preview");
    }

    #[test]
    fn names_that_would_collide_are_told_apart_by_a_hash() {
        assert_ne!(job("a.b", 1, RunKind::Apply), job("a-b", 1, RunKind::Apply));
        let long = "x".repeat(60);
        assert_ne!(
            job(&format!("{long}1"), 1, RunKind::Apply),
            job(&format!("{long}2"), 1, RunKind::Apply)
        );
    }

    #[test]
    fn the_end_of_a_run_is_noted_by_a_job_of_its_name() {
        assert_eq!(record(&job("0001-add-price", 2, RunKind::Apply)), "0001-add-price-2-record");
    }

    #[test]
    fn the_longest_name_fits_a_label() {
        for kind in [RunKind::DryRun, RunKind::Apply, RunKind::RestorePreview, RunKind::Restore] {
            assert!(job(&"x".repeat(63), u32::MAX, kind).len() <= NAME_CHARS_MAX);
        }
    }
}
