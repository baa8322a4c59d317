//! Where a migration stands when no run is under way: what was applied, what failed, what waits for
//! a person. Pure; it decides nothing.

use dm_api::condition::{Reason, types};
use dm_api::status::{AppliedReport, DataMigrationStatus, Phase, RunKind, RunRecord, TableChanged};

use crate::decide::position::{Position, Standing};
use crate::decide::situation::Situation;
use crate::decide::{baseline, progress, source_change, summary};

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
        source_change::changed_since(situation, &applied.program_digest)
            .map(|why| format!("; {why}, without effect: an applied migration does not run again"))
            .unwrap_or_default()
    );
    let mut position = Position::new(Phase::Applied, Standing::Ready, Reason::Applied, message);
    position.set_text("100%");
    source_change::add_condition(&mut position, situation, &applied.program_digest);
    position
}

/// A run failed, or its outcome is unknown.
pub fn failed(status: &DataMigrationStatus, run: &RunRecord) -> Position {
    let phase = match run.kind {
        RunKind::DryRun if run.reason == Some(Reason::NoRequestsSeen) => Phase::NoRequestsSeen,
        RunKind::DryRun => Phase::DryRunFailed,
        RunKind::Apply if run.reason == Some(Reason::PartiallyFailed) => Phase::PartiallyFailed,
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
    // Writes that bypassed the guard are not counted.
    let how_far = how_far(status, run).filter(|_| reason != Reason::NoRequestsSeen);
    position.set_text(&how_far.unwrap_or_else(|| reason.to_string()));
    position
}

/// The promoted program failed its dry run.
pub fn failed_dry_run(run: &RunRecord) -> Position {
    let retry = run.next_retry();
    if run.reason == Some(Reason::NoRequestsSeen) {
        let message = format!(
            "The dry run of the current program sent no request to the guard, so its effects are \
             unknown, and it is not applied. Correct the program and set spec.dryRun to true for \
             another dry run; or set spec.expectNoRequests to true if it needs no request; or set \
             spec.retry to {retry} to apply it without a dry run"
        );
        let reason = Reason::NoRequestsSeen;
        return Position::new(Phase::NoRequestsSeen, Standing::Stalled, reason, message);
    }
    let message = format!(
        "The dry run of the current program failed, so the program is not applied. Correct it and \
         set spec.dryRun to true for another dry run, or set spec.retry to {retry} to apply it \
         without a successful one"
    );
    Position::new(Phase::Stalled, Standing::Stalled, Reason::DryRunFailed, message)
}

/// How far a run came that was to apply the migration, by the dry run's count where there is one.
fn how_far(status: &DataMigrationStatus, run: &RunRecord) -> Option<String> {
    if run.kind == RunKind::Restore {
        let report = status.restored.as_ref().filter(|report| report.run == run.number)?;
        let effects = report.effects.as_ref()?;
        return Some(format!("{} restored", summary::items_restored(effects)));
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

/// The migration, or its namespace, is being deleted.
pub fn terminating(message: String) -> Position {
    Position::new(Phase::Terminating, Standing::Reconciling, Reason::Terminating, message)
}

/// What prevented the creation of a run's objects at the last attempt. It is reported until they
/// exist.
pub fn refusal(situation: Situation<'_>) -> Option<Position> {
    let status = situation.migration.status.as_ref()?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == types::READY)?;
    let reason = [Reason::ObjectRefused, Reason::NameTaken]
        .into_iter()
        .find(|reason| reason.as_str() == ready.reason)?;
    Some(Position::new(Phase::Stalled, Standing::Stalled, reason, ready.message.clone()))
}
