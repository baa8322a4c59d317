//! What to do with a run that has its number and is not over. Pure.

use dm_api::condition::Reason;
use dm_api::status::{Phase, RunKind, RunRecord};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

use crate::decide::adjust::{self, Adjustment};
use crate::decide::decision::{Action, Change, Decision};
use crate::decide::outcome::{self, Outcome, StopReason};
use crate::decide::position::{Position, Standing};
use crate::decide::queue::{self, Place};
use crate::decide::situation::Situation;
use crate::decide::{deadline, rest, superseded, under_way};
use crate::history;
use crate::identified::Identified;
use crate::limits;
use crate::objects::{control, network};
use crate::read::indexes;
use crate::read::runs::answering;
use crate::read::view::{self, JobEnd};
use crate::runnable::Runnable;

/// Decides about the run under way. Its record counts every raise of `spec.retry` until now.
pub fn decide(situation: Situation<'_>, record: &RunRecord) -> Decision {
    if situation.is_terminating() {
        return stop_for_deletion(situation, record);
    }
    match situation.objects.job {
        Some(job) => with_job(situation, record, job),
        None => without_job(situation, record),
    }
}

fn stop_for_deletion(situation: Situation<'_>, record: &RunRecord) -> Decision {
    if situation.objects.job.is_none() && situation.objects.pods.is_empty() {
        return Decision::record(Change::Discard);
    }
    if let Some(outcome) = outcome_of(situation, record) {
        return finish(outcome);
    }
    let message = if situation.namespace_ends {
        "The namespace is being deleted; the run's program is being stopped"
    } else {
        "The migration is being deleted; its program is being stopped"
    };
    stop(situation, Some(StopReason::Terminating), rest::terminating(message.to_owned()))
}

fn with_job(situation: Situation<'_>, record: &RunRecord, job: &Identified<Job>) -> Decision {
    if let Some(position) = foreign(record, job) {
        return Decision::rest(position);
    }
    if let Some(outcome) = outcome_of(situation, record) {
        return finish(outcome);
    }
    let objects = situation.objects;
    let started = objects.pods.iter().filter_map(|pod| view::program_started(pod)).min();
    // What was seen once stays true when the pod that showed it is gone.
    let started = started.or(record.execution_time.as_ref().map(|time| time.0));
    let position = under_way::position(situation, record, started);
    if job.metadata.deletion_timestamp.is_some() {
        return stop(situation, None, position);
    }
    if let Some(reason) = superseded::reason(situation, record, job, started.is_some()) {
        return stop(situation, Some(reason), position);
    }
    let launched = record.job_uid.is_some();
    if !launched && !situation.is_complete {
        return incomplete(situation, record);
    }
    let suspended = view::is_suspended(job);
    let suspend = situation.migration.spec.suspend;
    if suspended && !launched && record.kind != RunKind::DryRun && !suspend {
        match queue_place(situation, record) {
            Place::First => {}
            Place::Wait(holder) => return Decision::rest(queue::after_another(&holder)),
            Place::GiveWay(holder) => return give_way(queue::after_another(&holder)),
        }
    }
    match (suspended, suspend, record.kind) {
        (true, false, _) => launch(situation, job, position),
        (false, true, RunKind::RestorePreview | RunKind::Restore) => pause(job, position),
        // One that starts at this very moment starts a second time later, which does no harm.
        (false, true, RunKind::DryRun) if started.is_none() => pause(job, position),
        // Here it would. A run that is stopped never starts again.
        (false, true, RunKind::Apply) if launched && started.is_none() => {
            stop(situation, Some(StopReason::Suspended), position)
        }
        (false, true, RunKind::DryRun | RunKind::Apply) | (false, false, _) | (true, true, _) => {
            follow(situation, record, started).at(position)
        }
    }
}

fn without_job(situation: Situation<'_>, record: &RunRecord) -> Decision {
    // A Job that was not launched has not started a program, whatever became of it.
    if record.job_uid.is_none() {
        return match situation.runnable {
            Ok(runnable)
                if runnable.digest == record.program_digest
                    && history::kind_wanted(situation.migration) == record.kind
                    && !situation.migration.spec.suspend =>
            {
                create(situation, record, runnable)
            }
            Ok(_) | Err(_) => Decision::record(Change::Discard),
        };
    }
    if situation.objects.pods.is_empty() {
        return finish(outcome::unknown(record));
    }
    match outcome_of(situation, record) {
        Some(outcome) => finish(outcome),
        None => stop(situation, None, under_way::position(situation, record, None)),
    }
}

/// The Job of a run exists, and this process has not created it: it is compared, and its copies are
/// created.
fn incomplete(situation: Situation<'_>, record: &RunRecord) -> Decision {
    match situation.runnable {
        Ok(runnable) => create(situation, record, runnable),
        // What cannot be compared is not launched.
        Err(problem) => Decision::rest(Position::new(
            Phase::Stalled,
            Standing::Stalled,
            problem.reason,
            problem.message.clone(),
        )),
    }
}

/// What is said of a Job with this migration as its owner that was started although its uid is not
/// in status: ours stays suspended until then. Status was edited, or somebody else created the Job.
fn foreign(record: &RunRecord, job: &Job) -> Option<Position> {
    let is_going = job.metadata.deletion_timestamp.is_some();
    let is_untouched = view::is_suspended(job) && view::job_end(job) == JobEnd::No;
    if record.job_uid.is_some() || is_going || is_untouched {
        return None;
    }
    let message = format!(
        "Job {} of run {} has been started, and status does not have it: status was edited, or \
         somebody else created the Job. No program is started. Wait until the Job has ended, then \
         delete it; if it is the run's own, its outcome is recorded, otherwise the run starts",
        record.job, record.number
    );
    Some(Position::new(Phase::Stalled, Standing::Stalled, Reason::NameTaken, message))
}

/// How the run ended, if its objects say that it is over.
fn outcome_of(situation: Situation<'_>, record: &RunRecord) -> Option<Outcome> {
    if may_get_a_pod(situation, record) {
        return None;
    }
    let outcome = outcome::of(record, situation.objects)?;
    let expected = situation.migration.spec.expect_no_requests;
    Some(outcome::unseen::complete(record, situation.objects, expected, outcome))
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

fn queue_place(situation: Situation<'_>, record: &RunRecord) -> Place {
    let at_once = situation.runnable.map_or(1, Runnable::runs_at_once);
    queue::place(situation.holders, situation.migration.name(), record, at_once)
}

/// Records how the run ended. Its objects are released with it.
fn finish(outcome: Outcome) -> Decision {
    Decision::record(Change::Finish(Box::new(outcome)))
}

fn give_way(position: Position) -> Decision {
    let (reason, message) = (position.reason, position.message.clone());
    Decision::record(Change::GiveWay { reason, message }).at(position)
}

fn create(situation: Situation<'_>, record: &RunRecord, runnable: &Runnable) -> Decision {
    let position = rest::refusal(situation).unwrap_or_else(|| under_way::starting(record));
    let run = situation.run().unwrap_or(record);
    let (run, runnable) = (Box::new(run.clone()), Box::new(runnable.clone()));
    Decision::rest(position).and_do(Action::CreateRun { run, runnable })
}

fn launch(situation: Situation<'_>, job: &Identified<Job>, position: Position) -> Decision {
    let (run, target) = (situation.run(), situation.target);
    let from = situation.settings.network_policy_from.as_deref();
    let policy = run.zip(target).zip(from).map(|((run, target), from)| {
        let credentials = target.spec.credentials_of(run.kind);
        Box::new(network::build(situation.migration, run, job, credentials, from))
    });
    Decision::record(Change::Launch { job_uid: job.uid().into() })
        .at(position)
        .and_do(Action::Launch { job: Box::new(job.clone()), policy })
}

/// Suspends the Job of a run that may start again.
fn pause(job: &Identified<Job>, position: Position) -> Decision {
    Decision::record(Change::Suspend).at(position).and_do(Action::Suspend(Box::new(job.clone())))
}

/// Stops the run's program, for a reason of ours unless somebody else has deleted its Job.
fn stop(situation: Situation<'_>, reason: Option<StopReason>, position: Position) -> Decision {
    let objects = situation.objects;
    let job = objects.job.cloned().map(Box::new);
    let pods = objects.pods.iter().map(|pod| (*pod).clone()).collect();
    Decision::rest(position).and_do(Action::Stop { job, pods, reason })
}

fn follow(
    situation: Situation<'_>,
    record: &RunRecord,
    execution_time: Option<Timestamp>,
) -> Decision {
    let adjustment = adjust::wanted(situation, record);
    let adjustment = adjustment.and_then(|to| adjust_guards(situation, record, to));
    let deadline = deadline::wanted(situation, record).zip(situation.objects.job);
    let deadline = deadline.map(|(to, job)| Action::SetDeadline { job: Box::new(job.clone()), to });
    Decision::record(Change::Follow { execution_time }).and_do(adjustment).and_do(deadline)
}

/// Sends an adjustment to the guards that answer.
fn adjust_guards(situation: Situation<'_>, record: &RunRecord, to: Adjustment) -> Option<Action> {
    let objects = situation.objects;
    let token = control::token_of(objects.job?)?.to_owned();
    let parts = indexes::parts(record, objects.pods);
    let pods = parts.iter().filter_map(answering).cloned().collect();
    Some(Action::Adjust { pods, token, to })
}
