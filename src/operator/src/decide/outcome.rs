//! How a run ended, what state the data is in, and what to do: from the last status of its Job
//! and pods. Pure.

mod advice;
mod cause;
mod claims;
mod facts;
mod find_cause;
mod gave_way;
mod known;
pub(crate) mod outage;
mod part;
mod recorded;
mod restored;
mod split;
mod transform;
pub mod unseen;
mod words;

use dm_api::status::{RunKind, RunRecord};

pub use self::cause::StopReason;
pub use self::known::Outcome;
pub use self::part::unknown;
pub use self::split::reason_of_part;
pub use self::words::{bounded, state_of_data};
use crate::read::view::{self, JobEnd, RunObjects};

/// The end of a run whose objects say that it is over; `None` while it continues.
pub fn of(record: &RunRecord, objects: RunObjects<'_>) -> Option<Outcome> {
    if !is_over(objects) {
        return None;
    }
    if record.parts() > 1 {
        return Some(split::of(record, objects));
    }
    let (cause, mut outcome) = part::end(record, objects);
    if record.kind.restores() {
        restored::complete(record, objects, &cause, &mut outcome);
        return Some(outcome);
    }
    outcome.wrote_nothing = record.kind == RunKind::Apply && part::wrote_nothing(objects, &outcome);
    Some(part::complete(record, &cause, outcome))
}

/// Whether nothing of the run can still be running.
fn is_over(objects: RunObjects<'_>) -> bool {
    let pods_over = objects.pods.iter().all(|pod| view::pod_is_over(pod));
    match objects.job {
        // Somebody removed the finalizer with the Job: what the pods say is all there is.
        None => pods_over,
        Some(job) if job.metadata.deletion_timestamp.is_some() => pods_over,
        Some(job) => view::job_end(job) != JobEnd::No && pods_over,
    }
}

#[cfg(test)]
mod tests;
