//! The next status of a migration: the only place where one is made. Pure.

mod effects;
pub mod events;
mod ledger;
mod restored;
mod time;

use dm_api::condition::{Reason, types};
use dm_api::status::{
    AppliedReport, DataMigrationStatus, DryRunReport, Failure, RunKind, RunRecord, RunResult,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::decide::baseline;
use crate::decide::decision::{Change, Decision};
use crate::decide::outcome::Outcome;
use crate::decide::outcome::unseen::LIKELY_CAUSES;
use crate::decide::position::{Position, Standing};
use crate::decide::recording;
use crate::decide::situation::Situation;
use crate::history;
use crate::limits;
use crate::objects::digest;
use crate::status::time::seconds;

/// Returns the status to write: what a decision records, and where the migration stands then.
pub fn next(situation: Situation<'_>, decision: &Decision) -> DataMigrationStatus {
    let mut status = recorded(situation, &decision.change);
    if let Some(position) = &decision.position {
        place(&mut status, situation, position);
    }
    status
}

/// Returns the status with what a change records of a run. Phase and conditions are those of
/// before.
pub fn recorded(situation: Situation<'_>, change: &Change) -> DataMigrationStatus {
    let mut status = situation.migration.status.clone().unwrap_or_default();
    status.observed_generation = situation.migration.metadata.generation;
    recording::note_recorded(&mut status, situation.recorders);
    let retry = situation.migration.spec.retry;
    recording::use_up_retry(&mut status, situation.recorders, retry);
    match change {
        Change::Nothing => {}
        Change::Begin(record) => {
            if record.kind.writes() {
                recording::accept_ledger(&mut status, situation.recorders);
            }
            begin(&mut status, record);
        }
        Change::Baseline(record) => {
            begin(&mut status, record);
            status.applied = Some(baseline::report(record));
        }
        Change::Launch { job_uid } => launch(&mut status, job_uid),
        Change::Suspend => restart(&mut status),
        Change::Follow { execution_time } => follow(&mut status, *execution_time),
        Change::Finish(outcome) => {
            count_retry(&mut status, retry);
            finish(&mut status, outcome, situation.now);
        }
        Change::Discard => discard(&mut status, situation.now),
        Change::GiveWay { reason, message } => {
            give_way(&mut status, *reason, message, situation.now);
        }
    }
    status
}

fn begin(status: &mut DataMigrationStatus, record: &RunRecord) {
    let restores = record.kind.restores();
    let mut record = record.clone();
    record.requested_at = seconds(record.requested_at.0);
    record.recorded_at = record.recorded_at.map(|time| seconds(time.0));
    // Withdrawn: what was said of an earlier time holds no more.
    status.applied = status.applied.take().filter(|applied| !applied.baseline);
    status.last_run = record.number;
    ledger::take_over(&mut status.runs);
    status.runs.insert(0, record);
    forget_old_runs(&mut status.runs);
    status.failure = None;
    // Of a restore they are in its report: these two are of the program.
    if !restores {
        status.execution_time = None;
        status.finalization_time = None;
    }
}

/// Keeps the newest runs; among them the last that was to apply the migration: without it a failed
/// one would be forgotten after ten dry runs, and run again unasked. And older ones whose changes
/// may be there, so that they can be restored.
fn forget_old_runs(runs: &mut Vec<RunRecord>) {
    let counts = |run: &RunRecord| {
        run.kind == RunKind::Apply && run.result != RunResult::Canceled && run.result.is_over()
    };
    let last_applying = runs.iter().position(counts);
    while runs.len() > limits::RUNS_MAX {
        let oldest =
            (1..runs.len()).rfind(|at| last_applying != Some(*at) && !history::is_open(&runs[*at]));
        let Some(oldest) = oldest else { break };
        runs.remove(oldest);
    }
    runs.truncate(limits::RUNS_HELD_MAX);
}

/// The first Job that is released is the only one of its run.
fn launch(status: &mut DataMigrationStatus, job_uid: &str) {
    if let Some(run) = status.runs.first_mut() {
        run.result = RunResult::Running;
        run.job_uid.get_or_insert_with(|| job_uid.to_owned());
    }
}

/// The program of a suspended dry run starts from the beginning. A restore continues where it was.
fn restart(status: &mut DataMigrationStatus) {
    let Some(run) = status.runs.first_mut() else { return };
    match run.kind {
        RunKind::DryRun | RunKind::Apply => {
            run.execution_time = None;
            status.execution_time = None;
        }
        RunKind::RestorePreview => run.execution_time = None,
        RunKind::Restore => {}
    }
}

fn follow(status: &mut DataMigrationStatus, execution_time: Option<Timestamp>) {
    if let Some(run) = status.runs.first_mut() {
        run.result = RunResult::Running;
        run.execution_time = execution_time.map(seconds);
        if !run.kind.restores() {
            status.execution_time.clone_from(&run.execution_time);
        }
    }
}

fn discard(status: &mut DataMigrationStatus, now: Timestamp) {
    if let Some(run) = status.runs.first_mut() {
        run.result = RunResult::Canceled;
        run.reason = Some(Reason::Superseded);
        run.recorded_at = Some(seconds(now));
    }
}

fn give_way(status: &mut DataMigrationStatus, reason: Reason, message: &str, now: Timestamp) {
    if let Some(run) = status.runs.first_mut() {
        run.result = RunResult::Canceled;
        run.reason = Some(reason);
        run.message = Some(message.to_owned());
        run.recorded_at = Some(seconds(now));
        run.waiting_since.get_or_insert_with(|| run.requested_at.clone());
    }
}

/// Whoever raised `spec.retry` before the outcome is in status did not know it.
fn count_retry(status: &mut DataMigrationStatus, retry: i64) {
    if let Some(run) = status.runs.first_mut() {
        run.retry = run.retry.max(retry);
    }
}

fn finish(status: &mut DataMigrationStatus, outcome: &Outcome, now: Timestamp) {
    let Some(run) = status.runs.first_mut() else { return };
    run.result = outcome.result;
    run.reason = Some(outcome.reason);
    run.execution_time = outcome.execution_time.map(seconds);
    run.finalization_time = outcome.finalization_time.map(seconds);
    run.recorded_at = Some(seconds(now));
    run.exit_code = outcome.exit_code;
    run.wrote_nothing = outcome.wrote_nothing;
    run.image_id = outcome.image_id.clone().or(run.image_id.take());
    run.log = outcome.kept(|archived| archived.log.as_ref());
    ledger::record_verdict(status, outcome);
    let Some(run) = status.runs.first().cloned() else { return };
    if outcome.result == RunResult::Canceled {
        if !run.kind.restores() {
            status.execution_time = None;
        }
        return;
    }
    if outcome.reason == Reason::Adopted {
        status.failure = None;
        return;
    }
    // Of a restore they are in its report: these two are of the program.
    if !run.kind.restores() {
        status.execution_time.clone_from(&run.execution_time);
        status.finalization_time.clone_from(&run.finalization_time);
    }
    match run.kind {
        RunKind::DryRun => status.dry_run = Some(dry_run_report(&run, outcome)),
        RunKind::Apply => status.applied = Some(applied_report(&run, outcome)),
        RunKind::RestorePreview => status.restore_preview = Some(restored::report(&run, outcome)),
        RunKind::Restore => {
            status.restored = Some(restored::report(&run, outcome));
            restored::mark_restored(status, &run);
        }
    }
    status.failure = (outcome.result != RunResult::Succeeded).then(|| Failure {
        reason: outcome.reason,
        message: outcome.message.clone(),
        last_lines: outcome.last_lines.clone(),
        what_now: outcome.what_now.clone(),
        log: run.log.clone(),
        run: run.number,
        exit_code: outcome.exit_code,
        signal: outcome.signal,
    });
}

fn dry_run_report(run: &RunRecord, outcome: &Outcome) -> DryRunReport {
    DryRunReport {
        run: run.number,
        result: outcome.result,
        execution_time: run.execution_time.clone(),
        finalization_time: run.finalization_time.clone(),
        idempotent: effects::idempotent(outcome),
        effects: outcome.guard.as_ref().map(effects::would_change),
        tried_on: outcome.guard.as_ref().and_then(effects::tried_on),
        program_digest: run.program_digest.clone(),
        digest: outcome
            .guard
            .as_ref()
            .map(|guard| digest::of_dry_run(&run.program_digest, &guard.effects_digest)),
        log: run.log.clone(),
        report: outcome.kept(|archived| archived.report.as_ref()),
    }
}

fn applied_report(run: &RunRecord, outcome: &Outcome) -> AppliedReport {
    AppliedReport {
        run: run.number,
        result: outcome.result,
        execution_time: run.execution_time.clone(),
        finalization_time: run.finalization_time.clone(),
        effects: outcome.guard.as_ref().map(effects::changed),
        program_digest: run.program_digest.clone(),
        digest: outcome
            .guard
            .as_ref()
            .filter(|guard| guard.journal.is_some())
            .map(|guard| digest::of_dry_run(&run.program_digest, &guard.effects_digest)),
        adopted_from: None,
        baseline: false,
        journaled: outcome.journaled(),
        log: run.log.clone(),
        report: outcome.kept(|archived| archived.report.as_ref()),
        restored_by: None,
    }
}

/// Phase, progress and conditions of a position.
fn place(status: &mut DataMigrationStatus, situation: Situation<'_>, position: &Position) {
    status.phase = Some(position.phase);
    status.progress = position.progress.text.is_some().then(|| position.progress.clone());
    let mut wanted = vec![(types::READY, position.standing == Standing::Ready, position)];
    match position.standing {
        Standing::Reconciling => wanted.push((types::RECONCILING, true, position)),
        Standing::Stalled => wanted.push((types::STALLED, true, position)),
        Standing::Ready | Standing::Resting => {}
    }
    let mut conditions: Vec<Condition> = wanted
        .into_iter()
        .map(|(type_, holds, position)| {
            condition(situation, type_, holds, position.reason, &position.message)
        })
        .collect();
    let archive = recording::condition(status, situation.recorders);
    for (type_, reason, message) in position.conditions.iter().chain(&archive) {
        conditions.push(condition(situation, type_, true, *reason, message));
    }
    if no_requests_seen(status) && !situation.migration.spec.expect_no_requests {
        let reason = Reason::NoRequestsSeen;
        let message = format!(
            "The program ended with exit code 0 and sent no request to the guard. \
                     {LIKELY_CAUSES}"
        );
        conditions.push(condition(situation, types::NO_REQUESTS_SEEN, true, reason, &message));
    }
    for new in &mut conditions {
        let same = status.conditions.iter().find(|old| old.type_ == new.type_);
        if let Some(old) = same.filter(|old| old.status == new.status) {
            new.last_transition_time = old.last_transition_time.clone();
        }
    }
    status.conditions = conditions;
}

fn condition(
    situation: Situation<'_>,
    type_: &str,
    holds: bool,
    reason: Reason,
    message: &str,
) -> Condition {
    Condition {
        type_: type_.into(),
        status: if holds { "True" } else { "False" }.into(),
        reason: reason.as_str().into(),
        message: message.into(),
        observed_generation: situation.migration.metadata.generation,
        last_transition_time: seconds(situation.now),
    }
}

/// Whether the last run that ended well sent the guard nothing.
fn no_requests_seen(status: &DataMigrationStatus) -> bool {
    let Some(run) = status.runs.iter().find(|run| run.result.is_over()) else { return false };
    let requests = match run.kind {
        RunKind::DryRun => status
            .dry_run
            .as_ref()
            .filter(|report| report.run == run.number)
            .and_then(|report| report.effects.as_ref().map(|effects| effects.requests)),
        RunKind::Apply => status
            .applied
            .as_ref()
            .filter(|report| report.run == run.number)
            .and_then(|report| report.effects.as_ref().map(|effects| effects.requests)),
        RunKind::RestorePreview | RunKind::Restore => None,
    };
    // One that crashed at once had no time for a request.
    let ended_well =
        run.result == RunResult::Succeeded || run.reason == Some(Reason::NoRequestsSeen);
    ended_well && run.execution_time.is_some() && requests == Some(0)
}

#[cfg(test)]
mod tests;
