//! What status says of where a migration stands: phase, reason, sentence, progress. Pure; it
//! decides nothing.

use dm_api::condition::{Reason, types};
use dm_api::status::{
    AppliedReport, DataMigrationStatus, Phase, Progress, RunKind, RunRecord, TableChanged,
};
use jiff::Timestamp;

use crate::decide::Situation;
use crate::decide::adjust;
use crate::decide::baseline;
use crate::decide::outcome;
use crate::decide::progress;
use crate::decide::queue;
use crate::decide::summary;
use crate::read::view::{self, Obstacle};
use crate::validate::{Program, Runnable};

/// What status says of where a migration stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// One word for people.
    pub phase: Phase,
    /// One word for machines.
    pub reason: Reason,
    /// A sentence.
    pub message: String,
    /// How far it is, for `kubectl get`.
    pub progress: Progress,
    /// What it means for kstatus.
    pub standing: Standing,
    /// Conditions that hold only now: type, reason, message.
    pub conditions: Vec<(&'static str, Reason, String)>,
    /// When to look again even if nothing happens.
    pub next: Option<Timestamp>,
}

/// What a position means for kstatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The spec is fulfilled.
    Ready,
    /// It is being worked on, or waits for something that comes by itself.
    Reconciling,
    /// A person's turn, as planned: promotion, suspension.
    Resting,
    /// A person has to mend something.
    Stalled,
}

/// A dry run succeeded.
pub fn awaiting_promotion(status: &DataMigrationStatus) -> Position {
    let summary = status
        .dry_run
        .as_ref()
        .and_then(summary::dry_run)
        .unwrap_or_else(|| "The dry run succeeded".into());
    let mut position = Position::new(
        Phase::DryRunOk,
        Standing::Resting,
        Reason::AwaitingPromotion,
        format!("{summary}. Set spec.dryRun to false to apply it."),
    );
    position.set_text("100%");
    position
}

/// The migration was applied, and stays so.
pub fn applied(situation: Situation<'_>, applied: &AppliedReport) -> Position {
    if applied.baseline {
        return baseline::position();
    }
    let effects =
        applied.effects.as_ref().map(|effects| format!(": {}", summary::changed(effects)));
    let who = match &applied.adopted_from {
        Some(run) => format!("Adopted from the archive: {run} applied the migration"),
        None => format!("Run {} applied the migration", applied.run),
    };
    let message = format!(
        "{who}{}{}",
        effects.unwrap_or_default(),
        changed_since(situation, &applied.program_digest)
            .map(|why| format!("; {why}, which changes nothing: it does not run again"))
            .unwrap_or_default()
    );
    let mut position = Position::new(Phase::Applied, Standing::Ready, Reason::Applied, message);
    position.set_text("100%");
    position.note_source_change(situation, &applied.program_digest);
    position
}

/// A run ended badly.
pub fn failed(status: &DataMigrationStatus, run: &RunRecord) -> Position {
    let phase = match run.kind {
        RunKind::DryRun if run.reason == Some(Reason::NoRequestsSeen) => Phase::NoRequestsSeen,
        RunKind::DryRun => Phase::DryRunFailed,
        RunKind::Apply => Phase::Failed,
        RunKind::RestorePreview => Phase::RestorePreviewFailed,
        RunKind::Restore => Phase::RestoreFailed,
    };
    let failure = status.failure.as_ref().filter(|failure| failure.run == run.number);
    let reason = run.reason.unwrap_or(Reason::OutcomeUnknown);
    let message = failure.map_or_else(
        || format!("Run {} ended with {reason}", run.number),
        |failure| format!("{} {}", failure.message, failure.what_now),
    );
    let mut position = Position::new(phase, Standing::Stalled, reason, message);
    position.set_text(&how_far(status, run).unwrap_or_else(|| reason.to_string()));
    position
}

/// What was promoted has failed its dry run.
pub fn failed_dry_run(run: &RunRecord) -> Position {
    let retry = run.retry + 1;
    if run.reason == Some(Reason::NoRequestsSeen) {
        let message = format!(
            "The dry run of just this program sent no request to the guard, so nothing is known of what it \
             would change, and it is not applied. Correct the program and try it with spec.dryRun true, or \
             set spec.expectNoRequests to true if it has none to send, or spec.retry to {retry} to apply \
             it all the same"
        );
        let reason = Reason::NoRequestsSeen;
        return Position::new(Phase::NoRequestsSeen, Standing::Stalled, reason, message);
    }
    let message = format!(
        "The dry run of just this program failed, so it is not applied. Correct the program and try it \
         with spec.dryRun true, or set spec.retry to {retry} to apply it all the same"
    );
    Position::new(Phase::Stalled, Standing::Stalled, Reason::DryRunFailed, message)
}

/// How far a run came that was to apply the migration, by the dry run's count where there is one.
fn how_far(status: &DataMigrationStatus, run: &RunRecord) -> Option<String> {
    if run.kind == RunKind::Restore {
        let report = status.restored.as_ref().filter(|report| report.run == run.number)?;
        let effects = report.effects.as_ref()?;
        return Some(format!("{} put back", summary::put_back(effects)));
    }
    let report = status.applied.as_ref().filter(|report| report.run == run.number)?;
    let tables = &report.effects.as_ref()?.tables;
    let written: u64 = tables.iter().map(TableChanged::written).sum();
    let estimate = status.dry_run.as_ref().and_then(|dry_run| dry_run.effects.as_ref());
    let total = estimate.map(progress::total_of).filter(|total| *total > 0);
    Some(match total {
        Some(total) => format!("{}% ({written} of ~{total})", (written * 100 / total).min(100)),
        None => format!("{written} written"),
    })
}

/// What stood in the way of a run's objects at the last attempt: it is said until they exist.
pub fn refusal(situation: Situation<'_>) -> Option<Position> {
    let status = situation.migration.status.as_ref()?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == types::READY)?;
    let reason = [Reason::ObjectRefused, Reason::NameTaken]
        .into_iter()
        .find(|reason| reason.as_str() == ready.reason)?;
    Some(Position::new(Phase::Stalled, Standing::Stalled, reason, ready.message.clone()))
}

/// A run has its number, and its objects or its pod are on their way.
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
pub fn under_way(
    situation: Situation<'_>,
    record: &RunRecord,
    started: Option<Timestamp>,
) -> Position {
    let obstacle = view::obstacle(situation.objects, situation.now);
    let put_off = queue::waiting(record).filter(|_| started.is_none() && obstacle.is_none());
    let mut position = match (started, obstacle) {
        (Some(started), _) => {
            let mut position = starting(record);
            position.reason = Reason::Running;
            position.message = format!("Run {} is running as Job {}", record.number, record.job);
            position.set_text("running");
            if let Some(guard) = situation.guard {
                let status = situation.migration.status.as_ref();
                let estimate = status.and_then(|status| status.dry_run.as_ref());
                let estimate = estimate.and_then(|report| report.effects.as_ref());
                position.progress =
                    progress::of(record.kind, guard, estimate, started, situation.now);
            }
            if let Some(restore) = situation.restore {
                let total = restoring_total(situation, record);
                position.progress = progress::of_restore(restore, total, started, situation.now);
            }
            position
        }
        (None, Some(obstacle)) => held_up(record, &obstacle),
        // A try after one that was put off has nothing new to say until it is let through.
        (None, None) => put_off.unwrap_or_else(|| starting(record)),
    };
    if let Some(lowered) = situation.control.and_then(|control| control.lowered.as_ref()) {
        let rates = summary::rates(lowered);
        let message = format!(
            "The database throttles the run: it goes at {rates} a second, and faster again by itself"
        );
        let percent = position.progress.percent.map(|percent| format!("{percent}%, "));
        position.progress.text = Some(format!(
            "{}throttled by the database, going at {rates} a second",
            percent.unwrap_or_default()
        ));
        position.conditions.push((types::THROTTLED, Reason::Throttled, message));
    }
    let outages = situation.guard.into_iter();
    position.conditions.extend(outages.flat_map(|g| outcome::outage::conditions(record.kind, g)));
    if situation.migration.spec.suspend {
        suspended(&mut position, situation, record, started.is_some());
    }
    position.note_source_change(situation, &record.program_digest);
    position
}

/// What `spec.suspend` makes of a run under way.
fn suspended(position: &mut Position, situation: Situation<'_>, record: &RunRecord, started: bool) {
    let number = record.number;
    let in_place = adjust::pauses(situation, record) && started;
    let paused = situation.control.map(|control| control.paused);
    position.message = match paused {
        Some(true) if in_place => format!(
            "Run {number} is paused by spec.suspend where it is: its requests are held. It goes on when \
             spec.suspend is false"
        ),
        Some(false) if in_place => format!("Run {number} is being paused by spec.suspend"),
        None if in_place => format!(
            "Run {number} goes on although spec.suspend is true: its guard could not be reached to \
             pause it, which is tried again. What comes after it is held"
        ),
        _ if record.kind.restores() => format!(
            "Run {number} is suspended by spec.suspend; it goes on where it was when it is false"
        ),
        _ => format!(
            "Run {number} is suspended by spec.suspend; its program starts when it is false"
        ),
    };
    if in_place && paused != Some(true) {
        return;
    }
    position.phase = Phase::Suspended;
    position.standing = Standing::Resting;
    position.reason = Reason::Suspended;
    position.progress.text = Some("paused by spec.suspend".into());
    // How fast it was says nothing of when it ends.
    (position.progress.items_per_second, position.progress.eta_seconds) = (None, None);
    position.conditions.push((types::PAUSED, Reason::Suspended, position.message.clone()));
}

/// A run whose pod cannot start waits for a person, unless it is merely slow.
fn held_up(record: &RunRecord, obstacle: &Obstacle) -> Position {
    let mut position = starting(record);
    let slow = obstacle.reason == Reason::Starting;
    position.standing = if slow { Standing::Reconciling } else { Standing::Stalled };
    position.phase = if slow { position.phase } else { Phase::Stalled };
    if !slow {
        position.set_text(obstacle.reason.as_str());
    }
    position.reason = obstacle.reason;
    position.message = outcome::bounded(format!("Run {}: {}", record.number, obstacle.message));
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

/// How what would run now differs from what a run ran.
pub fn changed_since(situation: Situation<'_>, digest: &str) -> Option<&'static str> {
    match situation.runnable {
        // What is validated then is a restore.
        Ok(Runnable { program: Program::Restore(_) | Program::Baseline, .. }) => None,
        Ok(runnable) if runnable.digest != digest => {
            Some("the program's files, its settings or its target have changed since")
        }
        Ok(_) | Err(_) => None,
    }
}

impl Position {
    /// A position without special conditions.
    pub fn new(phase: Phase, standing: Standing, reason: Reason, message: String) -> Self {
        let message = outcome::bounded(message);
        let mut position = Self {
            phase,
            reason,
            message,
            progress: Progress::default(),
            standing,
            conditions: Vec::new(),
            next: None,
        };
        if standing == Standing::Stalled {
            position.set_text(reason.as_str());
        }
        position
    }

    /// A few words for `kubectl get`.
    pub fn set_text(&mut self, text: &str) {
        self.progress = Progress { text: Some(text.into()), ..Progress::default() };
    }

    /// A condition while what would run now is not what a run ran.
    pub fn note_source_change(&mut self, situation: Situation<'_>, digest: &str) {
        if let Some(why) = changed_since(situation, digest) {
            self.conditions.push((
                types::SOURCE_CHANGED,
                Reason::SourceChanged,
                format!("What was run is kept by its digest; {why}"),
            ));
        }
    }
}
