//! Why a run that has its Job is given up: another one is wanted. Pure.

use dm_api::status::{RunKind, RunRecord};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use crate::decide::outcome::StopReason;
use crate::decide::situation::Situation;
use crate::history;
use crate::objects::{SETTINGS_DIGEST_ANNOTATION, image};
use crate::read::view::{self, RunObjects};

/// Returns why the run is given up, if it is.
pub fn reason(
    situation: Situation<'_>,
    record: &RunRecord,
    job: &Job,
    started: bool,
) -> Option<StopReason> {
    if is_superseded(situation, record, job, started) {
        return Some(StopReason::Superseded);
    }
    is_another_image(record, situation.objects).then_some(StopReason::ImageChanged)
}

/// Whether an apply runs another image than its dry run: its Job could not be pinned to that one.
fn is_another_image(record: &RunRecord, objects: RunObjects<'_>) -> bool {
    let tried = record.image_id.as_deref().filter(|_| record.kind == RunKind::Apply);
    let mut running = objects.pods.iter().filter_map(|pod| view::program_image(pod));
    tried.is_some_and(|tried| running.any(|runs| image::differs(tried, runs)))
}

/// Whether another run is wanted and this one may be given up for it: a run that writes only before
/// its program started, a dry run and a preview at any time. Other settings of the same program
/// (its pod's, its limits, its target's credentials), and another image of ours, matter only as
/// long as it has not started.
fn is_superseded(situation: Situation<'_>, record: &RunRecord, job: &Job, started: bool) -> bool {
    let other_program =
        situation.runnable.is_ok_and(|runnable| runnable.digest != record.program_digest);
    let other_kind = history::kind_wanted(situation.migration) != record.kind;
    let settings = job.annotations().get(SETTINGS_DIGEST_ANNOTATION);
    let other_settings = settings.is_some_and(|digest| {
        situation.runnable.is_ok_and(|runnable| runnable.settings_digest != *digest)
    });
    let other_image =
        view::agent_image(job).is_some_and(|image| image != situation.settings.agent_image);
    let other_settings = other_settings || other_image;
    match record.kind {
        RunKind::Apply | RunKind::Restore => {
            !started && (other_program || other_settings || other_kind)
        }
        // A promotion in the middle of a dry run waits for its result.
        RunKind::DryRun | RunKind::RestorePreview => {
            let other_state =
                history::kind_wanted(situation.migration).restores() != record.kind.restores();
            other_state || other_program || (!started && other_settings)
        }
    }
}
