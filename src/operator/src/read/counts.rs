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
/// A transform that lost its pod continues in another one. With an archive, the guard of that pod
/// takes up what those before it counted, so the last result is that of all of them. Without one it
/// scans again and only its own changes are new. A dry run starts over, and so does a program: its
/// last pod counts.
pub fn of_part(record: &RunRecord, part: &PartPods<'_>, progress: Option<GuardResult>) -> Counted {
    let began: Vec<&Pod> =
        part.pods.iter().copied().filter(|pod| view::may_have_started(pod)).collect();
    let Some(last) = began.last() else {
        let result = part.last().and_then(view::guard_result);
        return Counted { result, is_whole: true };
    };
    let said: Vec<Option<GuardResult>> = began.iter().map(|pod| view::guard_result(pod)).collect();
    let progress = progress.filter(|_| view::program_end(last).is_none());
    let is_transform = record.parts() > 1
        || said.iter().chain([&progress]).flatten().any(|result| result.transform.is_some());
    let at_last = said.last().cloned().flatten().or(progress);
    let earlier = &said[..said.len() - 1];
    if record.kind != RunKind::Apply || !is_transform || earlier.is_empty() {
        return Counted { is_whole: at_last.is_some(), result: at_last };
    }
    match at_last {
        Some(last) if last.continued.is_some() => Counted { result: Some(last), is_whole: true },
        Some(last) if last.journal.is_none() => {
            let is_whole = earlier.iter().all(Option::is_some);
            let result = Some(scanned_again(earlier.iter().flatten().cloned().collect(), last));
            Counted { result, is_whole }
        }
        // It has not taken up yet what the guards before it counted, or was killed.
        at_last => {
            let known = earlier.iter().rev().flatten().next().cloned();
            Counted { result: known.or(at_last), is_whole: false }
        }
    }
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

/// Returns what guards counted one after the other, each of which scanned from the first item. The
/// last one met what the others had changed as unchanged; it visited failed items again.
fn scanned_again(earlier: Vec<GuardResult>, last: GuardResult) -> GuardResult {
    let said = last.clone();
    let counts = earlier.into_iter().map(|result| GuardResult {
        problem: None,
        outages: Vec::new(),
        gave_way: None,
        ..result
    });
    let Some(mut sum) = merged(counts.chain([last]).collect()) else { return said };
    for table in &mut sum.tables {
        let at_last = said.tables.iter().find(|other| other.name == table.name);
        table.items_read = at_last.map_or(0, |table| table.items_read);
    }
    let transform = match (sum.transform, said.transform) {
        (Some(sum), Some(last)) => {
            let before = sum.changed.saturating_sub(last.changed);
            let unchanged = last.unchanged.saturating_sub(before);
            Some(TransformResult { changed: sum.changed, unchanged, ..last })
        }
        (sum, last) => last.or(sum),
    };
    GuardResult {
        items_read: said.items_read,
        problem: said.problem,
        outages: said.outages,
        gave_way: said.gave_way,
        locked: said.locked,
        database: said.database,
        part: said.part,
        transform,
        ..sum
    }
}

#[cfg(test)]
mod tests;
