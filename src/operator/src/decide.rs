//! What to do with a migration now: a pure function of what was observed. Progress is never an
//! error, and nothing here reads a clock or the cluster.

pub mod adjust;
pub mod again;
pub mod baseline;
mod begin;
mod checks;
pub mod deadline;
pub mod fresh;
pub mod ledger;
mod many_pods;
pub mod outcome;
pub mod position;
pub mod progress;
pub mod queue;
pub mod recording;
pub mod release;
pub mod rest;
pub mod restore;
mod situation;
pub mod source_change;
mod step;
pub mod summary;
pub mod under_way;

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase, RunKind, RunRecord};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use self::checks::Candidate;
use self::outcome::{Outcome, StopReason};
use self::position::{Position, Standing};
use self::queue::Turn;
pub use self::situation::Situation;
pub use self::step::Step;
use crate::history;
use crate::limits;
use crate::objects::SETTINGS_DIGEST_ANNOTATION;
use crate::objects::image;
use crate::read::indexes;
use crate::read::view::{self, JobEnd, RunObjects};
use crate::runnable::{Restoration, Runnable};

/// What to do now.
pub fn decide(situation: Situation<'_>) -> Step {
    let mut status = situation.migration.status.clone().unwrap_or_default();
    let retry = situation.migration.spec.retry;
    recording::use_up_retry(&mut status, situation.recorders, retry);
    let active = status.under_way().cloned();
    // What was raised by now was raised by somebody who did not know how the run ends.
    let active = active.map(|run| RunRecord { retry: run.retry.max(retry), ..run });
    let deleting = situation.migration.metadata.deletion_timestamp.is_some();
    match (active, deleting) {
        (Some(record), true) => stop_for_deletion(situation, &record),
        (None, true) => match recording::before_release(situation, &status) {
            Some(position) => Step::Rest(position),
            None => Step::Release,
        },
        (Some(record), false) => follow(situation, &record),
        (None, false) => idle(situation, &status),
    }
}

fn stop_for_deletion(situation: Situation<'_>, record: &RunRecord) -> Step {
    if situation.objects.job.is_none() && situation.objects.pods.is_empty() {
        return Step::Discard;
    }
    match outcome_of(situation, record) {
        Some(outcome) => Step::Finish(Box::new(outcome)),
        None => Step::Stop {
            reason: Some(StopReason::Terminating),
            position: Position::new(
                Phase::Terminating,
                Standing::Reconciling,
                Reason::Terminating,
                "The migration is being deleted; its program is being stopped".into(),
            ),
        },
    }
}

/// How the run ended, if its objects say that it is over.
fn outcome_of(situation: Situation<'_>, record: &RunRecord) -> Option<Outcome> {
    if may_get_a_pod(situation, record) {
        return None;
    }
    let outcome = outcome::of(record, situation.objects)?;
    let expected = situation.migration.spec.expect_no_requests;
    Some(outcome::unseen::complete(record, expected, outcome))
}

/// Whether the Job controller may still create a pod, as it had begun to when the run's Job was
/// deleted. Without one the run, or a part of it, looks as if nothing had started, which would be
/// final.
fn may_get_a_pod(situation: Situation<'_>, record: &RunRecord) -> bool {
    let deleted = situation.objects.job.and_then(|job| job.metadata.deletion_timestamp.as_ref());
    let is_recent =
        deleted.is_some_and(|at| situation.now.duration_since(at.0) < limits::LATE_POD_MAX);
    let parts = indexes::parts(record, situation.objects.pods);
    record.job_uid.is_some() && is_recent && parts.iter().any(|part| part.pods.is_empty())
}

/// A run has its number and is not over.
fn follow(situation: Situation<'_>, record: &RunRecord) -> Step {
    let objects = situation.objects;
    let Some(job) = objects.job else { return without_job(situation, record) };
    if let Some(position) = foreign(record, job) {
        return Step::Rest(position);
    }
    if let Some(outcome) = outcome_of(situation, record) {
        return Step::Finish(Box::new(outcome));
    }
    let started = objects.pods.iter().filter_map(|pod| view::program_started(pod)).min();
    // What was seen once stays true when the pod that showed it is gone.
    let started = started.or(record.execution_time.as_ref().map(|time| time.0));
    let launched = record.job_uid.is_some();
    let position = under_way::position(situation, record, started);
    if job.metadata.deletion_timestamp.is_some() {
        return Step::Stop { reason: None, position };
    }
    if is_superseded(situation, record, job, started.is_some()) {
        return Step::Stop { reason: Some(StopReason::Superseded), position };
    }
    if is_another_image(record, objects) {
        return Step::Stop { reason: Some(StopReason::ImageChanged), position };
    }
    if !launched && !situation.is_complete {
        return incomplete(situation, record);
    }
    let suspended = view::is_suspended(job);
    if suspended && !launched && record.kind != RunKind::DryRun && !situation.migration.spec.suspend
    {
        match turn(situation, record) {
            Turn::Ours => {}
            Turn::Wait(holder) => return Step::Rest(queue::after_another(&holder)),
            Turn::StepBack(holder) => return Step::GiveWay(queue::after_another(&holder)),
        }
    }
    match (suspended, situation.migration.spec.suspend, record.kind) {
        (true, false, _) => Step::Launch { job_uid: job.uid().into(), position },
        (false, true, RunKind::RestorePreview | RunKind::Restore) => Step::Suspend { position },
        // One that starts at this very moment starts a second time later, which does no harm.
        (false, true, RunKind::DryRun) if started.is_none() => Step::Suspend { position },
        // Here it would. A run that is stopped never starts again.
        (false, true, RunKind::Apply) if launched && started.is_none() => {
            Step::Stop { reason: Some(StopReason::Suspended), position }
        }
        (false, true, RunKind::DryRun | RunKind::Apply) | (false, false, _) | (true, true, _) => {
            let adjustment = adjust::wanted(situation, record);
            let deadline = deadline::wanted(situation, record);
            Step::Follow { position, execution_time: started, adjustment, deadline }
        }
    }
}

/// What is said of a Job that somebody else let go: ours stays suspended until its uid is in
/// status.
fn foreign(record: &RunRecord, job: &Job) -> Option<Position> {
    let is_going = job.metadata.deletion_timestamp.is_some();
    let is_untouched = view::is_suspended(job) && view::job_end(job) == JobEnd::No;
    if record.job_uid.is_some() || is_going || is_untouched {
        return None;
    }
    let message = format!(
        "Job {} has the name of run {} and was started by somebody else. Nothing was run. Delete it, and the \
         run starts",
        record.job, record.number
    );
    Some(Position::new(Phase::Stalled, Standing::Stalled, Reason::NameTaken, message))
}

/// The Job of a run exists, and this process has not created it: it is compared, and its copies are
/// created.
fn incomplete(situation: Situation<'_>, record: &RunRecord) -> Step {
    match situation.runnable {
        Ok(_) => {
            Step::Create(rest::refusal(situation).unwrap_or_else(|| under_way::starting(record)))
        }
        // What cannot be compared is not let go.
        Err(problem) => Step::Rest(Position::new(
            Phase::Stalled,
            Standing::Stalled,
            problem.reason,
            problem.message.clone(),
        )),
    }
}

fn without_job(situation: Situation<'_>, record: &RunRecord) -> Step {
    // A Job that was not let go has not started a program, whatever became of it.
    if record.job_uid.is_none() {
        return match situation.runnable {
            Ok(runnable)
                if runnable.digest == record.program_digest
                    && history::kind_wanted(situation.migration) == record.kind
                    && !situation.migration.spec.suspend =>
            {
                Step::Create(
                    rest::refusal(situation).unwrap_or_else(|| under_way::starting(record)),
                )
            }
            Ok(_) | Err(_) => Step::Discard,
        };
    }
    if situation.objects.pods.is_empty() {
        return Step::Finish(Box::new(outcome::unknown(record)));
    }
    match outcome_of(situation, record) {
        Some(outcome) => Step::Finish(Box::new(outcome)),
        None => Step::Stop { reason: None, position: under_way::position(situation, record, None) },
    }
}

/// Whether an apply runs another image than its dry run: its Job could not be pinned to that one.
pub fn is_another_image(record: &RunRecord, objects: RunObjects<'_>) -> bool {
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
    let other_image = view::agent_image(job).is_some_and(|image| image != situation.agent_image);
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

/// No run is under way.
fn idle(situation: Situation<'_>, status: &DataMigrationStatus) -> Step {
    if let Some(step) = baseline::step(situation, status) {
        return step;
    }
    let restoration = history::restoration_wanted(situation.migration);
    let applied = status.is_applied() && !history::is_baseline_withdrawn(situation.migration);
    match (restoration, &status.applied) {
        (None, Some(report)) if applied => {
            return Step::Rest(rest::applied(situation, report));
        }
        (Some(Restoration { run: None, .. }), _) => {
            return Step::Rest(restore::restored(status));
        }
        (None | Some(_), _) => {}
    }
    if situation.migration.spec.suspend {
        let mut position = Position::new(
            Phase::Suspended,
            Standing::Resting,
            Reason::Suspended,
            "Suspended by spec.suspend; nothing starts until it is false".into(),
        );
        position.set_text("paused by spec.suspend");
        position.conditions.push((types::PAUSED, Reason::Suspended, position.message.clone()));
        return Step::Rest(position);
    }
    let runnable = match situation.runnable {
        Ok(runnable) => runnable,
        Err(problem) => {
            return Step::Rest(Position::new(
                Phase::Stalled,
                Standing::Stalled,
                problem.reason,
                problem.message.clone(),
            ));
        }
    };
    let candidate = Candidate {
        situation,
        status,
        runnable,
        kind: history::kind_wanted(situation.migration),
        restoration,
    };
    checks::first_failed(candidate).map_or_else(|| begin::begin(candidate), Step::Rest)
}

fn turn(situation: Situation<'_>, record: &RunRecord) -> Turn {
    let at_once = situation.runnable.map_or(1, Runnable::runs_at_once);
    queue::turn(situation.holders, situation.migration.name(), record, at_once)
}

#[cfg(test)]
mod tests;
