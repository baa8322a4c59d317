//! What status says of where a migration stands: phase, reason, sentence, progress. Pure; it
//! decides nothing.

use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase, Progress, RunKind, RunRecord};
use jiff::Timestamp;

use crate::decide::Situation;
use crate::outcome;
use crate::progress;
use crate::summary;
use crate::turn;
use crate::view::{self, Obstacle};

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
        .and_then(|report| report.effects.as_ref())
        .map_or_else(|| "The dry run succeeded".into(), summary::would_change);
    let mut position = Position::new(
        Phase::DryRunOk,
        Standing::Resting,
        Reason::AwaitingPromotion,
        format!("{summary}. Set spec.dryRun to false to apply it."),
    );
    position.set_text("100%");
    position
}

/// A run ended badly.
pub fn failed(status: &DataMigrationStatus, run: &RunRecord) -> Position {
    let phase = match run.kind {
        RunKind::DryRun => Phase::DryRunFailed,
        RunKind::Apply => Phase::Failed,
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

/// How far a run came that was to apply the migration, by the dry run's count where there is one.
fn how_far(status: &DataMigrationStatus, run: &RunRecord) -> Option<String> {
    let report = status.applied.as_ref().filter(|report| report.run == run.number)?;
    let tables = &report.effects.as_ref()?.tables;
    let written: u64 = tables.iter().map(|t| t.put + t.updated + t.deleted).sum();
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
    let put_off = turn::waiting(record).filter(|_| started.is_none() && obstacle.is_none());
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
            position
        }
        (None, Some(obstacle)) => held_up(record, &obstacle),
        // A try after one that was put off has nothing new to say until it is let through.
        (None, None) => put_off.unwrap_or_else(|| starting(record)),
    };
    if situation.migration.spec.suspend {
        let held = record.kind == RunKind::DryRun || started.is_none();
        position.message = if held {
            format!(
                "Run {} is suspended by spec.suspend; its program starts from the beginning when it \
                 is false",
                record.number
            )
        } else {
            format!(
                "Run {} writes and goes on: stopping and starting it again would run the program \
                 twice. spec.suspend holds what comes after it",
                record.number
            )
        };
        if held {
            position.phase = Phase::Suspended;
            position.standing = Standing::Resting;
            position.reason = Reason::Suspended;
            position.set_text("paused by spec.suspend");
            position.conditions.push((types::PAUSED, Reason::Suspended, position.message.clone()));
        }
    }
    position.note_source_change(situation, &record.program_digest);
    position
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
    }
}

/// How what would run now differs from what a run ran.
pub fn changed_since(situation: Situation<'_>, digest: &str) -> Option<&'static str> {
    match situation.runnable {
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
