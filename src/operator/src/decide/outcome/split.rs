//! How a run ended that was split among pods: from the ends of its parts. Pure.

use dm_api::condition::Reason;
use dm_api::status::{RunKind, RunRecord, RunResult};
use dm_contract::report::TransformEnd;
use dm_contract::verdict::Verdict;

use crate::decide::outcome::cause::Cause;
use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::words::bounded;
use crate::decide::outcome::{part, recorded};
use crate::read::counts;
use crate::read::indexes::{self, PartPods};
use crate::read::view::RunObjects;

/// How one part ended.
struct Ended<'a> {
    part: &'a PartPods<'a>,
    cause: Cause,
    outcome: Outcome,
    wrote_nothing: bool,
}

/// How much a part's end explains the end of the run. When a part fails, the Job controller deletes
/// the pods of the others: their end is a consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// What ended the whole run: the ledger, the deadline, a person.
    Run,
    /// The part failed by itself.
    Failed,
    /// Its pod was taken from it.
    Stopped,
    /// Its end is not known.
    Unknown,
    /// It did what it could.
    Partial,
    Well,
}

/// The end of the run.
pub(super) fn of(record: &RunRecord, objects: RunObjects<'_>) -> Outcome {
    let parts = indexes::parts(record, objects.pods);
    let ended: Vec<Ended<'_>> = parts.iter().map(|part| end_of(record, objects, part)).collect();
    // It has at least two parts.
    let first = |ended: &&Ended<'_>| (weight(ended), ended.outcome.finalization_time);
    let Some(blamed) = ended.iter().min_by_key(first) else { return part::unknown(record) };
    // The ledger has the success of all parts, whatever became of their pods since.
    let well = ended.iter().find(|ended| ended.cause == Cause::Success);
    let is_recorded = recorded::of(record, objects).is_some();
    let blamed = well.filter(|_| is_recorded).unwrap_or(blamed);
    let others_wrote =
        ended.iter().any(|other| other.part.index != blamed.part.index && !other.wrote_nothing);
    let cause = match &blamed.cause {
        // It is not the run that gave way if another part has written.
        Cause::GaveWay(verdict) if others_wrote => Cause::Refused(verdict.clone()),
        Cause::Ledger(verdict) if has_started(record, &ended) => Cause::Refused(verdict.clone()),
        cause => cause.clone(),
    };
    let mut outcome = together(record, &ended, blamed, &cause);
    outcome.wrote_nothing =
        record.kind == RunKind::Apply && ended.iter().all(|ended| ended.wrote_nothing);
    let mut outcome = part::complete(record, &cause, outcome);
    if outcome.result != RunResult::Succeeded && is_of_one(&cause, blamed) {
        outcome.message = bounded(format!("{}: {}", named(blamed.part), outcome.message));
    }
    outcome
}

/// Returns why a part failed that its Job does not replace, while others may still run.
pub fn reason_of_part(record: &RunRecord, objects: RunObjects<'_>, part: &PartPods<'_>) -> Reason {
    let Ended { cause, outcome, .. } = end_of(record, objects, part);
    part::complete(record, &cause, outcome).reason
}

/// Whether the program of any part has started, or may have.
fn has_started(record: &RunRecord, ended: &[Ended<'_>]) -> bool {
    record.execution_time.is_some() || ended.iter().any(|ended| ended.outcome.started)
}

fn end_of<'a>(record: &RunRecord, objects: RunObjects<'_>, part: &'a PartPods<'a>) -> Ended<'a> {
    let own = RunObjects { pods: &part.pods, ..objects };
    // Another part may have started first.
    let unseen = RunRecord { execution_time: None, ..record.clone() };
    let (cause, outcome) = part::end(&unseen, own);
    let wrote_nothing = part::wrote_nothing(own, &outcome);
    Ended { part, cause, outcome, wrote_nothing }
}

/// What all parts have together, with the end of the one that is to blame.
fn together(record: &RunRecord, ended: &[Ended<'_>], blamed: &Ended<'_>, cause: &Cause) -> Outcome {
    let times = |time: fn(&Outcome) -> Option<jiff::Timestamp>| {
        ended.iter().filter_map(move |ended| time(&ended.outcome))
    };
    let counted: Vec<_> =
        ended.iter().map(|ended| counts::of_part(record, ended.part, None)).collect();
    let is_whole = counted.iter().all(|counted| counted.is_whole && counted.result.is_some());
    let mut guard = counts::of_run(counted);
    let of_blamed = blamed.outcome.guard.as_ref().and_then(|guard| guard.transform.as_ref());
    let whole = guard.as_mut().and_then(|guard| guard.transform.as_mut());
    if let (Some(whole), Some(own)) = (whole, of_blamed) {
        whole.end = own.end;
        whole.message = own.message.clone().or(whole.message.take());
        whole.failures.sort_by_key(|failure| !own.failures.contains(failure));
    }
    // A success rests on the results of all parts.
    let guard = guard.filter(|_| is_whole || *cause != Cause::Success);
    let started = has_started(record, ended);
    // What one part has begun is begun. Before a program has started nothing is.
    let begun = ended.iter().find(|ended| ended.outcome.verdict == Some(Verdict::Go));
    let begun = begun.filter(|_| started);
    let known = record.execution_time.as_ref().map(|time| time.0);
    let (own, index) = (&blamed.outcome, blamed.part.index);
    let mut outcome = Outcome {
        reason: cause.reason(),
        started,
        execution_time: times(|outcome| outcome.execution_time).chain(known).min(),
        finalization_time: times(|outcome| outcome.finalization_time).max(),
        second_run: second_run(ended),
        verdict: begun.map_or_else(|| own.verdict.clone(), |begun| begun.outcome.verdict.clone()),
        image_id: ended.iter().find_map(|ended| ended.outcome.image_id.clone()),
        // The lines of one part count its items only.
        last_lines: own.last_lines.iter().map(|line| format!("part {index}: {line}")).collect(),
        guard,
        ..own.clone()
    };
    outcome.result = part::result(record.kind, cause, &outcome);
    outcome
}

/// That of a part whose second pass did not end well, else of any.
fn second_run(ended: &[Ended<'_>]) -> Option<dm_contract::report::SecondRun> {
    let all: Option<Vec<_>> = ended.iter().map(|ended| ended.outcome.second_run.as_ref()).collect();
    let all = all?;
    let failed = all.iter().find(|second| second.exit_code != Some(0));
    failed.or(all.first()).map(|second| (*second).clone())
}

fn weight(ended: &Ended<'_>) -> Weight {
    match &ended.cause {
        Cause::Success => Weight::Well,
        // The deadline ended the parts that had not ended before.
        Cause::Deadline(_) if ended.part.has_ended_well() => Weight::Well,
        Cause::Deadline(_)
        | Cause::Stopped(_)
        | Cause::JobDeleted
        | Cause::Ledger(_)
        | Cause::Refused(_)
        | Cause::GaveWay(_) => Weight::Run,
        Cause::ExitCode(_) if is_partial(ended) => Weight::Partial,
        // It was asked to stop, with its pod.
        Cause::ExitCode(_) if is_interrupted(ended) => Weight::Stopped,
        Cause::OutOfMemory
        | Cause::NotStarted(_)
        | Cause::Prepare(_)
        | Cause::Container(_)
        | Cause::ExitCode(_)
        | Cause::LeftRunning(_)
        | Cause::Guard(_) => Weight::Failed,
        Cause::Disruption(_) | Cause::PodDeleted | Cause::Signal(_) | Cause::Interrupted(_) => {
            Weight::Stopped
        }
        Cause::Gone => Weight::Unknown,
    }
}

fn is_partial(ended: &Ended<'_>) -> bool {
    end(ended) == Some(TransformEnd::PartiallyFailed)
}

fn is_interrupted(ended: &Ended<'_>) -> bool {
    end(ended) == Some(TransformEnd::Interrupted)
}

fn end(ended: &Ended<'_>) -> Option<TransformEnd> {
    Some(ended.outcome.guard.as_ref()?.transform.as_ref()?.end)
}

/// Whether the run ended because of one of its parts.
fn is_of_one(cause: &Cause, blamed: &Ended<'_>) -> bool {
    match cause {
        Cause::Success
        | Cause::Deadline(_)
        | Cause::Stopped(_)
        | Cause::JobDeleted
        | Cause::Ledger(_)
        | Cause::GaveWay(_) => false,
        Cause::ExitCode(_) => !is_partial(blamed),
        Cause::Disruption(_)
        | Cause::PodDeleted
        | Cause::OutOfMemory
        | Cause::NotStarted(_)
        | Cause::Prepare(_)
        | Cause::Container(_)
        | Cause::Signal(_)
        | Cause::Interrupted(_)
        | Cause::LeftRunning(_)
        | Cause::Guard(_)
        | Cause::Refused(_)
        | Cause::Gone => true,
    }
}

fn named(part: &PartPods<'_>) -> String {
    match part.last().and_then(|pod| pod.metadata.name.as_deref()) {
        Some(pod) => format!("Part {} (pod {pod})", part.index),
        None => format!("Part {} (no pod)", part.index),
    }
}

#[cfg(test)]
mod tests;
