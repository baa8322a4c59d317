//! What status reports of a run that is split among pods, in addition to that of any run. Pure.

use dm_api::condition::Reason;
use dm_api::status::RunRecord;
use k8s_openapi::api::core::v1::Pod;

use crate::decide::outcome;
use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::read::indexes::{self, PartPods};
use crate::read::view::{self, Obstacle, RunObjects};

/// Returns why a pod of the run does not start. Of several, one that needs a person comes first.
pub fn obstacle(situation: Situation<'_>, record: &RunRecord) -> Option<Obstacle> {
    let objects = situation.objects;
    if record.parts() == 1 || objects.pods.is_empty() {
        return view::obstacle(objects, situation.now);
    }
    let parts = indexes::parts(record, objects.pods);
    let of_part = |part: &PartPods<'_>| {
        let pods = RunObjects { pods: &part.pods, ..objects };
        let obstacle = view::obstacle(pods, situation.now)?;
        let message = format!("part {}: {}", part.index, obstacle.message);
        Some(Obstacle { message, ..obstacle })
    };
    let all: Vec<Obstacle> = parts.iter().filter_map(of_part).collect();
    let grave = all.iter().find(|obstacle| obstacle.reason != Reason::Starting);
    grave.or(all.first()).cloned()
}

/// Adds to the position of a run under way how many of its pods have ended, which one cannot start,
/// and whose guards do not answer.
pub fn note(
    position: &mut Position,
    situation: Situation<'_>,
    record: &RunRecord,
    obstacle: Option<&Obstacle>,
) {
    let parts = indexes::parts(record, situation.objects.pods);
    let mut message = position.message.clone();
    if record.parts() > 1 {
        let ended = parts.iter().filter(|part| part.has_ended_well()).count();
        message.push_str(&format!("; {ended} of {} pods have ended", record.parts()));
    }
    match parts.iter().map(|part| part.pods.len().saturating_sub(1)).sum::<usize>() {
        0 => {}
        1 => message.push_str(", 1 pod was replaced"),
        many => message.push_str(&format!(", {many} pods were replaced")),
    }
    if record.parts() > 1
        && let Some(silent) = silent(situation)
    {
        message.push_str(&format!(". {silent}, so counts may be missing"));
    }
    if let Some(obstacle) = obstacle {
        message.push_str(&format!(". Waiting: {}", obstacle.message));
        let runs = |pod: &&Pod| view::program_started(pod).is_some() && !view::pod_is_over(pod);
        // Nothing else is under way: a person must act.
        if obstacle.reason != Reason::Starting && !situation.objects.pods.iter().any(runs) {
            position.standing = Standing::Stalled;
            position.reason = obstacle.reason;
        }
    }
    position.message = outcome::bounded(message);
}

/// Names the parts whose guards do not answer.
pub fn silent(situation: Situation<'_>) -> Option<String> {
    match situation.answers.silent.as_slice() {
        [] => None,
        [one] => Some(format!("The guard of part {one} does not answer")),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Some(format!("The guards of parts {} do not answer", several.join(", ")))
        }
    }
}
