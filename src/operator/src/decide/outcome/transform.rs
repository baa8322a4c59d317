//! How a transform ended, by the guard that carried it out. Pure.

use dm_api::condition::Reason;
use dm_contract::report::{TransformEnd, TransformResult};

use crate::decide::outcome::cause::Cause;
use crate::decide::outcome::known::Outcome;

/// Names the reason of a transform that did not change every item.
pub(super) fn complete(cause: &Cause, outcome: &mut Outcome) {
    if let (Cause::ExitCode(_), Some(result)) = (cause, of(outcome)) {
        outcome.reason = match result.end {
            TransformEnd::PartiallyFailed => Reason::PartiallyFailed,
            TransformEnd::Interrupted => Reason::Interrupted,
            TransformEnd::Succeeded | TransformEnd::Failed => Reason::TransformFailed,
        };
    }
}

/// What the guard says of a transform.
fn of(outcome: &Outcome) -> Option<&TransformResult> {
    outcome.guard.as_ref()?.transform.as_ref()
}

/// Why it stopped, if that was no item: for example, it does not fit the table.
pub(super) fn stopped_by(outcome: &Outcome) -> Option<&str> {
    let result = of(outcome).filter(|result| result.end == TransformEnd::Failed);
    result.filter(|result| result.failed == 0)?.message.as_deref()
}

/// What happened, in words, if a transform ended with an exit code other than 0.
pub(super) fn what(outcome: &Outcome) -> Option<String> {
    let result = of(outcome)?;
    let failed = match result.failed {
        1 => "1 item".to_owned(),
        many => format!("{many} items"),
    };
    // Attributes and types, no values.
    let first = result.failures.first().map(|failure| format!(" ({})", failure.reason));
    let first = first.unwrap_or_default();
    Some(match (result.end, result.failed) {
        (TransformEnd::PartiallyFailed, _) => {
            format!("The transform could not change {failed}{first}")
        }
        (TransformEnd::Interrupted, _) => "The transform was asked to stop".to_owned(),
        (TransformEnd::Succeeded, _) => "The transform changed every item".to_owned(),
        (TransformEnd::Failed, 0) => "The transform stopped".to_owned(),
        (TransformEnd::Failed, _) => format!("The transform stopped at {failed}{first}"),
    })
}
