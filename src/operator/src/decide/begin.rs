//! The run that begins. Pure.

use dm_api::status::{RunKind, RunRecord, RunResult};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::decide::checks::Candidate;
use crate::decide::ledger;
use crate::history;
use crate::objects::names;
use crate::runnable::Program;

/// Gives a run its number and its place in the history.
pub fn record(candidate: Candidate<'_>) -> RunRecord {
    let Candidate { situation, status, runnable, kind, restoration } = candidate;
    let number = status.last_run.saturating_add(1);
    let put_off = status.runs.first().filter(|run| ledger::is_put_off(run));
    let archive = runnable.target.spec.archive.as_ref().filter(|_| kind == RunKind::Apply);
    RunRecord {
        number,
        kind,
        result: RunResult::Starting,
        // Until this try is released, what held up the last one is what is known.
        reason: put_off.and_then(|run| run.reason),
        job: names::job(situation.migration.name(), number, kind),
        job_uid: None,
        retry: situation.migration.spec.retry,
        target: Some(situation.migration.spec.target.name.clone()),
        archive: archive.map(|archive| archive.url.clone()),
        wrote_nothing: false,
        adopted: None,
        restored_by: None,
        restores: restoration.and_then(|restoration| restoration.run),
        on_conflict: restoration.map(|restoration| restoration.on_conflict),
        parallelism: parts(candidate),
        program_digest: runnable.digest.clone(),
        execution_time: None,
        finalization_time: None,
        requested_at: Time(situation.now),
        recorded_at: None,
        exit_code: None,
        message: put_off.and_then(|run| run.message.clone()),
        waiting_since: put_off.and_then(|run| run.waiting_since.clone()),
        overrules: ledger::overrules(situation.migration, status, kind),
        accepted: situation.migration.spec.accept.clone(),
        archived: None,
        log: None,
        // The operator's own image carries out transforms, whichever it is.
        image_id: match runnable.program {
            Program::Transform { .. } => None,
            _ => history::image_tried(status, &runnable.digest, kind),
        },
    }
}

/// Among how many pods the run is split, if it is. A dry run that moves items is not: each pod sees
/// only its own writes, so two items that move to one key would both find it free.
fn parts(candidate: Candidate<'_>) -> Option<u32> {
    let Candidate { situation, runnable, kind, .. } = candidate;
    if !matches!(runnable.program, Program::Transform { .. }) {
        return None;
    }
    let spec = &situation.migration.spec;
    let moves = spec
        .transform
        .as_ref()
        .is_some_and(|source| !source.rekey.is_empty() || source.to.is_some());
    Some(spec.parallelism).filter(|parts| *parts > 1 && (kind == RunKind::Apply || !moves))
}
