//! Where a migration stands while a run is under way. Pure; it decides nothing.

use dm_api::condition::{Reason, types};
use dm_api::status::{Phase, Progress, RunKind, RunRecord, TableChanged};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

use crate::decide::pauses::Pauses;
use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::decide::{adjust, many_pods, outcome, progress, queue, source_change, summary};
use crate::identified::Identified;
use crate::read::view::{self, Obstacle};

/// A run has its number, and its objects or its pod are being created.
pub fn starting(record: &RunRecord) -> Position {
    let mut position = Position::new(
        phase_under_way(record.kind),
        Standing::Reconciling,
        Reason::Starting,
        format!("Run {} is starting as Job {}", record.number, record.job),
    );
    position.set_text("starting");
    position
}

/// A run's Job exists.
pub fn position(
    situation: Situation<'_>,
    record: &RunRecord,
    started: Option<Timestamp>,
) -> Position {
    let answers = situation.answers;
    let obstacle = many_pods::obstacle(situation, record);
    let put_off = queue::waiting(record).filter(|_| started.is_none() && obstacle.is_none());
    let pauses = started.map(|started| (started, Pauses::of(situation, record, started)));
    let mut position = match (pauses, &obstacle) {
        (Some((started, pauses)), _) => {
            let counted_from = pauses.after(started, situation.now);
            running(situation, record, counted_from, obstacle.as_ref())
        }
        (None, Some(obstacle)) => held_up(record, obstacle),
        // A try after one that was put off has nothing new to say until it is let through.
        (None, None) => put_off.unwrap_or_else(|| starting(record)),
    };
    throttled(&mut position, situation);
    let outages = answers.guard.iter();
    position.conditions.extend(outages.flat_map(|g| outcome::outage::conditions(record.kind, g)));
    let is_going = |job: &Identified<Job>| job.metadata.deletion_timestamp.is_some();
    if situation.objects.job.is_some_and(is_going) {
        position.message =
            format!("Run {} is being stopped: its Job {} is deleted", record.number, record.job);
    } else if situation.migration.spec.suspend {
        suspended(&mut position, situation, record, started.is_some());
    }
    if let Some((_, pauses)) = pauses {
        let is_paused = position.phase == Phase::Suspended;
        position.progress.paused_seconds = pauses.recorded(is_paused);
    }
    source_change::add_condition(&mut position, situation, &record.program_digest);
    position
}

/// A run's program has started. Its rate counts from this time.
fn running(
    situation: Situation<'_>,
    record: &RunRecord,
    counted_from: Timestamp,
    obstacle: Option<&Obstacle>,
) -> Position {
    let answers = situation.answers;
    let mut position = starting(record);
    position.reason = Reason::Running;
    position.message = format!("Run {} is running as Job {}", record.number, record.job);
    position.set_text("running");
    many_pods::add_details(&mut position, situation, record, obstacle);
    if let Err(problem) = situation.runnable {
        position.message = outcome::bounded(format!(
            "{}. The spec has a problem that does not affect this run, but prevents the next: {}",
            position.message, problem.message
        ));
    }
    let known = last_known(situation, record);
    let counted = answers.guard.as_ref().filter(|_| !answers.is_partial || known.is_none());
    // A dry run starts over in a new pod.
    let before = known.clone().filter(|_| record.kind == RunKind::Apply);
    position.progress = known.unwrap_or(position.progress);
    if let Some(guard) = counted {
        let status = situation.migration.status.as_ref();
        let estimate = status.and_then(|status| status.dry_run.as_ref());
        let estimate = estimate.and_then(|report| report.effects.as_ref());
        let now = progress::of(record.kind, guard, estimate, counted_from, situation.now);
        position.progress = progress::not_before(now, before.as_ref());
    }
    if let Some(restore) = &answers.restore {
        let total = restoring_total(situation, record);
        position.progress = progress::of_restore(restore, total, counted_from, situation.now);
    }
    position
}

/// Sets the text of the progress, behind the percentage if that is known.
fn set_text_after_percent(position: &mut Position, text: &str) {
    let percent = position.progress.percent.map(|percent| format!("{percent}%, "));
    position.progress.text = Some(format!("{}{text}", percent.unwrap_or_default()));
}

/// Adds that the database throttles the run.
fn throttled(position: &mut Position, situation: Situation<'_>) {
    let Some(lowered) = situation.answers.lowered() else { return };
    let rates = summary::rates(&lowered);
    let message = format!(
        "The database throttles the run. The guard has lowered its rate to {rates} per second and \
         raises it again automatically"
    );
    let text = format!("throttled by the database to {rates} a second");
    set_text_after_percent(position, &text);
    position.conditions.push((types::THROTTLED, Reason::Throttled, message));
}

/// The effect of `spec.suspend` on a run under way.
fn suspended(position: &mut Position, situation: Situation<'_>, record: &RunRecord, started: bool) {
    let number = record.number;
    let in_place = adjust::pauses(situation, record) && started;
    let paused = situation.answers.paused();
    position.message = match paused {
        Some(true) if in_place => format!(
            "Run {number} is paused in place by spec.suspend: its requests are held. It resumes \
             when spec.suspend is false"
        ),
        Some(false) if in_place => {
            let unpaused = many_pods::unpaused(situation, record);
            let unpaused = unpaused.map(|unpaused| format!(". {unpaused}")).unwrap_or_default();
            format!("Run {number} is being paused by spec.suspend{unpaused}")
        }
        None if in_place => format!(
            "Run {number} continues although spec.suspend is true: its guard could not be reached \
             to pause it. The operator retries. No other run starts"
        ),
        _ if record.kind.restores() => format!(
            "Run {number} is suspended by spec.suspend. It resumes where it stopped when that is \
             false"
        ),
        _ => format!(
            "Run {number} is suspended by spec.suspend. Its program starts when that is false"
        ),
    };
    if in_place && paused != Some(true) {
        return;
    }
    position.phase = Phase::Suspended;
    position.standing = Standing::Resting;
    position.reason = Reason::Suspended;
    set_text_after_percent(position, "paused by spec.suspend");
    // Its earlier rate does not show when it ends.
    (position.progress.items_per_second, position.progress.eta_seconds) = (None, None);
    position.conditions.push((types::PAUSED, Reason::Suspended, position.message.clone()));
}

/// The progress that status has of the same run, between the end of its program and its result: the
/// guard is not asked any more. The rate is left out. In a run that is split it is used whenever
/// counts of a part are missing.
fn last_known(situation: Situation<'_>, record: &RunRecord) -> Option<Progress> {
    if record.parts() == 1 {
        view::program_end(situation.objects.pods.last()?)?;
    } else if !situation.answers.is_partial {
        return None;
    }
    let status = situation.migration.status.as_ref()?;
    let run = status.runs.first().filter(|run| run.number == record.number)?;
    let known = status.progress.clone().filter(|_| run.execution_time.is_some())?;
    if record.parts() > 1 && known.items_read.is_none() {
        return None;
    }
    Some(Progress { items_per_second: None, eta_seconds: None, ..known })
}

/// A run whose pod cannot start waits for a person, unless it is merely slow, or the archive or the
/// database does not answer.
fn held_up(record: &RunRecord, obstacle: &Obstacle) -> Position {
    let message = outcome::bounded(format!("Run {}: {}", record.number, obstacle.message));
    if queue::is_outage(obstacle.reason) {
        return queue::unanswered(obstacle.reason, message);
    }
    let mut position = starting(record);
    if many_pods::needs_a_person(obstacle) {
        position.standing = Standing::Stalled;
        position.phase = Phase::Stalled;
        position.set_text(obstacle.reason.as_str());
    }
    position.reason = obstacle.reason;
    position.message = message;
    position
}

const fn phase_under_way(kind: RunKind) -> Phase {
    match kind {
        RunKind::DryRun => Phase::DryRunning,
        RunKind::Apply => Phase::Running,
        RunKind::RestorePreview => Phase::RestorePreviewing,
        RunKind::Restore => Phase::Restoring,
    }
}

/// How many items a restore will look at, by what its run wrote, where that is known.
fn restoring_total(situation: Situation<'_>, record: &RunRecord) -> Option<u64> {
    let applied = situation.migration.status.as_ref()?.applied.as_ref()?;
    let tables = &applied.effects.as_ref().filter(|_| record.restores == Some(applied.run))?.tables;
    Some(tables.iter().map(TableChanged::written).sum())
}
