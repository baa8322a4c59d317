//! The controller: observe → validate → decide → write status → act.
//!
//! `validate`, `decide`, `build`, `outcome`, `status`, `view` and `events` are pure: they take
//! values and the time. `observe` reads, `act` writes, `reconcile` puts them in order.

pub mod act;
pub mod adjust;
pub mod adopt;
pub mod baseline;
pub mod build;
pub mod controller;
pub mod deadline;
pub mod decide;
pub mod dependencies;
pub mod digest;
pub mod events;
pub mod guard_client;
pub mod health;
pub mod image;
pub mod isolate;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod occupants;
pub mod outcome;
pub mod owned;
pub mod paging;
pub mod position;
pub mod progress;
pub mod reconcile;
pub mod reconnect;
pub mod recording;
pub mod references;
pub mod restoring;
#[cfg(test)]
mod samples;
pub mod status;
pub mod summary;
pub mod sweep;
pub mod turn;
pub mod validate;
pub mod view;

/// The clock of a running controller.
pub fn system_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
