//! What status reports of a run that is split among pods, in addition to that of any run. Pure.

use dm_api::condition::Reason;
use dm_api::status::RunRecord;
use dm_contract::verdict::Verdict;
use k8s_openapi::api::core::v1::Pod;

use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::decide::{adjust, ledger, outcome, queue};
use crate::objects::share;
use crate::read::indexes::{self, PartPods};
use crate::read::view::{self, Obstacle, RunObjects};

/// Returns why a pod of the run does not start. Of several, one that needs a person comes first.
pub fn obstacle(situation: Situation<'_>, record: &RunRecord) -> Option<Obstacle> {
    let objects = situation.objects;
    if record.parts() == 1 || objects.pods.is_empty() {
        let obstacle = view::obstacle(objects, situation.now);
        return obstacle.or_else(|| refused(situation, record, objects.pods));
    }
    let parts = indexes::parts(record, objects.pods);
    let of_part = |part: &PartPods<'_>| {
        let pods = RunObjects { pods: &part.pods, ..objects };
        let obstacle = view::obstacle(pods, situation.now);
        let obstacle = obstacle.or_else(|| refused(situation, record, &part.pods))?;
        let message = format!("part {}: {}", part.index, obstacle.message);
        Some(Obstacle { message, ..obstacle })
    };
    let all: Vec<Obstacle> = parts.iter().filter_map(of_part).collect();
    let grave = all.iter().find(|obstacle| needs_a_person(obstacle));
    grave.or(all.first()).cloned()
}

/// Returns why the ledger refused the last of these pods that asked it, if the next one may hear
/// something else: the Job of a transform replaces such a pod.
fn refused(situation: Situation<'_>, record: &RunRecord, pods: &[&Pod]) -> Option<Obstacle> {
    if situation.migration.spec.transform.is_none() || record.kind.restores() {
        return None;
    }
    let verdict = pods.iter().rev().find_map(|pod| view::ledger_verdict(pod))?;
    match verdict {
        Verdict::Unavailable { .. } | Verdict::Unreachable { .. } => Some(Obstacle {
            reason: ledger::reason(&verdict),
            message: format!("{}; another pod retries", ledger::why(&verdict)),
        }),
        Verdict::Go
        | Verdict::Adopt(_)
        | Verdict::Unknown(_)
        | Verdict::Renumber { .. }
        | Verdict::Locked(_)
        | Verdict::Differs(_) => None,
    }
}

/// Whether an obstacle stays until a person acts.
pub fn needs_a_person(obstacle: &Obstacle) -> bool {
    obstacle.reason != Reason::Starting && !queue::is_outage(obstacle.reason)
}

/// Adds to the position of a run under way how many of its pods have ended, which parts have
/// failed, which one cannot start, whose guards do not answer, and which limit is exceeded.
pub fn add_details(
    position: &mut Position,
    situation: Situation<'_>,
    record: &RunRecord,
    obstacle: Option<&Obstacle>,
) {
    let parts = indexes::parts(record, situation.objects.pods);
    let given_up = indexes::given_up(situation.objects.job, record.parts());
    let mut message = position.message.clone();
    if record.parts() > 1 {
        let has_ended =
            |part: &&PartPods<'_>| part.has_ended_well() || given_up.contains(&part.index);
        let ended = parts.iter().filter(has_ended).count();
        message = format!("{message}; {ended} of {} pods have ended", record.parts());
    }
    match parts.iter().map(|part| part.pods.len().saturating_sub(1)).sum::<usize>() {
        0 => {}
        1 => message.push_str(", 1 pod was replaced"),
        many => message = format!("{message}, {many} pods were replaced"),
    }
    let silent = silent(situation).filter(|_| record.parts() > 1);
    let notes = [
        failed(situation, record, &parts, &given_up),
        silent.map(|silent| format!("{silent}, so counts may be missing")),
        exceeded(situation, record),
        obstacle.map(|obstacle| format!("Waiting: {}", obstacle.message)),
    ];
    for note in notes.into_iter().flatten() {
        message = format!("{message}. {note}");
    }
    if let Some(obstacle) = obstacle.filter(|obstacle| needs_a_person(obstacle)) {
        let runs = |pod: &&Pod| view::program_started(pod).is_some() && !view::pod_is_over(pod);
        // Nothing else is under way: a person must act.
        if !situation.objects.pods.iter().any(runs) {
            position.standing = Standing::Stalled;
            position.reason = obstacle.reason;
        }
    }
    position.message = outcome::bounded(message);
}

/// Names the parts that have failed for good while others still run, each with its reason.
fn failed(
    situation: Situation<'_>,
    record: &RunRecord,
    parts: &[PartPods<'_>],
    given_up: &[u32],
) -> Option<String> {
    let parts = parts.iter().filter(|part| given_up.contains(&part.index));
    let named = |part: &PartPods<'_>| {
        let reason = outcome::reason_of_part(record, situation.objects, part);
        format!("{} ({reason})", part.index)
    };
    let named: Vec<String> = parts.map(named).collect();
    let who = match named.as_slice() {
        [] => return None,
        [one] => format!("Part {one} has failed"),
        several => format!("Parts {} have failed", several.join(", ")),
    };
    Some(format!("{who}, so the run fails when the other pods have ended"))
}

/// Names a limit that was lowered during the run below the number of its pods, which cannot share
/// it.
fn exceeded(situation: Situation<'_>, record: &RunRecord) -> Option<String> {
    let parts = record.parts();
    let (limit, field) = share::too_low(&adjust::limits(situation, record)?, parts)?;
    Some(format!(
        "{field} is {limit}, but the run continues at {parts} per second, because each of its \
         {parts} pods needs at least 1. To stop it, set spec.suspend to true"
    ))
}

/// Names the parts that a pause has not reached.
pub fn unpaused(situation: Situation<'_>, record: &RunRecord) -> Option<String> {
    let silent = silent(situation)
        .map(|silent| format!("{silent}, so what runs there continues. The operator retries"));
    let waiting = match situation.answers.waiting.as_slice() {
        [] => None,
        _ if record.parts() == 1 => {
            Some("The run has no running pod; its next one is paused when it starts".to_owned())
        }
        [one] => {
            Some(format!("Part {one} has no running pod; its next one is paused when it starts"))
        }
        several => Some(format!(
            "Parts {} have no running pods; each is paused when it starts",
            numbers(several)
        )),
    };
    match (silent, waiting) {
        (Some(silent), Some(waiting)) => Some(format!("{silent}. {waiting}")),
        (silent, waiting) => silent.or(waiting),
    }
}

/// Names the parts whose guards do not answer.
fn silent(situation: Situation<'_>) -> Option<String> {
    match situation.answers.silent.as_slice() {
        [] => None,
        [one] => Some(format!("The guard of part {one} does not answer")),
        several => Some(format!("The guards of parts {} do not answer", numbers(several))),
    }
}

/// The numbers of parts, in order. Three or more that follow each other are a range.
fn numbers(parts: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for part in parts {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *part => *last = *part,
            _ => ranges.push((*part, *part)),
        }
    }
    let text = |(first, last): (u32, u32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(", ")
}
