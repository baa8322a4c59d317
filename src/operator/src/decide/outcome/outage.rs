//! A run that ended while the archive or the database did not answer: that is the cause, whatever
//! the program made of the errors. Pure.

use dm_api::condition::{Reason, types};
use dm_api::status::{RunKind, RunResult};
use dm_contract::report::{Behind, GuardResult, Outage};

use crate::decide::outcome::cause::Cause;
use crate::decide::outcome::known::Outcome;
use crate::decide::outcome::words::{bounded, state_of_data};

/// Names the outage that lasted until the end as the cause of a failure. A program that ended with
/// 0 ignored errors, and its work is incomplete.
pub(super) fn complete(cause: &Cause, outcome: &mut Outcome) {
    let Some(outage) = outcome.guard.as_ref().and_then(GuardResult::outage) else { return };
    match cause {
        Cause::Success | Cause::ExitCode(_) | Cause::Signal(_) => {}
        Cause::Deadline(_)
        | Cause::Stopped(_)
        | Cause::JobDeleted
        | Cause::Disruption(_)
        | Cause::PodDeleted
        | Cause::OutOfMemory
        | Cause::NotStarted(_)
        | Cause::Prepare(_)
        | Cause::Container(_)
        | Cause::Interrupted(_)
        | Cause::LeftRunning(_)
        | Cause::Guard(_)
        | Cause::Ledger(_)
        | Cause::GaveWay(_)
        | Cause::Refused(_)
        | Cause::Gone => return,
    }
    let what = what_failed(outage);
    outcome.message = bounded(format!("{} {what}.", outcome.message));
    outcome.reason = reason(outage);
    outcome.result = RunResult::Failed;
}

/// The reason of an outage.
pub const fn reason(outage: &Outage) -> Reason {
    match outage.of {
        Behind::Archive => Reason::ArchiveUnavailable,
        Behind::Database => Reason::DatabaseUnreachable,
    }
}

/// What a condition says while outages last: type, reason, message.
pub fn conditions(
    kind: RunKind,
    guard: &GuardResult,
) -> impl Iterator<Item = (&'static str, Reason, String)> {
    guard.outages.iter().filter(|outage| outage.lasts).map(move |outage| {
        let type_ = match outage.of {
            Behind::Archive => types::ARCHIVE_UNAVAILABLE,
            Behind::Database => types::DATABASE_UNREACHABLE,
        };
        let message = format!(
            "{}. So far {}. The run continues as soon as it answers, unless the program gives up \
             first",
            what_failed(outage),
            state_of_data(kind, true, Some(guard))
        );
        (type_, reason(outage), bounded(message))
    })
}

/// What did not work, and what of it was not carried out.
fn what_failed(outage: &Outage) -> String {
    let Outage { since, message, calls, .. } = outage;
    let message = message.trim_end_matches('.');
    let calls = |kind: &str| match calls {
        1 => format!("1 {kind}call"),
        many => format!("{many} {kind}calls"),
    };
    match outage.of {
        Behind::Archive => format!(
            "The archive has not been writable since {since} ({message}): {} failed and sent \
             nothing to the database",
            calls("writing ")
        ),
        Behind::Database => format!(
            "The database has not answered since {since} ({message}): {} of the program failed",
            calls("")
        ),
    }
}

#[cfg(test)]
mod tests;
