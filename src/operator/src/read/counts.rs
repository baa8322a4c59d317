//! What the guards of a run counted, all of its pods together. Pure.

use dm_api::status::{RunKind, RunRecord};
use dm_contract::report::{GuardResult, TransformResult, merged};
use k8s_openapi::api::core::v1::Pod;

use crate::read::indexes::PartPods;
use crate::read::view;

/// What the guards of one part counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// The counts, if any guard reported some.
    pub result: Option<GuardResult>,
    /// Whether each pod whose counts matter has reported them.
    pub is_whole: bool,
}

/// Returns the counts of a part. `progress` is what the guard of its running pod answers.
///
/// A transform that lost its pod continues in another one, whose guard counts from there, so an
/// apply adds them up. A dry run starts over, and so does a program: its last pod counts.
pub fn of_part(record: &RunRecord, part: &PartPods<'_>, progress: Option<GuardResult>) -> Counted {
    let began: Vec<&Pod> =
        part.pods.iter().copied().filter(|pod| view::may_have_started(pod)).collect();
    let Some(last) = began.last() else {
        let result = part.last().and_then(view::guard_result);
        return Counted { result, is_whole: true };
    };
    let said: Vec<Option<GuardResult>> = began.iter().map(|pod| view::guard_result(pod)).collect();
    let is_transform = record.parts() > 1
        || said.iter().chain([&progress]).flatten().any(|result| result.transform.is_some());
    let adds_up = record.kind == RunKind::Apply && is_transform;
    let progress = progress.filter(|_| view::program_end(last).is_none());
    let from = if adds_up { 0 } else { said.len() - 1 };
    let at_last = said.last().cloned().flatten().or(progress);
    let earlier = &said[from..said.len() - 1];
    let is_whole = at_last.is_some() && earlier.iter().all(Option::is_some);
    let mut all: Vec<GuardResult> = earlier.iter().flatten().cloned().collect();
    all.extend(at_last);
    let result = all.pop().map(|last| continued(all, last));
    Counted { result, is_whole }
}

/// Returns the counts of all parts together. Of parts without a result it reports a problem: the
/// counts are a lower bound.
pub fn of_run(counted: Vec<Counted>) -> Option<GuardResult> {
    let is_split = counted.len() > 1;
    let missing = counted.iter().filter(|part| !part.is_whole).count();
    let mut results: Vec<GuardResult> =
        counted.into_iter().filter_map(|counted| counted.result).collect();
    if !is_split {
        return results.pop();
    }
    let mut whole = merged(results)?;
    if let Some(archived) = whole.archived.as_mut().filter(|_| missing > 0) {
        archived.completed = None;
    }
    if missing > 0 && whole.problem.is_none() {
        whole.problem = Some(format!("the guards of {missing} parts left no result"));
    }
    Some(whole)
}

/// What a part's guards counted one after the other. The end, and what holds now, are those of the
/// last one. It visits failed items again, so it has all of them.
fn continued(earlier: Vec<GuardResult>, last: GuardResult) -> GuardResult {
    if earlier.is_empty() {
        return last;
    }
    let said = last.clone();
    let counts = earlier.into_iter().map(|result| GuardResult {
        problem: None,
        outages: Vec::new(),
        archived: None,
        gave_way: None,
        ..result
    });
    let Some(sum) = merged(counts.chain([last]).collect()) else { return said };
    let transform = match (sum.transform, said.transform) {
        (Some(sum), Some(last)) => Some(TransformResult {
            end: last.end,
            message: last.message,
            failed: last.failed,
            failures: last.failures,
            ..sum
        }),
        (sum, last) => last.or(sum),
    };
    GuardResult {
        problem: said.problem,
        outages: said.outages,
        archived: said.archived,
        gave_way: said.gave_way,
        locked: said.locked,
        database: said.database,
        part: said.part,
        transform,
        ..sum
    }
}
