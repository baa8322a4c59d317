//! What to do with a migration now: a pure function of what was observed. Progress is never an
//! error, and nothing here reads a clock or the cluster.

pub mod adjust;
pub mod baseline;
pub mod deadline;
pub mod fresh;
pub mod ledger;
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
use dm_api::status::{DataMigrationStatus, Phase, RunKind, RunRecord, RunResult};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use self::outcome::{Outcome, StopReason};
use self::position::{Position, Standing};
use self::queue::Turn;
pub use self::situation::Situation;
pub use self::step::Step;
use crate::history;
use crate::objects::SETTINGS_DIGEST_ANNOTATION;
use crate::objects::{image, names};
use crate::read::view::{self, JobEnd, RunObjects};
use crate::runnable::{Program, Restoration, Runnable};

/// What to do now.
pub fn decide(situation: Situation<'_>) -> Step {
    let mut status = situation.migration.status.clone().unwrap_or_default();
    let retry = situation.migration.spec.retry;
    recording::use_up_retry(&mut status, situation.recorders, retry);
    let active = status.runs.first().filter(|run| !run.result.is_over()).cloned();
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
    let outcome = outcome::of(record, situation.objects)?;
    let expected = situation.migration.spec.expect_no_requests;
    Some(outcome::unseen::complete(record, expected, outcome))
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
    let started = objects.pods.iter().find_map(|pod| view::program_started(pod));
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
    let suspended = is_suspended(job);
    if suspended && !launched && record.kind != RunKind::DryRun && !situation.migration.spec.suspend
    {
        match turn(situation, record) {
            Turn::Ours => {}
            Turn::Wait(holder) => return Step::Rest(queue::after_another(&holder)),
            Turn::StepBack(holder) => return Step::GiveWay(queue::after_another(&holder)),
        }
    }
    match (suspended, situation.migration.spec.suspend, record.kind) {
        (true, false, _) => {
            Step::Launch { job_uid: job.metadata.uid.clone().unwrap_or_default(), position }
        }
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

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false)
}

/// What is said of a Job that somebody else let go: ours stays suspended until its uid is in status.
fn foreign(record: &RunRecord, job: &Job) -> Option<Position> {
    let is_going = job.metadata.deletion_timestamp.is_some();
    let is_untouched = is_suspended(job) && view::job_end(job) == JobEnd::No;
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

/// The Job of a run exists, and this process has not created it: it is compared, and its copies are created.
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

/// Whether another run is wanted and this one may be given up for it: a run that writes only
/// before its program started, a dry run and a preview at any time. Other settings of the same program (its
/// pod's, its limits, its target's credentials), and another image of ours, matter only as long as it has
/// not started.
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
    let kind = history::kind_wanted(situation.migration);
    let rest = match restoration {
        // A mistake is taken back at once, whatever it waited for when it was made.
        Some(restoration) => {
            let dry_run_first = runnable.target.spec.policy.dry_run_first;
            restore::settled(situation.migration, restoration, &runnable.digest, dry_run_first)
        }
        None => restore::incomplete(situation.migration)
            .or_else(|| settled(situation, status, runnable, kind))
            .or_else(|| waiting(situation)),
    };
    rest.or_else(|| held(situation, status, kind))
        .map_or_else(|| begin(situation, status, runnable, kind), Step::Rest)
}

/// What holds up a run that writes: the archive, which has not been told yet how the last one ended
/// or has put it off, and other migrations of the target.
fn held(situation: Situation<'_>, status: &DataMigrationStatus, kind: RunKind) -> Option<Position> {
    if !kind.writes() {
        return None;
    }
    let at_once = situation.runnable.map_or(1, Runnable::runs_at_once);
    recording::before_begin(situation, status)
        .or_else(|| queue::put_off(situation, status))
        .or_else(|| {
            let full = situation.holders.len() >= at_once;
            situation.holders.first().filter(|_| full).map(queue::after_another)
        })
}

fn turn(situation: Situation<'_>, record: &RunRecord) -> Turn {
    let at_once = situation.runnable.map_or(1, Runnable::runs_at_once);
    let name = situation.migration.metadata.name.as_deref().unwrap_or_default();
    queue::turn(situation.holders, name, record, at_once)
}

/// Whether earlier runs already answer what the spec asks for.
fn settled(
    situation: Situation<'_>,
    status: &DataMigrationStatus,
    runnable: &Runnable,
    kind: RunKind,
) -> Option<Position> {
    let counts =
        |run: &&RunRecord| run.result != RunResult::Cancelled && !history::is_baseline(run);
    let last = |kind| status.runs.iter().filter(counts).find(|run| run.kind == kind);
    let spec = &situation.migration.spec;
    let excused =
        |run: &RunRecord| spec.expect_no_requests && run.reason == Some(Reason::NoRequestsSeen);
    let raised = |run: &RunRecord| spec.retry > run.retry || excused(run);
    // What was tried before a restore was tried on other data.
    let restored = last(RunKind::Restore).map_or(0, |run| run.number);
    let dry_run = last(RunKind::DryRun)
        .filter(|run| run.program_digest == runnable.digest && run.number > restored);
    match kind {
        // `restoring` says where these come to rest.
        RunKind::RestorePreview | RunKind::Restore => None,
        RunKind::DryRun => {
            let run = dry_run.filter(|run| !raised(run))?;
            Some(if run.result == RunResult::Succeeded {
                rest::awaiting_promotion(status)
            } else {
                rest::failed(status, run)
            })
        }
        RunKind::Apply => {
            let applied = last(RunKind::Apply).filter(|run| run.restored_by.is_none());
            let again = |run: &RunRecord| {
                raised(run) || ledger::is_reconsidered(situation.migration, &runnable.digest, run)
            };
            if let Some(run) = applied.filter(|run| !again(run)) {
                let mut position = rest::failed(status, run);
                source_change::note(&mut position, situation, &run.program_digest);
                return Some(position);
            }
            match dry_run {
                Some(run) if run.result == RunResult::Succeeded => None,
                Some(run) if !raised(run) => Some(rest::failed_dry_run(run)),
                Some(_) | None if runnable.target.spec.policy.dry_run_first => Some(Position::new(
                    Phase::Stalled,
                    Standing::Stalled,
                    Reason::DryRunRequired,
                    format!(
                        "Target {} wants a dry run of just this program to succeed first \
                         (policy.dryRunFirst). Set spec.dryRun to true, look at its result, then set it \
                         to false",
                        situation.migration.spec.target.name
                    ),
                )),
                Some(_) | None => None,
            }
        }
    }
}

/// What has to happen first, other than by this migration's own runs.
fn waiting(situation: Situation<'_>) -> Option<Position> {
    let spec = &situation.migration.spec;
    if let Some(cycle) = &situation.dependencies.cycle {
        return Some(Position::new(
            Phase::Stalled,
            Standing::Stalled,
            Reason::DependencyCycle,
            format!(
                "spec.dependsOn: these migrations wait for each other: {}. Remove one of the \
                 dependencies",
                cycle.join(" → ")
            ),
        ));
    }
    if let Some(start) = spec.start_at.as_ref().filter(|start| start.0 > situation.now) {
        let time = start.0.strftime("%Y-%m-%dT%H:%M:%SZ");
        let mut position = Position::new(
            Phase::Waiting,
            Standing::Reconciling,
            Reason::WaitingForStart,
            format!("Waiting until {time}, as spec.startAt says"),
        );
        position.set_text(&format!("waiting until {time}"));
        position.next = Some(start.0);
        position.conditions.push((
            types::WAITING_FOR_START,
            Reason::WaitingForStart,
            position.message.clone(),
        ));
        return Some(position);
    }
    let waits = situation.dependencies.waits_for.first()?;
    let mut position = Position::new(
        Phase::Waiting,
        Standing::Reconciling,
        Reason::WaitingForDependency,
        format!("Waiting for {waits}, as spec.dependsOn says"),
    );
    position.set_text(&format!("waiting for {}", waits.name));
    position.conditions.push((
        types::WAITING_FOR_DEPENDENCY,
        Reason::WaitingForDependency,
        position.message.clone(),
    ));
    Some(position)
}

fn begin(
    situation: Situation<'_>,
    status: &DataMigrationStatus,
    runnable: &Runnable,
    kind: RunKind,
) -> Step {
    let number = status.last_run + 1;
    let put_off = status.runs.first().filter(|run| ledger::is_put_off(run));
    let restoration = history::restoration_wanted(situation.migration);
    let archive = runnable.target.spec.archive.as_ref().filter(|_| kind == RunKind::Apply);
    let name = situation.migration.metadata.name.as_deref().unwrap_or_default();
    let record = RunRecord {
        number,
        kind,
        result: RunResult::Starting,
        // Until this try is let go, what held up the last one is what is known.
        reason: put_off.and_then(|run| run.reason),
        job: names::job(name, number, kind),
        job_uid: None,
        retry: situation.migration.spec.retry,
        target: Some(situation.migration.spec.target.name.clone()),
        archive: archive.map(|archive| archive.url.clone()),
        wrote_nothing: false,
        adopted: None,
        restored_by: None,
        restores: restoration.and_then(|restoration| restoration.run),
        on_conflict: restoration.map(|restoration| restoration.on_conflict),
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
    };
    Step::Begin { position: under_way::starting(&record), record: Box::new(record) }
}

#[cfg(test)]
mod tests;
